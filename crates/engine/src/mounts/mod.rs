//! The mounts of a container: from what was typed to what is stored.
//!
//! ```text
//!  Binds, Mounts, VolumesFrom, Volumes  --parse-->  Wanted  --volumes made-->  Mount (stored)
//! ```
//! Parsing and the rules between mounts (one per destination, `volumes-from` first, anonymous
//! volumes only where nothing else is) are pure; making volumes is `create`'s.

mod parse;
mod tmpfs;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ContainerSpec, MountPoint};
use crate::{Error, Result};

pub(crate) use parse::{parse_bind, parse_mount, parse_volumes_from};
pub(crate) use tmpfs::of_host as tmpfs_mounts;

/// A mount of a container, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// As shown.
    pub(crate) point: MountPoint,
    /// What it is made from.
    pub(crate) source: MountSource,
}

/// See [`Mount`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum MountSource {
    /// A path of the host.
    Bind {
        /// With what is mounted below it.
        recursive: bool,
        /// Make a directory when nothing is there (what `-v` does and `--mount` does not).
        create: bool,
    },
    /// A volume.
    Volume,
    /// A directory or file in a volume.
    Subpath {
        /// Relative to the volume.
        path: String,
    },
    /// Memory.
    Tmpfs {
        /// Mount options.
        options: Vec<String>,
    },
    /// As the runtime mounts it: what one start makes of a volume. Never stored.
    Ready {
        /// Of the file system, or `none` for a bind mount.
        kind: String,
        /// All of them.
        options: Vec<String>,
    },
}

/// A mount as asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Clean absolute path in the container.
    pub(crate) destination: String,
    /// Writable.
    pub(crate) rw: bool,
    /// Mode string as typed.
    pub(crate) mode: String,
    /// See [`WantedSource`].
    pub(crate) source: WantedSource,
}

/// See [`Wanted`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WantedSource {
    /// A path of the host.
    Bind {
        /// Absolute.
        path: String,
        /// Propagation, `rprivate` unless given.
        propagation: String,
        /// See [`MountSource::Bind`].
        recursive: bool,
        /// See [`MountSource::Bind`].
        create: bool,
    },
    /// A volume, made when it is not there.
    Volume {
        /// `None` makes an anonymous one.
        name: Option<String>,
        /// Copy what the image has at the destination into an empty volume.
        copy: bool,
        /// The part of it that is mounted; empty for all.
        subpath: String,
        /// Labels of a volume that this makes.
        labels: BTreeMap<String, String>,
        /// Driver options of a volume that this makes.
        options: BTreeMap<String, String>,
    },
    /// Memory.
    Tmpfs {
        /// Mount options.
        options: Vec<String>,
    },
    /// Taken over from another container, as it is there.
    Inherited(Mount),
}

/// All mounts that a specification asks for, by destination, checked against each other.
///
/// `inherited` are the mounts of the `volumes-from` containers with the access asked for.
pub(crate) fn wanted(spec: &ContainerSpec, inherited: Vec<Wanted>) -> Result<Vec<Wanted>> {
    let host = &spec.host;
    // Checked here, mounted at each start.
    tmpfs_mounts(&host.tmpfs)?;
    let mut all: BTreeMap<String, Wanted> = inherited
        .into_iter()
        .map(|wanted| (wanted.destination.clone(), wanted))
        .collect();
    let mut own: BTreeMap<String, Wanted> = BTreeMap::new();
    let parsed = host
        .binds
        .iter()
        .map(|bind| parse_bind(bind, &host.volume_driver))
        .chain(host.mounts.iter().map(parse_mount));
    for wanted in parsed {
        let wanted = wanted?;
        let destination = wanted.destination.clone();
        if host.tmpfs.keys().any(|path| clean(path) == destination)
            || own.insert(destination.clone(), wanted).is_some()
        {
            return Err(Error::InvalidArgument(format!(
                "Duplicate mount point: {destination}"
            )));
        }
    }
    all.append(&mut own);
    for path in &spec.volumes {
        let destination = parse::destination(path)?;
        if host.tmpfs.keys().any(|path| clean(path) == destination) {
            continue;
        }
        all.entry(destination.clone()).or_insert_with(|| Wanted {
            destination,
            rw: true,
            mode: String::new(),
            source: WantedSource::Volume {
                name: None,
                copy: true,
                subpath: String::new(),
                labels: BTreeMap::new(),
                options: BTreeMap::new(),
            },
        });
    }
    Ok(all.into_values().collect())
}

/// Lexically clean, as Go's `path.Clean`: this is a name inside a container and is resolved
/// there, by handle; `..` at the root is the root.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
