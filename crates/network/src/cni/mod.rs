//! Networks that somebody else's programs make: CNI, versions 0.3.1 to 1.1 of its specification.
//!
//! A *conflist* is a file that names a network and the plugins which, one after the other, attach a
//! container to it. A plugin is a program: what to do is in its environment, the configuration on
//! its standard input, the answer on its output. [`Driver`] runs them; nothing else does.
//!
//! ```text
//! add:    record the attachment ─> plugin 1 ─result─> plugin 2 ─result─> … ─> record the result
//!              │ a plugin fails: every plugin's DEL, in reverse, then the record goes
//! delete: … plugin 2 ─> plugin 1, with the configuration and result recorded, then the record goes
//! ```
//!
//! # What can be relied on
//! - The record is on the disk before the first plugin runs: after a crash at any point
//!   [`Driver::delete`] or [`Driver::collect`] undoes what was done, with the configuration it was
//!   done with, even if the conflist has changed or gone since.
//! - A plugin is never waited for longer than the time limit; then it and its children are killed.
//!   What it writes is bounded, what it answers is read as hostile.
//! - A deletion goes on after a failure, and says all of them; its record stays until it succeeds.
//!
//! # What this does not know
//! Which container has which network (the caller says so, and never runs two commands for one
//! container at a time, as the specification asks), and where plugins come from.

mod cache;
mod conflist;
mod driver;
mod error;
mod names;
mod plugin;
mod result;
mod version;

pub use conflist::{Conflist, Directory, directory};
pub use driver::{Attachment, Driver, Paths};
pub use error::{CniError, PluginFailure, Result};
pub use result::{Address, Attached, Dns, Interface, Route};
pub use version::Version;
