//! What a container is asked to be: the durable half of a container, as created.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::EndpointSpec;
use super::port::PublishSpec;

/// Everything a container was created with. Image defaults are already merged in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Host name inside the UTS namespace; the short id when empty.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// `user[:group]`, names resolved inside the image at start.
    pub user: String,
    /// Streams that the creating client said it would attach to (`AttachStdin` ...).
    pub attach_stdin: bool,
    /// See [`Self::attach_stdin`].
    pub attach_stdout: bool,
    /// See [`Self::attach_stdin`].
    pub attach_stderr: bool,
    /// Allocate a pseudo-terminal.
    pub tty: bool,
    /// Keep standard input open with no client attached.
    pub open_stdin: bool,
    /// Close standard input when the first attached client leaves.
    pub stdin_once: bool,
    /// `KEY=value` pairs in order, image first.
    pub env: Vec<String>,
    /// Arguments, after image merging; `None` prints as `null`.
    pub cmd: Option<Vec<String>>,
    /// Entry point, after image merging.
    pub entrypoint: Option<Vec<String>>,
    /// The image as the user named it.
    pub image: String,
    /// Anonymous volume targets from the image and the request.
    pub volumes: Vec<String>,
    /// Working directory inside the container.
    pub working_dir: String,
    /// Labels, request over image.
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the container to end, as given (`SIGTERM`, `15`); empty for the default.
    pub stop_signal: String,
    /// Seconds to wait after the stop signal; negative waits for ever.
    pub stop_timeout: Option<i64>,
    /// Shell form's interpreter, kept for commit.
    pub shell: Option<Vec<String>>,
    /// Build triggers, kept for commit.
    pub on_build: Option<Vec<String>>,
    /// Ports the image says it listens on (`80/tcp`).
    pub exposed_ports: Vec<String>,
    /// No network interfaces at all, not even through a network mode.
    pub network_disabled: bool,
    /// The interface's address that was asked for container-wide, as older clients do; echoed.
    pub mac_address: String,
    /// The networks it is on, or will be when it runs, by name.
    pub networks: BTreeMap<String, EndpointSpec>,
    /// How it is run on this host.
    pub host: HostSpec,
}

/// The host-side half of a [`ContainerSpec`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostSpec {
    /// Bind specifications as typed (`/src:/dst:ro`, `name:/dst`).
    pub binds: Vec<String>,
    /// Structured mounts (`--mount`).
    pub mounts: Vec<MountSpec>,
    /// Tmpfs targets with their option strings.
    pub tmpfs: BTreeMap<String, String>,
    /// Containers whose volumes are taken over (`id[:ro|rw]`).
    pub volumes_from: Vec<String>,
    /// Volume driver for anonymous and short-form volumes; only `local` or empty.
    pub volume_driver: String,
    /// Where the client wrote the id; echoed only.
    pub container_id_file: String,
    /// Network of the container.
    pub network: NetworkMode,
    /// Ports to publish.
    pub publish: Vec<PublishSpec>,
    /// Publish every exposed port, too, on ports of the engine's choice.
    pub publish_all: bool,
    /// `container:alias`, on the default network (legacy).
    pub links: Vec<String>,
    /// IPC namespace.
    pub ipc: NamespaceMode,
    /// PID namespace.
    pub pid: NamespaceMode,
    /// UTS namespace; private or host.
    pub uts: NamespaceMode,
    /// Cgroup namespace; `None` takes the daemon's default for the cgroup version.
    pub cgroupns: Option<NamespaceMode>,
    /// Remove the container when it ends.
    pub auto_remove: bool,
    /// All capabilities, devices and no confinement.
    pub privileged: bool,
    /// Root file system mounted read-only.
    pub readonly_rootfs: bool,
    /// Capabilities added to the default set, normalised (`CAP_X` or `ALL`).
    pub cap_add: Vec<String>,
    /// Capabilities dropped from the default set.
    pub cap_drop: Vec<String>,
    /// Supplementary groups, names resolved inside the image.
    pub group_add: Vec<String>,
    /// Raw security options that the engine honours (`no-new-privileges`, `seccomp=unconfined`).
    pub security_opt: Vec<String>,
    /// `None` takes the defaults, an empty list masks nothing.
    pub masked_paths: Option<Vec<String>>,
    /// `None` takes the defaults.
    pub readonly_paths: Option<Vec<String>>,
    /// Name servers for resolv.conf; empty copies the host's.
    pub dns: Vec<String>,
    /// Resolver options.
    pub dns_options: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// `name:address` lines for /etc/hosts.
    pub extra_hosts: Vec<String>,
    /// Size of /dev/shm in bytes; 0 takes the default of 64 MiB.
    pub shm_size: u64,
    /// Resource limits.
    pub resources: Resources,
    /// Run a small init as PID 1.
    pub init: Option<bool>,
    /// Log driver name and options as given (`json-file`, `local`? only `json-file` and `none`).
    pub log_driver: String,
    /// Options of the log driver.
    pub log_options: BTreeMap<String, String>,
    /// Terminal size at creation (height, width).
    pub console_size: (u16, u16),
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
    /// Adjustment of the kernel's OOM score.
    pub oom_score_adj: i32,
    /// Runtime by name; only ours for now (`wharf`, or the accepted alias `runc`).
    pub runtime: String,
}

