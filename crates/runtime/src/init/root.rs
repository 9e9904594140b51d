//! The container's root: attached, checked, and changed to.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{chdir, fchdir, pivot_root};
use wharf_sys::mount::{Attributes, Depth, attach as attach_mount, set_attributes};
use wharf_sys::rooted::Root;

use crate::launch::error::{Failure, Step};
use crate::launch::{mount_failure, propagate};

/// Attach the root in this mount namespace, which from now on tells the host nothing.
///
/// It is put over `/`, the one directory that is sure to be there. A process sees what is mounted
/// over its root only through a descriptor; ours is `root`.
pub(super) fn attach(
    root: &OwnedFd,
    propagation: Option<MountPropagationFlags>,
) -> Result<(), Failure> {
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .map_err(Failure::at(Step::AttachRootfs, "/"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open("/", flags, Mode::empty())
        .map_err(Failure::at(Step::AttachRootfs, "/"))?;
    attach_mount(root.as_fd(), top.as_fd())
        .map_err(mount_failure(Step::AttachRootfs, "/".to_owned()))?;
    match propagation {
        // Shared and unbindable are for what is mounted inside; slave and private it is already.
        Some(wanted) => propagate(root, wanted)
            .map_err(mount_failure(Step::AttachRootfs, "propagation".to_owned())),
        None => Ok(()),
    }
}

/// `/proc`, `/sys` and `/dev` may be missing, or directories, and nothing else. A link there
/// would have us mount, make devices and write labels somewhere else than everybody assumes
/// (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2026-41579).
pub(super) fn check_ordinary(root: &Root) -> Result<(), Failure> {
    for name in ["proc", "sys", "dev"] {
        let Ok(handle) = root.resolve_nofollow(name) else {
            continue;
        };
        let kind = handle
            .kind()
            .map_err(Failure::at(Step::OrdinaryDirectory, name))?;
        if kind != FileType::Directory {
            let error = rustix::io::Errno::NOTDIR;
            return Err(Failure::at(Step::OrdinaryDirectory, format!("/{name}"))(
                error,
            ));
        }
    }
    Ok(())
}

/// Make it the root, and let go of the host's tree.
pub(super) fn pivot(root: &Root, read_only: bool) -> Result<(), Failure> {
    let step = |what: &'static str| Failure::at::<rustix::io::Errno>(Step::Pivot, what);
    if read_only {
        let read_only = Attributes {
            set: MountAttrFlags::MOUNT_ATTR_RDONLY,
            ..Attributes::default()
        };
        set_attributes(root.as_fd(), &read_only, Depth::One)
            .map_err(mount_failure(Step::ReadOnly, "/".to_owned()))?;
    }
    fchdir(root).map_err(step("fchdir"))?;
    // Both at once: the old root ends up mounted over the new one, and is taken off again.
    pivot_root(".", ".").map_err(step("pivot_root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(step("unmount the host's tree"))?;
    chdir("/").map_err(step("chdir"))
}
