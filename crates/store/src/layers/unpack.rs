//! The directory form: a layer unpacked, for kernels that cannot mount its index.
//!
//! ```text
//!   <diff id>/fs/         the tree, with overlayfs's whiteouts and marks
//!   <diff id>/skeleton    what is needed to give the tar back (`skeleton`)
//! ```
//!
//! What is made here is a finished [`Tree`]: every path has been settled in memory, nothing is
//! made twice or over something else, and everything is made by handle below a new directory.
//! Metadata of a directory is set after its content has been made.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, SeekFrom as DataSeek, Timespec, makedev};
use rustix::io::Errno;
use wharf_sys::rooted::{Handle, NodeKind, Root, RootedError};

use super::tree::{Node, NodeId, Object, ROOT, Source, Tree};
use crate::error::StoreError;

/// Where overlayfs keeps its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    /// In `trusted.overlay.*`, for the privileged.
    Trusted,
    /// In `user.overlay.*`, for everybody (Linux 5.11).
    User,
}

impl Marks {
    /// The mark of an opaque directory.
    fn opaque(self) -> &'static str {
        match self {
            Marks::Trusted => "trusted.overlay.opaque",
            Marks::User => "user.overlay.opaque",
        }
    }
}

/// What to unpack.
pub(super) struct Unpack<'a> {
    pub(super) tree: &'a Tree,
    pub(super) tar: &'a File,
    pub(super) side: Option<&'a File>,
    pub(super) marks: Marks,
}

