//! The processes of a cgroup: listing and killing them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{Timespec, nanosleep};

use super::Cgroup;
use super::error::{CgroupError, at};
use super::files::write;

/// A process in an uninterruptible wait dies when that ends.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE_NS: i64 = 500_000;

impl Cgroup {
    /// Its processes and those of cgroups below it, as our pid namespace numbers them.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        let mut found = BTreeSet::new();
        match self.listing() {
            Some(directory) => collect(&directory, &mut found)?,
            None => return Ok(Vec::new()),
        }
        Ok(found.into_iter().filter_map(Pid::from_raw).collect())
    }

    /// The directory in which every process of ours is listed: of a hierarchy that limits
    /// something, if there is one, as those are joined without fail.
    fn listing(&self) -> Option<PathBuf> {
        let hierarchies = self.layout.hierarchies();
        hierarchies
            .iter()
            .find(|hierarchy| hierarchy.has_controllers())
            .or_else(|| hierarchies.first())
            .map(|hierarchy| self.directory(hierarchy))
    }

    /// Kill every process in it and below it, frozen ones too; returns once they are gone or
    /// are only waiting to be reaped.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + PATIENCE;
        // Where the kernel can, at one stroke (Linux 5.14).
        let unified = self
            .layout
            .unified()
            .map(|hierarchy| self.directory(hierarchy));
        if let Some(directory) = &unified {
            // Not there: an old kernel, or a cgroup already gone. What follows sees to both.
            let _ = write(directory, "cgroup.kill", "1");
        }
        loop {
            let processes = match self.processes() {
                Err(CgroupError::File { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    return Ok(());
                }
                processes => processes?,
            };
            let living: Vec<Pid> = processes
                .into_iter()
                .filter(|&pid| !is_zombie(pid))
                .collect();
            if living.is_empty() {
                return Ok(());
            }
            self.kill_frozen(&living)?;
            if Instant::now() > deadline {
                return Err(CgroupError::State {
                    path: self.path.clone(),
                    state: "empty",
                });
            }
            let _ = nanosleep(&Timespec {
                tv_sec: 0,
                tv_nsec: PAUSE_NS,
            });
        }
    }

    /// Signals reach frozen processes of version 1 only when they are thawed, and a process that
    /// is not frozen may fork faster than it is killed: so freeze, signal, thaw.
    fn kill_frozen(&self, first: &[Pid]) -> Result<(), CgroupError> {
        let freezes = first.len() > 1 && self.freeze().is_ok();
        let processes = if freezes {
            self.processes()?
        } else {
            first.to_vec()
        };
        for pid in processes {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        if self.with("freezer").is_some() || freezes {
            self.thaw()?;
        }
        Ok(())
    }
}

fn collect(directory: &Path, found: &mut BTreeSet<i32>) -> Result<(), CgroupError> {
    let path = directory.join("cgroup.procs");
    let text = fs::read_to_string(&path).map_err(at("read", &path))?;
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(directory).map_err(at("list", directory))? {
        let entry = entry.map_err(at("list", directory))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match collect(&entry.path(), found) {
            // Removed while we looked.
            Err(CgroupError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            collected => collected?,
        }
    }
    Ok(())
}

/// Dead, but listed until its parent reaps it.
fn is_zombie(pid: Pid) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
        return true;
    };
    // The state follows the name, which is in parentheses and may hold any byte.
    let state = stat
        .iter()
        .rposition(|&byte| byte == b')')
        .and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'Z' | b'X'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Layout;

    #[test]
    fn processes_of_cgroups_below_are_listed_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "pids").unwrap();
        let layout = Layout::unified_at(dir.path()).unwrap();
        let cgroup = Cgroup::open(&layout, Path::new("c"));
        fs::create_dir_all(dir.path().join("c/below")).unwrap();
        fs::write(dir.path().join("c/cgroup.procs"), "12\n3\n").unwrap();
        fs::write(dir.path().join("c/below/cgroup.procs"), "4\n").unwrap();
        let pids: Vec<i32> = cgroup
            .processes()
            .unwrap()
            .into_iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect();
        assert_eq!(pids, [3, 4, 12]);
    }

    #[test]
    fn a_cgroup_that_is_gone_has_nothing_left_to_kill() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "pids").unwrap();
        let layout = Layout::unified_at(dir.path()).unwrap();
        Cgroup::open(&layout, Path::new("none")).kill_all().unwrap();
    }

    #[test]
    fn we_are_no_zombie() {
        assert!(!is_zombie(rustix::process::getpid()));
    }
}
