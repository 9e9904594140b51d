//! What a start would mount from the host, mounted over a stopped container's overlay.
//!
//! The targets are the container's to choose: they are resolved inside its tree, and held while
//! something is attached to them (CVE-2026-41568, CVE-2026-42306). The sources are those of a
//! start. What is not there, or does not fit, is left out: `cp` shows what can be shown.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use wharf_sys::mount::{self, Attributes, Depth, MountAttrFlags, MountError};
use wharf_sys::rooted::{Handle, Root};

use super::failure::Failure;
use super::locate::evaluate;
use crate::containers::record::Paths;
use crate::mounts::{Mount, MountSource};
use crate::volumes::beneath;

/// A mount of the host's.
struct Wanted {
    source: PathBuf,
    /// A path below the source, which the container may have made a link.
    part: Option<String>,
    destination: PathBuf,
    read_only: bool,
    depth: Depth,
}

/// The overlay with the mounts over it. Puts the calling thread into a mount namespace of its own,
/// if there is anything to mount.
pub(super) fn over(overlay: OwnedFd, mounts: &[Mount], paths: &Paths) -> Result<Root, Failure> {
    let wanted = wanted(mounts, paths);
    if wanted.is_empty() {
        return Ok(Root::from_fd(overlay));
    }
    mount::enter_private_namespace()?;
    // On a directory that exists and that no source is below.
    let here = Root::open(paths.work())?.resolve(".")?;
    mount::attach(overlay.as_fd(), here.as_fd())?;
    let root = Root::from_fd(overlay);
    for wanted in wanted {
        if let Err(failure) = attach(&root, &wanted) {
            tracing::debug!(destination = %wanted.destination.display(), %failure, "not mounted for a copy");
        }
    }
    Ok(root)
}

/// Parents before children.
fn wanted(mounts: &[Mount], paths: &Paths) -> Vec<Wanted> {
    let taken = |path: &str| mounts.iter().any(|m| m.point.destination == path);
    let etc = ["hostname", "hosts", "resolv.conf"]
        .into_iter()
        .map(|name| (paths.etc(name), format!("/etc/{name}")))
        .filter(|(source, destination)| fs::symlink_metadata(source).is_ok() && !taken(destination))
        .map(|(source, destination)| Wanted {
            source,
            part: None,
            destination: destination.into(),
            read_only: false,
            depth: Depth::One,
        });
    let mut all: Vec<Wanted> = mounts
        .iter()
        .filter_map(|mount| {
            let depth = match mount.source {
                MountSource::Bind { recursive, .. } if !recursive => Depth::One,
                MountSource::Bind { .. }
                | MountSource::Volume
                | MountSource::Subpath { .. }
                | MountSource::Ready { .. } => Depth::Recursive,
                // Empty until the container runs, and then the kernel's.
                MountSource::Tmpfs { .. } => return None,
            };
            Some(Wanted {
                source: mount.point.source.clone().into(),
                part: match &mount.source {
                    MountSource::Subpath { path } => Some(path.clone()),
                    _ => None,
                },
                destination: mount.point.destination.clone().into(),
                read_only: !mount.point.rw,
                depth,
            })
        })
        .chain(etc)
        .collect();
    all.sort_by_key(|wanted| wanted.destination.components().count());
    all
}

fn attach(root: &Root, wanted: &Wanted) -> Result<(), Failure> {
    let failed = |source: std::io::Error| Failure::Content {
        path: wanted.source.display().to_string(),
        source,
    };
    let source = match &wanted.part {
        Some(part) => {
            let shown = wanted.source.display().to_string();
            beneath(&Root::open(&wanted.source)?, &shown, part)
                .map_err(|error| Failure::Refused(error.to_string()))?
        }
        None => {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, &wanted.source, flags, Mode::empty())
                .map_err(|error| failed(error.into()))?
        }
    };
    let stat = rustix::fs::fstat(&source).map_err(|error| failed(error.into()))?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let target = target(root, &wanted.destination, is_directory)?;
    if (target.kind()? == FileType::Directory) != is_directory {
        return Err(Failure::Refused(
            "a directory cannot be mounted over a file, nor the other way round".to_owned(),
        ));
    }
    let tree = mount::clone_tree(source.as_fd(), wanted.depth)?;
    if wanted.read_only {
        make_read_only(&tree)?;
    }
    mount::attach(tree.as_fd(), target.as_fd())?;
    Ok(())
}

fn make_read_only(tree: &OwnedFd) -> Result<(), MountError> {
    let attributes = Attributes {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        ..Attributes::default()
    };
    mount::set_attributes(tree.as_fd(), &attributes, Depth::Recursive)
}

/// The place to mount on, made as a start would make it when it is not there.
fn target(root: &Root, destination: &Path, directory: bool) -> Result<Handle, Failure> {
    match root.resolve(destination) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        found => return Ok(found?),
    }
    let path = evaluate(root, destination)?;
    let mode = Mode::from_raw_mode(0o755);
    if directory {
        root.mkdir_all(&path, mode, None)?;
    } else {
        if let Some(parent) = path.parent() {
            root.mkdir_all(parent, mode, None)?;
        }
        root.create_file(&path, Mode::from_raw_mode(0o644))?;
    }
    Ok(root.resolve(&path)?)
}
