//! Paths inside a directory tree that is not trusted.
//!
//! A container's root file system, an unpacked layer, a volume or a build context may hold
//! symlinks that point anywhere, and a running container may exchange a directory for a symlink
//! between two of our calls. So nothing outside this module joins a path of such a tree to a
//! path of the host. A [`Root`] is a handle on the tree's top directory; every path given to it
//! is resolved by the kernel with that directory as `/` (`openat2` with `RESOLVE_IN_ROOT`), so
//! that absolute symlinks and any number of `..` end inside the tree, as they would for a process
//! that had it as its root. Magic links (`/proc/<pid>/fd/…`) are refused. What comes back is a
//! file, or a [`Handle`] that can be asked and changed without naming it again.
//!
//! Calls that make, move or remove a name resolve the parent that way and then act on the last
//! component alone, which is never followed.
//!
//! Kernels before 5.6, and sandboxes whose seccomp filter hides `openat2`, get the same answers
//! from a walk of one component at a time ([`resolve`]); it is chosen once per process.
//!
//! This module does not know what the tree is for, and holds no state but the one descriptor.

mod handle;
mod remove;
mod resolve;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};

pub use handle::{DirEntry, Handle, ReadDir};
pub use rustix::fs::{Dev, makedev};

/// A call on a path inside a [`Root`] that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct RootedError {
    /// What was being done.
    pub operation: &'static str,
    /// The path inside the root, as it was given.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

impl RootedError {
    /// The kind of the kernel's answer.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The kernel's error number.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// For `map_err` after a call for `path`.
    fn of<E: Into<io::Error>>(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> RootedError {
        move |source| RootedError {
            operation,
            path: path.to_path_buf(),
            source: source.into(),
        }
    }
}

impl From<RootedError> for io::Error {
    fn from(error: RootedError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

type Result<T, E = RootedError> = std::result::Result<T, E>;

/// What kind of node [`Root::mknod`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Character(Dev),
    /// A block device.
    Block(Dev),
    /// A named pipe.
    Fifo,
    /// A socket without a listener.
    Socket,
}

/// The top directory of a tree; see the module.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    resolver: resolve::Resolver,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Root {
    /// The tree under `path`, a directory of the host that the caller trusts.
    pub fn open(path: impl AsRef<Path>) -> Result<Root> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map(Root::from_fd)
            .map_err(RootedError::of("open root", path))
    }

    /// The tree under a directory that is already open.
    #[must_use]
    pub fn from_fd(directory: OwnedFd) -> Root {
        Root {
            directory,
            resolver: resolve::Resolver::of_this_kernel(),
        }
    }

    /// The same tree, with every path walked by us: what old kernels get.
    #[cfg(test)]
    fn walking(directory: OwnedFd) -> Root {
        Root {
            directory,
            resolver: resolve::Resolver::Walk,
        }
    }

    /// The tree under a directory of this tree.
    pub fn subroot(&self, path: impl AsRef<Path>) -> Result<Root> {
        let path = path.as_ref();
        let directory = self
            .open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map_err(RootedError::of("open directory", path))?;
        Ok(Root {
            directory,
            resolver: self.resolver,
        })
    }

