//! Paths that a container must not see, or must not change.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use wharf_sys::mount::{
    Attributes, Depth, FileSystem, MountError, attach, clone_tree, set_attributes,
};
use wharf_sys::rooted::{Handle, Root};

use crate::launch::error::{Failure, Step};
use crate::launch::mount_failure;

/// Cover each path: a file with `null`, which the caller has made and verified itself
/// (CVE-2025-31133: never whatever the image calls `/dev/null`), a directory with an empty
/// read-only tmpfs. What is not there needs no cover.
pub(super) fn mask_all(root: &Root, paths: &[PathBuf], null: &OwnedFd) -> Result<(), Failure> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let Some(target) = find(root, path).map_err(Failure::at(Step::Mask, path.display()))?
        else {
            continue;
        };
        let fail = || mount_failure(Step::Mask, path.display().to_string());
        let kind = target
            .kind()
            .map_err(Failure::at(Step::Mask, path.display()))?;
        let cover = if kind == FileType::Directory {
            match &empty {
                // One empty tmpfs is enough for all.
                Some(first) => clone_tree(first.as_fd(), Depth::One)
                    .or_else(|_| empty_directory())
                    .map_err(fail())?,
                None => empty_directory().map_err(fail())?,
            }
        } else {
            clone_tree(null.as_fd(), Depth::One).map_err(fail())?
        };
        attach(cover.as_fd(), target.as_fd()).map_err(fail())?;
        if kind == FileType::Directory {
            empty.get_or_insert(cover);
        }
    }
    Ok(())
}

fn empty_directory() -> Result<OwnedFd, MountError> {
    let context = FileSystem::open("tmpfs")?;
    context.string("source", "tmpfs")?;
    context.string("mode", "0555")?;
    context.string("nr_inodes", "1")?;
    context.create()?;
    context.mount(
        MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
}

/// Make each path read-only, with what is mounted on it now but not with what may be below.
pub(super) fn protect_all(root: &Root, paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        let Some(target) = find(root, path).map_err(Failure::at(Step::ReadOnly, path.display()))?
        else {
            continue;
        };
        let fail = || mount_failure(Step::ReadOnly, path.display().to_string());
        let tree = clone_tree(target.as_fd(), Depth::Recursive).map_err(fail())?;
        let read_only = Attributes {
            set: MountAttrFlags::MOUNT_ATTR_RDONLY,
            ..Attributes::default()
        };
        set_attributes(tree.as_fd(), &read_only, Depth::One).map_err(fail())?;
        attach(tree.as_fd(), target.as_fd()).map_err(fail())?;
    }
    Ok(())
}

fn find(root: &Root, path: &Path) -> io::Result<Option<Handle>> {
    match root.resolve(path) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A component is a file: there is nothing of that name either.
        Err(error) if error.raw_os_error() == Some(Errno::NOTDIR.raw_os_error()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
