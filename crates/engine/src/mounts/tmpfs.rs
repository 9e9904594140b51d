//! Options of a tmpfs.

use std::collections::{BTreeMap, HashSet};

use super::{Mount, MountSource, clean};
use crate::model::MountPoint;
use crate::{Error, Result};

/// Both spellings of a switch share a name; the later one wins.
const SWITCHES: [(&str, &str); 20] = [
    ("ro", "access"),
    ("rw", "access"),
    ("suid", "suid"),
    ("nosuid", "suid"),
    ("dev", "dev"),
    ("nodev", "dev"),
    ("exec", "exec"),
    ("noexec", "exec"),
    ("atime", "atime"),
    ("noatime", "atime"),
    ("diratime", "diratime"),
    ("nodiratime", "diratime"),
    ("relatime", "relatime"),
    ("norelatime", "relatime"),
    ("strictatime", "strictatime"),
    ("nostrictatime", "strictatime"),
    ("sync", "sync"),
    ("async", "sync"),
    ("private", "propagation"),
    ("rprivate", "propagation"),
];

const VALUES: [&str; 7] = [
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "mpol",
];

const DEFAULTS: [&str; 4] = ["noexec", "nosuid", "nodev", "rprivate"];

/// `--tmpfs` entries: destination -> options.
pub(crate) fn of_host(entries: &BTreeMap<String, String>) -> Result<Vec<Mount>> {
    entries
        .iter()
        .map(|(path, options)| {
            if !path.starts_with('/') || clean(path) == "/" {
                return Err(Error::InvalidArgument(format!(
                    "invalid mount path: '{path}' mount path must be absolute"
                )));
            }
            let given = options.split(',').filter(|option| !option.is_empty());
            Ok(Mount {
                point: MountPoint {
                    kind: "tmpfs".to_owned(),
                    destination: clean(path),
                    rw: true,
                    ..MountPoint::default()
                },
                source: MountSource::Tmpfs {
                    options: merge(given)?,
                },
            })
        })
        .collect()
}

/// The options of a structured tmpfs mount.
pub(super) fn of_mount(size: i64, mode: u32, read_only: bool) -> Vec<String> {
    let mut options: Vec<String> = DEFAULTS.iter().map(|o| (*o).to_owned()).collect();
    if read_only {
        options.push("ro".to_owned());
    }
    if mode != 0 {
        options.push(format!("mode={mode:o}"));
    }
    if size > 0 {
        options.push(format!("size={size}"));
    }
    options
}

/// The defaults with the given options over them: of two that contradict, the later.
fn merge<'a>(given: impl Iterator<Item = &'a str>) -> Result<Vec<String>> {
    let all: Vec<&str> = DEFAULTS.into_iter().chain(given).collect();
    let mut seen = HashSet::new();
    let mut merged = Vec::new();
    for option in all.into_iter().rev() {
        if option == "defaults" {
            continue;
        }
        let switch = SWITCHES.iter().find(|(name, _)| *name == option);
        let key = match (switch, option.split_once('=')) {
            (Some((_, key)), _) => *key,
            (None, Some((key, _))) if VALUES.contains(&key) => key,
            _ => {
                let words: Vec<String> = option
                    .splitn(2, '=')
                    .map(|word| format!("{word:?}"))
                    .collect();
                return Err(Error::InvalidArgument(format!(
                    "Invalid tmpfs option [{}]",
                    words.join(" ")
                )));
            }
        };
        if seen.insert(key) {
            merged.push(option.to_owned());
        }
    }
    merged.reverse();
    Ok(merged)
}
