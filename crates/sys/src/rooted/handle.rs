//! One object of a tree, and the entries of a directory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::{Result, RootedError};

/// The largest value an extended attribute can have (`XATTR_SIZE_MAX`), and the longest list of
/// names (`XATTR_LIST_MAX`).
const XATTR_MAX: usize = 65536;

/// Something in a tree, held by an `O_PATH` descriptor: found, but not opened. What it is asked
/// and what is changed on it concerns that object, whatever happens to its name.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> OwnedFd {
        handle.fd
    }
}

impl Handle {
    pub(super) fn new(fd: OwnedFd, path: &Path) -> Handle {
        Handle {
            fd,
            path: path.to_path_buf(),
        }
    }

    fn fail<E: Into<io::Error>>(&self, operation: &'static str) -> impl FnOnce(E) -> RootedError {
        RootedError::of(operation, &self.path)
    }

    /// Its metadata.
    pub fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(&self.fd).map_err(self.fail("stat"))
    }

    /// Its kind.
    pub fn kind(&self) -> Result<FileType> {
        Ok(FileType::from_raw_mode(self.stat()?.st_mode))
    }

    /// The text of a symlink.
    pub fn readlink(&self) -> Result<OsString> {
        rustix::fs::readlinkat(&self.fd, "", Vec::new())
            .map(|text| OsString::from_vec(text.into_bytes()))
            .map_err(self.fail("readlink"))
    }

    /// Open it if it is a regular file. The check is made on the object held, so it cannot
    /// become a device or a pipe in between.
    pub fn open_regular(&self, flags: OFlags) -> Result<File> {
        if self.kind()? != FileType::RegularFile {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(self.fail("open")(error));
        }
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        rustix::fs::open(self.proc_path(), flags, Mode::empty())
            .map(File::from)
            .map_err(self.fail("open"))
    }

    /// Set its owner. Of a symlink, its own.
    pub fn chown(&self, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(&self.fd, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
            .map_err(self.fail("chown"))
    }

    /// Set its permission bits. A symlink has none: it is left alone.
    pub fn chmod(&self, mode: Mode) -> Result<()> {
        if self.kind()? == FileType::Symlink {
            return Ok(());
        }
        // fchmod refuses O_PATH descriptors, and fchmodat2 is of Linux 6.6.
        rustix::fs::chmod(self.proc_path(), mode).map_err(self.fail("chmod"))
    }

    /// Set its times of access and modification. Of a symlink, its own.
    pub fn set_times(&self, accessed: Timespec, modified: Timespec) -> Result<()> {
        let times = Timestamps {
            last_access: accessed,
            last_modification: modified,
        };
        match rustix::fs::utimensat(&self.fd, "", &times, AtFlags::EMPTY_PATH) {
            // Before Linux 5.8 only a path will do; the magic link is one.
            Err(Errno::INVAL | Errno::NOENT) => {
                rustix::fs::utimensat(rustix::fs::CWD, self.proc_path(), &times, AtFlags::empty())
            }
            set => set,
        }
        .map_err(self.fail("set times of"))
    }

    /// Set an extended attribute.
    pub fn set_xattr(&self, name: impl AsRef<OsStr>, value: &[u8]) -> Result<()> {
        rustix::fs::setxattr(self.proc_path(), name.as_ref(), value, XattrFlags::empty())
            .map_err(self.fail("set extended attribute of"))
    }

    /// The value of an extended attribute, if it has it.
    pub fn get_xattr(&self, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>> {
        let path = self.proc_path();
        match sized(|value| rustix::fs::getxattr(&path, name.as_ref(), value)) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(self.fail("get extended attribute of")(error)),
        }
    }

    /// The names of its extended attributes, sorted.
    pub fn list_xattrs(&self) -> Result<Vec<OsString>> {
        let path = self.proc_path();
        let list = match sized(|list| rustix::fs::listxattr(&path, list)) {
            Ok(list) => list,
            Err(Errno::OPNOTSUPP) => Vec::new(),
            Err(error) => return Err(self.fail("list extended attributes of")(error)),
        };
        let mut names: Vec<OsString> = list
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| OsStr::from_bytes(name).to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The entries of a directory, without `.` and `..`.
    pub fn read_dir(&self) -> Result<ReadDir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.fd, ".", flags, Mode::empty())
            .map_err(self.fail("open directory"))?;
        ReadDir::new(directory, &self.path)
    }

    /// What the entry `name` of this directory is; `name` is one component and not followed.
    pub fn child(&self, name: &OsStr) -> Result<Handle> {
        let path = self.path.join(name);
        let plain = !name.is_empty() && name != ".." && !name.as_bytes().contains(&b'/');
        if !plain {
            return Err(RootedError::of("resolve", &path)(Errno::INVAL));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map(|fd| Handle::new(fd, &path))
            .map_err(RootedError::of("resolve", &path))
    }

    /// A path that leads to exactly this object, for calls that take no `O_PATH` descriptor.
    /// Magic links jump to the object itself: a symlink so reached is not followed further.
    fn proc_path(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }
}

/// What a call writes into a buffer: a small one, which nearly always does, else the largest
/// that can be needed.
fn sized(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; 256];
    let length = match call(&mut buffer) {
        Err(Errno::RANGE) => {
            buffer.resize(XATTR_MAX, 0);
            call(&mut buffer)?
        }
        length => length?,
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name: one component.
    pub name: OsString,
    /// Its kind, as the directory says; [`FileType::Unknown`] on file systems that do not.
    pub kind: FileType,
    /// Its inode number.
    pub inode: u64,
}

/// The entries of a directory, read as they are asked for.
#[derive(Debug)]
pub struct ReadDir {
    entries: Dir,
    path: PathBuf,
}

impl ReadDir {
    pub(super) fn new(directory: OwnedFd, path: &Path) -> Result<ReadDir> {
        let entries = Dir::new(directory).map_err(RootedError::of("read directory", path))?;
        Ok(ReadDir {
            entries,
            path: path.to_path_buf(),
        })
    }
}

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Result<DirEntry>> {
        loop {
            let entry = match self.entries.read()? {
                Ok(entry) => entry,
                Err(error) => {
                    return Some(Err(RootedError::of("read directory", &self.path)(error)));
                }
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            return Some(Ok(DirEntry {
                name: OsStr::from_bytes(name).to_owned(),
                kind: entry.file_type(),
                inode: entry.ino(),
            }));
        }
    }
}
