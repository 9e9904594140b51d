//! What a container is mounted from, opened by the caller before there is a child.
//!
//! Everything comes as a mount that is attached nowhere, held by a descriptor: the caller may
//! reach directories that a container's root, in a user namespace, may not; nothing has to be
//! looked up again by name in the child; and a missing source is an error before anything was
//! made. A bind mount's copy is made out of the caller's namespace, so it is a peer of the host's
//! mount where the specification asks for shared propagation.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags, open_tree};
use wharf_sys::file_owner::with_owner;
use wharf_sys::mount::{self as sys_mount, Attributes, Depth, MountError, Overlay, Upper};

use super::error::{Failure, LaunchError, Step};
use super::id_map::{self, IdMaps, MappedNamespaces};
use super::mount_options::{Bind, Change};
use super::plan::{MountKind, MountPlan};
use super::{Rootfs, foreign};

/// The root file system.
///
/// A directory is taken as it is, with the owners it has: whoever made the bundle saw to them. An
/// overlay is made of mapped clones of its layers, the writable one included, so that on disk
/// they all keep the container's own numbers.
pub(super) fn root(
    rootfs: &Rootfs,
    maps: Option<&IdMaps>,
    mapped: &mut MappedNamespaces,
) -> Result<OwnedFd, LaunchError> {
    match rootfs {
        Rootfs::Directory(path) => {
            let tree = clone(path, Bind::Recursive)
                .map_err(Failure::at(Step::OpenRootfs, path.display()))?;
            let private = Attributes {
                propagation: Some(MountPropagationFlags::PRIVATE),
                ..Attributes::default()
            };
            sys_mount::set_attributes(tree.as_fd(), &private, Depth::Recursive)
                .map_err(mount_failure(Step::OpenRootfs, path.display().to_string()))?;
            Ok(tree)
        }
        Rootfs::Overlay { lower, upper, work } => {
            let writable = Writable { upper, work };
            match maps {
                None => {
                    let lower: Vec<_> = lower.iter().map(AsFd::as_fd).collect();
                    let upper = open_directory(upper)?;
                    let work = open_directory(work)?;
                    Ok(overlay(&lower, &upper, &work)?)
                }
                Some(maps) => mapped_overlay(lower, &writable, maps, mapped),
            }
        }
    }
}

/// The two directories of an overlay's writable layer.
struct Writable<'a> {
    upper: &'a Path,
    work: &'a Path,
}

fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(Failure::at(Step::OpenRootfs, path.display()))
}

fn overlay(lower: &[BorrowedFd<'_>], upper: &OwnedFd, work: &OwnedFd) -> Result<OwnedFd, Failure> {
    let overlay = Overlay {
        lower,
        upper: Some(Upper {
            upper: upper.as_fd(),
            work: work.as_fd(),
        }),
        user_xattr: false,
        attributes: MountAttrFlags::empty(),
    };
    sys_mount::overlay(&overlay).map_err(mount_failure(Step::OpenRootfs, "overlay".to_owned()))
}

fn mapped_overlay(
    lower: &[OwnedFd],
    writable: &Writable<'_>,
    maps: &IdMaps,
    mapped: &mut MappedNamespaces,
) -> Result<OwnedFd, LaunchError> {
    let namespace = mapped.of(maps)?;
    let clone = |directory: BorrowedFd<'_>, subject: String| {
        let tree = sys_mount::clone_tree(directory, Depth::One)
            .map_err(mount_failure(Step::OpenRootfs, subject.clone()))?;
        id_map::apply(tree.as_fd(), namespace, Depth::One)
            .map_err(mount_failure(Step::OpenRootfs, subject))?;
        Ok::<_, Failure>(tree)
    };
    let mut layers = Vec::with_capacity(lower.len());
    for (number, layer) in lower.iter().enumerate() {
        layers.push(clone(layer.as_fd(), format!("layer {number}"))?);
    }
    // Both directories must be on one mount: that of the directory they are both in.
    let (upper, work) = (writable.upper, writable.work);
    let parent = upper
        .parent()
        .filter(|parent| work.parent() == Some(parent));
    let parent = parent.ok_or_else(|| {
        LaunchError::unsupported("a user namespace with upper and work in different directories")
    })?;
    let tree = clone(
        open_directory(parent)?.as_fd(),
        parent.display().to_string(),
    )?;
    let inside = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = path.file_name().unwrap_or_default();
        rustix::fs::openat(&tree, name, flags, Mode::empty())
            .map_err(Failure::at(Step::OpenRootfs, path.display()))
    };
    let (upper, work) = (inside(upper)?, inside(work)?);
    let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    // The kernel makes files of its own in the scratch directory, and later the marks of what is
    // removed, as whoever mounts the overlay: that must be somebody who is mapped.
    let (user, group) = maps.root();
    let mounted = with_owner(user, group, || overlay(&layers, &upper, &work))
        .map_err(Failure::at(Step::OpenRootfs, "overlay"))?;
    Ok(mounted?)
}

