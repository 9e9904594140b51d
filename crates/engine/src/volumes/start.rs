//! The volumes of a container that is started: from what is stored to what is mounted.
//!
//! A path inside a volume is the container's to change, until the moment it is mounted: it is
//! opened here, beneath the volume and nowhere else, and what is mounted is that handle
//! (CVE-2017-1002101 and its kin).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use tokio::sync::{Mutex, OwnedMutexGuard};
use wharf_sys::rooted::Root;

use super::driver::{self, Backing};
use crate::model::{Status, Volume};
use crate::mounts::{Mount, MountSource};
use crate::{Engine, Error, Result};

/// What must stay as it is until the container is known to run.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Of the directories that are mounted by handle.
    handles: Vec<OwnedFd>,
    /// Two containers that start at one moment share what is in memory, too: one of them is first.
    first: Option<OwnedMutexGuard<()>>,
}

/// One start at a time of containers with a volume in memory.
pub(super) type Gate = Arc<Mutex<()>>;

impl Held {
    /// Makes `mounts`, those of the container `id`, ready for the runtime. Blocks.
    pub(crate) fn ready(engine: &Engine, id: &str, mounts: &mut [Mount]) -> Result<Held> {
        let mut held = Held::default();
        for mount in mounts {
            let subpath = match &mount.source {
                MountSource::Volume => None,
                MountSource::Subpath { path } => Some(path.clone()),
                _ => continue,
            };
            let Some(volume) = engine.0.volumes.get(&mount.point.name) else {
                return Err(Error::NoSuchVolume(mount.point.name.clone()));
            };
            let backing = Backing::of(&volume);
            match subpath {
                Some(path) => held.subpath(&volume, &backing, &path, mount)?,
                None => held.whole(engine, id, &volume, backing, mount)?,
            }
        }
        Ok(held)
    }

    fn whole(
        &mut self,
        engine: &Engine,
        id: &str,
        volume: &Volume,
        backing: Backing,
        mount: &mut Mount,
    ) -> Result<()> {
        if backing.in_memory() {
            if self.first.is_none() {
                let gate = Arc::clone(engine.0.volumes.gate());
                self.first = Some(gate.blocking_lock_owned());
            }
            if let Some(source) = in_another(engine, id, &volume.name) {
                bind(mount, source);
                return Ok(());
            }
        }
        match backing {
            Backing::Directory => {}
            Backing::Bind { device, options } => {
                driver::check_device(volume, &device)?;
                ready(mount, "none", device, options);
            }
            Backing::FileSystem {
                kind,
                device,
                mut options,
            } => {
                // Not that of the directory which it covers.
                if kind == "tmpfs" && !options.iter().any(|o| o.starts_with("mode=")) {
                    options.push("mode=1777".to_owned());
                }
                ready(mount, &kind, device, options);
            }
        }
        Ok(())
    }

    fn subpath(
        &mut self,
        volume: &Volume,
        backing: &Backing,
        path: &str,
        mount: &mut Mount,
    ) -> Result<()> {
        if matches!(backing, Backing::FileSystem { .. }) {
            return Err(Error::NotImplemented(format!(
                "VolumeOptions.Subpath of a volume that is a file system of its own ({}) is not supported yet",
                volume.name
            )));
        }
        let root = backing.open(volume)?;
        let root = root.ok_or_else(|| Error::NoSuchVolume(volume.name.clone()))?;
        let handle = beneath(&root, &volume.mountpoint, path)?;
        let source = format!("/proc/{}/fd/{}", std::process::id(), handle.as_raw_fd());
        self.handles.push(handle);
        bind(mount, source);
        Ok(())
    }
}

