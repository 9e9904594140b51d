//! Images end to end: archives made here go through a real store and come back.

mod commit;
mod fixture;
mod hostile;
mod list;
mod load;
mod remove;
mod save;
mod surviving;
