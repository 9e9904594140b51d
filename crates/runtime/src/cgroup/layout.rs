//! Which cgroup hierarchies this host has, and where.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde::{Deserialize, Serialize};

use super::error::{CgroupError, at};

/// The kind of hierarchy that has the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// Several hierarchies, perhaps with a unified one beside them.
    V1,
    /// One.
    V2,
}

/// What a hierarchy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HierarchyKind {
    /// Version 1, with these controllers, or a name of its own (`name=systemd`).
    V1(Vec<String>),
    /// Version 2.
    Unified,
}

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    kind: HierarchyKind,
    mount: PathBuf,
    controllers: Vec<String>,
}

impl Hierarchy {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &HierarchyKind {
        &self.kind
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The controllers it has for us.
    pub(crate) fn controllers(&self) -> &[String] {
        &self.controllers
    }

    pub(crate) fn controls(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }

    pub(crate) fn has_controllers(&self) -> bool {
        !self.controllers.is_empty()
    }
}

/// The hierarchies of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    hierarchies: Vec<Hierarchy>,
}

/// The version 1 controllers there are; other words among a mount's options are not.
const V1_CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

impl Layout {
    /// Look at this process's mounts. To be called once; the answer can be kept and sent.
    pub fn detect() -> Result<Layout, CgroupError> {
        let file = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(file).map_err(at("read", file))?;
        Ok(Layout::from_mountinfo(&text, |mount| {
            fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
        }))
    }

    /// A host that has the unified hierarchy alone, mounted at `mount`.
    pub fn unified_at(mount: &Path) -> Result<Layout, CgroupError> {
        let file = mount.join("cgroup.controllers");
        let controllers = fs::read_to_string(&file).map_err(at("read", &file))?;
        Ok(Layout {
            hierarchies: vec![Hierarchy {
                kind: HierarchyKind::Unified,
                mount: mount.to_path_buf(),
                controllers: words(&controllers),
            }],
        })
    }

    fn from_mountinfo(text: &str, unified_controllers: impl Fn(&Path) -> String) -> Layout {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in text.lines().filter_map(cgroup_mount) {
            let kind = match mount.file_system {
                "cgroup2" => HierarchyKind::Unified,
                _ => HierarchyKind::V1(
                    mount
                        .options
                        .split(',')
                        .filter(|option| {
                            V1_CONTROLLERS.contains(option) || option.starts_with("name=")
                        })
                        .map(str::to_owned)
                        .collect(),
                ),
            };
            // The same hierarchy mounted elsewhere, too.
            if hierarchies.iter().any(|known| known.kind == kind) {
                continue;
            }
            let controllers = match &kind {
                HierarchyKind::Unified => words(&unified_controllers(&mount.place)),
                HierarchyKind::V1(words) => words
                    .iter()
                    .filter(|word| !word.starts_with("name="))
                    .cloned()
                    .collect(),
            };
            hierarchies.push(Hierarchy {
                kind,
                mount: mount.place,
                controllers,
            });
        }
        Layout { hierarchies }
    }

    /// The hierarchies.
    #[must_use]
    pub fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// Where the controllers are.
    #[must_use]
    pub fn version(&self) -> Version {
        let any_v1 = self.hierarchies.iter().any(|hierarchy| {
            matches!(hierarchy.kind, HierarchyKind::V1(_)) && hierarchy.has_controllers()
        });
        if any_v1 { Version::V1 } else { Version::V2 }
    }

    /// Whether we may make cgroups here. Where not, containers run without.
    #[must_use]
    pub fn usable(&self) -> bool {
        let writable = |hierarchy: &Hierarchy| {
            accessat(CWD, &hierarchy.mount, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
        };
        let mut limiting = self
            .hierarchies
            .iter()
            .filter(|hierarchy| hierarchy.has_controllers())
            .peekable();
        limiting.peek().is_some() && limiting.all(writable)
    }

    /// The controllers there are, in any hierarchy.
    pub fn controllers(&self) -> impl Iterator<Item = &str> {
        self.hierarchies
            .iter()
            .flat_map(|hierarchy| hierarchy.controllers.iter().map(String::as_str))
    }

    pub(crate) fn controller(&self, name: &str) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|hierarchy| hierarchy.controls(name))
    }

    pub(crate) fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|hierarchy| hierarchy.kind == HierarchyKind::Unified)
    }
}

struct CgroupMount<'a> {
    place: PathBuf,
    file_system: &'a str,
    options: &'a str,
}

/// A line of mountinfo, if it is of a cgroup file system (proc_pid_mountinfo(5)).
fn cgroup_mount(line: &str) -> Option<CgroupMount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let file_system = after.next()?;
    if !matches!(file_system, "cgroup" | "cgroup2") {
        return None;
    }
    let options = after.nth(1)?;
    let place = before.split(' ').nth(4)?;
    Some(CgroupMount {
        place: PathBuf::from(unescaped(place)),
        file_system,
        options,
    })
}

/// Spaces and the like are written as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,xattr,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:32 / /mnt/again rw,relatime - cgroup cgroup rw,xattr,memory
";

    #[test]
    fn a_hybrid_host_keeps_its_controllers_in_version_1() {
        let layout = Layout::from_mountinfo(HYBRID, |_| String::new());
        assert_eq!(layout.version(), Version::V1);
        assert_eq!(layout.hierarchies().len(), 4);
        let cpu = layout.controller("cpuacct").unwrap();
        assert_eq!(cpu.mount(), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(!layout.unified().unwrap().has_controllers());
        assert!(layout.controller("name=systemd").is_none());
    }

    #[test]
    fn a_unified_host_has_one_hierarchy() {
        let text = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let layout = Layout::from_mountinfo(text, |_| "cpu memory pids\n".to_owned());
        assert_eq!(layout.version(), Version::V2);
        assert!(layout.controller("pids").is_some());
        assert!(layout.controller("devices").is_none());
    }

    #[test]
    fn a_layout_can_be_sent() {
        let layout = Layout::from_mountinfo(HYBRID, |_| String::new());
        let json = serde_json::to_string(&layout).unwrap();
        assert_eq!(serde_json::from_str::<Layout>(&json).unwrap(), layout);
    }

    #[test]
    fn a_host_without_cgroups_is_not_usable() {
        let layout = Layout::from_mountinfo("", |_| String::new());
        assert!(!layout.usable());
    }
}
