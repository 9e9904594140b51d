//! Making a container's first process, and further processes inside it: the caller's side.
//!
//! ```text
//!   create: check the spec ─▶ cgroup, overlay, bind sources ─▶ clone3 ─────────────┐
//!                                                                                   ▼
//!   caller:  id maps, hooks, terminal ◀── socket ──▶ init: mounts, pivot, limits, user, caps
//!                                                                                   ▼
//!   start:   "go" ─────────────────────── socket ──▶ init: seccomp, execve ──▶ socket closes
//! ```
//!
//! The socket is close-on-exec: that it closes without a word is the proof that the program
//! runs. Anything that goes wrong before arrives on it as a step, an error number and the path
//! or value it was about. Until it is told to start, init also watches for the other end to
//! close, and then leaves: a caller that dies takes a container that never ran with it.
//!
//! The caller must have one thread (`create` and `exec` refuse otherwise): init is a copy of the
//! caller's memory, and a lock held by another thread would be held for ever in it.

pub(crate) mod capabilities;
pub(crate) mod channel;
mod create;
pub(crate) mod devices;
pub(crate) mod error;
mod foreign;
mod hooks;
mod id_map;
mod join;
pub(crate) mod mount_options;
pub(crate) mod plan;
pub(crate) mod process;
mod sources;
mod start;
mod sysctl;
mod visit;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::process::Pid;
use wharf_sys::clone::Namespaces as Kinds;

use crate::cgroup::{self, Cgroup};
use error::Warning;

pub(crate) use hooks::run as run_hooks;
pub(crate) use sources::{mount_failure, propagate};

pub use create::{create, create_waiting_on};
pub(crate) use join::Joining;
pub use join::exec;
pub use start::StartHandle;

/// What becomes the container's root directory.
#[derive(Debug)]
pub enum Rootfs {
    /// A directory of the host.
    Directory(PathBuf),
    /// An overlay, mounted for this container alone and gone with it.
    Overlay {
        /// The roots of the layers, top first.
        lower: Vec<OwnedFd>,
        /// Where changes go.
        upper: PathBuf,
        /// The overlay's scratch directory, empty.
        work: PathBuf,
    },
}

/// The three standard streams.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Where the process's input comes from and its output goes.
#[derive(Debug)]
pub enum Io {
    /// Streams that the caller made. They are given to the process's user.
    Streams(Stdio),
    /// A pseudo-terminal made inside the container; its master end comes back to the caller.
    Terminal(WindowSize),
}

/// A container to make.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Its name, for hooks.
    pub id: &'a str,
    /// What it is to be. Bind mounts of single files (`hosts`, `resolv.conf` …) are ordinary
    /// entries of `mounts`.
    pub spec: &'a Spec,
    /// The directory hooks are told about, and that relative paths in the spec start from.
    pub bundle: &'a Path,
    /// Its root; `spec.root` only says whether it is read-only.
    pub rootfs: Rootfs,
    /// Its standard streams.
    pub io: Io,
    /// Where to make its cgroup; none where that is not permitted.
    pub cgroup: Option<cgroup::Place<'a>>,
    /// The system call filter, if it was compiled before; otherwise `spec.linux.seccomp` is
    /// compiled here.
    pub seccomp: Option<&'a crate::seccomp::Filter>,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: u32,
    /// Whose death ends the container.
    pub ends_with: EndsWith,
}

/// Whose death ends a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsWith {
    /// Nobody's but its own.
    Nobody,
    /// Its caller's: the kernel kills the first process with it, and a pid namespace with that.
    Caller,
}

/// A container that waits to be started.
#[derive(Debug)]
pub struct Created<S = StartHandle> {
    /// Its first process, as the caller's namespace numbers it. A child of the caller: to be
    /// reaped by it.
    pub pid: Pid,
    /// The same process, beyond confusion.
    pub pidfd: OwnedFd,
    /// The master end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// Its cgroup.
    pub cgroup: Option<Cgroup>,
    /// Lets it go. Dropped, the container ends. Nothing for one that waits on a socket.
    pub start: S,
    /// Limits the kernel did not let us set.
    pub warnings: Vec<Warning>,
}

/// The namespaces a container has of its own or has joined, other than the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Namespaces(u64);

impl Namespaces {
    /// Those that the specification names.
    #[must_use]
    pub fn of(spec: &Spec) -> Namespaces {
        let kinds = spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.namespaces().as_ref())
            .into_iter()
            .flatten()
            .fold(Kinds::empty(), |kinds, namespace| {
                kinds | plan::kind_of(namespace.typ())
            });
        Namespaces(kinds.bits())
    }

    pub(crate) fn kinds(self) -> Kinds {
        Kinds::from_bits(self.0)
    }
}

/// A running container, for [`exec`].
#[derive(Debug)]
pub struct ExecTarget<'a> {
    /// Its first process.
    pub pidfd: BorrowedFd<'a>,
    /// Its cgroup, which the new process joins.
    pub cgroup: Option<&'a Cgroup>,
    /// What there is to join: `Namespaces::of(spec)`.
    pub namespaces: Namespaces,
    /// The container's system call filter.
    pub seccomp: Option<&'a crate::seccomp::Filter>,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: u32,
}

/// A process that was put into a container and runs its program.
#[derive(Debug)]
pub struct Execed {
    /// The process, as the caller's namespace numbers it. A child of the caller.
    pub pid: Pid,
    /// The same process.
    pub pidfd: OwnedFd,
    /// The master end of its terminal.
    pub terminal: Option<OwnedFd>,
    /// Limits the kernel did not let us set.
    pub warnings: Vec<Warning>,
}
