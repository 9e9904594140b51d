//! What a container shows of itself, and what may be asked of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::{Endpoint, NetworkPlace};
use super::port::BoundPorts;
use super::spec::ContainerSpec;

/// Where a container is in its life.
///
/// ```text
///             start              exit
///  Created ----------> Running --------> Exited --start--> Running
///     |               pause| ^unpause       |
///     |                    v |              |
///     |                   Paused            |
///     +------------- remove ---------------+--> Removing --> gone | Dead
/// ```
/// `Restarting` is left to the restart policies, which come with a later issue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    #[default]
    Created,
    /// Its first process lives.
    Running,
    /// Frozen.
    Paused,
    /// Its first process has ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed whole.
    Dead,
}

/// The changing half of a container. Times are nanoseconds since 1970, 0 for "never".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// See [`Status`].
    pub status: Status,
    /// Host pid of the first process; 0 when it does not run.
    pub pid: i32,
    /// Exit code of the last run.
    pub exit_code: i32,
    /// Why the last start failed, or what the shim said.
    pub error: String,
    /// The kernel's OOM killer ended a process of it.
    pub oom_killed: bool,
    /// Last start.
    pub started_at: i64,
    /// Last end.
    pub finished_at: i64,
    /// Ended on request (stop), as opposed to by itself.
    pub stopped_by_user: bool,
    /// Its places in networks, by the networks' names. Empty when it does not run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, Endpoint>,
    /// What is published. Empty when it does not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<BoundPorts>,
}

/// A container, whole, as `inspect` needs it: one consistent snapshot.
#[derive(Debug, Clone)]
pub struct ContainerView {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Name without slash.
    pub name: String,
    /// Creation, nanoseconds since 1970.
    pub created: i64,
    /// The image it was made from (config digest).
    pub image_id: String,
    /// Digest of the manifest the image came with, when known.
    pub image_manifest: Option<String>,
    /// As created.
    pub spec: ContainerSpec,
    /// As it is.
    pub state: ContainerState,
    /// First word of the command line that is run.
    pub path: String,
    /// The others.
    pub args: Vec<String>,
    /// Resolved mounts (volumes and binds).
    pub mounts: Vec<MountPoint>,
    /// `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` sources, and the log, on the host.
    pub hostname_path: String,
    /// See [`Self::hostname_path`].
    pub hosts_path: String,
    /// See [`Self::hostname_path`].
    pub resolv_conf_path: String,
    /// Path of the json-file log.
    pub log_path: String,
    /// Live exec ids.
    pub exec_ids: Vec<String>,
    /// Bytes in the writable layer and in all, when asked for.
    pub size: Option<ContainerSize>,
    /// Path of the network namespace, empty when stopped.
    pub sandbox_key: String,
    /// Its networks, by name.
    pub networks: BTreeMap<String, NetworkPlace>,
    /// Storage form (`index` or `directory`), shown as the graph driver's name.
    pub storage_form: String,
}

/// Sizes of a container in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerSize {
    /// The writable layer.
    pub writable: i64,
    /// The writable layer and the image below it.
    pub total: i64,
}

/// A mount as `inspect` and `ps` show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountPoint {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// Volume name, when it is one.
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// Volume driver, when it is a volume.
    pub driver: String,
    /// Mode string as given (`ro,z`).
    pub mode: String,
    /// Writable.
    pub rw: bool,
    /// Propagation (`rprivate`), for binds.
    pub propagation: String,
}

/// A line of `ps`.
#[derive(Debug, Clone)]
pub struct ContainerSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Names with a leading slash.
    pub names: Vec<String>,
    /// Image as the user named it, or its id when that name no longer means it.
    pub image: String,
    /// Image id.
    pub image_id: String,
    /// The command line, as docker prints it.
    pub command: String,
    /// Seconds since 1970.
    pub created: i64,
    /// State.
    pub state: ContainerState,
    /// "Up 3 minutes (Paused)".
    pub status_text: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Network mode as printed.
    pub network_mode: String,
    /// Mounts.
    pub mounts: Vec<MountPoint>,
    /// Exposed ports (`80/tcp`), published or not.
    pub exposed_ports: Vec<String>,
    /// Its networks, by name.
    pub networks: BTreeMap<String, NetworkPlace>,
    /// Sizes, when asked for.
    pub size: Option<ContainerSize>,
}

/// What `ps` asks for.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Those that do not run, too.
    pub all: bool,
    /// The newest n, running or not.
    pub limit: Option<usize>,
    /// Compute sizes.
    pub size: bool,
    /// Filters.
    pub filters: Filters,
}

/// Filters of a listing: name -> values, any of which may match; all names must.
/// Unknown names are refused with Docker's text (`invalid filter 'x'`).
pub type Filters = BTreeMap<String, Vec<String>>;

/// Answer of a prune.
#[derive(Debug, Clone, Default)]
pub struct PruneReport {
    /// Ids or names removed.
    pub deleted: Vec<String>,
    /// Bytes freed.
    pub reclaimed: u64,
}

/// How to stop.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Signal in place of the container's own.
    pub signal: Option<String>,
    /// Seconds in place of the container's own; negative waits for ever.
    pub timeout: Option<i64>,
}

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first.
    pub force: bool,
    /// Anonymous volumes, too.
    pub volumes: bool,
    /// Remove a link, not the container (legacy).
    pub link: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running now, or when it next ends.
    #[default]
    NotRunning,
    /// The next end, even if it is not running now.
    NextExit,
    /// Removed.
    Removed,
}

/// How a wait ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitResult {
    /// Exit code.
    pub code: i64,
    /// An error of the engine's about it.
    pub error: Option<String>,
}

/// A registered wait. Dropping it ends the wait.
#[derive(Debug)]
pub struct WaitHandle(pub(crate) tokio::sync::oneshot::Receiver<WaitResult>);

impl WaitHandle {
    /// How it ended. Waits for as long as the container takes.
    pub async fn finished(self) -> WaitResult {
        self.0.await.unwrap_or_else(|_| WaitResult {
            code: 0,
            error: Some("the engine is shutting down".into()),
        })
    }
}

/// `top`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// Column heads.
    pub titles: Vec<String>,
    /// Rows.
    pub processes: Vec<Vec<String>>,
}

/// A difference between a container and its image (`diff`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute path in the container.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// Kinds of [`Change`], with the API's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// 0
    Modified = 0,
    /// 1
    Added = 1,
    /// 2
    Deleted = 2,
}
