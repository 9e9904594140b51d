//! Stopping all processes of a cgroup where they are, and letting them go on.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{Timespec, nanosleep};

use super::error::{CgroupError, at};
use super::files::{field, read, write};
use super::{Cgroup, Version};

/// A process in an uninterruptible wait freezes when that ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// Version 1 tells nobody when it is done.
const V1_PAUSE_NS: i64 = 200_000;

impl Cgroup {
    /// Stop its processes; returns once they are stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.set_frozen(true)
    }

    /// Let them go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.set_frozen(false)
    }

    /// Whether they are stopped, or being stopped.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        let Some(place) = self.freezer() else {
            return Ok(false);
        };
        match place {
            Freezer::V1(directory) => {
                Ok(read(&directory.join("freezer.self_freezing"))?.trim() == "1")
            }
            Freezer::V2(directory) => Ok(read(&directory.join("cgroup.freeze"))?.trim() == "1"),
        }
    }

    fn freezer(&self) -> Option<Freezer> {
        match self.layout.version() {
            Version::V1 => self.with("freezer").map(Freezer::V1),
            Version::V2 => {
                let unified = self.layout.unified()?;
                Some(Freezer::V2(self.directory(unified)))
            }
        }
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        match self.freezer() {
            Some(Freezer::V1(directory)) => set_v1(&directory, frozen),
            Some(Freezer::V2(directory)) => set_v2(&directory, frozen),
            None => Err(CgroupError::limit("freezer", "this host has no freezer")),
        }
    }
}

enum Freezer {
    V1(std::path::PathBuf),
    V2(std::path::PathBuf),
}

fn set_v1(directory: &Path, frozen: bool) -> Result<(), CgroupError> {
    const FILE: &str = "freezer.state";
    let state = if frozen { "FROZEN" } else { "THAWED" };
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Again each time: a process that was forked meanwhile is caught by the next attempt.
        write(directory, FILE, state)?;
        if read(&directory.join(FILE))?.trim() == state {
            return Ok(());
        }
        if Instant::now() > deadline {
            // Half frozen would be worse than not at all.
            write(directory, FILE, "THAWED")?;
            return Err(CgroupError::State {
                path: directory.to_path_buf(),
                state: "frozen",
            });
        }
        let _ = nanosleep(&Timespec {
            tv_sec: 0,
            tv_nsec: V1_PAUSE_NS,
        });
    }
}

fn set_v2(directory: &Path, frozen: bool) -> Result<(), CgroupError> {
    let path = directory.join("cgroup.events");
    // Open before the change, so that its notification cannot be missed.
    let events = File::open(&path).map_err(at("open", &path))?;
    write(directory, "cgroup.freeze", if frozen { "1" } else { "0" })?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if field(&read(&path)?, "frozen") == Some(u64::from(frozen)) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            write(directory, "cgroup.freeze", "0")?;
            return Err(CgroupError::State {
                path: directory.to_path_buf(),
                state: if frozen { "frozen" } else { "thawed" },
            });
        }
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: left.min(Duration::from_millis(100)).subsec_nanos().into(),
        };
        let _ = poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&pause));
    }
}
