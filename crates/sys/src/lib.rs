//! System calls that rustix lacks, and handles for paths that are not trusted.

pub mod mount;
pub mod rooted;
