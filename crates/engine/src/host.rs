//! What this host can do, found once when the engine is opened.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wharf_runtime::cgroup::{Cgroup, Layout, Version};
use wharf_runtime::seccomp::{self, Filter, Profile};

use crate::model::{ContainerSpec, Resources};
use crate::oci::{self, Defaults};
use crate::{EngineOptions, Error, Result};

/// Compiled filters that are kept. Each differs by its profile or by the capabilities it was
/// compiled for, of which there are few.
const MAX_FILTERS: usize = 32;

/// The host, and what was derived from it and the options.
#[derive(Debug)]
pub(crate) struct Host {
    /// Processors online.
    pub(crate) cpus: usize,
    /// Kernel version: major, minor.
    pub(crate) kernel: (u32, u32),
    /// The cgroup hierarchies.
    pub(crate) layout: Layout,
    /// We may make cgroups in them.
    pub(crate) cgroups: bool,
    /// What shows in every specification.
    pub(crate) defaults: Defaults,
    /// Swap can be limited.
    pub(crate) swap_limit: bool,
    /// Sentences about what cannot be done here.
    pub(crate) warnings: Vec<String>,
    profile: Option<Source>,
    filters: Mutex<Filters>,
}

/// By profile and capabilities.
type Filters = HashMap<(String, Vec<String>), Arc<Filter>>;

/// Where the profile of containers that name none comes from.
#[derive(Debug)]
enum Source {
    Builtin,
    Json(String),
}

impl Host {
    /// Looks around.
    pub(crate) fn open(options: &EngineOptions) -> Result<Host> {
        let layout = Layout::detect().map_err(|error| Error::Internal(error.to_string()))?;
        let cgroups = layout.usable();
        let mut warnings = Vec::new();
        if !cgroups {
            warnings.push(
                "WARNING: cgroups cannot be used here: containers run without limits, and cannot be paused"
                    .to_owned(),
            );
        }
        warnings.extend(missing_privilege());
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let profile = match options.seccomp_profile.as_deref() {
            None | Some("" | "builtin") => Some(Source::Builtin),
            Some("unconfined") => None,
            Some(json) => {
                Profile::parse(json.as_bytes())
                    .map_err(|error| Error::InvalidArgument(error.to_string()))?;
                Some(Source::Json(json.to_owned()))
            }
        };
        Ok(Host {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel_version(),
            swap_limit: cgroups && swap_limit(&layout),
            defaults: Defaults {
                ulimits: options.default_ulimits.clone(),
                no_new_privileges: options.no_new_privileges,
                throttle_paths: throttle_paths(),
                sysctls: sysctls(),
                shm_size: options.default_shm_size,
                init_program: options
                    .init_program
                    .clone()
                    .or_else(|| fs::read_link("/proc/self/exe").ok()),
                init_by_default: options.default_init,
            },
            layout,
            cgroups,
            warnings,
            profile,
            filters: Mutex::default(),
        })
    }

    /// A container's cgroup, or where it would be.
    pub(crate) fn cgroup(
        &self,
        options: &EngineOptions,
        spec: &ContainerSpec,
        id: &str,
    ) -> Option<Cgroup> {
        self.cgroups
            .then(|| Cgroup::open(&self.layout, &cgroup_path(options, spec, id)))
    }

    /// The containers' cgroups are of version 2.
    pub(crate) fn is_cgroup_v2(&self) -> bool {
        self.layout.version() == Version::V2
    }

    /// Whether a controller can be used.
    pub(crate) fn controls(&self, controller: &str) -> bool {
        self.cgroups && self.layout.controllers().any(|known| known == controller)
    }

    /// Leaves out limits that cannot be set here, and says so in dockerd's words.
    pub(crate) fn drop_unsupported(&self, limits: &mut Resources) -> Vec<String> {
        let mut warnings = Vec::new();
        if limits.memory > 0 && !self.controls("memory") {
            warnings.push("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.".to_owned());
            limits.memory = 0;
            limits.memory_swap = 0;
        }
        if limits.memory > 0 && limits.memory_swap > 0 && !self.swap_limit {
            warnings.push("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.".to_owned());
            limits.memory_swap = -1;
        }
        if limits.memory_swappiness.is_some_and(|value| value != -1) && self.is_cgroup_v2() {
            warnings.push("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.".to_owned());
            limits.memory_swappiness = None;
        }
        if limits.oom_kill_disable == Some(true) && self.is_cgroup_v2() {
            warnings.push(
                "Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned(),
            );
            limits.oom_kill_disable = None;
        }
        if limits.pids_limit.is_some_and(|limit| limit > 0) && !self.controls("pids") {
            warnings.push("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.".to_owned());
            limits.pids_limit = None;
        }
        let cpu = limits.nano_cpus > 0 || limits.cpu_quota > 0 || limits.cpu_period > 0;
        if cpu && !self.controls("cpu") {
            warnings.push(
                "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded."
                    .to_owned(),
            );
            limits.nano_cpus = 0;
            limits.cpu_quota = 0;
            limits.cpu_period = 0;
        }
        if limits.cpu_shares > 0 && !self.controls("cpu") {
            warnings.push("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.".to_owned());
            limits.cpu_shares = 0;
        }
        let cpuset = !limits.cpuset_cpus.is_empty() || !limits.cpuset_mems.is_empty();
        if cpuset && !self.controls("cpuset") {
            warnings.push("Your kernel does not support cpuset or the cgroup is not mounted. CPUset discarded.".to_owned());
            limits.cpuset_cpus.clear();
            limits.cpuset_mems.clear();
        }
        warnings
    }

