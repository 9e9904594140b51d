//! `info` and `version`.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model::SystemInfo;

use crate::door::{Daemon, Live};
use crate::time;
use crate::version::ApiVersion;
use crate::wire::inspect::DRIVER;

/// The registry that names without one mean. Nothing talks to it yet.
const INDEX: &str = "https://index.docker.io/v1/";

/// `GET /info`, every key that docker's clients print.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Info {
    #[serde(rename = "ID")]
    id: String,
    containers: usize,
    containers_running: usize,
    containers_paused: usize,
    containers_stopped: usize,
    images: usize,
    driver: &'static str,
    driver_status: Vec<(&'static str, String)>,
    plugins: Plugins,
    memory_limit: bool,
    swap_limit: bool,
    #[serde(rename = "CpuCfsPeriod")]
    cpu_cfs_period: bool,
    #[serde(rename = "CpuCfsQuota")]
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    cpu_set: bool,
    pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    ipv4_forwarding: bool,
    /// These two went with 1.50.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge_nf_iptables: Option<bool>,
    #[serde(rename = "BridgeNfIp6tables", skip_serializing_if = "Option::is_none")]
    bridge_nf_ip6tables: Option<bool>,
    debug: bool,
    n_fd: usize,
    oom_kill_disable: bool,
    n_goroutines: usize,
    system_time: String,
    logging_driver: String,
    cgroup_driver: &'static str,
    cgroup_version: String,
    n_events_listener: usize,
    kernel_version: String,
    operating_system: String,
    #[serde(rename = "OSVersion")]
    os_version: String,
    #[serde(rename = "OSType")]
    os_type: &'static str,
    architecture: String,
    index_server_address: &'static str,
    registry_config: RegistryConfig,
    #[serde(rename = "NCPU")]
    cpus: usize,
    mem_total: i64,
    generic_resources: (),
    docker_root_dir: String,
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    name: String,
    labels: Vec<String>,
    experimental_build: bool,
    server_version: String,
    runtimes: BTreeMap<String, Runtime>,
    default_runtime: String,
    swarm: Swarm,
    live_restore_enabled: bool,
    isolation: &'static str,
    init_binary: &'static str,
    containerd_commit: Commit,
    runc_commit: Commit,
    init_commit: Commit,
    security_options: Vec<String>,
    #[serde(rename = "CDISpecDirs")]
    cdi_spec_dirs: [(); 0],
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Plugins {
    volume: [&'static str; 1],
    network: [&'static str; 3],
    authorization: (),
    log: [&'static str; 2],
}

#[derive(Debug, Serialize)]
struct RegistryConfig {
    /// These two are nulls that went with 1.47.
    #[serde(
        rename = "AllowNondistributableArtifactsCIDRs",
        skip_serializing_if = "Option::is_none"
    )]
    artifacts_networks: Option<()>,
    #[serde(
        rename = "AllowNondistributableArtifactsHostnames",
        skip_serializing_if = "Option::is_none"
    )]
    artifacts_hosts: Option<()>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    insecure: [&'static str; 2],
    #[serde(rename = "IndexConfigs")]
    indexes: BTreeMap<&'static str, Index>,
    #[serde(rename = "Mirrors")]
    mirrors: [(); 0],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    name: &'static str,
    mirrors: [(); 0],
    secure: bool,
    official: bool,
}

#[derive(Debug, Serialize)]
struct Runtime {
    path: &'static str,
}

#[derive(Debug, Serialize)]
struct Swarm {
    #[serde(rename = "NodeID")]
    node_id: &'static str,
    #[serde(rename = "NodeAddr")]
    node_address: &'static str,
    #[serde(rename = "LocalNodeState")]
    state: &'static str,
    #[serde(rename = "ControlAvailable")]
    control_available: bool,
    #[serde(rename = "Error")]
    error: &'static str,
    #[serde(rename = "RemoteManagers")]
    managers: (),
}

/// Of a program that Wharf does not need.
#[derive(Debug, Serialize)]
struct Commit {
    #[serde(rename = "ID")]
    id: &'static str,
    /// Went with 1.49.
    #[serde(rename = "Expected", skip_serializing_if = "Option::is_none")]
    expected: Option<&'static str>,
}

impl Info {
    pub(crate) fn of(
        from: SystemInfo,
        daemon: &Daemon,
        live: &Live,
        open_files: usize,
        version: ApiVersion,
    ) -> Self {
        let commit = || Commit {
            id: "",
            expected: version.before(49).then_some(""),
        };
        let mut warnings = daemon.warnings.clone();
        warnings.extend(from.warnings);
        let runtimes = ["runc", "wharf"].map(|name| (name.to_owned(), Runtime { path: "wharf" }));
        Self {
            id: from.id,
            containers: from.running + from.paused + from.stopped,
            containers_running: from.running,
            containers_paused: from.paused,
            containers_stopped: from.stopped,
            images: from.images,
            driver: DRIVER,
            driver_status: vec![("Layers", from.storage_form)],
            plugins: Plugins {
                volume: ["local"],
                network: ["bridge", "host", "null"],
                authorization: (),
                log: ["json-file", "none"],
            },
            memory_limit: from.memory_limit,
            swap_limit: from.swap_limit,
            cpu_cfs_period: from.cpu_cfs,
            cpu_cfs_quota: from.cpu_cfs,
            cpu_shares: from.cpu_shares,
            cpu_set: from.cpuset,
            pids_limit: from.pids_limit,
            ipv4_forwarding: from.ipv4_forwarding,
            bridge_nf_iptables: version.before(50).then_some(false),
            bridge_nf_ip6tables: version.before(50).then_some(false),
            debug: live.debug,
            n_fd: open_files,
            oom_kill_disable: from.oom_kill_disable,
            n_goroutines: 0,
            system_time: time::rfc3339(time::now()),
            logging_driver: daemon.log_driver.clone(),
            cgroup_driver: "cgroupfs",
            cgroup_version: from.cgroup_version.to_string(),
            n_events_listener: from.event_listeners,
            kernel_version: from.kernel,
            operating_system: from.operating_system,
            os_version: from.os_version,
            os_type: "linux",
            architecture: from.machine,
            index_server_address: INDEX,
            registry_config: RegistryConfig {
                artifacts_networks: version.before(47).then_some(()),
                artifacts_hosts: version.before(47).then_some(()),
                insecure: ["::1/128", "127.0.0.0/8"],
                indexes: [(
                    "docker.io",
                    Index {
                        name: "docker.io",
                        mirrors: [],
                        secure: true,
                        official: true,
                    },
                )]
                .into(),
                mirrors: [],
            },
            cpus: from.cpus,
            mem_total: from.memory,
            generic_resources: (),
            docker_root_dir: from.data_root,
            http_proxy: mask_credentials(&daemon.http_proxy),
            https_proxy: mask_credentials(&daemon.https_proxy),
            no_proxy: daemon.no_proxy.clone(),
            name: from.hostname,
            labels: live.labels.clone(),
            experimental_build: daemon.experimental,
            server_version: daemon.version.clone(),
            runtimes: runtimes.into(),
            default_runtime: daemon.default_runtime.clone(),
            swarm: Swarm {
                node_id: "",
                node_address: "",
                state: "inactive",
                control_available: false,
                error: "",
                managers: (),
            },
            live_restore_enabled: daemon.live_restore,
            isolation: "",
            init_binary: "wharf",
            containerd_commit: commit(),
            runc_commit: commit(),
            init_commit: commit(),
            security_options: from.security,
            cdi_spec_dirs: [],
            warnings: (!warnings.is_empty()).then_some(warnings),
        }
    }
}

/// Hides the user's name and password in the address of a proxy.
fn mask_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.into();
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://xxxxx:xxxxx{}", &rest[at..]),
        None => url.into(),
    }
}

