//! Which nodes and links a container's `/dev` gets.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};

use super::error::LaunchError;
use super::plan::{MountKind, MountPlan, inner_path};

/// One node to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevicePlan {
    pub(crate) path: PathBuf,
    pub(crate) kind: DeviceKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
}

/// What every container has (OCI runtime specification, "Default Devices").
pub(crate) const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// And these links.
pub(crate) const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

const MODE: u32 = 0o666;

/// The nodes to make: none if the caller binds a `/dev` of its own.
pub(super) fn plan(linux: &Linux, mounts: &[MountPlan]) -> Result<Vec<DevicePlan>, LaunchError> {
    if dev_is_bound(mounts) {
        return Ok(Vec::new());
    }
    let mut devices: Vec<DevicePlan> = DEFAULT
        .iter()
        .map(|&(path, major, minor)| DevicePlan {
            path: PathBuf::from(path),
            kind: DeviceKind::Character { major, minor },
            mode: MODE,
            uid: 0,
            gid: 0,
        })
        .collect();
    for device in linux.devices().iter().flatten() {
        let device = one(device)?;
        // A default that is given explicitly gets the mode and owner that are given.
        devices.retain(|known| known.path != device.path);
        devices.push(device);
    }
    Ok(devices)
}

/// Whether `/dev` is a directory of somebody else's.
pub(crate) fn dev_is_bound(mounts: &[MountPlan]) -> bool {
    mounts.iter().any(|mount| {
        mount.destination == Path::new("/dev") && matches!(mount.what, MountKind::Bind(_))
    })
}

fn one(device: &LinuxDevice) -> Result<DevicePlan, LaunchError> {
    let field = format!("linux.devices: {}", device.path().display());
    let number = |value: i64| {
        u32::try_from(value).map_err(|_| LaunchError::spec(field.as_str(), "not a device number"))
    };
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Character {
            major: number(device.major())?,
            minor: number(device.minor())?,
        },
        LinuxDeviceType::B => DeviceKind::Block {
            major: number(device.major())?,
            minor: number(device.minor())?,
        },
        LinuxDeviceType::P => DeviceKind::Fifo,
        LinuxDeviceType::A => return Err(LaunchError::spec(field, "type \"a\" is no node")),
    };
    Ok(DevicePlan {
        path: inner_path(&field, device.path())?,
        kind,
        mode: device.file_mode().unwrap_or(MODE) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_device_that_is_given_keeps_what_was_given() {
        let linux = serde_json::from_str(
            r#"{"devices":[{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":256}]}"#,
        )
        .unwrap();
        let devices = plan(&linux, &[]).unwrap();
        let null: Vec<_> = devices
            .iter()
            .filter(|device| device.path == Path::new("/dev/null"))
            .collect();
        assert_eq!(null.len(), 1);
        assert_eq!(null.first().unwrap().mode, 0o400);
        assert_eq!(devices.len(), DEFAULT.len());
    }

    #[test]
    fn a_device_with_a_negative_number_is_refused() {
        let linux =
            serde_json::from_str(r#"{"devices":[{"path":"/x","type":"c","major":-1,"minor":3}]}"#)
                .unwrap();
        assert!(plan(&linux, &[]).is_err());
    }
}