    /// The system call filter of a container, compiled once per profile and capabilities.
    pub(crate) fn filter(&self, spec: &ContainerSpec) -> Result<Option<Arc<Filter>>> {
        let Some(profile) = self.profile_of(spec) else {
            return Ok(None);
        };
        let mut capabilities: Vec<String> = oci::effective_capabilities(&spec.host)
            .iter()
            .map(|capability| format!("CAP_{capability}"))
            .collect();
        capabilities.sort_unstable();
        let key = (profile.to_owned(), capabilities);
        if let Some(known) = self.filters().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let invalid = |error: seccomp::SeccompError| Error::InvalidArgument(error.to_string());
        let parsed = match profile {
            "builtin" => seccomp::default_profile(),
            json => Profile::parse(json.as_bytes()).map_err(invalid)?,
        };
        let names: Vec<&str> = key.1.iter().map(String::as_str).collect();
        let rules = parsed.resolve(&names, self.kernel).map_err(invalid)?;
        let filter = Arc::new(seccomp::compile_rules(&rules).map_err(invalid)?);
        let mut filters = self.filters();
        if filters.len() >= MAX_FILTERS {
            filters.clear();
        }
        filters.insert(key, Arc::clone(&filter));
        Ok(Some(filter))
    }

    fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `builtin` or JSON; `None` is unconfined.
    fn profile_of<'a>(&'a self, spec: &'a ContainerSpec) -> Option<&'a str> {
        if spec.host.privileged {
            return None;
        }
        let own = spec.host.security_opt.iter().rev().find_map(|option| {
            option
                .strip_prefix("seccomp=")
                .or_else(|| option.strip_prefix("seccomp:"))
        });
        match (own, &self.profile) {
            (Some("unconfined"), _) | (None, None) => None,
            (Some(own), _) => Some(own),
            (None, Some(Source::Builtin)) => Some("builtin"),
            (None, Some(Source::Json(json))) => Some(json),
        }
    }

    /// Whether a filter is in force for containers that do not say.
    pub(crate) fn seccomp_name(&self) -> Option<&'static str> {
        self.profile.as_ref().map(|source| match source {
            Source::Builtin => "builtin",
            Source::Json(_) => "custom",
        })
    }
}

/// Where a container's cgroup is, below the top of each hierarchy.
pub(crate) fn cgroup_path(options: &EngineOptions, spec: &ContainerSpec, id: &str) -> PathBuf {
    let parent = match spec.host.resources.cgroup_parent.as_str() {
        "" => options.cgroup_parent.as_str(),
        parent => parent,
    };
    Path::new(parent.trim_start_matches('/')).join(id)
}

fn kernel_version() -> (u32, u32) {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Version 1 shows the limit's file at the top; version 2 only below the top, where the engine's
/// own cgroup, or any other, is looked at.
fn swap_limit(layout: &Layout) -> bool {
    match layout.version() {
        Version::V1 => layout.hierarchies().iter().any(|hierarchy| {
            hierarchy
                .mount()
                .join("memory.memsw.limit_in_bytes")
                .exists()
        }),
        Version::V2 => layout.hierarchies().iter().any(|hierarchy| {
            fs::read_dir(hierarchy.mount()).is_ok_and(|entries| {
                entries
                    .flatten()
                    .any(|entry| entry.path().join("memory.swap.max").exists())
            })
        }),
    }
}

/// The processors' throttling counters: a side channel (GHSA-6fw5-f8r9-fgfm).
fn throttle_paths() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu") else {
        return Vec::new();
    };
    let mut paths: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    paths.sort_unstable();
    paths
}

fn sysctls() -> Vec<(String, String)> {
    oci::DEFAULT_SYSCTLS
        .into_iter()
        .filter(|(name, _)| Path::new("/proc/sys").join(name.replace('.', "/")).exists())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Without `CAP_SYS_RESOURCE` limits and OOM scores can be lowered but not raised.
fn missing_privilege() -> Option<String> {
    let sets = rustix::thread::capabilities(None).ok()?;
    if sets
        .effective
        .contains(rustix::thread::CapabilitySet::SYS_RESOURCE)
    {
        return None;
    }
    Some(
        "WARNING: no CAP_SYS_RESOURCE: resource limits and OOM scores of containers cannot be raised above the daemon's own"
            .to_owned(),
    )
}
