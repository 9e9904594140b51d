//! The options of a mount in the specification, sorted by what they mean to the kernel.

use rustix::mount::{MountAttrFlags as Attr, MountPropagationFlags as Propagation};
use wharf_sys::mount::Depth;

/// What the options of one mount come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// A bind mount, and whether with the mounts below it.
    pub(crate) bind: Option<Bind>,
    /// Attributes of this mount.
    pub(crate) this: Change,
    /// Attributes of this mount and all below it.
    pub(crate) tree: Change,
    /// Propagation, applied in order.
    pub(crate) propagation: Vec<Propagation>,
    /// Map owners, of this mount or of all below it.
    pub(crate) id_map: Option<Depth>,
    /// Start a tmpfs with a copy of what it hides.
    pub(crate) copy_up: bool,
    /// Options for the file system itself.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Which kind of bind mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bind {
    /// One mount.
    Plain,
    /// With all mounts below it.
    Recursive,
}

/// Attributes to set and to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) set: Attr,
    pub(crate) clear: Attr,
}

impl Default for Change {
    fn default() -> Change {
        Change {
            set: Attr::empty(),
            clear: Attr::empty(),
        }
    }
}

impl Change {
    pub(crate) fn is_empty(self) -> bool {
        self.set.is_empty() && self.clear.is_empty()
    }

    fn apply(&mut self, change: Change) {
        self.set = (self.set - change.clear) | change.set;
        self.clear = (self.clear - change.set) | change.clear;
        // Access time is one value of several bits: to set it, all of them are cleared first.
        if change.clear.contains(Attr::MOUNT_ATTR__ATIME) {
            self.clear |= Attr::MOUNT_ATTR__ATIME;
        }
    }
}

/// File system options that `mount(8)` treats as flags and that `fsconfig` takes as such.
const FLAGS_OF_THE_FILE_SYSTEM: [&str; 6] =
    ["sync", "dirsync", "mand", "lazytime", "iversion", "silent"];

/// The opposites of those, and words that change nothing.
const NOTHING: [&str; 7] = [
    "async",
    "nomand",
    "nolazytime",
    "noiversion",
    "loud",
    "defaults",
    "rw",
];

/// Sort `options`; the error is an option that cannot be done.
pub(crate) fn parse(options: &[String]) -> Result<MountOptions, String> {
    let mut parsed = MountOptions {
        bind: None,
        this: Change::default(),
        tree: Change::default(),
        propagation: Vec::new(),
        id_map: None,
        copy_up: false,
        data: Vec::new(),
    };
    for option in options {
        let option = option.as_str();
        if let Some(change) = attribute(option) {
            parsed.this.apply(change);
        } else if let Some(propagation) = propagation(option) {
            parsed.propagation.push(propagation);
        } else if let Some(change) = option.strip_prefix('r').and_then(attribute) {
            parsed.tree.apply(change);
        } else if NOTHING.contains(&option) || option == "rrw" {
            // "rw" takes back an earlier "ro", but never makes a bind more than its source.
            if option.ends_with("rw") {
                parsed.this.set -= Attr::MOUNT_ATTR_RDONLY;
            }
        } else {
            match option {
                "bind" => parsed.bind = parsed.bind.or(Some(Bind::Plain)),
                "rbind" => parsed.bind = Some(Bind::Recursive),
                "tmpcopyup" => parsed.copy_up = true,
                "idmap" => parsed.id_map = parsed.id_map.or(Some(Depth::One)),
                "ridmap" => parsed.id_map = Some(Depth::Recursive),
                "remount" => return Err(option.to_owned()),
                flag if FLAGS_OF_THE_FILE_SYSTEM.contains(&flag) => {
                    parsed.data.push((flag.to_owned(), None));
                }
                other => parsed.data.push(match other.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (other.to_owned(), None),
                }),
            }
        }
    }
    Ok(parsed)
}