    /// What `path` leads to, symlinks followed.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Handle> {
        let path = path.as_ref();
        self.open_at(path, OFlags::PATH, Mode::empty())
            .map(|fd| Handle::new(fd, path))
            .map_err(RootedError::of("resolve", path))
    }

    /// What `path` names: its parent's symlinks followed, its last component not.
    pub fn resolve_nofollow(&self, path: impl AsRef<Path>) -> Result<Handle> {
        let path = path.as_ref();
        self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
            .map(|fd| Handle::new(fd, path))
            .map_err(RootedError::of("resolve", path))
    }

    /// `stat`: of what `path` leads to.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        self.resolve(path)?.stat()
    }

    /// `lstat`: of what `path` names.
    pub fn lstat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        self.resolve_nofollow(path)?.stat()
    }

    /// The text of the symlink that `path` names. Where it leads is not looked at.
    pub fn readlink(&self, path: impl AsRef<Path>) -> Result<OsString> {
        self.resolve_nofollow(path)?.readlink()
    }

    /// Open what `path` leads to, with `flags`; `mode` is for a file that `CREATE` makes.
    ///
    /// A named pipe blocks and a device acts on being opened: for files whose kind is not known
    /// use [`Root::open_regular`].
    pub fn open_file(&self, path: impl AsRef<Path>, flags: OFlags, mode: Mode) -> Result<File> {
        let path = path.as_ref();
        self.open_at(path, flags | OFlags::NOCTTY, mode)
            .map(File::from)
            .map_err(RootedError::of("open", path))
    }

    /// Open what `path` leads to for reading if it is a regular file, and never anything else.
    pub fn open_regular(&self, path: impl AsRef<Path>) -> Result<File> {
        self.resolve(path)?.open_regular(OFlags::RDONLY)
    }

    /// Make the regular file `path` and open it for reading and writing. It must not exist, not
    /// even as a symlink.
    pub fn create_file(&self, path: impl AsRef<Path>, mode: Mode) -> Result<File> {
        let path = path.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        self.open_at(path, flags | OFlags::NOCTTY, mode)
            .map(File::from)
            .map_err(RootedError::of("create", path))
    }

    /// The content of a regular file of at most `max` bytes; a larger one is an error.
    pub fn read_bounded(&self, path: impl AsRef<Path>, max: u64) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open_regular(path)?;
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(RootedError::of("read", path))?;
        if bytes.len() as u64 > max {
            let error = io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("larger than {max} bytes"),
            );
            return Err(RootedError::of("read", path)(error));
        }
        Ok(bytes)
    }

    /// [`Root::read_bounded`], as UTF-8.
    pub fn read_to_string_bounded(&self, path: impl AsRef<Path>, max: u64) -> Result<String> {
        let path = path.as_ref();
        String::from_utf8(self.read_bounded(path, max)?).map_err(|_| {
            RootedError::of("read", path)(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
        })
    }

    /// The entries of the directory that `path` leads to, without `.` and `..`.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<ReadDir> {
        let path = path.as_ref();
        let directory = self
            .open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map_err(RootedError::of("open directory", path))?;
        ReadDir::new(directory, path)
    }

    /// Make the directory `path`; its parent must exist.
    pub fn mkdir(&self, path: impl AsRef<Path>, mode: Mode) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent("mkdir", path)?;
        rustix::fs::mkdirat(parent, name, mode).map_err(RootedError::of("mkdir", path))
    }

    /// Make the directory `path` and every parent that is missing. Those it makes get exactly
    /// `mode`, and `owner` if one is given; those that exist are left as they are.
    pub fn mkdir_all(
        &self,
        path: impl AsRef<Path>,
        mode: Mode,
        owner: Option<(u32, u32)>,
    ) -> Result<()> {
        let path = path.as_ref();
        let wrap = |error| RootedError::of::<io::Error>("mkdir", path)(error);
        let open =
            |prefix: &Path| self.open_at(prefix, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        // The usual case first: it is there, or only its last component is missing.
        match open(path) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrap(error)),
        }
        let mut prefix = PathBuf::new();
        for component in path.components() {
            prefix.push(component);
            match open(&prefix) {
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(wrap(error)),
            }
            match self.mkdir(&prefix, mode) {
                // Somebody else made it between the two calls.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    open(&prefix).map_err(wrap)?;
                    continue;
                }
                made => made?,
            }
            let made = self.resolve_nofollow(&prefix)?;
            if let Some((uid, gid)) = owner {
                made.chown(uid, gid)?;
            }
            // Not left to mkdir: the process's umask takes bits away.
            made.chmod(mode)?;
        }
        Ok(())
    }

    /// Make the symlink `path` with the text `target`, which is not looked at.
    pub fn symlink(&self, target: impl AsRef<OsStr>, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent("symlink", path)?;
        rustix::fs::symlinkat(target.as_ref(), parent, name)
            .map_err(RootedError::of("symlink", path))
    }

    /// Make `path` a further name of what `existing` names (a symlink itself, not its target).
    pub fn hardlink(&self, existing: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        let (existing, path) = (existing.as_ref(), path.as_ref());
        let (from, from_name) = self.parent("link", existing)?;
        let (to, to_name) = self.parent("link", path)?;
        rustix::fs::linkat(from, from_name, to, to_name, AtFlags::empty())
            .map_err(RootedError::of("link", path))
    }

    /// Make a device, named pipe or socket.
    pub fn mknod(&self, path: impl AsRef<Path>, kind: NodeKind, mode: Mode) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent("mknod", path)?;
        let (kind, device) = match kind {
            NodeKind::Character(device) => (FileType::CharacterDevice, device),
            NodeKind::Block(device) => (FileType::BlockDevice, device),
            NodeKind::Fifo => (FileType::Fifo, 0),
            NodeKind::Socket => (FileType::Socket, 0),
        };
        rustix::fs::mknodat(parent, name, kind, mode, device)
            .map_err(RootedError::of("mknod", path))
    }

    /// Move `from` to `to`, replacing what is there as `rename` does.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        self.rename_with(from.as_ref(), to.as_ref(), RenameFlags::empty())
    }

    /// Move `from` to `to`, which must not exist.
    pub fn rename_noreplace(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        self.rename_with(from.as_ref(), to.as_ref(), RenameFlags::NOREPLACE)
    }

    fn rename_with(&self, from: &Path, to: &Path, flags: RenameFlags) -> Result<()> {
        let (from_parent, from_name) = self.parent("rename", from)?;
        let (to_parent, to_name) = self.parent("rename", to)?;
        rustix::fs::renameat_with(from_parent, from_name, to_parent, to_name, flags)
            .map_err(RootedError::of("rename", from))
    }

    /// Remove a name that is not a directory's.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent("remove", path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::empty())
            .map_err(RootedError::of("remove", path))
    }

    /// Remove an empty directory.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = self.parent("remove", path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
            .map_err(RootedError::of("remove", path))
    }

    /// Remove `path` and everything below it, following nothing. That it is already gone is not
    /// an error; other mounts below it are (`EBUSY`), and nothing on them is touched.
    pub fn remove_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = match self.parent("remove", path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        remove::tree(parent.as_fd(), &name).map_err(RootedError::of("remove", path))
    }

    /// Remove everything in the directory that `path` leads to, and leave the directory.
    pub fn remove_content(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let directory = self
            .open_at(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map_err(RootedError::of("open directory", path))?;
        remove::content(directory.as_fd()).map_err(RootedError::of("remove", path))
    }

    /// The directory that holds `path`, and its last component.
    fn parent(&self, operation: &'static str, path: &Path) -> Result<(OwnedFd, OsString)> {
        let (parent, name) = split(path).map_err(RootedError::of(operation, path))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = self
            .open_at(parent, flags, Mode::empty())
            .map_err(RootedError::of(operation, path))?;
        Ok((parent, name.to_owned()))
    }

    fn open_at(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        self.resolver
            .open(self.directory.as_fd(), path, flags | OFlags::CLOEXEC, mode)
    }
}

/// `path` as parent and last component. A path that ends in `.`, `..` or nothing names no entry
/// that could be made or removed.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let mut bytes = path.as_os_str().as_bytes();
    while let [rest @ .., b'/'] = bytes {
        bytes = rest;
    }
    let at = bytes
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (parent, name) = bytes.split_at(at);
    if matches!(name, b"" | b"." | b"..") {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let parent = if parent.is_empty() { b"." } else { parent };
    Ok((
        Path::new(OsStr::from_bytes(parent)),
        OsStr::from_bytes(name),
    ))
}

#[cfg(test)]
mod tests;
