//! `docker system`, `docker info` and `docker version`

pub(crate) mod df;
pub(crate) mod dial_stdio;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod prune;
pub(crate) mod version;

use crate::command::Command;

pub(crate) const GROUP: Command = Command::group(
    "system",
    "Manage Docker",
    &[
        df::COMMAND,
        dial_stdio::COMMAND,
        events::COMMAND,
        info::COMMAND,
        prune::COMMAND,
    ],
);
