//! `top`: the processes of a container.
//!
//! dockerd runs the host's `ps` and picks lines; here nothing is spawned. `/proc` is read of the
//! processes in the container's cgroup (or, without cgroups, in its mount namespace), and the
//! columns are those that `ps` (procps) would print for the arguments given. What is not known here
//! is refused by name.
//!
//! ```text
//!   arguments   "-eo pid,cmd", "aux" ... -> columns
//!   columns     what each is called and shows
//!   facts       one process, as /proc tells of it; what it is measured against
//! ```

mod arguments;
mod columns;
mod facts;

use std::fs;

use crate::blocking::blocking;
use crate::containers::{Snapshot, cgroup, not_running};
use crate::model::Top;
use crate::process::Process;
use crate::{Engine, Error, Result};

use facts::{Facts, Host};

/// What dockerd gives to `ps` when nothing is asked for.
const DEFAULT: &str = "-ef";

impl Engine {
    /// Its processes, in the columns that `ps` arguments ask for.
    pub async fn top(&self, container: &str, ps_args: &str) -> Result<Top> {
        let ps_args = match ps_args.trim() {
            "" => DEFAULT,
            given => given,
        };
        let columns = arguments::parse(ps_args)?;
        let snapshot = self.0.containers.resolve(container)?;
        if !snapshot.is_running() {
            return Err(not_running(snapshot.id()));
        }
        let told = snapshot.record.event("top", []);
        let engine = self.clone();
        let top = blocking(move || {
            let pids = pids(&engine, &snapshot)?;
            let host = Host::look();
            let processes = pids
                .into_iter()
                .filter_map(|pid| Facts::read(&Process::open(pid).ok()?))
                .map(|facts| {
                    columns
                        .iter()
                        .map(|column| column.show(&facts, &host))
                        .collect()
                })
                .collect();
            Ok(Top {
                titles: columns.into_iter().map(|column| column.title).collect(),
                processes,
            })
        })
        .await?;
        self.0.emit(told).await;
        Ok(top)
    }
}

/// The container's processes, in order. Blocks.
fn pids(engine: &Engine, snapshot: &Snapshot) -> Result<Vec<i32>> {
    let mut pids = match cgroup::of(engine, snapshot) {
        Some(cgroup) => cgroup
            .processes()
            .map_err(|error| Error::Internal(error.to_string()))?
            .into_iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect(),
        None => in_mount_namespace_of(&Process::of(engine, snapshot)?),
    };
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Every process that has the same mounts: a container's namespace is its own, and its execs'.
fn in_mount_namespace_of(first: &Process) -> Vec<i32> {
    let namespace = |process: &Process| process.link("ns/mnt").ok();
    let Some(wanted) = namespace(first) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            Process::open(*pid)
                .ok()
                .and_then(|process| namespace(&process))
                .is_some_and(|its| its == wanted)
        })
        .collect()
}
