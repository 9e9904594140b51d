//! From an OCI runtime specification to a running process, and what is done to it afterwards.
//!
//! [`create`] makes a container that waits before its program, [`StartHandle::start`] lets it
//! go, [`exec`] puts a further process into it. [`cgroup`] limits, freezes and measures it,
//! [`seccomp`] compiles filters, [`user`] resolves names inside an image. [`cli`] is the OCI
//! command line over all of these.
//!
//! Everything is synchronous and meant for a process with one thread: a container's first code
//! is a copy of its caller (see [`mod@create`]). Nothing here knows Docker, images or networks.

pub mod cgroup;
pub mod cli;
pub mod container_init;
mod exe;
mod init;
mod launch;
pub mod log;
pub mod seccomp;
pub mod shim;
pub mod user;

pub use exe::Exe;
pub use launch::error::{ExecCause, ExecError, Failure, LaunchError, Step, Warning, errno_text};
pub use launch::{
    Created, EndsWith, ExecTarget, Execed, Io, Launch, Namespaces, Rootfs, StartHandle, Stdio,
    WindowSize, create, create_waiting_on, exec,
};
