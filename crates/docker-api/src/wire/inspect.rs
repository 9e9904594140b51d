//! `GET /containers/{id}/json`

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model::{ContainerSpec, ContainerState, ContainerView, Status};

use super::container::{self, MountPoint};
use super::host_config::HostConfig;
use super::network::Endpoint;
use super::port;
use crate::time;
use crate::version::ApiVersion;

/// The file system over a container's layers, whatever form these are kept in.
pub(crate) const DRIVER: &str = "overlayfs";

/// A container, whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspect {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: State,
    image: String,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'static str,
    mount_label: &'static str,
    process_label: &'static str,
    app_armor_profile: &'static str,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: HostConfig,
    /// Until 1.51; then [`Storage`].
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_driver: Option<GraphDriver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<i64>,
    mounts: Vec<MountPoint>,
    config: Config,
    network_settings: NetworkSettings,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: i32,
    exit_code: i32,
    error: String,
    started_at: String,
    finished_at: String,
}

impl From<ContainerState> for State {
    fn from(from: ContainerState) -> Self {
        Self {
            status: container::status(from.status),
            // A paused container runs, too.
            running: matches!(from.status, Status::Running | Status::Paused),
            paused: from.status == Status::Paused,
            restarting: false,
            oom_killed: from.oom_killed,
            dead: from.status == Status::Dead,
            pid: from.pid,
            exit_code: from.exit_code,
            error: from.error,
            started_at: time::rfc3339(from.started_at),
            finished_at: time::rfc3339(from.finished_at),
        }
    }
}

/// How images and containers are stored, as clients of before 1.52 know it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GraphDriver {
    data: Option<BTreeMap<String, String>>,
    name: &'static str,
}

