//! The little languages of docker's flags: mounts, ports, networks, devices, limits.
//!
//! Pure text to data, with docker's words for what is wrong. Nothing here asks the daemon;
//! files are read only by [`files`], which is told which.

pub(crate) mod checks;
pub(crate) mod csv;
pub(crate) mod device;
pub(crate) mod files;
pub(crate) mod gpus;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod restart;
pub(crate) mod security;
pub(crate) mod shape;
pub(crate) mod size;
pub(crate) mod ulimit;