/// `GET /version`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version {
    platform: Platform,
    components: Vec<Component>,
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    git_commit: String,
    go_version: &'static str,
    os: &'static str,
    arch: &'static str,
    kernel_version: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    experimental: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    build_time: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Platform {
    name: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: &'static str,
    version: String,
    details: BTreeMap<&'static str, String>,
}

impl Version {
    pub(crate) fn of(daemon: &Daemon, kernel: String) -> Self {
        let newest = ApiVersion::NEWEST.to_string();
        let details = [
            ("ApiVersion", newest.clone()),
            ("Arch", architecture().into()),
            ("BuildTime", daemon.build_time.clone()),
            ("Experimental", daemon.experimental.to_string()),
            ("GitCommit", daemon.git_commit.clone()),
            ("GoVersion", String::new()),
            ("KernelVersion", kernel.clone()),
            ("MinAPIVersion", daemon.oldest.to_string()),
            ("Os", "linux".into()),
        ];
        Self {
            platform: Platform { name: "Wharf" },
            components: vec![Component {
                name: "Engine",
                version: daemon.version.clone(),
                details: details.into(),
            }],
            version: daemon.version.clone(),
            api_version: newest,
            min_api_version: daemon.oldest.to_string(),
            git_commit: daemon.git_commit.clone(),
            // Not written in Go; the key is one that clients print.
            go_version: "",
            os: "linux",
            arch: architecture(),
            kernel_version: kernel,
            experimental: daemon.experimental,
            build_time: daemon.build_time.clone(),
        }
    }
}

