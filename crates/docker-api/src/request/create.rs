//! The body of `POST /containers/create`, as it comes.
//!
//! Every field that the API names is here, also those that Wharf does not support: one that is set
//! and not supported is refused by its name ([`super::spec`]), never dropped in silence.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::lenient::{Keys, Words, lenient};

/// What only matters by its being there.
pub(crate) type Present = Vec<Ignored>;

/// Any value.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Ignored(#[allow(dead_code, reason = "only its presence counts")] IgnoredAny);

impl PartialEq for Ignored {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

lenient! {
    /// The whole body: the container's configuration and, beside it, the host's.
    pub(crate) struct CreateBody {
        hostname: String = "Hostname",
        domainname: String = "Domainname",
        user: String = "User",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        exposed_ports: Keys = "ExposedPorts",
        tty: bool = "Tty",
        open_stdin: bool = "OpenStdin",
        stdin_once: bool = "StdinOnce",
        env: Vec<String> = "Env",
        cmd: Words = "Cmd",
        healthcheck: HealthcheckBody = "Healthcheck",
        image: String = "Image",
        volumes: Keys = "Volumes",
        working_dir: String = "WorkingDir",
        entrypoint: Words = "Entrypoint",
        network_disabled: bool = "NetworkDisabled",
        mac_address: String = "MacAddress",
        on_build: Option<Vec<String>> = "OnBuild",
        labels: BTreeMap<String, Text> = "Labels",
        stop_signal: String = "StopSignal",
        stop_timeout: Option<i64> = "StopTimeout",
        shell: Words = "Shell",
        host_config: HostConfigBody = "HostConfig",
        networking_config: NetworkingConfigBody = "NetworkingConfig",
    }

    /// `Healthcheck`.
    pub(crate) struct HealthcheckBody {
        test: Vec<String> = "Test",
        interval: i64 = "Interval",
        timeout: i64 = "Timeout",
        retries: i64 = "Retries",
        start_period: i64 = "StartPeriod",
        start_interval: i64 = "StartInterval",
    }

    /// `HostConfig`, and the body of an update, which has the same resources.
    pub(crate) struct HostConfigBody {
        binds: Option<Vec<String>> = "Binds",
        container_id_file: String = "ContainerIDFile",
        log_config: LogConfigBody = "LogConfig",
        network_mode: String = "NetworkMode",
        port_bindings: BTreeMap<String, Option<Vec<PortBindingBody>>> = "PortBindings",
        restart_policy: RestartPolicyBody = "RestartPolicy",
        auto_remove: bool = "AutoRemove",
        volume_driver: String = "VolumeDriver",
        volumes_from: Vec<String> = "VolumesFrom",
        console_size: Vec<u32> = "ConsoleSize",
        annotations: BTreeMap<String, Text> = "Annotations",
        cap_add: Words = "CapAdd",
        cap_drop: Words = "CapDrop",
        cgroupns_mode: String = "CgroupnsMode",
        dns: Vec<String> = "Dns",
        dns_options: Vec<String> = "DnsOptions",
        dns_search: Vec<String> = "DnsSearch",
        extra_hosts: Vec<String> = "ExtraHosts",
        group_add: Vec<String> = "GroupAdd",
        ipc_mode: String = "IpcMode",
        cgroup: String = "Cgroup",
        links: Vec<String> = "Links",
        oom_score_adj: i32 = "OomScoreAdj",
        pid_mode: String = "PidMode",
        privileged: bool = "Privileged",
        publish_all_ports: bool = "PublishAllPorts",
        readonly_rootfs: bool = "ReadonlyRootfs",
        security_opt: Vec<String> = "SecurityOpt",
        storage_opt: BTreeMap<String, Text> = "StorageOpt",
        tmpfs: BTreeMap<String, Text> = "Tmpfs",
        uts_mode: String = "UTSMode",
        userns_mode: String = "UsernsMode",
        shm_size: i64 = "ShmSize",
        sysctls: BTreeMap<String, Text> = "Sysctls",
        runtime: String = "Runtime",
        isolation: String = "Isolation",
        cpu_shares: i64 = "CpuShares",
        memory: i64 = "Memory",
        nano_cpus: i64 = "NanoCpus",
        cgroup_parent: String = "CgroupParent",
        blkio_weight: u16 = "BlkioWeight",
        blkio_weight_device: Present = "BlkioWeightDevice",
        blkio_device_read_bps: Present = "BlkioDeviceReadBps",
        blkio_device_write_bps: Present = "BlkioDeviceWriteBps",
        blkio_device_read_iops: Present = "BlkioDeviceReadIOps",
        blkio_device_write_iops: Present = "BlkioDeviceWriteIOps",
        cpu_period: i64 = "CpuPeriod",
        cpu_quota: i64 = "CpuQuota",
        cpu_realtime_period: i64 = "CpuRealtimePeriod",
        cpu_realtime_runtime: i64 = "CpuRealtimeRuntime",
        cpuset_cpus: String = "CpusetCpus",
        cpuset_mems: String = "CpusetMems",
        devices: Present = "Devices",
        device_cgroup_rules: Vec<String> = "DeviceCgroupRules",
        device_requests: Present = "DeviceRequests",
        kernel_memory_tcp: i64 = "KernelMemoryTCP",
        memory_reservation: i64 = "MemoryReservation",
        memory_swap: i64 = "MemorySwap",
        memory_swappiness: Option<i64> = "MemorySwappiness",
        oom_kill_disable: Option<bool> = "OomKillDisable",
        pids_limit: Option<i64> = "PidsLimit",
        ulimits: Vec<UlimitBody> = "Ulimits",
        mounts: Vec<MountBody> = "Mounts",
        masked_paths: Option<Vec<String>> = "MaskedPaths",
        readonly_paths: Option<Vec<String>> = "ReadonlyPaths",
        init: Option<bool> = "Init",
        publish_add: Vec<String> = "PublishAdd",
        publish_remove: Vec<String> = "PublishRemove",
        endpoint_options: BTreeMap<String, BTreeMap<String, Text>> = "EndpointOptions",
    }

    /// One of `PortBindings`.
    pub(crate) struct PortBindingBody {
        host_ip: String = "HostIp",
        host_port: String = "HostPort",
    }

    /// `LogConfig`.
    pub(crate) struct LogConfigBody {
        kind: String = "Type",
        config: BTreeMap<String, Text> = "Config",
    }

    /// `RestartPolicy`.
    pub(crate) struct RestartPolicyBody {
        name: String = "Name",
        maximum_retry_count: i64 = "MaximumRetryCount",
    }

    /// One of `Ulimits`.
    pub(crate) struct UlimitBody {
        name: String = "Name",
        soft: i64 = "Soft",
        hard: i64 = "Hard",
    }

    /// One of `Mounts`.
    pub(crate) struct MountBody {
        kind: String = "Type",
        source: String = "Source",
        target: String = "Target",
        read_only: bool = "ReadOnly",
        consistency: String = "Consistency",
        bind_options: Option<BindOptionsBody> = "BindOptions",
        volume_options: Option<VolumeOptionsBody> = "VolumeOptions",
        image_options: Option<Ignored> = "ImageOptions",
        tmpfs_options: Option<TmpfsOptionsBody> = "TmpfsOptions",
        cluster_options: Option<Ignored> = "ClusterOptions",
    }

    /// `BindOptions`.
    pub(crate) struct BindOptionsBody {
        propagation: String = "Propagation",
        non_recursive: bool = "NonRecursive",
        create_mountpoint: bool = "CreateMountpoint",
        read_only_non_recursive: bool = "ReadOnlyNonRecursive",
        read_only_force_recursive: bool = "ReadOnlyForceRecursive",
    }

    /// `VolumeOptions`.
    pub(crate) struct VolumeOptionsBody {
        no_copy: bool = "NoCopy",
        labels: BTreeMap<String, Text> = "Labels",
        subpath: String = "Subpath",
        driver_config: DriverBody = "DriverConfig",
    }

    /// `DriverConfig`.
    pub(crate) struct DriverBody {
        name: String = "Name",
        options: BTreeMap<String, Text> = "Options",
    }

    /// `TmpfsOptions`.
    pub(crate) struct TmpfsOptionsBody {
        size_bytes: i64 = "SizeBytes",
        mode: u32 = "Mode",
        options: Vec<Vec<String>> = "Options",
    }

    /// `NetworkingConfig`.
    pub(crate) struct NetworkingConfigBody {
        endpoints: BTreeMap<String, Option<EndpointBody>> = "EndpointsConfig",
    }

    /// The settings of one endpoint. What the engine itself fills in is ignored, as in dockerd.
    pub(crate) struct EndpointBody {
        ipam_config: Option<IpamConfigBody> = "IPAMConfig",
        links: Vec<String> = "Links",
        aliases: Vec<String> = "Aliases",
        mac_address: String = "MacAddress",
        driver_options: BTreeMap<String, Text> = "DriverOpts",
        gateway_priority: i64 = "GwPriority",
    }

    /// `IPAMConfig`.
    pub(crate) struct IpamConfigBody {
        ipv4_address: String = "IPv4Address",
        ipv6_address: String = "IPv6Address",
        link_local_ips: Vec<String> = "LinkLocalIPs",
    }
}

/// A value of a map of strings, where `null` is the empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<String>::deserialize(deserializer).map(|text| Self(text.unwrap_or_default()))
    }
}

/// A plain map of strings.
pub(crate) fn plain(map: BTreeMap<String, Text>) -> BTreeMap<String, String> {
    map.into_iter().map(|(key, value)| (key, value.0)).collect()
}
