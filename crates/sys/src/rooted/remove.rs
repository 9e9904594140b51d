//! Removing a tree of any depth with two descriptors.
//!
//! A container can nest directories far deeper than a process can have files open or a path can
//! be long, so the way back up is not a stack of descriptors: it is `..`, believed only if it is
//! the very directory (device and inode) we came down from.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// How a directory is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// A directory we went down from, and the name we went down by.
struct Level {
    identity: Identity,
    child: OsString,
}

/// Remove `name` in `parent` and all below it. Gone already is well.
pub(super) fn tree(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    match open_directory(parent, name) {
        Ok(directory) => empty(directory)?,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    ignore_missing(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}

/// Remove all that is in `directory`.
pub(super) fn content(directory: BorrowedFd<'_>) -> io::Result<()> {
    empty(open_directory(directory, OsStr::new("."))?)
}

fn empty(top: OwnedFd) -> io::Result<()> {
    let mut levels: Vec<Level> = Vec::new();
    let mut here = top;
    loop {
        if let Some(child) = remove_entries(here.as_fd())? {
            match open_directory(here.as_fd(), &child) {
                Ok(below) => {
                    let identity = identity(here.as_fd())?;
                    levels.push(Level { identity, child });
                    here = below;
                }
                // It went away, or became something else: look at the directory again.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
            continue;
        }
        let Some(level) = levels.pop() else {
            return Ok(());
        };
        let above = open_directory(here.as_fd(), OsStr::new(".."))?;
        if identity(above.as_fd())? != level.identity {
            return Err(io::Error::other(
                "a directory was moved while it was being removed",
            ));
        }
        ignore_missing(rustix::fs::unlinkat(
            &above,
            &level.child,
            AtFlags::REMOVEDIR,
        ))?;
        here = above;
    }
}

/// Unlink what is not a directory; return the first entry that is one and is not empty.
fn remove_entries(directory: BorrowedFd<'_>) -> io::Result<Option<OsString>> {
    let mut entries = Dir::read_from(directory)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let unlinked = match entry.file_type() {
            FileType::Directory => Err(Errno::ISDIR),
            _ => rustix::fs::unlinkat(directory, name, AtFlags::empty()),
        };
        match unlinked {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(Some(name.to_owned())),
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn identity(directory: BorrowedFd<'_>) -> io::Result<Identity> {
    let stat = rustix::fs::fstat(directory)?;
    Ok(Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}

fn ignore_missing(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
