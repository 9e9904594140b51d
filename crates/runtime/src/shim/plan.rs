//! What a shim is told once, at its birth.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::cgroup::Layout;
use crate::seccomp::Filter;

/// The socket a shim listens on, in its directory.
pub(super) const SOCKET: &str = "shim.sock";

/// The record of how the container ended, in its directory.
const EXIT: &str = "exit.json";

/// Everything a shim needs to make and hold one container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShimPlan {
    /// The container's id.
    pub id: String,
    /// The shim's own directory (`<exec-root>/containers/<id>`, 0700), made by the caller.
    pub dir: PathBuf,
    /// What the container is to be.
    pub spec: Spec,
    /// Its root directory.
    pub rootfs: PlanRootfs,
    /// Names (diff ids) of the lower layers whose mounts come with the plan, top first. The shim
    /// keeps the mounts, so that a daemon that comes back finds them still mounted.
    pub layers: Vec<String>,
    /// The host's cgroup hierarchies.
    pub layout: Layout,
    /// The container's cgroup in them; none where that is not permitted.
    pub cgroup: Option<PathBuf>,
    /// The compiled system call filter; the spec's own is then left out.
    pub seccomp: Option<Filter>,
    /// Allocate a pseudo-terminal of this size.
    pub terminal: Option<Size>,
    /// Keep standard input open though nobody is attached.
    pub open_stdin: bool,
    /// Close it for good when the first client that is attached to it leaves it.
    pub stdin_once: bool,
    /// Where output is logged; nowhere without.
    pub log: Option<LogPlan>,
}

/// The container's root directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum PlanRootfs {
    /// A directory of the host.
    Directory(PathBuf),
    /// An overlay over the layer mounts that come with the plan.
    Overlay {
        /// Where changes go.
        upper: PathBuf,
        /// The overlay's scratch directory.
        work: PathBuf,
    },
}

/// A log file and its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// The newest file; older ones have `.1`, `.2` … behind their name.
    pub path: PathBuf,
    /// Bytes in one file.
    pub max_size: u64,
    /// Files in all, the newest included; at least one.
    pub max_files: u32,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// How a container ended. On disk before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Its first process.
    pub pid: i32,
    /// What it exited with; 128 + n where signal n ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// When the program started, in nanoseconds since 1970; 0 if it never did.
    pub started_ns: i64,
    /// When it ended.
    pub finished_ns: i64,
    /// What went wrong besides (a log that could not be written).
    pub error: Option<String>,
}

/// The socket in a shim's directory, for `bind` and `connect`, which take no path longer than 107
/// bytes: below the directory's descriptor it is always shorter. The descriptor must stay open
/// while the path is in use.
pub(super) fn short_socket_path(dir: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())).join(SOCKET);
    Ok((fd, path))
}

/// Where the shim with this directory listens.
#[must_use]
pub fn socket_path(dir: &Path) -> PathBuf {
    dir.join(SOCKET)
}

/// Where the shim with this directory leaves its [`ExitRecord`], as JSON.
#[must_use]
pub fn exit_path(dir: &Path) -> PathBuf {
    dir.join(EXIT)
}
