//! The engine as a whole: events, use of disk, identity.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::Filters;

/// Something that happened. Durable, numbered, never dropped for a slow reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the journal; 0 until it is written.
    #[serde(skip)]
    pub seq: u64,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// `container`, `image`, `volume`, `network` or `daemon`.
    pub kind: String,
    /// `start`, `exec_create: sh` ...
    pub action: String,
    /// Id or name of the object.
    pub actor: String,
    /// `name`, `image`, labels ...
    pub attributes: BTreeMap<String, String>,
}

/// Which events to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// At or after, nanoseconds; `None` starts now.
    pub since: Option<i64>,
    /// Up to, nanoseconds; `None` goes on.
    pub until: Option<i64>,
    /// Filters.
    pub filters: Filters,
}

/// What the engine knows of itself and its host, for `info` and `version`.
#[derive(Debug, Clone, Default)]
pub struct SystemInfo {
    /// Stable id of this engine (a UUID made at the first start).
    pub id: String,
    /// Containers by state.
    pub running: usize,
    /// See [`Self::running`].
    pub paused: usize,
    /// See [`Self::running`].
    pub stopped: usize,
    /// Images (not tags).
    pub images: usize,
    /// `index` or `directory`.
    pub storage_form: String,
    /// `--data-root`.
    pub data_root: String,
    /// Cgroup version: 1 or 2.
    pub cgroup_version: u8,
    /// Which controllers work here.
    pub memory_limit: bool,
    /// See [`Self::memory_limit`].
    pub swap_limit: bool,
    /// See [`Self::memory_limit`].
    pub cpu_cfs: bool,
    /// See [`Self::memory_limit`].
    pub cpu_shares: bool,
    /// See [`Self::memory_limit`].
    pub cpuset: bool,
    /// See [`Self::memory_limit`].
    pub pids_limit: bool,
    /// OOM killer can be disabled (v1).
    pub oom_kill_disable: bool,
    /// Host facts.
    pub kernel: String,
    /// From os-release.
    pub operating_system: String,
    /// From os-release.
    pub os_version: String,
    /// `x86_64`.
    pub machine: String,
    /// CPUs online.
    pub cpus: usize,
    /// Bytes.
    pub memory: i64,
    /// Host name.
    pub hostname: String,
    /// Labels of the daemon.
    pub labels: Vec<String>,
    /// Sentences about what this host cannot do.
    pub warnings: Vec<String>,
    /// IPv4 forwarding.
    pub ipv4_forwarding: bool,
    /// Security options in force (`name=seccomp,profile=builtin`, `name=cgroupns`).
    pub security: Vec<String>,
    /// Live event readers.
    pub event_listeners: usize,
}
