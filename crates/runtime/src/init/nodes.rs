//! The nodes and links of `/dev`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, major, makedev, minor};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use wharf_sys::mount::{Depth, FileSystem, attach, clone_tree};
use wharf_sys::rooted::{Handle, NodeKind, Root};

use super::mountpoint::{self, Missing};
use crate::launch::devices::{DeviceKind, DevicePlan, LINKS, dev_is_bound};
use crate::launch::error::{Failure, Step};
use crate::launch::mount_failure;
use crate::launch::plan::Plan;

/// Make the nodes. Gives a handle on a `/dev/null` that is certainly the null device and that
/// nothing of the image had a hand in, for masking.
pub(super) fn make(root: &Root, plan: &Plan) -> Result<OwnedFd, Failure> {
    let mut null = None;
    for device in &plan.devices {
        let handle =
            make_one(root, device).map_err(Failure::at(Step::Device, device.path.display()))?;
        if device.path == Path::new("/dev/null") && is_null(&handle) {
            null = Some(OwnedFd::from(handle));
        }
    }
    if !dev_is_bound(&plan.mounts) {
        link_all(root)?;
    }
    match null {
        Some(null) => Ok(null),
        None => private_null().map_err(Failure::at(Step::Device, "null")),
    }
}

fn link_all(root: &Root) -> Result<(), Failure> {
    let core = Path::new("/proc/kcore")
        .exists()
        .then_some(("core", "/proc/kcore"));
    for (name, target) in LINKS.into_iter().chain(core) {
        match root.symlink(target, Path::new("/dev").join(name)) {
            // The image's own is as good: it is read by nobody here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Failure::at(Step::Device, name))?,
        }
    }
    Ok(())
}

fn node_kind(kind: DeviceKind) -> NodeKind {
    match kind {
        DeviceKind::Character { major, minor } => NodeKind::Character(makedev(major, minor)),
        DeviceKind::Block { major, minor } => NodeKind::Block(makedev(major, minor)),
        DeviceKind::Fifo => NodeKind::Fifo,
    }
}

fn make_one(root: &Root, device: &DevicePlan) -> io::Result<Handle> {
    if let Some(parent) = device.path.parent()
        && parent != Path::new("/dev")
    {
        root.mkdir_all(parent, Mode::from_raw_mode(0o755), None)?;
    }
    let mode = Mode::from_raw_mode(device.mode);
    match root.mknod(&device.path, node_kind(device.kind), mode) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let handle = root.resolve_nofollow(&device.path)?;
            if is(&handle, device.kind) {
                return Ok(handle);
            }
            // Something of the image under this name: a link, a file, another device.
            root.remove_file(&device.path)?;
            root.mknod(&device.path, node_kind(device.kind), mode)?;
        }
        // Not permitted in a user namespace: the host's node is mounted there instead.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return bind_from_host(root, device);
        }
        Err(error) => return Err(error.into()),
    }
    let handle = root.resolve_nofollow(&device.path)?;
    if !is(&handle, device.kind) {
        return Err(Errno::NXIO.into());
    }
    if (device.uid, device.gid) != (0, 0) {
        handle.chown(device.uid, device.gid)?;
    }
    Ok(handle)
}

fn is(handle: &Handle, kind: DeviceKind) -> bool {
    handle.stat().is_ok_and(|stat| {
        let numbers = (major(stat.st_rdev), minor(stat.st_rdev));
        match (kind, FileType::from_raw_mode(stat.st_mode)) {
            (DeviceKind::Character { major, minor }, FileType::CharacterDevice)
            | (DeviceKind::Block { major, minor }, FileType::BlockDevice) => {
                numbers == (major, minor)
            }
            (DeviceKind::Fifo, FileType::Fifo) => true,
            _ => false,
        }
    })
}

const NULL: DeviceKind = DeviceKind::Character { major: 1, minor: 3 };

fn is_null(handle: &Handle) -> bool {
    is(handle, NULL)
}

/// The host's file system is still under our root, and its `/dev` is not the image's.
fn host_node(path: &Path, kind: DeviceKind) -> io::Result<OwnedFd> {
    let host = Root::open("/")?;
    let node = host.resolve_nofollow(path)?;
    if !is(&node, kind) {
        return Err(Errno::NXIO.into());
    }
    clone_tree(node.as_fd(), Depth::One).map_err(|error| error.source)
}

fn bind_from_host(root: &Root, device: &DevicePlan) -> io::Result<Handle> {
    let node = host_node(&device.path, device.kind)?;
    let target = OwnedFd::from(mountpoint::open(root, &device.path, Missing::File)?);
    attach(node.as_fd(), target.as_fd()).map_err(|error| error.source)?;
    Ok(root.resolve_nofollow(&device.path)?)
}

/// A null device on a file system of its own, or the host's.
fn private_null() -> io::Result<OwnedFd> {
    let tree = tmpfs().map_err(|error| error.source)?;
    let private = Root::from_fd(tree.try_clone()?);
    let mode = Mode::from_raw_mode(0o666);
    match private.mknod("null", node_kind(NULL), mode) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return host_node(Path::new("/dev/null"), NULL);
        }
        Err(error) => return Err(error.into()),
    }
    let node = private.resolve_nofollow("null")?;
    if !is_null(&node) {
        return Err(Errno::NXIO.into());
    }
    clone_tree(node.as_fd(), Depth::One).map_err(|error| error.source)
}

fn tmpfs() -> Result<OwnedFd, wharf_sys::mount::MountError> {
    let context = FileSystem::open("tmpfs")?;
    context.create()?;
    context.mount(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)
}

/// Put the terminal on `/dev/console`. What is mounted is the descriptor of the terminal, never
/// a path of it (CVE-2025-52565), and a link of that name is not followed.
pub(super) fn mount_console(root: &Root, terminal: &OwnedFd) -> Result<(), Failure> {
    let fail = || Step::Console;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::NOFOLLOW;
    match root.open_file("/dev/console", flags, Mode::from_raw_mode(0o620)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::at(fail(), "/dev/console")(error)),
    }
    let target = root
        .resolve_nofollow("/dev/console")
        .map_err(Failure::at(fail(), "/dev/console"))?;
    let kind = target.kind().map_err(Failure::at(fail(), "/dev/console"))?;
    if !matches!(kind, FileType::RegularFile | FileType::CharacterDevice) {
        return Err(Failure::at(fail(), "/dev/console")(Errno::LOOP));
    }
    let tree = clone_tree(terminal.as_fd(), Depth::One)
        .map_err(mount_failure(fail(), "/dev/console".to_owned()))?;
    attach(tree.as_fd(), target.as_fd()).map_err(mount_failure(fail(), "/dev/console".to_owned()))
}
