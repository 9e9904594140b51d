//! A bind mount's source that another container has mounted.
//!
//! A container that shares the IPC namespace of another also gets its `/dev/shm`, which is a
//! mount in that container's mount namespace alone. It is named `/proc/<pid>/root/dev/shm`, and
//! only a process in that namespace may copy it: a child goes there, copies, and hands the copy
//! back. The path is resolved inside that container's root, wherever its links lead.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use wharf_sys::clone::{self, Clone, Namespaces as Kinds};
use wharf_sys::mount::{Depth, clone_tree};
use wharf_sys::namespaces;
use wharf_sys::rooted::Root;

use super::channel::{self, Message};
use super::error::{Failure, Step};

/// The process whose root a path begins at, and the path from there.
pub(super) fn place_of(path: &Path) -> Option<(Pid, PathBuf)> {
    let mut parts = path.strip_prefix("/proc").ok()?.components();
    let pid = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    if parts.next()?.as_os_str() != "root" {
        return None;
    }
    Some((Pid::from_raw(pid)?, Path::new("/").join(parts.as_path())))
}

/// A detached copy of what is mounted at `path` in the mount namespace of a process.
pub(super) fn copy(pid: Pid, path: &Path, depth: Depth) -> io::Result<OwnedFd> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let (ours, theirs) = channel::pair()?;
    let code = |socket: &OwnedFd| -> Result<Infallible, i32> {
        let copied = || -> io::Result<OwnedFd> {
            namespaces::join(process.as_fd(), Kinds::MOUNT)?;
            let found = Root::open("/")?.resolve(path)?;
            clone_tree(found.as_fd(), depth).map_err(|error| error.source)
        };
        let message = match copied() {
            Ok(tree) => Message::Descriptor(tree),
            Err(error) => Message::Failed(Failure::at(Step::OpenSource, "")(error)),
        };
        let _ = channel::send(socket.as_fd(), &message);
        Err(0)
    };
    let child = clone::spawn(&Clone::default(), |_| code(&theirs))?;
    drop(theirs);
    let answer = channel::receive(ours.as_fd());
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    match answer? {
        Some(Message::Descriptor(tree)) => Ok(tree),
        Some(Message::Failed(failure)) => Err(io::Error::from_raw_os_error(failure.errno)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_root_of_a_process_are_of_another_container() {
        let (pid, path) = place_of(Path::new("/proc/12/root/dev/shm")).unwrap();
        assert_eq!(pid.as_raw_nonzero().get(), 12);
        assert_eq!(path, Path::new("/dev/shm"));
        for path in [
            "/proc/self/root/x",
            "/proc/12/cwd/x",
            "/proc/12",
            "/dev/shm",
            "/proc/0/root",
        ] {
            assert!(place_of(Path::new(path)).is_none(), "{path}");
        }
    }
}
