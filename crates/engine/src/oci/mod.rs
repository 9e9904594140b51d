//! From a container's specification to the OCI specification that the runtime reads.
//!
//! Everything here is a pure function of what it is given: names, users, volumes and namespaces
//! were resolved before ([`Assembly`] holds the results), and nothing of an image's own can become
//! a decision about the host: paths of an image appear only as paths *inside* the container.
//!
//! The defaults are Docker's, list by list: capabilities, mounts, masked and read-only paths,
//! device rules. Where dockerd lets the OCI runtime add what every container needs (device nodes,
//! `/dev/pts/ptmx` and so on), so do we: that is `runtime`'s half.

mod capabilities;
mod devices;
mod mounts;
mod namespaces;
mod process;
mod resources;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, Linux, Root, Spec};

use crate::model::{ContainerSpec, HostSpec, NetworkMode, Ulimit};
use crate::mounts::Mount;

pub(crate) use capabilities::unknown as unknown_capability;
pub(crate) use devices::{HostDevice, host_devices};
pub(crate) use namespaces::{CgroupNs, IpcNs, Namespaces, NetworkNs, PidNs, UtsNs};
pub(crate) use process::{ProcessUser, exec_process, rlimit_kind};
pub(crate) use resources::resources;

/// What a container's program is, after the image's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The program.
    pub(crate) path: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
}

impl Command {
    /// Entry point and command, one after the other.
    pub(crate) fn of(spec: &ContainerSpec) -> Command {
        let mut words = spec
            .entrypoint
            .iter()
            .flatten()
            .chain(spec.cmd.iter().flatten())
            .cloned();
        Command {
            path: words.next().unwrap_or_default(),
            args: words.collect(),
        }
    }

    /// All words.
    pub(crate) fn words(&self) -> Vec<String> {
        std::iter::once(&self.path)
            .chain(&self.args)
            .cloned()
            .collect()
    }
}

/// The files of the engine's that appear in `/etc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EtcFiles {
    /// `/etc/hostname`
    pub(crate) hostname: PathBuf,
    /// `/etc/hosts`
    pub(crate) hosts: PathBuf,
    /// `/etc/resolv.conf`
    pub(crate) resolv_conf: PathBuf,
}

/// What the host offers and the daemon decided, as far as it shows in a specification.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    /// Limits unless the container overrides them by name.
    pub(crate) ulimits: Vec<Ulimit>,
    /// `no-new-privileges` for all.
    pub(crate) no_new_privileges: bool,
    /// Masked in addition to the fixed list: the processors' throttling counters of this host.
    pub(crate) throttle_paths: Vec<String>,
    /// Which of [`DEFAULT_SYSCTLS`] this kernel has.
    pub(crate) sysctls: Vec<(String, String)>,
    /// `/dev/shm` in bytes when a container does not say.
    pub(crate) shm_size: u64,
    /// The program that becomes PID 1 with `--init`.
    pub(crate) init_program: Option<PathBuf>,
    /// `--init` unless the container says otherwise.
    pub(crate) init_by_default: bool,
}

/// All that a specification is assembled from.
#[derive(Debug)]
pub(crate) struct Assembly<'a> {
    /// As created.
    pub(crate) spec: &'a ContainerSpec,
    /// What runs.
    pub(crate) command: &'a Command,
    /// Resolved inside the image.
    pub(crate) user: &'a ProcessUser,
    /// The host name inside.
    pub(crate) hostname: &'a str,
    /// Resolved binds, volumes and tmpfs.
    pub(crate) mounts: &'a [Mount],
    /// The engine's files in `/etc`, unless the container has none.
    pub(crate) files: Option<&'a EtcFiles>,
    /// Whose namespaces.
    pub(crate) namespaces: &'a Namespaces,
    /// The container's cgroup.
    pub(crate) cgroup: &'a Path,
    /// Devices of the host, for a privileged container.
    pub(crate) host_devices: &'a [HostDevice],
    /// See [`Defaults`].
    pub(crate) defaults: &'a Defaults,
}