/// The sources of the bind mounts; nothing for the others.
pub(super) fn binds(
    mounts: &[MountPlan],
    mapped: &mut MappedNamespaces,
) -> Result<Vec<Option<OwnedFd>>, LaunchError> {
    mounts
        .iter()
        .map(|mount| match mount.what {
            MountKind::Bind(bind) => bind_source(mount, bind, mapped).map(Some),
            MountKind::Cgroup | MountKind::FileSystem(_) => Ok(None),
        })
        .collect()
}

fn bind_source(
    mount: &MountPlan,
    bind: Bind,
    mapped: &mut MappedNamespaces,
) -> Result<OwnedFd, LaunchError> {
    let subject = || {
        format!(
            "{} to {}",
            mount.source.display(),
            mount.destination.display()
        )
    };
    let tree =
        clone_source(&mount.source, bind).map_err(Failure::at(Step::OpenSource, subject()))?;
    if let Some((maps, depth)) = &mount.id_map {
        id_map::apply(tree.as_fd(), mapped.of(maps)?, *depth)
            .map_err(mount_failure(Step::Attributes, subject()))?;
    }
    let attributes = |change: Change, depth| {
        if change.is_empty() {
            return Ok(());
        }
        let wanted = Attributes {
            set: change.set,
            clear: change.clear,
            ..Attributes::default()
        };
        sys_mount::set_attributes(tree.as_fd(), &wanted, depth)
            .map_err(mount_failure(Step::Attributes, subject()))
    };
    attributes(mount.options.this, Depth::One)?;
    attributes(mount.options.tree, Depth::Recursive)?;
    // A clone of a shared mount is its peer: without a word, what the container mounts below it
    // must not appear on the host.
    let slave = [MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC];
    let propagation = match mount.options.propagation.as_slice() {
        [] => &slave,
        given => given,
    };
    for &propagation in propagation {
        propagate(&tree, propagation).map_err(mount_failure(Step::Attributes, subject()))?;
    }
    Ok(tree)
}

/// Change the propagation of a mount, of the tree if `REC` is set.
pub(crate) fn propagate(
    tree: &OwnedFd,
    propagation: MountPropagationFlags,
) -> Result<(), MountError> {
    let depth = if propagation.contains(MountPropagationFlags::REC) {
        Depth::Recursive
    } else {
        Depth::One
    };
    let wanted = Attributes {
        propagation: Some(propagation - MountPropagationFlags::REC),
        ..Attributes::default()
    };
    sys_mount::set_attributes(tree.as_fd(), &wanted, depth)
}

/// A mount of another container can only be copied where it is.
fn clone_source(path: &Path, bind: Bind) -> io::Result<OwnedFd> {
    match clone(path, bind) {
        Err(Errno::INVAL) => match foreign::place_of(path) {
            Some((pid, inner)) => {
                let depth = match bind {
                    Bind::Plain => Depth::One,
                    Bind::Recursive => Depth::Recursive,
                };
                foreign::copy(pid, &inner, depth)
            }
            None => Err(Errno::INVAL.into()),
        },
        cloned => Ok(cloned?),
    }
}

fn clone(path: &Path, bind: Bind) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if bind == Bind::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags)
}

/// For `map_err` on calls of `sys::mount`.
pub(crate) fn mount_failure(step: Step, subject: String) -> impl FnOnce(MountError) -> Failure {
    move |error| {
        let subject = match error.log.as_str() {
            "" => subject,
            log => format!("{subject} ({log})"),
        };
        Failure {
            step,
            subject,
            errno: error.raw_os_error().unwrap_or_default(),
        }
    }
}
