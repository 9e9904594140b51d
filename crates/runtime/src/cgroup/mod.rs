//! Cgroups: where a container's processes are counted, limited, frozen and killed.
//!
//! A host has version 1 hierarchies (one per controller or group of them), the one unified
//! hierarchy of version 2, or both ("hybrid": the controllers in version 1, a unified hierarchy
//! without any beside them). [`Layout`] says which, and is found once; a [`Cgroup`] is a relative
//! path that exists in all of them. It holds nothing open: whoever knows layout and path can
//! [`Cgroup::open`] it, in any process.
//!
//! How a process gets in matters for the time of a start. Version 2: it is born there
//! (`CLONE_INTO_CGROUP`). Version 1: the new process, which has one thread, writes `0` to `tasks`.
//! The kernel moves the calling thread alone without its global lock, for which anybody else
//! (and a write to `cgroup.procs`) waits a grace period: 0.3 ms for nine hierarchies instead of
//! 6 to 15 on an idle machine.
//!
//! What is not here: delegation to systemd. The parent belongs to us (`/wharf` by default).

mod device_program;
mod devices;
mod error;
mod files;
mod freezer;
mod layout;
mod processes;
mod stats;
mod v1;
mod v2;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{Timespec, nanosleep};
use serde::{Deserialize, Serialize};

pub use error::CgroupError;
pub use layout::{Hierarchy, HierarchyKind, Layout, Version};
pub use stats::{
    BlkioEntry, BlkioStats, CgroupStats, CpuStats, MemoryStats, PidsStats, Throttling,
};

use error::at;

/// How often, and how long in between, a removal is tried while the last processes are still on
/// their way out: the kernel tells nobody when they are.
const REMOVE_TRIES: u32 = 100;
const REMOVE_PAUSE_NS: i64 = 2_000_000;

/// Where to make a cgroup.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The hierarchies.
    pub layout: &'a Layout,
    /// The path in each of them, relative to its top (`wharf/<id>`).
    pub path: &'a Path,
}

/// One cgroup, in all hierarchies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    layout: Layout,
    path: PathBuf,
}

impl Cgroup {
    /// The cgroup at `path`, made before by whomever. Nothing is read.
    #[must_use]
    pub fn open(layout: &Layout, path: &Path) -> Cgroup {
        Cgroup {
            layout: layout.clone(),
            path: path.components().filter_map(normal).collect(),
        }
    }

    /// Make the cgroup at `path`, with those above it. One that is there is replaced if it is
    /// empty, so that no earlier limit survives, and is an error if it has processes.
    pub fn create(layout: &Layout, path: &Path) -> Result<Cgroup, CgroupError> {
        let cgroup = Cgroup::open(layout, path);
        if cgroup.path.as_os_str().is_empty() {
            return Err(at("make", path)(io::Error::from(Errno::INVAL)));
        }
        for hierarchy in layout.hierarchies() {
            match cgroup.create_in(hierarchy) {
                Ok(()) => {}
                // A hierarchy that limits nothing only helps to find the processes.
                Err(_) if !hierarchy.has_controllers() => {}
                Err(error) => {
                    // Of no use, and the first error says more than a second.
                    let _ = cgroup.delete();
                    return Err(error);
                }
            }
        }
        Ok(cgroup)
    }

    fn create_in(&self, hierarchy: &Hierarchy) -> Result<(), CgroupError> {
        let directory = self.directory(hierarchy);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_parents(hierarchy, &self.path)?;
                fs::create_dir(&directory).map_err(at("make", &directory))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir(&directory).map_err(at("replace", &directory))?;
                fs::create_dir(&directory).map_err(at("make", &directory))?;
            }
            made => made.map_err(at("make", &directory))?,
        }
        match hierarchy.kind() {
            HierarchyKind::V1(_) if hierarchy.controls("cpuset") => v1::fill_cpuset(&directory),
            HierarchyKind::V1(_) => Ok(()),
            HierarchyKind::Unified => match directory.parent() {
                Some(parent) if hierarchy.has_controllers() => {
                    v2::enable_controllers(hierarchy, parent)
                }
                _ => Ok(()),
            },
        }
    }

    /// Its path, relative to the top of each hierarchy.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hierarchies it is in.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its directory in the hierarchy that has `controller`.
    fn with(&self, controller: &str) -> Option<PathBuf> {
        self.layout
            .controller(controller)
            .map(|hierarchy| self.directory(hierarchy))
    }

    fn directory(&self, hierarchy: &Hierarchy) -> PathBuf {
        hierarchy.mount().join(&self.path)
    }

    /// Set limits. Those not mentioned stay. Gives the names of those that this kernel does not
    /// have and that were left out.
    pub fn apply(&self, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        let mut left_out = Vec::new();
        match self.layout.version() {
            Version::V1 => v1::apply(self, resources, &mut left_out)?,
            Version::V2 => v2::apply(self, resources, &mut left_out)?,
        }
        if let Some(rules) = resources.devices() {
            let policy = devices::Policy::of(rules)?;
            match self.layout.version() {
                Version::V1 => v1::apply_devices(self, &policy)?,
                Version::V2 => v2::apply_devices(self, &policy)?,
            }
        }
        Ok(left_out)
    }

    /// The directory a process can be born in.
    pub(crate) fn entry(&self) -> Option<OwnedFd> {
        let unified = self.layout.unified()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.directory(unified), flags, Mode::empty()).ok()
    }

    /// Move the calling process, which has one thread, into it. `born_in_unified` says that it
    /// is in the unified hierarchy's already.
    pub(crate) fn enter(&self, born_in_unified: bool) -> io::Result<()> {
        for hierarchy in self.layout.hierarchies() {
            let file = match hierarchy.kind() {
                HierarchyKind::Unified if born_in_unified => continue,
                HierarchyKind::Unified => "cgroup.procs",
                HierarchyKind::V1(_) => "tasks",
            };
            let entered = files::put(&self.directory(hierarchy).join(file), "0");
            match entered {
                Err(_) if !hierarchy.has_controllers() => {}
                entered => entered?,
            }
        }
        Ok(())
    }

    /// What its processes used.
    pub fn stats(&self) -> Result<CgroupStats, CgroupError> {
        stats::read_all(self)
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let Some(directory) = self.with("memory") else {
            return Ok(0);
        };
        let file = match self.layout.version() {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = files::read(&directory.join(file))?;
        Ok(files::field(&text, "oom_kill").unwrap_or(0))
    }

    /// Remove it, and what its processes made below it. Its processes must have ended or be
    /// ending; that it is gone already is no error. Goes on after a failure and reports the first.
    pub fn delete(&self) -> Result<(), CgroupError> {
        let mut result = Ok(());
        for hierarchy in self.layout.hierarchies() {
            let directory = self.directory(hierarchy);
            if let Err(error) = remove_tree(&directory)
                && result.is_ok()
            {
                result = Err(at("remove", &directory)(error));
            }
        }
        result
    }

    /// Whether it exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.layout
            .hierarchies()
            .iter()
            .any(|hierarchy| self.directory(hierarchy).is_dir())
    }
}

