//! `docker context`: named daemons, stored where docker stores them.

pub(crate) mod create;
pub(crate) mod ls;
pub(crate) mod manage;
pub(crate) mod store;
pub(crate) mod transfer;

use crate::command::Command;

pub(crate) const GROUP: Command = Command::group(
    "context",
    "Manage contexts",
    &[
        create::CREATE,
        transfer::EXPORT,
        transfer::IMPORT,
        manage::INSPECT,
        ls::COMMAND,
        manage::REMOVE,
        manage::SHOW,
        create::UPDATE,
        manage::USE,
    ],
);
