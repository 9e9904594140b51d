//! What clients get: structures that print as Go's do.
//!
//! The order of keys, the nulls and the empty lists are dockerd's, because people's scripts look
//! there. `Option` fields that are skipped when absent are those that dockerd omits.

pub(crate) mod container;
pub(crate) mod disk;
pub(crate) mod event;
pub(crate) mod host_config;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod progress;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod volume;