/// Sysctls that dockerd sets in every network namespace it makes: they give without
/// capabilities what the default capabilities allow anyway.
pub(crate) const DEFAULT_SYSCTLS: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The program of `--init`, when this container has one: in a PID namespace of another's there is
/// an init already.
fn init_program<'a>(from: &Assembly<'a>) -> Option<&'a Path> {
    let wanted = from.spec.host.init.unwrap_or(from.defaults.init_by_default);
    (wanted && from.namespaces.pid == PidNs::Private)
        .then_some(from.defaults.init_program.as_deref())
        .flatten()
}

/// The capabilities a container has, as the names of the kernel's without `CAP_`.
pub(crate) fn effective_capabilities(host: &HostSpec) -> HashSet<Capability> {
    capabilities::effective(&host.cap_add, &host.cap_drop, host.privileged)
}

/// The paths that are masked in a container that does not say.
pub(crate) fn default_masked_paths(defaults: &Defaults) -> Vec<String> {
    MASKED_PATHS
        .iter()
        .map(|path| (*path).to_owned())
        .chain(defaults.throttle_paths.iter().cloned())
        .collect()
}

/// The paths that are read-only in a container that does not say.
pub(crate) fn default_readonly_paths() -> Vec<String> {
    READONLY_PATHS
        .iter()
        .map(|path| (*path).to_owned())
        .collect()
}

/// The specification. The system call filter is compiled and handed over apart from it.
pub(crate) fn assemble(from: &Assembly<'_>) -> Spec {
    let host = &from.spec.host;
    let mut linux = Linux::default();
    linux
        .set_cgroups_path(Some(from.cgroup.to_path_buf()))
        .set_namespaces(Some(from.namespaces.entries()))
        .set_devices(Some(devices::nodes(host.privileged, from.host_devices)))
        .set_resources(Some(resources::with_devices(
            &host.resources,
            devices::rules(host.privileged),
        )))
        .set_masked_paths(Some(masked_paths(from)))
        .set_readonly_paths(Some(readonly_paths(from)))
        .set_rootfs_propagation(mounts::root_propagation(from.mounts))
        .set_sysctl(Some(sysctls(from)));
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs"))
        .set_readonly(Some(host.readonly_rootfs));
    let mut spec = Spec::default();
    spec.set_root(Some(root))
        .set_mounts(Some(mounts::all(from)))
        .set_process(Some(process::process(from)))
        .set_linux(Some(linux))
        .set_annotations(Some(host.annotations.clone().into_iter().collect()));
    if from.namespaces.uts == UtsNs::Private {
        spec.set_hostname(Some(from.hostname.to_owned()));
        let domain = &from.spec.domainname;
        spec.set_domainname((!domain.is_empty()).then(|| domain.clone()));
    } else {
        spec.set_hostname(None);
    }
    spec
}

fn masked_paths(from: &Assembly<'_>) -> Vec<String> {
    let host = &from.spec.host;
    match &host.masked_paths {
        Some(paths) => paths.clone(),
        None if host.privileged => Vec::new(),
        None => default_masked_paths(from.defaults),
    }
}

fn readonly_paths(from: &Assembly<'_>) -> Vec<String> {
    let host = &from.spec.host;
    match &host.readonly_paths {
        Some(paths) => paths.clone(),
        None if host.privileged => Vec::new(),
        None => default_readonly_paths(),
    }
}

/// Only for a network namespace that is made for this container: one that is joined is not ours
/// to change.
fn sysctls(from: &Assembly<'_>) -> std::collections::HashMap<String, String> {
    let private = from.namespaces.network == NetworkNs::Private
        && !matches!(from.spec.host.network, NetworkMode::Host);
    if !private {
        return std::collections::HashMap::new();
    }
    from.defaults.sysctls.iter().cloned().collect()
}

#[cfg(test)]
mod tests;
