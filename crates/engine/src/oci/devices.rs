//! Which devices a container may use, and which it is given.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

/// A device node of the host, for privileged containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostDevice {
    path: PathBuf,
    kind: LinuxDeviceType,
    major: u32,
    minor: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Directories below `/dev` that are file systems of their own, or private to the host.
const SKIPPED: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

/// How deep `/dev` is looked through. Real trees have three levels.
const MAX_DEPTH: usize = 8;

/// Every device node below `/dev`, symbolic links not followed.
pub(crate) fn host_devices() -> Vec<HostDevice> {
    let mut found = Vec::new();
    walk(Path::new("/dev"), 0, &mut found);
    found
}

fn walk(dir: &Path, depth: usize, found: &mut Vec<HostDevice>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let skipped = SKIPPED.iter().any(|skip| name == *skip) || name == "console";
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            if !skipped && depth < MAX_DEPTH {
                walk(&entry.path(), depth + 1, found);
            }
            continue;
        }
        let kind = if kind.is_block_device() {
            LinuxDeviceType::B
        } else if kind.is_char_device() {
            LinuxDeviceType::C
        } else {
            continue;
        };
        if skipped {
            continue;
        }
        found.push(HostDevice {
            path: entry.path(),
            kind,
            major: rustix::fs::major(metadata.rdev()),
            minor: rustix::fs::minor(metadata.rdev()),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        });
    }
}

/// Device nodes beyond those that every container has (which the runtime makes).
pub(super) fn nodes(privileged: bool, host: &[HostDevice]) -> Vec<LinuxDevice> {
    if !privileged {
        return Vec::new();
    }
    host.iter()
        .map(|device| {
            let mut node = LinuxDevice::default();
            node.set_path(device.path.clone())
                .set_typ(device.kind)
                .set_major(i64::from(device.major))
                .set_minor(i64::from(device.minor))
                .set_file_mode(Some(device.mode))
                .set_uid(Some(device.uid))
                .set_gid(Some(device.gid));
            node
        })
        .collect()
}

/// Kind, major and minor of what every container may open. `None` is any.
const ALLOWED: [(LinuxDeviceType, Option<i64>, Option<i64>, &str); 10] = [
    // Making nodes is harmless where opening them is not allowed.
    (LinuxDeviceType::C, None, None, "m"),
    (LinuxDeviceType::B, None, None, "m"),
    // null, zero, full, random, urandom
    (LinuxDeviceType::C, Some(1), Some(3), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(5), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(7), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(8), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(9), "rwm"),
    // tty, ptmx, the slaves of pseudo-terminals
    (LinuxDeviceType::C, Some(5), Some(0), "rwm"),
    (LinuxDeviceType::C, Some(5), Some(2), "rwm"),
    (LinuxDeviceType::C, Some(136), None, "rwm"),
];

/// The rules of the device filter: nothing, then what is allowed; or everything.
pub(super) fn rules(privileged: bool) -> Vec<LinuxDeviceCgroup> {
    if privileged {
        return vec![rule(true, None, None, None, "rwm")];
    }
    std::iter::once(rule(false, None, None, None, "rwm"))
        .chain(
            ALLOWED
                .into_iter()
                .map(|(kind, major, minor, access)| rule(true, Some(kind), major, minor, access)),
        )
        .collect()
}

fn rule(
    allow: bool,
    kind: Option<LinuxDeviceType>,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow)
        .set_typ(kind)
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.to_owned()));
    rule
}
