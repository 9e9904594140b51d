//! From a path to an open file, with a given directory as `/`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Symlinks followed in one path before it is called a loop: the kernel's own number.
const MAX_SYMLINKS: u32 = 40;

/// How often `openat2` is asked again when a rename elsewhere made it unsure about a `..`.
const MAX_RETRIES: u32 = 128;

/// Who resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolver {
    /// The kernel, by `openat2`.
    Kernel,
    /// This module, one component at a time.
    Walk,
}

impl Resolver {
    /// The kernel where it can; asked once per process.
    pub(super) fn of_this_kernel() -> Resolver {
        static CHOICE: OnceLock<Resolver> = OnceLock::new();
        *CHOICE.get_or_init(
            || match openat2(CWD, Path::new("/"), OFlags::PATH, Mode::empty()) {
                Ok(_) => Resolver::Kernel,
                Err(_) => Resolver::Walk,
            },
        )
    }

    /// Open `path` below `root`.
    pub(super) fn open(
        self,
        root: BorrowedFd<'_>,
        path: &Path,
        flags: OFlags,
        mode: Mode,
    ) -> io::Result<OwnedFd> {
        // openat2 takes the empty path for a mistake; here it is the root, as "/" is.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match self {
            Resolver::Kernel => openat2(root, path, flags, mode),
            Resolver::Walk => walk(root, path, flags, mode),
        }
    }
}

fn openat2(root: impl AsFd + Copy, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    // openat2 refuses what open ignores: a mode for a file that is not made.
    let mode = if flags.intersects(OFlags::CREATE | OFlags::TMPFILE.difference(OFlags::DIRECTORY)) {
        mode
    } else {
        Mode::empty()
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC;
    let mut retries = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, mode, resolve) {
            Err(Errno::AGAIN) if retries < MAX_RETRIES => retries += 1,
            Err(Errno::INTR) => {}
            opened => return Ok(opened?),
        }
    }
}

/// What `openat2` does, for kernels without it. The directories passed on the way down are kept
/// open, and `..` goes back to the one before: so even a directory that is moved out of the tree
/// meanwhile leads nowhere above the root.
fn walk(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut passed = vec![rustix::io::fcntl_dupfd_cloexec(root, 0)?];
    let mut todo = VecDeque::new();
    prepend(&mut todo, path);
    let must_be_directory = path.as_os_str().as_bytes().ends_with(b"/");
    let mut followed = 0;
    while let Some(name) = todo.pop_front() {
        let here = passed.last().map_or(root, |fd| fd.as_fd());
        if name == ".." {
            passed.truncate(passed.len().saturating_sub(1).max(1));
            continue;
        }
        let is_last = todo.is_empty();
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match rustix::fs::openat(here, &name, look, Mode::empty()) {
            Err(Errno::NOENT) if is_last && flags.contains(OFlags::CREATE) => {
                return open_last(here, &name, flags, mode);
            }
            found => found?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
        match kind {
            FileType::Symlink
                if !is_last || must_be_directory || !flags.contains(OFlags::NOFOLLOW) =>
            {
                if is_last && flags.contains(OFlags::CREATE | OFlags::EXCL) {
                    return Err(Errno::EXIST.into());
                }
                followed += 1;
                if followed > MAX_SYMLINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?.into_bytes();
                if target.starts_with(b"/") {
                    passed.truncate(1);
                }
                prepend(&mut todo, &PathBuf::from(OsString::from_vec(target)));
            }
            FileType::Directory => passed.push(found),
            _ if !is_last || must_be_directory => return Err(Errno::NOTDIR.into()),
            _ if flags.contains(OFlags::PATH) => {
                if flags.contains(OFlags::DIRECTORY) {
                    return Err(Errno::NOTDIR.into());
                }
                return Ok(found);
            }
            _ => return open_last(here, &name, flags, mode),
        }
    }
    // The path ended in a directory, which is the last one passed.
    if flags.contains(OFlags::CREATE | OFlags::EXCL) {
        return Err(Errno::EXIST.into());
    }
    let here = passed.last().map_or(root, |fd| fd.as_fd());
    Ok(rustix::fs::openat(here, ".", flags, mode)?)
}

/// Open a component that was seen not to be a symlink. If it has become one it is refused
/// rather than followed.
fn open_last(
    here: BorrowedFd<'_>,
    name: &OsString,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        here,
        name,
        flags | OFlags::NOFOLLOW,
        mode,
    )?)
}

/// Put the components of `path` before `todo`. `Path::components` would drop a `..` after `/`
/// and keep none of the empty ones, which is what is wanted; but it also keeps a leading `/`.
fn prepend(todo: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            std::path::Component::Normal(name) => todo.push_front(name.to_owned()),
            std::path::Component::ParentDir => todo.push_front(OsString::from("..")),
            std::path::Component::RootDir
            | std::path::Component::CurDir
            | std::path::Component::Prefix(_) => {}
        }
    }
}