/// The same for a look at a container that does not run, without its being ready: what is a file
/// system of its own is left out.
pub(crate) fn seen(engine: &Engine, mounts: &mut Vec<Mount>) {
    mounts.retain_mut(|mount| {
        if !matches!(
            mount.source,
            MountSource::Volume | MountSource::Subpath { .. }
        ) {
            return true;
        }
        let Some(volume) = engine.0.volumes.get(&mount.point.name) else {
            return false;
        };
        match Backing::of(&volume) {
            Backing::Directory => true,
            Backing::Bind { device, .. } => {
                mount.point.source = device;
                true
            }
            Backing::FileSystem { .. } => false,
        }
    });
}

/// What is at `path` in a volume, by links that stay in it. `shown` names the volume in errors.
pub(crate) fn beneath(root: &Root, shown: &str, path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        return match openat2(root.as_fd(), path, flags, Mode::empty(), how) {
            Ok(handle) => Ok(handle),
            // Something was renamed meanwhile, which the kernel cannot tell from an escape.
            Err(Errno::AGAIN | Errno::INTR) => continue,
            Err(Errno::XDEV | Errno::LOOP) => Err(Error::InvalidArgument(format!(
                "path concatenation escapes the base directory, base: {shown:?}, subpath: {path:?}"
            ))),
            Err(error) => {
                let why = match error {
                    Errno::NOENT => "no such file or directory".to_owned(),
                    other => other.to_string(),
                };
                Err(Error::NotFound(format!(
                    "cannot access path \"{shown}/{path}\": lstat {shown}/{path}: {why}"
                )))
            }
        };
    }
}

/// Where a running container has the volume, seen from the host.
fn in_another(engine: &Engine, id: &str, volume: &str) -> Option<String> {
    let containers = engine.0.containers.all();
    let mut places: Vec<(bool, String)> = containers
        .iter()
        .filter(|other| other.id() != id)
        .filter(|other| matches!(other.state.status, Status::Running | Status::Paused))
        .flat_map(|other| {
            let of_volume =
                |mount: &&Mount| mount.point.name == volume && mount.source == MountSource::Volume;
            other.record.mounts.iter().filter(of_volume).map(|mount| {
                let place = &mount.point.destination;
                (
                    mount.point.rw,
                    format!("/proc/{}/root{place}", other.state.pid),
                )
            })
        })
        .collect();
    // A copy of a mount that is read-only is read-only, too.
    places.sort_by_key(|(rw, _)| !rw);
    places.into_iter().next().map(|(_, place)| place)
}

fn bind(mount: &mut Mount, source: String) {
    ready(mount, "none", source, vec!["rbind".to_owned()]);
}

fn ready(mount: &mut Mount, kind: &str, source: String, mut options: Vec<String>) {
    if !mount.point.rw {
        options.push("ro".to_owned());
    }
    if options.iter().any(|o| o == "bind" || o == "rbind") {
        let given = mount.point.propagation.as_str();
        options.push(if given.is_empty() { "rprivate" } else { given }.to_owned());
    }
    mount.point.source = source;
    mount.source = MountSource::Ready {
        kind: kind.to_owned(),
        options,
    };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_in_a_volume_never_leads_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("_data");
        fs::create_dir_all(data.join("a/b")).unwrap();
        fs::create_dir(dir.path().join("secret")).unwrap();
        symlink("b", data.join("a/link")).unwrap();
        symlink("/etc", data.join("absolute")).unwrap();
        symlink("../../secret", data.join("a/relative")).unwrap();
        symlink("loop", data.join("loop")).unwrap();
        symlink("/proc/self/root", data.join("magic")).unwrap();
        let root = Root::open(&data).unwrap();
        for inside in ["a/b", "a/link", "a"] {
            beneath(&root, "v", inside).unwrap();
        }
        for outside in ["absolute", "a/relative", "../secret", "loop", "magic/etc"] {
            let error = beneath(&root, "v", outside).unwrap_err().to_string();
            assert!(
                error.contains("escapes the base directory"),
                "{outside}: {error}"
            );
        }
        let missing = beneath(&root, "v", "none").unwrap_err();
        assert!(matches!(missing, Error::NotFound(_)), "{missing}");
    }
}