impl Unpack<'_> {
    /// Make the tree in `target`, an empty directory. Returns where each file is that has bytes
    /// in the tar.
    pub(super) fn make_in(&self, target: &Path) -> Result<HashMap<NodeId, PathBuf>, StoreError> {
        let fail = |error: RootedError| {
            let path = target.join(&error.path);
            StoreError::Io {
                action: error.operation,
                path,
                source: error.source,
            }
        };
        let root = Root::open(target).map_err(fail)?;
        let mut names: HashMap<NodeId, PathBuf> = HashMap::new();
        let mut directories = Vec::new();
        let mut todo = vec![(ROOT, PathBuf::new())];
        while let Some((id, path)) = todo.pop() {
            let Some(directory) = self.tree.node(id).directory() else {
                continue;
            };
            let here = root.subroot(&path).map_err(fail)?;
            for name in &directory.whiteouts {
                let name = OsStr::from_bytes(name);
                let whiteout = NodeKind::Character(makedev(0, 0));
                here.mknod(name, whiteout, Mode::empty()).map_err(fail)?;
            }
            for (name, &child) in &directory.entries {
                let name = OsStr::from_bytes(name);
                let child_path = path.join(name);
                if let Some(first) = names.get(&child) {
                    root.hardlink(first, &child_path).map_err(fail)?;
                    continue;
                }
                let node = self.tree.node(child);
                if node.directory().is_some() {
                    here.mkdir(name, Mode::RWXU).map_err(fail)?;
                    todo.push((child, child_path));
                } else if self.make(&here, Path::new(name), node).map_err(fail)? {
                    names.insert(child, child_path);
                }
            }
            directories.push((id, path));
        }
        for (id, path) in directories.iter().rev() {
            let made = root.resolve_nofollow(path).map_err(fail)?;
            self.set_metadata(&made, self.tree.node(*id))
                .map_err(fail)?;
        }
        names.retain(|id, _| {
            matches!(
                self.tree.node(*id).object,
                Object::File {
                    size: 1..,
                    source: Source::Tar(_)
                }
            )
        });
        Ok(names)
    }

    /// Make an object that is no directory. False if it cannot be made here: a device, by a user
    /// that may not; Docker leaves those out, too.
    fn make(&self, here: &Root, name: &Path, node: &Node) -> Result<bool, RootedError> {
        let bits = Mode::from_raw_mode(0o600);
        match &node.object {
            Object::File { size, source } => {
                let mut file = here.create_file(name, bits)?;
                self.copy(*source, *size, &mut file)
                    .map_err(|source| RootedError {
                        operation: "write",
                        path: name.to_path_buf(),
                        source,
                    })?;
            }
            Object::Symlink(text) => here.symlink(OsStr::from_bytes(text), name)?,
            Object::Fifo => here.mknod(name, NodeKind::Fifo, bits)?,
            Object::CharacterDevice { major, minor } => {
                let kind = NodeKind::Character(makedev(*major, *minor));
                if !made_device(here.mknod(name, kind, bits))? {
                    return Ok(false);
                }
            }
            Object::BlockDevice { major, minor } => {
                let kind = NodeKind::Block(makedev(*major, *minor));
                if !made_device(here.mknod(name, kind, bits))? {
                    return Ok(false);
                }
            }
            Object::Directory(_) => {}
        }
        self.set_metadata(&here.resolve_nofollow(name)?, node)?;
        Ok(true)
    }

    /// Owner first, since changing it takes away set-ID bits and capabilities; time last.
    fn set_metadata(&self, made: &Handle, node: &Node) -> Result<(), RootedError> {
        made.chown(node.uid, node.gid)?;
        made.chmod(Mode::from_raw_mode(node.mode))?;
        for (name, value) in &node.xattrs {
            set_xattr(made, OsStr::from_bytes(name), value)?;
        }
        if node.directory().is_some_and(|directory| directory.opaque) {
            made.set_xattr(self.marks.opaque(), b"y")?;
        }
        let time = Timespec {
            tv_sec: node.mtime.seconds,
            tv_nsec: node.mtime.nanoseconds.into(),
        };
        made.set_times(time, time)
    }

    fn copy(&self, source: Source, size: u64, target: &mut File) -> io::Result<()> {
        match source {
            _ if size == 0 => Ok(()),
            Source::Tar(offset) => {
                let mut tar = self.tar;
                tar.seek(SeekFrom::Start(offset))?;
                // The kernel copies between the files where it can.
                let copied = io::copy(&mut tar.take(size), target)?;
                if copied == size {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            }
            Source::Side(offset) => match self.side {
                Some(side) => copy_sparse(side, offset, size, target),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        }
    }
}

/// Copy part of a sparse file, holes as holes.
fn copy_sparse(side: &File, start: u64, size: u64, target: &mut File) -> io::Result<()> {
    target.set_len(size)?;
    let end = start + size;
    let mut at = start;
    while at < end {
        let data = match rustix::fs::seek(side, DataSeek::Data(at)) {
            Ok(data) => data,
            // There is only hole from here on.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        if data >= end {
            break;
        }
        let hole = rustix::fs::seek(side, DataSeek::Hole(data))?.min(end);
        let mut from = side;
        from.seek(SeekFrom::Start(data))?;
        target.seek(SeekFrom::Start(data - start))?;
        io::copy(&mut from.take(hole - data), target)?;
        at = hole;
    }
    target.flush()
}

fn made_device(result: Result<(), RootedError>) -> Result<bool, RootedError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        result => result.map(|()| true),
    }
}

/// Set an attribute, unless the file system has none of that kind or we may not: Docker goes on
/// without those, too.
fn set_xattr(made: &Handle, name: &OsStr, value: &[u8]) -> Result<(), RootedError> {
    match made.set_xattr(name, value) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            tracing::debug!(%error, "left out");
            Ok(())
        }
        set => set,
    }
}

/// Where this process can set marks.
pub(super) fn probe_marks(work: &super::work::Work) -> Result<Marks, StoreError> {
    let path = work.path(".");
    let handle = Root::open(&path)
        .and_then(|root| root.resolve("."))
        .map_err(StoreError::io("open", &path))?;
    match handle.set_xattr(Marks::Trusted.opaque(), b"y") {
        Ok(()) => Ok(Marks::Trusted),
        Err(_) => Ok(Marks::User),
    }
}