fn normal(component: std::path::Component<'_>) -> Option<&std::ffi::OsStr> {
    match component {
        std::path::Component::Normal(name) => Some(name),
        _ => None,
    }
}

/// Make what is above `path` in a hierarchy, and prepare it for children.
fn make_parents(hierarchy: &Hierarchy, path: &Path) -> Result<(), CgroupError> {
    let mut directory = hierarchy.mount().to_path_buf();
    for name in path.parent().into_iter().flatten() {
        let above = directory.clone();
        directory.push(name);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(at("make", &directory))?,
        }
        match hierarchy.kind() {
            HierarchyKind::V1(_) if hierarchy.controls("cpuset") => {
                v1::fill_cpuset(&directory)?;
                v1::let_children_inherit_cpuset(&directory)?;
            }
            HierarchyKind::V1(_) => {}
            HierarchyKind::Unified if hierarchy.has_controllers() => {
                v2::enable_controllers(hierarchy, &above)?;
            }
            HierarchyKind::Unified => {}
        }
    }
    Ok(())
}

/// Remove a directory of a cgroup hierarchy and those below it. Their files vanish with them.
fn remove_tree(directory: &Path) -> io::Result<()> {
    for attempt in 0..REMOVE_TRIES {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
                for entry in fs::read_dir(directory)? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        remove_tree(&entry.path())?;
                    }
                }
                // A process that was reaped leaves its cgroup a moment later.
                let pause = Timespec {
                    tv_sec: 0,
                    tv_nsec: if attempt < 3 { 50_000 } else { REMOVE_PAUSE_NS },
                };
                let _ = nanosleep(&pause);
            }
            removed => return removed,
        }
    }
    Err(Errno::BUSY.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layout whose hierarchies are plain directories.
    fn fixture(dir: &Path) -> Layout {
        let unified = dir.join("unified");
        fs::create_dir(&unified).unwrap();
        fs::write(unified.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
        fs::write(unified.join("cgroup.subtree_control"), "").unwrap();
        Layout::unified_at(&unified).unwrap()
    }

    #[test]
    fn a_cgroup_is_made_with_those_above_it_and_replaces_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let layout = fixture(dir.path());
        let parent = dir.path().join("unified/wharf");
        fs::create_dir(&parent).unwrap();
        fs::write(parent.join("cgroup.subtree_control"), "").unwrap();
        fs::write(parent.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
        let cgroup = Cgroup::create(&layout, Path::new("/wharf/one")).unwrap();
        assert!(parent.join("one").is_dir());
        assert!(cgroup.exists());
        Cgroup::create(&layout, Path::new("wharf/one")).unwrap();
        fs::write(parent.join("one/busy"), "").unwrap();
        let error = Cgroup::create(&layout, Path::new("wharf/one")).unwrap_err();
        assert!(error.to_string().contains("wharf/one"), "{error}");
        let written = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap();
        assert!(written.contains('+'), "{written}");
    }

    #[test]
    fn a_path_cannot_leave_its_hierarchy() {
        let dir = tempfile::tempdir().unwrap();
        let layout = fixture(dir.path());
        let cgroup = Cgroup::open(&layout, Path::new("/../../etc/./x"));
        assert_eq!(cgroup.path(), Path::new("etc/x"));
        assert!(Cgroup::create(&layout, Path::new("/..")).is_err());
    }

    #[test]
    fn what_is_gone_is_deleted_without_complaint() {
        let dir = tempfile::tempdir().unwrap();
        let layout = fixture(dir.path());
        Cgroup::open(&layout, Path::new("none")).delete().unwrap();
    }

    #[test]
    fn oom_kills_are_counted_by_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let layout = fixture(dir.path());
        let cgroup = Cgroup::open(&layout, Path::new("c"));
        fs::create_dir(dir.path().join("unified/c")).unwrap();
        let events = "low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 0\n";
        fs::write(dir.path().join("unified/c/memory.events"), events).unwrap();
        assert_eq!(cgroup.oom_kills().unwrap(), 3);
    }
}
