//! The first process of a container, as this daemon sees it from outside.
//!
//! A number in a snapshot may by now be another process's. What is opened here is the process's
//! own directory in `/proc`: a handle that stays with that process, and fails when it is gone,
//! whatever becomes of the number. Whether it *is* the container's is asked through the handle:
//! its cgroup bears the container's id, or, where there are no cgroups, it has a mount namespace
//! that is not ours.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use wharf_sys::clone::Namespaces;
use wharf_sys::mount::{self, Depth};
use wharf_sys::namespaces;
use wharf_sys::rooted::Root;

use crate::containers::{Snapshot, not_running};
use crate::{Engine, Error, Result};

/// More than any file that is read whole here has.
const MAX_FILE: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Process {
    directory: OwnedFd,
    pid: i32,
}

impl Process {
    /// The first process of a running container. Blocks.
    pub(crate) fn of(engine: &Engine, snapshot: &Snapshot) -> Result<Process> {
        let gone = || not_running(snapshot.id());
        if !snapshot.is_running() {
            return Err(gone());
        }
        let process = Process::open(snapshot.state.pid).map_err(|_| gone())?;
        let known = if engine.0.host.cgroups {
            process.is_in_cgroup_of(snapshot.id())
        } else {
            process.has_own_mounts()
        };
        if known { Ok(process) } else { Err(gone()) }
    }

    /// Any process.
    pub(crate) fn open(pid: i32) -> io::Result<Process> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())?;
        Ok(Process { directory, pid })
    }

    /// The root of its file tree, as it sees it: mounts and all.
    pub(crate) fn root(&self) -> Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.open_at("root", flags)
            .map(Root::from_fd)
            .map_err(|error| {
                Error::Internal(format!("open the root of process {}: {error}", self.pid))
            })
    }

    /// The file system its root is on, alone: none of its mounts, and what they cover. A mount of
    /// the caller's own of the same file system, so that both see every change at once. Blocks.
    ///
    /// A mount can be cloned only from inside its namespace, so a thread goes there for the one
    /// call. It runs nothing and looks up no name there.
    pub(crate) fn bare_root(&self) -> Result<Root> {
        let failed = |error: io::Error| {
            Error::Internal(format!("clone the root of process {}: {error}", self.pid))
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = self.open_at("root", flags).map_err(failed)?;
        let namespace = self
            .open_at("ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC)
            .map_err(failed)?;
        let clone = move || -> io::Result<OwnedFd> {
            // Unshares the working directory and root, too, without which no other mount
            // namespace can be joined.
            mount::enter_private_namespace().map_err(io::Error::other)?;
            namespaces::join(namespace.as_fd(), Namespaces::MOUNT)?;
            mount::clone_tree(root.as_fd(), Depth::One).map_err(io::Error::other)
        };
        std::thread::Builder::new()
            .name("clone-root".to_owned())
            .spawn(clone)
            .map_err(failed)?
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread died")))
            .map(Root::from_fd)
            .map_err(failed)
    }

    /// The content of one of its files.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = File::from(self.open_at(name, OFlags::RDONLY | OFlags::CLOEXEC)?);
        let mut content = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut content)?;
        Ok(content)
    }

    /// As [`Process::read`], what is not UTF-8 replaced.
    pub(crate) fn read_text(&self, name: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(name)?).into_owned())
    }

    /// A link of its directory, not followed.
    pub(crate) fn link(&self, name: &str) -> io::Result<String> {
        let text = rustix::fs::readlinkat(&self.directory, name, Vec::new())?;
        Ok(text.to_string_lossy().into_owned())
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(
            &self.directory,
            name,
            flags,
            Mode::empty(),
        )?)
    }

    fn is_in_cgroup_of(&self, id: &str) -> bool {
        self.read_text("cgroup")
            .is_ok_and(|cgroups| in_cgroup_of(&cgroups, id))
    }

    fn has_own_mounts(&self) -> bool {
        let ours = Process::open(std::process::id().cast_signed())
            .and_then(|process| process.link("ns/mnt"));
        matches!((self.link("ns/mnt"), ours), (Ok(its), Ok(ours)) if its != ours)
    }
}

/// Whether a line of `/proc/<pid>/cgroup` names a cgroup called `id`, or one below it.
fn in_cgroup_of(cgroups: &str, id: &str) -> bool {
    cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .any(|path| path.split('/').any(|part| part == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_a_component_of_its_cgroup_and_by_nothing_like_it() {
        for (cgroups, expected) in [
            ("0::/wharf/abc\n", true),
            ("12:pids:/wharf/abc/inner\n0::/\n", true),
            ("0::/wharf/abcd\n", false),
            ("0::/abc.scope\n", false),
            ("", false),
        ] {
            assert_eq!(in_cgroup_of(cgroups, "abc"), expected, "{cgroups:?}");
        }
    }

    #[test]
    fn a_handle_stays_with_its_process_and_not_with_the_number() {
        let own = Process::open(std::process::id().cast_signed()).unwrap();
        assert!(own.read_text("stat").unwrap().contains('('));
        assert!(!own.has_own_mounts());
        #[allow(clippy::disallowed_methods, reason = "a process that ends is wanted")]
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let handle = Process::open(child.id().cast_signed()).unwrap();
        child.wait().unwrap();
        assert!(handle.read("stat").is_err());
        assert!(handle.root().is_err());
    }
}
