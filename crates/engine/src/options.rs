//! How an engine is set up. Read once at [`crate::Engine::open`]; nothing here changes later.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{NamespaceMode, Ulimit};
use crate::networks::NetworkOptions;

pub use wharf_store::layers::LayerForm;

/// What the daemon decided at its start.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// What must survive a reboot (`/var/lib/wharf`).
    pub data_root: PathBuf,
    /// What must not (`/run/wharf`): sockets and exit records of running containers.
    pub exec_root: PathBuf,
    /// The executable that becomes a shim, with the arguments that make it one.
    pub shim: Vec<String>,
    /// The form in which layers are kept (`--storage-opt layers=`).
    pub layers: LayerForm,
    /// Bytes of `/dev/shm` when a container does not say; Docker's 64 MiB.
    pub default_shm_size: u64,
    /// Limits of every process unless the container overrides them by name.
    pub default_ulimits: Vec<Ulimit>,
    /// Log driver of a container that names none (`json-file` or `none`).
    pub default_log_driver: String,
    /// Its options (`max-size`, `max-file`).
    pub default_log_options: BTreeMap<String, String>,
    /// `--init` unless the container says otherwise.
    pub default_init: bool,
    /// The program that `--init` makes PID 1, started by the name `docker-init`; `None` is this
    /// very program.
    pub init_program: Option<PathBuf>,
    /// Parent of the containers' cgroups, `/wharf` by default.
    pub cgroup_parent: String,
    /// Name shown for the runtime of containers that name none.
    pub default_runtime: String,
    /// `--default-cgroupns-mode`; `None` takes Docker's default for the cgroup version.
    pub default_cgroupns: Option<NamespaceMode>,
    /// `--default-ipc-mode`.
    pub default_ipc: NamespaceMode,
    /// A seccomp profile in Docker's JSON instead of the built-in one; `unconfined` for none.
    pub seccomp_profile: Option<String>,
    /// `no-new-privileges` for every container.
    pub no_new_privileges: bool,
    /// Labels of the daemon (`key=value`).
    pub labels: Vec<String>,
    /// Name servers, options and search domains of containers that name none.
    pub dns: Vec<String>,
    /// See [`Self::dns`].
    pub dns_options: Vec<String>,
    /// See [`Self::dns`].
    pub dns_search: Vec<String>,
    /// Networks.
    pub network: NetworkOptions,
    /// Leave containers running when the daemon stops. Wharf's default, unlike Docker's.
    pub live_restore: bool,
    /// Seconds given to all containers together when they are stopped with the daemon.
    pub shutdown_timeout: i64,
    /// Events kept in the journal; older ones are trimmed.
    pub events_kept: u64,
}

impl EngineOptions {
    /// Docker's defaults, for an engine in these two directories.
    #[must_use]
    pub fn new(data_root: PathBuf, exec_root: PathBuf, shim: Vec<String>) -> Self {
        Self {
            data_root,
            exec_root,
            shim,
            layers: LayerForm::Auto,
            default_shm_size: 64 << 20,
            default_ulimits: Vec::new(),
            default_log_driver: "json-file".into(),
            default_log_options: BTreeMap::new(),
            default_init: false,
            init_program: None,
            cgroup_parent: "/wharf".into(),
            default_runtime: "wharf".into(),
            default_cgroupns: None,
            default_ipc: NamespaceMode::Private,
            seccomp_profile: None,
            no_new_privileges: false,
            labels: Vec::new(),
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            network: NetworkOptions::default(),
            live_restore: true,
            shutdown_timeout: 15,
            events_kept: 100_000,
        }
    }
}
