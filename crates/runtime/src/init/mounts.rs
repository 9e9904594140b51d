//! The mounts of the specification, in their order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, fstatfs};
use rustix::io::Errno;
use wharf_sys::mount::{Attributes, Depth, FileSystem, attach, set_attributes};
use wharf_sys::rooted::Root;

use super::mountpoint::{self, Missing};
use super::{cgroup_mounts, copy_up};
use crate::cgroup::{Cgroup, Layout};
use crate::launch::error::{Failure, Step};
use crate::launch::plan::{MountKind, MountPlan, Plan};
use crate::launch::{mount_failure, propagate};

/// `f_type` of procfs.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// Files of procfs that other programs (lxcfs) mount their own versions over.
const REPLACEABLE_IN_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Make all mounts below `root`.
pub(super) fn mount_all(
    root: &Root,
    plan: &Plan,
    binds: &[Option<OwnedFd>],
    layout: Option<&Layout>,
    cgroup: Option<&Cgroup>,
) -> Result<(), Failure> {
    for (mount, source) in plan.mounts.iter().zip(binds) {
        match (&mount.what, source) {
            (MountKind::Bind(_), Some(source)) => bind(root, mount, source)?,
            (MountKind::Bind(_), None) => return Err(failed(mount)(Errno::BADF)),
            (MountKind::FileSystem(kind), _) => file_system(root, mount, kind)?,
            (MountKind::Cgroup, _) => cgroup_mounts::mount(root, mount, plan, layout, cgroup)?,
        }
    }
    Ok(())
}

/// For `map_err` on a mount as a whole, in runc's words.
pub(super) fn failed<E: Into<io::Error>>(mount: &MountPlan) -> impl FnOnce(E) -> Failure {
    Failure::at(Step::Mount, subject(mount))
}

fn subject(mount: &MountPlan) -> String {
    format!(
        "{:?} to rootfs at {:?}",
        mount.source.display().to_string(),
        mount.destination.display().to_string()
    )
}

fn bind(root: &Root, mount: &MountPlan, source: &OwnedFd) -> Result<(), Failure> {
    let metadata = rustix::fs::fstat(source).map_err(failed(mount))?;
    let is_directory = FileType::from_raw_mode(metadata.st_mode) == FileType::Directory;
    if mount.destination == Path::new("/proc") {
        // Anything else there would make every later write to procfs go elsewhere.
        if !is_procfs(source).map_err(failed(mount))? {
            return Err(failed(mount)(Errno::INVAL));
        }
    }
    refuse_inside_proc(mount)?;
    let missing = if is_directory {
        Missing::Directory
    } else {
        Missing::File
    };
    put(root, mount, source, missing)
}

fn refuse_inside_proc(mount: &MountPlan) -> Result<(), Failure> {
    if mount.destination.starts_with("/proc") && !may_cover_proc(mount) {
        return Err(failed(mount)(Errno::PERM));
    }
    Ok(())
}

fn may_cover_proc(mount: &MountPlan) -> bool {
    let destination = mount.destination.as_path();
    destination == Path::new("/proc")
        || REPLACEABLE_IN_PROC
            .iter()
            .any(|file| destination == Path::new(file))
}

/// The same, for an image in which another name is a link into `/proc`.
fn refuse_procfs(mount: &MountPlan, target: &OwnedFd) -> Result<(), Failure> {
    if may_cover_proc(mount) {
        return Ok(());
    }
    if is_procfs(target).map_err(failed(mount))? {
        return Err(failed(mount)(Errno::PERM));
    }
    Ok(())
}

/// Whether this is an object of procfs.
pub(super) fn is_procfs(fd: impl AsFd) -> rustix::io::Result<bool> {
    Ok(fstatfs(fd)?.f_type as i64 == PROC_SUPER_MAGIC)
}

fn file_system(root: &Root, mount: &MountPlan, kind: &str) -> Result<(), Failure> {
    if matches!(kind, "proc" | "sysfs") {
        require_ordinary_directory(root, mount)?;
    } else {
        refuse_inside_proc(mount)?;
    }
    let inherited = if kind == "tmpfs" {
        mode_of_existing(root, mount)
    } else {
        None
    };
    let tree =
        detached(mount, kind, inherited).map_err(mount_failure(Step::Mount, subject(mount)))?;
    if mount.options.copy_up {
        copy_up::copy_up(root, &mount.destination, &tree)
            .map_err(Failure::at(Step::CopyUp, mount.destination.display()))?;
    }
    for &propagation in &mount.options.propagation {
        propagate(&tree, propagation).map_err(mount_failure(Step::Attributes, subject(mount)))?;
    }
    put(root, mount, &tree, Missing::Directory)?;
    if !mount.options.tree.is_empty() {
        let wanted = Attributes {
            set: mount.options.tree.set,
            clear: mount.options.tree.clear,
            ..Attributes::default()
        };
        set_attributes(tree.as_fd(), &wanted, Depth::Recursive)
            .map_err(mount_failure(Step::Attributes, subject(mount)))?;
    }
    Ok(())
}

/// procfs and sysfs only go on a directory that is one by its own name, at `/proc` and `/sys`
/// or wherever else they are asked for, never through a link.
fn require_ordinary_directory(root: &Root, mount: &MountPlan) -> Result<(), Failure> {
    let ordinary =
        |error: Errno| Failure::at(Step::OrdinaryDirectory, mount.destination.display())(error);
    match root.resolve_nofollow(&mount.destination) {
        Ok(handle) if handle.kind().is_ok_and(|kind| kind == FileType::Directory) => Ok(()),
        Ok(_) => Err(ordinary(Errno::NOTDIR)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(mount)(error)),
    }
}

/// A tmpfs over a directory that is there keeps its mode, unless it is given one.
fn mode_of_existing(root: &Root, mount: &MountPlan) -> Option<String> {
    if mount.options.data.iter().any(|(key, _)| key == "mode") {
        return None;
    }
    let metadata = root.stat(&mount.destination).ok()?;
    (FileType::from_raw_mode(metadata.st_mode) == FileType::Directory)
        .then(|| format!("{:04o}", metadata.st_mode & 0o7777))
}

fn detached(
    mount: &MountPlan,
    kind: &str,
    mode: Option<String>,
) -> Result<OwnedFd, wharf_sys::mount::MountError> {
    let context = FileSystem::open(kind)?;
    let source = mount.source.as_os_str();
    if !source.is_empty() {
        context.string("source", source)?;
    }
    if let Some(mode) = mode {
        context.string("mode", mode)?;
    }
    for (key, value) in &mount.options.data {
        match value {
            Some(value) => context.string(key, value)?,
            None => context.flag(key)?,
        }
    }
    context.create()?;
    context.mount(mount.options.this.set)
}

/// Attach `tree` where it goes.
pub(super) fn put(
    root: &Root,
    mount: &MountPlan,
    tree: &OwnedFd,
    missing: Missing,
) -> Result<(), Failure> {
    let target = mountpoint::open(root, &mount.destination, missing).map_err(failed(mount))?;
    // The kernel would say EINVAL, which could be anything.
    let onto_directory = target.kind().map_err(failed(mount))? == FileType::Directory;
    if onto_directory != (missing == Missing::Directory) {
        return Err(failed(mount)(Errno::NOTDIR));
    }
    let target = OwnedFd::from(target);
    refuse_procfs(mount, &target)?;
    attach(tree.as_fd(), target.as_fd()).map_err(mount_failure(Step::Mount, subject(mount)))
}
