//! `wharf dns`: what containers asked the resolver, and what left the machine.

mod log;

use crate::command::{Command, Heading};

pub(crate) const GROUP: Command = Command::group(
    "dns",
    "Look at the names containers ask for",
    &[log::COMMAND],
)
.under(Heading::Wharf);