fn attribute(option: &str) -> Option<Change> {
    let set = |set| Change {
        set,
        clear: Attr::empty(),
    };
    let clear = |clear| Change {
        set: Attr::empty(),
        clear,
    };
    let atime = |set| Change {
        set,
        clear: Attr::MOUNT_ATTR__ATIME,
    };
    Some(match option {
        "ro" => set(Attr::MOUNT_ATTR_RDONLY),
        "nosuid" => set(Attr::MOUNT_ATTR_NOSUID),
        "suid" => clear(Attr::MOUNT_ATTR_NOSUID),
        "nodev" => set(Attr::MOUNT_ATTR_NODEV),
        "dev" => clear(Attr::MOUNT_ATTR_NODEV),
        "noexec" => set(Attr::MOUNT_ATTR_NOEXEC),
        "exec" => clear(Attr::MOUNT_ATTR_NOEXEC),
        "nodiratime" => set(Attr::MOUNT_ATTR_NODIRATIME),
        "diratime" => clear(Attr::MOUNT_ATTR_NODIRATIME),
        "nosymfollow" => set(Attr::MOUNT_ATTR_NOSYMFOLLOW),
        "symfollow" => clear(Attr::MOUNT_ATTR_NOSYMFOLLOW),
        "noatime" => atime(Attr::MOUNT_ATTR_NOATIME),
        "strictatime" | "norelatime" => atime(Attr::MOUNT_ATTR_STRICTATIME),
        "relatime" | "atime" | "nostrictatime" => atime(Attr::empty()),
        _ => return None,
    })
}

/// A propagation by its name in the specification.
pub(crate) fn propagation(name: &str) -> Option<Propagation> {
    let (name, depth) = match name.strip_prefix('r') {
        Some(rest) => (rest, Propagation::REC),
        None => (name, Propagation::empty()),
    };
    let propagation = match name {
        "private" => Propagation::PRIVATE,
        "shared" => Propagation::SHARED,
        "slave" => Propagation::DOWNSTREAM,
        "unbindable" => Propagation::UNBINDABLE,
        _ => return None,
    };
    Some(propagation | depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[&str]) -> MountOptions {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        parse(&options).unwrap()
    }

    #[test]
    fn a_read_only_recursive_bind_is_told_from_a_recursively_read_only_one() {
        let plain = parsed(&["rbind", "ro", "rprivate"]);
        assert_eq!(plain.bind, Some(Bind::Recursive));
        assert_eq!(plain.this.set, Attr::MOUNT_ATTR_RDONLY);
        assert!(plain.tree.is_empty());
        assert_eq!(plain.propagation, [Propagation::PRIVATE | Propagation::REC]);
        assert_eq!(parsed(&["bind", "rro"]).tree.set, Attr::MOUNT_ATTR_RDONLY);
        assert!(parsed(&["bind", "rro"]).this.is_empty());
    }

    #[test]
    fn the_last_of_two_opposites_counts() {
        assert!(parsed(&["ro", "rw"]).this.set.is_empty());
        assert_eq!(parsed(&["rw", "ro"]).this.set, Attr::MOUNT_ATTR_RDONLY);
        let suid = parsed(&["nosuid", "suid"]).this;
        assert!(suid.set.is_empty());
        assert_eq!(suid.clear, Attr::MOUNT_ATTR_NOSUID);
    }

    #[test]
    fn read_write_does_not_ask_for_more_than_the_source_allows() {
        assert!(parsed(&["bind", "rw"]).this.is_empty());
        assert!(parsed(&["bind", "rrw"]).tree.is_empty());
    }

    #[test]
    fn access_time_clears_its_other_values() {
        let change = parsed(&["noatime", "strictatime"]).this;
        assert_eq!(
            change.set & Attr::MOUNT_ATTR__ATIME,
            Attr::MOUNT_ATTR_STRICTATIME
        );
        assert!(change.clear.contains(Attr::MOUNT_ATTR__ATIME));
    }

    #[test]
    fn what_is_no_flag_goes_to_the_file_system() {
        let tmpfs = parsed(&["nosuid", "size=65536k", "mode=1777", "noswap"]);
        assert_eq!(
            tmpfs.data,
            [
                ("size".to_owned(), Some("65536k".to_owned())),
                ("mode".to_owned(), Some("1777".to_owned())),
                ("noswap".to_owned(), None),
            ]
        );
    }

    #[test]
    fn an_option_that_would_be_ignored_is_refused() {
        assert_eq!(parse(&["remount".to_owned()]).unwrap_err(), "remount");
    }
}
