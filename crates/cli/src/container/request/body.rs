//! The request's objects, named and ordered as the API has them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::spec::device::{Mapping, Throttle, Weight};
use crate::spec::gpus::DeviceRequest;
use crate::spec::mount::Mount;
use crate::spec::port::{Binding, Nothing};
use crate::spec::restart::RestartPolicy;
use crate::spec::ulimit::Ulimit;

fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `Config`, with the two other objects of the request inside it as the API wants them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRequest {
    #[serde(skip_serializing_if = "unset")]
    pub(super) hostname: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) domainname: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) user: String,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    #[serde(skip_serializing_if = "unset")]
    pub(super) exposed_ports: BTreeMap<String, Nothing>,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    pub(super) env: Vec<String>,
    pub(super) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) healthcheck: Option<Healthcheck>,
    pub(crate) image: String,
    pub(super) volumes: BTreeMap<String, Nothing>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) working_dir: String,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_timeout: Option<i64>,
    pub(crate) host_config: HostConfig,
    pub(super) networking_config: NetworkingConfig,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) test: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) interval: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) timeout: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) start_period: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) start_interval: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) retries: i64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    #[serde(skip_serializing_if = "unset")]
    pub(super) binds: Vec<String>,
    #[serde(rename = "ContainerIDFile", skip_serializing_if = "unset")]
    pub(super) container_id_file: String,
    #[serde(skip_serializing_if = "LogConfig::is_empty")]
    pub(super) log_config: LogConfig,
    pub(super) network_mode: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) port_bindings: BTreeMap<String, Vec<Binding>>,
    pub(super) restart_policy: RestartPolicy,
    pub(crate) auto_remove: bool,
    #[serde(skip_serializing_if = "unset")]
    pub(super) volume_driver: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) volumes_from: Vec<String>,
    pub(crate) console_size: (u16, u16),
    #[serde(skip_serializing_if = "unset")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cap_add: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cap_drop: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cgroupns_mode: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) dns: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) dns_options: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) dns_search: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) extra_hosts: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) group_add: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ipc_mode: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) links: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) oom_score_adj: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) pid_mode: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) privileged: bool,
    #[serde(skip_serializing_if = "unset")]
    pub(super) publish_all_ports: bool,
    #[serde(skip_serializing_if = "unset")]
    pub(super) readonly_rootfs: bool,
    #[serde(skip_serializing_if = "unset")]
    pub(super) security_opt: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) storage_opt: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode", skip_serializing_if = "unset")]
    pub(super) uts_mode: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) userns_mode: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) shm_size: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) sysctls: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) runtime: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) isolation: String,
    #[serde(flatten)]
    pub(super) resources: Resources,
    #[serde(skip_serializing_if = "unset")]
    pub(super) mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) masked_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) init: Option<bool>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LogConfig {
    #[serde(rename = "Type")]
    pub(super) driver: String,
    pub(super) config: BTreeMap<String, String>,
}

impl LogConfig {
    fn is_empty(&self) -> bool {
        self.driver.is_empty() && self.config.is_empty()
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Resources {
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpu_shares: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) memory: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) nano_cpus: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cgroup_parent: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) blkio_weight: u16,
    #[serde(skip_serializing_if = "unset")]
    pub(super) blkio_weight_device: Vec<Weight>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) blkio_device_read_bps: Vec<Throttle>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) blkio_device_write_bps: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceReadIOps", skip_serializing_if = "unset")]
    pub(super) blkio_device_read_iops: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceWriteIOps", skip_serializing_if = "unset")]
    pub(super) blkio_device_write_iops: Vec<Throttle>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpu_period: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpu_quota: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpu_realtime_period: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpu_realtime_runtime: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpuset_cpus: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cpuset_mems: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) devices: Vec<Mapping>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) device_cgroup_rules: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) device_requests: Vec<DeviceRequest>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) memory_reservation: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) memory_swap: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_swappiness: Option<i64>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) oom_kill_disable: bool,
    #[serde(skip_serializing_if = "unset")]
    pub(super) pids_limit: i64,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ulimits: Vec<Ulimit>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkingConfig {
    pub(super) endpoints_config: BTreeMap<String, EndpointSettings>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndpointSettings {
    #[serde(rename = "IPAMConfig", skip_serializing_if = "Option::is_none")]
    pub(super) ipam_config: Option<IpamConfig>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) links: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) aliases: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) mac_address: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) driver_opts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) gw_priority: i64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct IpamConfig {
    #[serde(rename = "IPv4Address", skip_serializing_if = "unset")]
    pub(super) ipv4: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "unset")]
    pub(super) ipv6: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "unset")]
    pub(super) link_local: Vec<String>,
}
