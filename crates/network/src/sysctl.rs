//! Kernel parameters of the calling thread's network namespace.
//!
//! They are written through a procfs that this process mounted for itself and attached nowhere:
//! whatever is mounted over the host's `/proc`, or below it, a write goes to the kernel. Which
//! namespace `/proc/sys/net` speaks of is decided by the thread that opens a file there, so one
//! mount serves them all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::MountAttrFlags;
use wharf_sys::mount::FileSystem;

use crate::link_error::{LinkError, Result};

/// `f_type` of procfs.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Values are numbers, or a few.
const LONGEST: u64 = 4096;

/// The mount. It is a handle that never changes, not a state.
static PROCFS: OnceLock<OwnedFd> = OnceLock::new();

/// The value of a parameter: `net.ipv4.ip_forward`, or with slashes; where a link's name has a
/// dot, dots and slashes change places (`net.ipv4.conf.eth0/10.rp_filter`).
pub fn read(key: &str) -> Result<String> {
    let failed = failed(key);
    let mut value = String::new();
    open(key, OFlags::RDONLY)
        .and_then(|file| file.take(LONGEST).read_to_string(&mut value))
        .map_err(&failed)?;
    Ok(value.trim_end().to_owned())
}

/// Set a parameter.
pub fn write(key: &str, value: &str) -> Result<()> {
    let failed = failed(key);
    let mut file = open(key, OFlags::WRONLY).map_err(&failed)?;
    // One write: the kernel takes each as a whole value.
    match file.write(value.as_bytes()) {
        Ok(written) if written == value.len() => Ok(()),
        Ok(_) => Err(failed(io::ErrorKind::InvalidInput.into())),
        Err(error) => Err(failed(error)),
    }
}

/// Set a parameter, if this kernel has it: IPv6 may be left out of a kernel.
pub(crate) fn write_if_there(key: &str, value: &str) -> Result<()> {
    match write(key, value) {
        Err(LinkError::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A parameter of one link, by its name: `of_link("net.ipv4.conf", "eth0", "rp_filter")`.
pub(crate) fn of_link(tree: &str, link: &str, name: &str) -> String {
    format!("{tree}.{}.{name}", link.replace('.', "/"))
}

fn failed(key: &str) -> impl Fn(io::Error) -> LinkError + use<> {
    let key = key.to_owned();
    move |source| LinkError::Sysctl {
        key: key.clone(),
        source,
    }
}

fn open(key: &str, flags: OFlags) -> io::Result<File> {
    let path = path(key).ok_or(io::ErrorKind::InvalidInput)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let file = rustix::fs::openat2(
        procfs()?,
        path,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )?;
    Ok(File::from(file))
}

/// The path of a parameter below procfs; nothing for one that would lead elsewhere than the
/// network's.
fn path(key: &str) -> Option<String> {
    // As sysctl(8): whichever separator comes first separates; the other one is its disguise.
    let path = match key.find(['.', '/']).map(|at| &key[at..=at]) {
        Some(".") => key.chars().map(swap).collect::<String>(),
        _ => key.to_owned(),
    };
    let plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (plain && path.starts_with("net/") && !path.contains('\0')).then(|| format!("sys/{path}"))
}

fn swap(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

fn procfs() -> io::Result<&'static OwnedFd> {
    if let Some(mount) = PROCFS.get() {
        return Ok(mount);
    }
    let mount = match private() {
        Ok(mount) => mount,
        // Without the right to mount, the host's, if it is one.
        Err(_) => host()?,
    };
    Ok(PROCFS.get_or_init(|| mount))
}

fn private() -> Result<OwnedFd, wharf_sys::mount::MountError> {
    let proc = FileSystem::open("proc")?;
    proc.create()?;
    proc.mount(
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
}

fn host() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    let system = rustix::fs::fstatfs(proc.as_fd())?;
    if u64::try_from(system.f_type) != Ok(PROC_SUPER_MAGIC) {
        return Err(io::Error::other("/proc is not procfs"));
    }
    Ok(proc)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn keys_become_paths_as_sysctl_reads_them() {
        let cases = [
            ("net.ipv4.ip_forward", "sys/net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "sys/net/ipv4/ip_forward"),
            (
                "net.ipv4.conf.eth0/10.rp_filter",
                "sys/net/ipv4/conf/eth0.10/rp_filter",
            ),
            (
                "net/ipv4/conf/eth0.10/rp_filter",
                "sys/net/ipv4/conf/eth0.10/rp_filter",
            ),
        ];
        for (key, expected) in cases {
            assert_eq!(path(key).as_deref(), Some(expected));
        }
        assert_eq!(
            path(&of_link("net.ipv4.conf", "eth0.10", "rp_filter")).as_deref(),
            Some(cases[2].1)
        );
    }

    #[test]
    fn no_key_leads_out_of_the_network_s_parameters() {
        for key in [
            "kernel.core_pattern",
            "net/../kernel/core_pattern",
            "net.//.kernel",
            "net//ipv4",
            "/net/ipv4/ip_forward",
            "net",
            "",
            "net.ipv4\0",
        ] {
            assert_eq!(path(key), None, "{key:?}");
        }
    }
}
