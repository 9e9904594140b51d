//! What clients send, and its conversion to the domain's commands.

pub(crate) mod create;
pub(crate) mod filters;
pub(crate) mod host;
pub(crate) mod lenient;
pub(crate) mod mounts;
pub(crate) mod networking;
pub(crate) mod ports;
pub(crate) mod query;
pub(crate) mod reference;
pub(crate) mod spec;
pub(crate) mod unsupported;