impl GraphDriver {
    pub(crate) fn new(data: Option<BTreeMap<String, String>>) -> Self {
        Self { data, name: DRIVER }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Storage {
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    snapshot: Snapshot,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Snapshot {
    name: &'static str,
}

/// What the container was created with, host apart.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "Set::is_empty")]
    exposed_ports: Set,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Vec<String>,
    cmd: Option<Vec<String>>,
    image: String,
    volumes: Option<Set>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    network_disabled: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    mac_address: String,
    on_build: Option<Vec<String>>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<Vec<String>>,
}

/// Go's way to write a set: `{"80/tcp": {}}`.
pub(crate) type Set = BTreeMap<String, Nothing>;

/// `{}`
#[derive(Debug, Serialize)]
pub(crate) struct Nothing {}

/// Writes a list as a set.
pub(crate) fn set(list: Vec<String>) -> Set {
    list.into_iter().map(|key| (key, Nothing {})).collect()
}

impl Config {
    /// `hostname` is what the container calls itself: the short id unless it was given one.
    fn of(spec: ContainerSpec, id: &str) -> Self {
        let hostname = if spec.hostname.is_empty() {
            short(id)
        } else {
            spec.hostname
        };
        Self {
            hostname,
            domainname: spec.domainname,
            user: spec.user,
            attach_stdin: spec.attach_stdin,
            attach_stdout: spec.attach_stdout,
            attach_stderr: spec.attach_stderr,
            exposed_ports: set(spec.exposed_ports),
            tty: spec.tty,
            open_stdin: spec.open_stdin,
            stdin_once: spec.stdin_once,
            env: spec.env,
            cmd: spec.cmd,
            image: spec.image,
            volumes: (!spec.volumes.is_empty()).then(|| set(spec.volumes)),
            working_dir: spec.working_dir,
            entrypoint: spec.entrypoint,
            network_disabled: spec.network_disabled,
            mac_address: spec.mac_address,
            on_build: spec.on_build,
            labels: spec.labels,
            stop_signal: spec.stop_signal,
            stop_timeout: spec.stop_timeout,
            shell: spec.shell,
        }
    }
}

/// The first twelve digits of an id.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(flatten)]
    first: Option<LegacyFirst>,
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    sandbox_key: String,
    ports: BTreeMap<String, Option<Vec<port::Binding>>>,
    #[serde(flatten)]
    last: Option<LegacyLast>,
    networks: BTreeMap<String, Endpoint>,
}

/// What went with 1.52, before the ports ...
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LegacyFirst {
    bridge: &'static str,
}

/// ... and after them.
#[derive(Debug, Default, Serialize)]
struct LegacyLast {
    #[serde(rename = "HairpinMode")]
    hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_ipv6_address: &'static str,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_ipv6_prefix_length: u32,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_ip_addresses: (),
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: (),
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    #[serde(rename = "Gateway")]
    gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_length: u8,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_length: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    #[serde(rename = "MacAddress")]
    mac_address: String,
}

impl LegacyLast {
    /// The place in the default network: once the only one there was.
    fn of(networks: &BTreeMap<String, Endpoint>) -> Self {
        let Some(bridge) = networks.get("bridge") else {
            return Self::default();
        };
        let bridge = bridge.clone();
        Self {
            endpoint_id: bridge.endpoint_id,
            gateway: bridge.gateway,
            global_ipv6_address: bridge.ipv6_address,
            global_ipv6_prefix_length: bridge.ipv6_prefix_length,
            ip_address: bridge.address,
            ip_prefix_length: bridge.prefix_length,
            ipv6_gateway: bridge.ipv6_gateway,
            mac_address: bridge.mac_address,
            ..Self::default()
        }
    }
}

impl Inspect {
    pub(crate) fn of(view: ContainerView, version: ApiVersion) -> Self {
        let runs = matches!(view.state.status, Status::Running | Status::Paused);
        let old = version.before(52);
        let networks = Endpoint::all(view.networks);
        let network_settings = NetworkSettings {
            first: old.then(LegacyFirst::default),
            sandbox_id: if runs { view.id.clone() } else { String::new() },
            sandbox_key: view.sandbox_key,
            ports: if runs {
                port::settings(&view.spec.exposed_ports, &view.state.ports)
            } else {
                BTreeMap::new()
            },
            last: old.then(|| LegacyLast::of(&networks)),
            networks,
        };
        let mut spec = view.spec;
        let host = std::mem::take(&mut spec.host);
        Self {
            created: time::rfc3339(view.created),
            path: view.path,
            args: view.args,
            state: view.state.into(),
            image: view.image_id,
            resolv_conf_path: view.resolv_conf_path,
            hostname_path: view.hostname_path,
            hosts_path: view.hosts_path,
            log_path: view.log_path,
            name: format!("/{}", view.name),
            restart_count: 0,
            driver: DRIVER,
            platform: "linux",
            mount_label: "",
            process_label: "",
            app_armor_profile: "",
            exec_ids: (!view.exec_ids.is_empty()).then_some(view.exec_ids),
            host_config: HostConfig::of(host),
            graph_driver: old.then(|| GraphDriver::new(None)),
            storage: (!old).then_some(Storage {
                root_fs: RootFs {
                    snapshot: Snapshot { name: DRIVER },
                },
            }),
            size_rw: view.size.map(|size| size.writable),
            size_root_fs: view.size.map(|size| size.total),
            mounts: view.mounts.into_iter().map(MountPoint::from).collect(),
            config: Config::of(spec, &view.id),
            network_settings,
            id: view.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_engine::model::ContainerSize;

    use super::*;

    fn view() -> ContainerView {
        ContainerView {
            id: "0123456789ab".repeat(5) + "0123",
            name: "box".into(),
            created: 1_700_000_000_500_000_000,
            image_id: "sha256:1".into(),
            image_manifest: None,
            spec: ContainerSpec {
                exposed_ports: vec!["80/tcp".into()],
                volumes: vec!["/data".into()],
                cmd: Some(vec!["sh".into()]),
                ..ContainerSpec::default()
            },
            state: ContainerState {
                status: Status::Paused,
                pid: 7,
                ..ContainerState::default()
            },
            path: "sh".into(),
            args: Vec::new(),
            mounts: Vec::new(),
            hostname_path: "/h".into(),
            hosts_path: "/o".into(),
            resolv_conf_path: "/r".into(),
            log_path: "/l".into(),
            exec_ids: Vec::new(),
            size: None,
            sandbox_key: "/proc/7/ns/net".into(),
            networks: BTreeMap::new(),
            storage_form: "index".into(),
        }
    }

    fn printed(view: ContainerView, version: u32) -> Value {
        let inspect = Inspect::of(view, ApiVersion::v1(version));
        serde_json::to_value(inspect).unwrap()
    }

    #[test]
    fn a_paused_container_runs_too() {
        let state = &printed(view(), 50)["State"];
        assert_eq!(
            (&state["Status"], &state["Running"], &state["Paused"]),
            (&json!("paused"), &json!(true), &json!(true))
        );
        assert_eq!(state["FinishedAt"], "0001-01-01T00:00:00Z");
    }

    #[test]
    fn the_keys_of_the_network_settings_went_with_1_52() {
        let old = printed(view(), 51);
        assert_eq!(old["NetworkSettings"]["IPAddress"], "");
        assert_eq!(old["NetworkSettings"]["SecondaryIPAddresses"], Value::Null);
        assert_eq!(
            old["GraphDriver"],
            json!({"Data": null, "Name": "overlayfs"})
        );
        assert!(old.get("Storage").is_none());
        let new = printed(view(), 52);
        assert_eq!(
            new["NetworkSettings"]
                .as_object()
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            ["Networks", "Ports", "SandboxID", "SandboxKey"]
        );
        assert_eq!(new["Storage"]["RootFS"]["Snapshot"]["Name"], "overlayfs");
        assert!(new.get("GraphDriver").is_none());
    }

    #[test]
    fn sets_sizes_and_the_host_name_print_as_dockerds() {
        let mut sized = view();
        sized.size = Some(ContainerSize {
            writable: 0,
            total: 9,
        });
        let printed = printed(sized, 50);
        assert_eq!(
            (&printed["SizeRw"], &printed["SizeRootFs"]),
            (&json!(0), &json!(9))
        );
        assert_eq!(printed["Config"]["ExposedPorts"], json!({"80/tcp": {}}));
        assert_eq!(printed["Config"]["Volumes"], json!({"/data": {}}));
        assert_eq!(printed["Config"]["Hostname"], "0123456789ab");
        assert_eq!(printed["Config"]["Entrypoint"], Value::Null);
        assert_eq!(printed["NetworkSettings"]["Ports"], json!({"80/tcp": null}));
        assert_eq!(printed["ExecIDs"], Value::Null);
        assert_eq!(printed["Name"], "/box");
    }
}
