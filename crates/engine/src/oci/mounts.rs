//! The mounts: Docker's defaults, the files in `/etc`, then the user's by depth.

use std::path::Path;

use oci_spec::runtime::Mount as SpecMount;

use super::process::INIT_PATH;
use super::{Assembly, IpcNs, init_program};
use crate::mounts::{Mount, MountSource};

/// Destination, type, source, options.
const DEFAULTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    (
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    ),
    (
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", "ro"],
    ),
    (
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["ro", "nosuid", "noexec", "nodev"],
    ),
    (
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    ),
    (
        SHM,
        "tmpfs",
        "shm",
        &["nosuid", "noexec", "nodev", "mode=1777"],
    ),
];

const SHM: &str = "/dev/shm";

/// Default mounts that stay writable in a container with a read-only root.
const WRITABLE_WITH_READONLY_ROOT: [&str; 5] = ["/proc", "/dev/pts", SHM, "/dev/mqueue", "/dev"];

/// All mounts in the order they are made.
pub(super) fn all(from: &Assembly<'_>) -> Vec<SpecMount> {
    let host = &from.spec.host;
    let taken = |path: &str| from.mounts.iter().any(|m| m.point.destination == path);
    let mut mounts = Vec::new();
    for (destination, kind, source, options) in DEFAULTS {
        // A mount of the user's takes the place of a default; over /dev, of all below it.
        if taken(destination) || (taken("/dev") && destination.starts_with("/dev/")) {
            continue;
        }
        let mut options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        let mut kind = kind;
        let mut source = source.to_owned();
        if destination == SHM {
            match &from.namespaces.ipc {
                IpcNs::Private => {
                    let size = match host.shm_size {
                        0 => from.defaults.shm_size,
                        size => size,
                    };
                    options.push(format!("size={size}"));
                }
                IpcNs::WithoutShm => continue,
                IpcNs::Host => {
                    (kind, source, options) = ("bind", SHM.to_owned(), rbind());
                }
                IpcNs::Join { shm, .. } => {
                    (kind, source, options) = ("bind", shm.display().to_string(), rbind());
                }
            }
        }
        if host.privileged && matches!(destination, "/sys" | "/sys/fs/cgroup") {
            options.retain(|option| option != "ro");
        } else if host.readonly_rootfs
            && !WRITABLE_WITH_READONLY_ROOT.contains(&destination)
            && !options.iter().any(|option| option == "ro")
        {
            options.push("ro".to_owned());
        }
        mounts.push(mount(destination, kind, &source, options));
    }
    mounts.extend(etc_files(from, &taken));
    if let Some(init) = init_program(from) {
        mounts.push(mount(
            INIT_PATH,
            "bind",
            &init.display().to_string(),
            vec!["bind".to_owned(), "ro".to_owned()],
        ));
    }
    mounts.extend(from.mounts.iter().map(user_mount));
    // Parents before children. The sort is stable, so the defaults' own order stays.
    mounts.sort_by_key(|mount| depth(mount.destination()));
    mounts
}

fn etc_files(from: &Assembly<'_>, taken: &dyn Fn(&str) -> bool) -> Vec<SpecMount> {
    let Some(files) = from.files else {
        return Vec::new();
    };
    let mut options = vec!["rbind".to_owned(), "rprivate".to_owned()];
    if from.spec.host.readonly_rootfs {
        options.push("ro".to_owned());
    }
    [
        ("/etc/resolv.conf", &files.resolv_conf),
        ("/etc/hostname", &files.hostname),
        ("/etc/hosts", &files.hosts),
    ]
    .into_iter()
    .filter(|(destination, _)| !taken(destination))
    .map(|(destination, source)| {
        mount(
            destination,
            "bind",
            &source.display().to_string(),
            options.clone(),
        )
    })
    .collect()
}

fn user_mount(wanted: &Mount) -> SpecMount {
    let point = &wanted.point;
    match &wanted.source {
        MountSource::Tmpfs { options } => {
            mount(&point.destination, "tmpfs", "tmpfs", options.clone())
        }
        MountSource::Bind { recursive, .. } => mount(
            &point.destination,
            "bind",
            &point.source,
            bind_options(wanted, *recursive),
        ),
        MountSource::Ready { kind, options } => {
            mount(&point.destination, kind, &point.source, options.clone())
        }
        // A part of one is ready by now.
        MountSource::Volume | MountSource::Subpath { .. } => mount(
            &point.destination,
            "bind",
            &point.source,
            bind_options(wanted, true),
        ),
    }
}

fn bind_options(wanted: &Mount, recursive: bool) -> Vec<String> {
    let mut options = vec![if recursive { "rbind" } else { "bind" }.to_owned()];
    if !wanted.point.rw {
        options.push("ro".to_owned());
    }
    let propagation = match wanted.point.propagation.as_str() {
        "" => "rprivate",
        given => given,
    };
    options.push(propagation.to_owned());
    options
}

/// The root's own propagation must let through what a shared or slave mount promises.
pub(super) fn root_propagation(mounts: &[Mount]) -> Option<String> {
    let any = |kinds: [&str; 2]| {
        mounts
            .iter()
            .any(|m| kinds.contains(&m.point.propagation.as_str()))
    };
    if any(["shared", "rshared"]) {
        Some("shared".to_owned())
    } else if any(["slave", "rslave"]) {
        Some("rslave".to_owned())
    } else {
        None
    }
}

fn rbind() -> Vec<String> {
    vec!["rbind".to_owned(), "rprivate".to_owned()]
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

fn mount(destination: &str, kind: &str, source: &str, options: Vec<String>) -> SpecMount {
    let mut mount = SpecMount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(options));
    mount
}
