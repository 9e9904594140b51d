//! System calls that rustix lacks, and handles for paths that are not trusted.

pub mod activation;
pub mod bpf;
pub mod clone;
pub mod descriptors;
pub mod file_owner;
pub mod heap;
pub mod loopback;
pub mod mount;
pub mod namespaces;
pub mod packet;
pub mod pidfd;
pub mod program;
pub mod rooted;
pub mod seccomp;
pub mod signal_fd;
pub mod signals;
pub mod socket_filter;
pub mod stack;
pub mod writeback;