/// Live-updatable limits. Zero or `None` means "not limited", as the API has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes; 0 is unlimited.
    pub memory: i64,
    /// Soft limit in bytes.
    pub memory_reservation: i64,
    /// Memory plus swap in bytes; -1 is unlimited swap, 0 is twice the memory.
    pub memory_swap: i64,
    /// 0..=100, or `None` for the kernel's default.
    pub memory_swappiness: Option<i64>,
    /// Disable the OOM killer (v1 only).
    pub oom_kill_disable: Option<bool>,
    /// Relative weight (v1 shares).
    pub cpu_shares: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds per period.
    pub cpu_quota: i64,
    /// CPUs in units of 1e-9; exclusive with period and quota.
    pub nano_cpus: i64,
    /// `0-2,4`.
    pub cpuset_cpus: String,
    /// Memory nodes.
    pub cpuset_mems: String,
    /// `None`, 0 or -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// `rlimit`s by Docker's names.
    pub ulimits: Vec<Ulimit>,
    /// Parent cgroup; empty takes the daemon's.
    pub cgroup_parent: String,
}

/// One resource limit of the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Lower-case name without `RLIMIT_` (`nofile`).
    pub name: String,
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// Where a container's network comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// On the default bridge network.
    #[default]
    Default,
    /// As [`Self::Default`], but asked for by its name (`bridge`), and echoed so.
    Bridge,
    /// On a network of somebody's making, by its name or id.
    Named(String),
    /// A private namespace with loopback only.
    None,
    /// The host's own.
    Host,
    /// The namespace of another container.
    Container(String),
    /// A named network namespace (`ns:/run/netns/blue`).
    Path(String),
}

/// Sharing of one kind of namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// Docker's default for this namespace; printed as an empty string or `private`.
    #[default]
    Private,
    /// IPC only: private, but others may join it.
    Shareable,
    /// IPC only: none (no /dev/shm).
    None,
    /// The host's.
    Host,
    /// Another container's.
    Container(String),
}

/// A `--mount`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What is mounted.
    pub kind: MountKind,
    /// Host path, volume name, or empty.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// Echoed only (`consistent`, `cached`, `delegated`).
    pub consistency: String,
}

/// The kinds of mount and their options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MountKind {
    /// A host path.
    Bind {
        /// `rprivate` and friends; empty is `rprivate`.
        propagation: String,
        /// Do not bind submounts.
        non_recursive: bool,
        /// Make the source directory if it is not there.
        create_mountpoint: bool,
    },
    /// A volume of ours.
    Volume {
        /// Do not copy the image's content into an empty volume.
        no_copy: bool,
        /// Labels for a volume made by this mount.
        labels: BTreeMap<String, String>,
        /// Driver options (`local`'s only).
        driver_options: BTreeMap<String, String>,
        /// Directory inside the volume.
        subpath: String,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; 0 is unlimited.
        size: i64,
        /// Permission bits; 0 is 1777.
        mode: u32,
    },
}

/// Changes to a container that exists (`POST /containers/{id}/update`). `None` keeps a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// New limits; zero fields keep what is there, as Docker does.
    pub resources: Resources,
    /// Ports to publish from now on.
    pub publish_add: Vec<PublishSpec>,
    /// Ports to publish no more. An address or host port that is not named matches any.
    pub publish_remove: Vec<PublishSpec>,
    /// Options of endpoints (traffic shaping), by the network's name; they are joined to those
    /// that are there, and one that is empty is removed.
    pub endpoint_options: BTreeMap<String, BTreeMap<String, String>>,
}

/// A request to make a container, before the image's defaults are merged in.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// Wanted name without slash; generated when absent.
    pub name: Option<String>,
    /// The specification; [`ContainerSpec::image`] names the image.
    pub spec: ContainerSpec,
    /// `os/arch[/variant]` wanted, when given.
    pub platform: Option<String>,
}

/// Answer to [`CreateRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}
