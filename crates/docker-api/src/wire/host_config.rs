//! `HostConfig` as inspect prints it: complete, with dockerd's defaults for what is not supported.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model::{HostSpec, MountKind, MountSpec, NamespaceMode, Resources};

use super::port::{self, Binding};
use crate::request::networking;

type Map = BTreeMap<String, String>;

/// A list that prints as `null` when it is empty: what a client did not send.
type Nullable = Option<Vec<String>>;

/// All keys, in the order of Go's structure.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    binds: Nullable,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: String,
    log_config: LogConfig,
    network_mode: String,
    port_bindings: BTreeMap<String, Vec<Binding>>,
    restart_policy: RestartPolicy,
    auto_remove: bool,
    volume_driver: String,
    volumes_from: Nullable,
    console_size: (u16, u16),
    #[serde(skip_serializing_if = "Map::is_empty")]
    annotations: Map,
    cap_add: Nullable,
    cap_drop: Nullable,
    cgroupns_mode: String,
    dns: Vec<String>,
    dns_options: Vec<String>,
    dns_search: Vec<String>,
    extra_hosts: Nullable,
    group_add: Nullable,
    ipc_mode: String,
    cgroup: &'static str,
    links: Nullable,
    oom_score_adj: i32,
    pid_mode: String,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Nullable,
    #[serde(skip_serializing_if = "Map::is_empty")]
    tmpfs: Map,
    #[serde(rename = "UTSMode")]
    uts_mode: String,
    userns_mode: &'static str,
    shm_size: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    runtime: String,
    isolation: &'static str,
    cpu_shares: i64,
    memory: i64,
    nano_cpus: i64,
    cgroup_parent: String,
    blkio_weight: u16,
    blkio_weight_device: [(); 0],
    blkio_device_read_bps: [(); 0],
    blkio_device_write_bps: [(); 0],
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: [(); 0],
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: [(); 0],
    cpu_period: i64,
    cpu_quota: i64,
    cpu_realtime_period: i64,
    cpu_realtime_runtime: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: [(); 0],
    device_cgroup_rules: (),
    device_requests: (),
    memory_reservation: i64,
    memory_swap: i64,
    memory_swappiness: Option<i64>,
    oom_kill_disable: Option<bool>,
    pids_limit: Option<i64>,
    ulimits: Vec<Ulimit>,
    cpu_count: i64,
    cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    io_maximum_bandwidth: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Mount>,
    masked_paths: Nullable,
    readonly_paths: Nullable,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
}

#[derive(Debug, Serialize)]
struct LogConfig {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Config")]
    config: Map,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    name: &'static str,
    maximum_retry_count: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ulimit {
    name: String,
    hard: i64,
    soft: i64,
}

impl HostConfig {
    pub(crate) fn of(spec: HostSpec) -> Self {
        let Resources {
            memory,
            memory_reservation,
            memory_swap,
            memory_swappiness,
            oom_kill_disable,
            cpu_shares,
            cpu_period,
            cpu_quota,
            nano_cpus,
            cpuset_cpus,
            cpuset_mems,
            pids_limit,
            ulimits,
            cgroup_parent,
        } = spec.resources;
        let nullable = |list: Vec<String>| (!list.is_empty()).then_some(list);
        Self {
            binds: nullable(spec.binds),
            container_id_file: spec.container_id_file,
            log_config: LogConfig {
                kind: spec.log_driver,
                config: spec.log_options,
            },
            network_mode: networking::mode_text(&spec.network),
            port_bindings: port::wanted(&spec.publish),
            restart_policy: RestartPolicy {
                name: "no",
                maximum_retry_count: 0,
            },
            auto_remove: spec.auto_remove,
            volume_driver: spec.volume_driver,
            volumes_from: nullable(spec.volumes_from),
            console_size: spec.console_size,
            annotations: spec.annotations,
            cap_add: nullable(spec.cap_add),
            cap_drop: nullable(spec.cap_drop),
            cgroupns_mode: spec.cgroupns.map(mode_or_private).unwrap_or_default(),
            dns: spec.dns,
            dns_options: spec.dns_options,
            dns_search: spec.dns_search,
            extra_hosts: nullable(spec.extra_hosts),
            group_add: nullable(spec.group_add),
            ipc_mode: mode_or_private(spec.ipc),
            cgroup: "",
            links: nullable(spec.links),
            oom_score_adj: spec.oom_score_adj,
            pid_mode: mode_or_empty(spec.pid),
            privileged: spec.privileged,
            publish_all_ports: spec.publish_all,
            readonly_rootfs: spec.readonly_rootfs,
            security_opt: nullable(spec.security_opt),
            tmpfs: spec.tmpfs,
            uts_mode: mode_or_empty(spec.uts),
            userns_mode: "",
            shm_size: spec.shm_size,
            runtime: spec.runtime,
            isolation: "",
            cpu_shares,
            memory,
            nano_cpus,
            cgroup_parent,
            blkio_weight: 0,
            blkio_weight_device: [],
            blkio_device_read_bps: [],
            blkio_device_write_bps: [],
            blkio_device_read_iops: [],
            blkio_device_write_iops: [],
            cpu_period,
            cpu_quota,
            cpu_realtime_period: 0,
            cpu_realtime_runtime: 0,
            cpuset_cpus,
            cpuset_mems,
            devices: [],
            device_cgroup_rules: (),
            device_requests: (),
            memory_reservation,
            memory_swap,
            memory_swappiness,
            oom_kill_disable,
            pids_limit,
            ulimits: ulimits
                .into_iter()
                .map(|limit| Ulimit {
                    name: limit.name,
                    hard: limit.hard,
                    soft: limit.soft,
                })
                .collect(),
            cpu_count: 0,
            cpu_percent: 0,
            io_maximum_iops: 0,
            io_maximum_bandwidth: 0,
            mounts: spec.mounts.into_iter().map(Mount::of).collect(),
            masked_paths: spec.masked_paths,
            readonly_paths: spec.readonly_paths,
            init: spec.init,
        }
    }
}

fn mode_or_empty(mode: NamespaceMode) -> String {
    match mode {
        NamespaceMode::Private => String::new(),
        other => mode_or_private(other),
    }
}

fn mode_or_private(mode: NamespaceMode) -> String {
    match mode {
        NamespaceMode::Private => "private".into(),
        NamespaceMode::Shareable => "shareable".into(),
        NamespaceMode::None => "none".into(),
        NamespaceMode::Host => "host".into(),
        NamespaceMode::Container(container) => format!("container:{container}"),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    target: String,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tmpfs_options: Option<TmpfsOptions>,
}

#[derive(Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BindOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    propagation: String,
    #[serde(skip_serializing_if = "is_false")]
    non_recursive: bool,
    #[serde(skip_serializing_if = "is_false")]
    create_mountpoint: bool,
}

#[derive(Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeOptions {
    #[serde(skip_serializing_if = "is_false")]
    no_copy: bool,
    #[serde(skip_serializing_if = "Map::is_empty")]
    labels: Map,
    #[serde(skip_serializing_if = "String::is_empty")]
    subpath: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver_config: Option<DriverConfig>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DriverConfig {
    name: &'static str,
    options: Map,
}

#[derive(Debug, PartialEq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    size_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero<N: Default + PartialEq>(value: &N) -> bool {
    *value == N::default()
}

fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

impl Mount {
    fn of(spec: MountSpec) -> Self {
        let mut mount = Self {
            kind: "",
            source: spec.source,
            target: spec.target,
            read_only: spec.read_only,
            consistency: spec.consistency,
            bind_options: None,
            volume_options: None,
            tmpfs_options: None,
        };
        match spec.kind {
            MountKind::Bind {
                propagation,
                non_recursive,
                create_mountpoint,
            } => {
                mount.kind = "bind";
                mount.bind_options = some(BindOptions {
                    propagation,
                    non_recursive,
                    create_mountpoint,
                });
            }
            MountKind::Volume {
                no_copy,
                labels,
                driver_options,
                subpath,
            } => {
                mount.kind = "volume";
                mount.volume_options = some(VolumeOptions {
                    no_copy,
                    labels,
                    subpath,
                    driver_config: (!driver_options.is_empty()).then_some(DriverConfig {
                        name: "local",
                        options: driver_options,
                    }),
                });
            }
            MountKind::Tmpfs { size, mode } => {
                mount.kind = "tmpfs";
                mount.tmpfs_options = some(TmpfsOptions {
                    size_bytes: size,
                    mode,
                });
            }
        }
        mount
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::request::lenient;
    use crate::request::spec::Host;
    use crate::version::ApiVersion;

    fn round_trip(sent: &Value) -> Value {
        let body = lenient::from_slice(sent.to_string().as_bytes()).unwrap();
        let on = Host { cgroup_version: 2 };
        let spec =
            crate::request::host::read(body, ApiVersion::v1(50), on, &mut Vec::new()).unwrap();
        serde_json::to_value(HostConfig::of(spec)).unwrap()
    }

    #[test]
    fn every_key_that_the_docker_cli_sends_is_printed_back() {
        let sent: Value =
            serde_json::from_str(include_str!("../request/fixtures/create-cli-28.json")).unwrap();
        let sent = sent["HostConfig"].as_object().unwrap();
        let printed = round_trip(&json!(sent));
        let printed = printed.as_object().unwrap();
        let mut expected: Vec<&String> = sent.keys().collect();
        let mut keys: Vec<&String> = printed.keys().collect();
        expected.sort();
        keys.sort();
        assert_eq!(keys, expected);
    }

    #[test]
    fn what_was_asked_for_is_printed_back() {
        let sent = json!({
            "Binds": ["/a:/b:ro"], "NetworkMode": "container:x", "IpcMode": "shareable",
            "PidMode": "host", "UTSMode": "host", "CgroupnsMode": "host", "CapAdd": ["CAP_KILL"],
            "Memory": 64 << 20, "PidsLimit": 5, "Init": true, "Tmpfs": {"/t": "size=1m"},
            "Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}], "SecurityOpt": ["seccomp=unconfined"],
            "Mounts": [
                {"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true, "BindOptions": {"Propagation": "rslave"}},
                {"Type": "volume", "Target": "/v"},
                {"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 9}},
            ],
        });
        let printed = round_trip(&sent);
        for (key, value) in sent.as_object().unwrap() {
            assert_eq!(&printed[key], value, "{key}");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_null_or_empty_where_dockerd_has_it_so() {
        let printed = round_trip(&json!({}));
        for key in [
            "Binds",
            "VolumesFrom",
            "CapAdd",
            "ExtraHosts",
            "Links",
            "SecurityOpt",
            "DeviceRequests",
            "PidsLimit",
        ] {
            assert_eq!(printed[key], Value::Null, "{key}");
        }
        for key in ["Dns", "Devices", "Ulimits", "BlkioWeightDevice"] {
            assert_eq!(printed[key], json!([]), "{key}");
        }
        assert_eq!(
            printed["RestartPolicy"],
            json!({"Name": "no", "MaximumRetryCount": 0})
        );
        assert_eq!(printed["PortBindings"], json!({}));
        assert_eq!(printed["NetworkMode"], "bridge");
        for key in ["Mounts", "Tmpfs", "Init", "Annotations"] {
            assert!(printed.get(key).is_none(), "{key}");
        }
    }
}
