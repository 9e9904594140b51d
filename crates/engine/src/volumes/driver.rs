//! What a volume of the `local` driver is made of, by its driver options.
//!
//! Without options it is a directory of ours. `type`, `o` and `device` name a directory of the
//! host's or a file system, with the words of `mount(8)`. Nothing of that is ever mounted where
//! the host sees it: it is mounted inside each container that uses it, and is gone with the last.
//! What is in memory alone (tmpfs) is taken from a container that has it, so that all share it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use wharf_sys::mount::{FileSystem, MountAttrFlags};
use wharf_sys::rooted::Root;

use crate::model::Volume;
use crate::{Error, Result};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Our own.
    Directory,
    /// Another directory (or file) of the host, with options of the bind mount.
    Bind {
        /// Where.
        device: String,
        /// With `bind` or `rbind` among them.
        options: Vec<String>,
    },
    /// A file system.
    FileSystem {
        /// `tmpfs`, `nfs`, `ext4` …
        kind: String,
        /// What is mounted; any word for a tmpfs.
        device: String,
        /// Its options.
        options: Vec<String>,
    },
}

/// Checks driver options before a volume is made with them; dockerd's reasons.
pub(super) fn check(options: &BTreeMap<String, String>) -> std::result::Result<(), String> {
    const KNOWN: [&str; 4] = ["type", "o", "device", "size"];
    if let Some(unknown) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("invalid option: {unknown:?}"));
    }
    if let Some(size) = options.get("size") {
        // As where dockerd finds no file system with project quotas; no size is no quota.
        if size != "0" {
            return Err("quota size requested but no quota support".to_owned());
        }
    }
    for (option, needs) in [
        ("device", ["type"].as_slice()),
        ("o", &["device", "type"]),
        ("type", &["device"]),
    ] {
        let missing = needs.iter().find(|need| !options.contains_key(**need));
        if let (true, Some(missing)) = (options.contains_key(option), missing) {
            return Err(format!("missing required option: {missing:?}"));
        }
    }
    Ok(())
}

impl Backing {
    /// What this one is made of.
    pub(crate) fn of(volume: &Volume) -> Backing {
        let option = |key: &str| volume.options.get(key).cloned().unwrap_or_default();
        let device = option("device");
        if device.is_empty() {
            return Backing::Directory;
        }
        let options: Vec<String> = option("o")
            .split(',')
            .filter(|option| !option.is_empty())
            .map(str::to_owned)
            .collect();
        if options.iter().any(|o| o == "bind" || o == "rbind") {
            return Backing::Bind { device, options };
        }
        Backing::FileSystem {
            kind: option("type"),
            device,
            options,
        }
    }

    /// Whether what is in it is nowhere but in the mount.
    pub(crate) fn in_memory(&self) -> bool {
        matches!(self, Backing::FileSystem { kind, .. } if kind == "tmpfs" || kind == "ramfs")
    }

    /// The top of the volume, for the daemon's own use: by handle, mounted for nobody else. None
    /// for memory, of which there is nothing outside of containers.
    pub(crate) fn open(&self, volume: &Volume) -> Result<Option<Root>> {
        let opened = match self {
            Backing::Directory => Root::open(&volume.mountpoint),
            Backing::Bind { device, .. } => {
                check_device(volume, device)?;
                Root::open(device)
            }
            Backing::FileSystem { .. } if self.in_memory() => return Ok(None),
            Backing::FileSystem {
                kind,
                device,
                options,
            } => return Ok(Some(Root::from_fd(mount(volume, kind, device, options)?))),
        };
        opened
            .map(Some)
            .map_err(|error| Error::Internal(error.to_string()))
    }
}

/// A bind mount of nothing, said as dockerd says it.
pub(super) fn check_device(volume: &Volume, device: &str) -> Result<()> {
    let why = match std::fs::metadata(device) {
        Ok(_) if device.starts_with('/') => return Ok(()),
        Ok(_) => "the device of a bind must be an absolute path".to_owned(),
        Err(error) => reason(&error),
    };
    Err(failed(
        volume,
        &format!("{device}:{}, flags: 0x1000: {why}", volume.mountpoint),
    ))
}

fn failed(volume: &Volume, what: &str) -> Error {
    Error::Internal(format!(
        "error while mounting volume '{}': failed to mount local volume: mount {what}",
        volume.mountpoint
    ))
}

/// The kernel's words without Rust's number behind them.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}

/// Attached nowhere.
fn mount(volume: &Volume, kind: &str, device: &str, options: &[String]) -> Result<OwnedFd> {
    let mounted = || {
        let context = FileSystem::open(kind)?;
        context.string("source", device)?;
        for option in options {
            match option.split_once('=') {
                Some((key, value)) => context.string(key, value)?,
                None if option == "rw" || option == "defaults" => {}
                None => context.flag(option)?,
            }
        }
        context.create()?;
        context.mount(MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID)
    };
    mounted().map_err(|error: wharf_sys::mount::MountError| {
        let data = match options {
            [] => String::new(),
            some => format!(", data: {}", some.join(",")),
        };
        let why = match error.log.as_str() {
            "" => reason(&error.source),
            log => format!("{} ({log})", reason(&error.source)),
        };
        failed(
            volume,
            &format!("{device}:{}{data}: {why}", volume.mountpoint),
        )
    })
}

/// Where the mark of a volume that is being filled is: beside our own directory, whatever the
/// volume is made of.
pub(crate) fn mark(volume: &Volume) -> std::path::PathBuf {
    Path::new(&volume.mountpoint).with_file_name("filling")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn backing(pairs: &[(&str, &str)]) -> Backing {
        Backing::of(&Volume {
            options: options(pairs),
            ..Volume::default()
        })
    }

    #[test]
    fn options_are_refused_in_dockers_words() {
        let refused = |pairs: &[(&str, &str)]| check(&options(pairs)).unwrap_err();
        assert_eq!(refused(&[("foo", "1")]), "invalid option: \"foo\"");
        assert_eq!(
            refused(&[("type", "tmpfs")]),
            "missing required option: \"device\""
        );
        assert_eq!(
            refused(&[("device", "/x")]),
            "missing required option: \"type\""
        );
        assert_eq!(
            refused(&[("o", "bind"), ("type", "none")]),
            "missing required option: \"device\""
        );
        assert_eq!(
            refused(&[("size", "1g")]),
            "quota size requested but no quota support"
        );
        check(&options(&[
            ("type", "none"),
            ("o", "bind"),
            ("device", "/x"),
        ]))
        .unwrap();
        check(&options(&[])).unwrap();
    }

    #[test]
    fn the_words_of_mount_8_say_what_a_volume_is_made_of() {
        assert_eq!(backing(&[]), Backing::Directory);
        assert!(matches!(
            backing(&[("type", "none"), ("o", "ro,bind"), ("device", "/x")]),
            Backing::Bind { device, .. } if device == "/x"
        ));
        let memory = backing(&[("type", "tmpfs"), ("o", "size=1m"), ("device", "tmpfs")]);
        assert!(memory.in_memory());
        let nfs = backing(&[
            ("type", "nfs"),
            ("o", "addr=10.0.0.1,rw"),
            ("device", ":/d"),
        ]);
        assert!(!nfs.in_memory());
        assert!(matches!(nfs, Backing::FileSystem { options, .. } if options.len() == 2));
    }
}
