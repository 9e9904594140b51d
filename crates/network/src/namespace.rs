//! Network namespaces as descriptors, and work done inside them.
//!
//! A thread's namespace is a property of that thread, and a thread that could not return from
//! where it went would do other people's work in the wrong place. So no thread ever returns: work
//! in a namespace is done by a thread made for it, which ends with the work. That costs some 40 us
//! and is the reason for everything else in this crate going by descriptor: a socket stays in the
//! namespace it was made in, whoever uses it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::thread::LinkNameSpaceType;
use wharf_sys::clone::Namespaces;

use crate::link_error::{LinkError, Result};

/// `f_type` of the file system that namespaces' descriptors are on.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// A network namespace. It stays as long as this does, whoever else leaves it.
#[derive(Debug)]
pub struct Netns {
    file: File,
    /// How it was named, for errors.
    name: PathBuf,
}

impl Netns {
    /// The one of the calling thread.
    pub fn current() -> Result<Netns> {
        Netns::open("/proc/thread-self/ns/net")
    }

    /// The one that a process of ours is in.
    pub fn of_process(pid: u32) -> Result<Netns> {
        Netns::open(format!("/proc/{pid}/ns/net"))
    }

    /// The one that a file stands for: a link in procfs, or something bound by `ip netns`.
    pub fn open(path: impl AsRef<Path>) -> Result<Netns> {
        let path = path.as_ref();
        // Opened without waiting, so that a pipe under that name does not hold us.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(path, error))?;
        Netns::from_fd(fd, path)
    }

    /// The one that a descriptor stands for; `name` is for errors.
    pub fn from_fd(fd: OwnedFd, name: impl Into<PathBuf>) -> Result<Netns> {
        let name = name.into();
        let system = rustix::fs::fstatfs(&fd).map_err(|error| failed(&name, error))?;
        if u64::try_from(system.f_type) != Ok(NSFS_MAGIC) {
            return Err(failed(&name, io::Error::other("not a namespace")));
        }
        Ok(Netns {
            file: File::from(fd),
            name,
        })
    }

    /// A new one: nothing in it but a loopback link that is down.
    pub fn create() -> Result<Netns> {
        on_thread(|| {
            wharf_sys::namespaces::unshare(Namespaces::NETWORK)
                .map_err(|error| failed("(new)", error))?;
            Netns::current()
        })?
    }

    /// Do something inside, on a thread of its own, and wait for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            rustix::thread::move_into_link_name_space(
                self.file.as_fd(),
                Some(LinkNameSpaceType::Network),
            )
            .map_err(|error| failed(&self.name, error))?;
            Ok(work())
        })?
    }

    /// The number that tells it from all others that exist.
    pub fn inode(&self) -> Result<u64> {
        self.file
            .metadata()
            .map(|metadata| metadata.ino())
            .map_err(|error| failed(&self.name, error))
    }

    /// Another descriptor of the same namespace.
    pub fn try_clone(&self) -> Result<Netns> {
        let file = self
            .file
            .try_clone()
            .map_err(|error| failed(&self.name, error))?;
        Ok(Netns {
            file,
            name: self.name.clone(),
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A panic of the work is the caller's again.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let handle = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|source| LinkError::Thread { source })?;
        match handle.join() {
            Ok(done) => Ok(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn failed(namespace: impl Into<PathBuf>, error: impl Into<io::Error>) -> LinkError {
    LinkError::Namespace {
        namespace: namespace.into(),
        source: error.into(),
    }
}
