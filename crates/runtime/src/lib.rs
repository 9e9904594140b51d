//! From an OCI runtime specification to a running process, and what is done to it afterwards.
//!
//! [`create`] makes a container that waits before its program, [`StartHandle::start`] lets it
//! go, [`exec`] puts a further process into it. [`cgroup`] limits, freezes and measures it,
//! [`seccomp`] compiles filters, [`user`] resolves names inside an image. [`cli`] is the OCI
//! runtime command line over all of these.
//!
//! Everything is synchronous and meant for a process with one thread: a container's first code
//! is a copy of its caller (see [`launch`]). Nothing here knows Docker, images or networks.

pub mod cgroup;
mod launch;

pub use launch::error::{ExecError, LaunchError, Step, Warning};
pub use launch::{
    Created, ExecTarget, Execed, Io, Launch, Namespaces, Rootfs, Start, StartHandle, Stdio,
    WindowSize, create, exec,
};