/// This machine's architecture, by Go's name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn daemon() -> Daemon {
        Daemon {
            version: "0.1.0".into(),
            git_commit: "abc".into(),
            build_time: String::new(),
            log_driver: "json-file".into(),
            default_runtime: "wharf".into(),
            live_restore: true,
            experimental: false,
            warnings: vec!["WARNING: open".into()],
            http_proxy: "http://user:secret@proxy:3128/".into(),
            https_proxy: String::new(),
            no_proxy: String::new(),
            oldest: ApiVersion::OLDEST,
        }
    }

    fn info(version: u32) -> Value {
        let info = Info::of(
            SystemInfo {
                running: 1,
                stopped: 2,
                cgroup_version: 2,
                ..SystemInfo::default()
            },
            &daemon(),
            &Live::default(),
            9,
            ApiVersion::v1(version),
        );
        serde_json::to_value(info).unwrap()
    }

    #[test]
    fn containers_are_counted_and_warnings_joined() {
        let info = info(50);
        assert_eq!(
            (&info["Containers"], &info["CgroupVersion"]),
            (&3.into(), &"2".into())
        );
        assert_eq!(info["Warnings"], serde_json::json!(["WARNING: open"]));
        assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
    }

    #[test]
    fn old_keys_are_there_for_old_clients_only() {
        let old = info(24);
        assert_eq!(old["BridgeNfIptables"], false);
        assert_eq!(old["RuncCommit"]["Expected"], "");
        assert!(
            old["RegistryConfig"]
                .get("AllowNondistributableArtifactsCIDRs")
                .is_some()
        );
        let new = info(50);
        assert!(new.get("BridgeNfIptables").is_none());
        assert!(new["RuncCommit"].get("Expected").is_none());
        assert!(
            new["RegistryConfig"]
                .get("AllowNondistributableArtifactsCIDRs")
                .is_none()
        );
    }

    #[test]
    fn a_proxys_password_is_not_told() {
        assert_eq!(info(50)["HttpProxy"], "http://xxxxx:xxxxx@proxy:3128/");
        assert_eq!(
            mask_credentials("http://proxy:3128/a@b"),
            "http://proxy:3128/a@b"
        );
    }

    #[test]
    fn a_version_has_its_component() {
        let version = serde_json::to_value(Version::of(&daemon(), "6.18".into())).unwrap();
        assert_eq!(version["MinAPIVersion"], "1.24");
        assert_eq!(version["Components"][0]["Details"]["KernelVersion"], "6.18");
    }
}
