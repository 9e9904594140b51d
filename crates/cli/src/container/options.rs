//! The flags of `docker run` and `docker create`, as typed.
//!
//! What they mean for the daemon is decided in [`super::request`].

use crate::flags::{FlagSet, Given, List, Map};
use crate::spec::checks;
use crate::spec::gpus::Gpus;
use crate::spec::mount::Mounts;
use crate::spec::network::Attachments;
use crate::spec::size::{Bytes, Cpus, Duration, SwapBytes};
use crate::spec::ulimit::Ulimits;

/// docker's help of `--cgroupns` is laid out by hand, spaces and all.
const CGROUPNS_HELP: &str = "Cgroup namespace to use (host|private)\n'host':    Run the container in the Docker host's cgroup namespace\n'private': Run the container in its own private cgroup namespace\n'':        Use the cgroup namespace as configured by the\n           default-cgroupns-mode option on the daemon (default)";

/// Every flag that describes a container.
pub(crate) struct Options {
    pub(crate) add_host: List,
    pub(crate) annotations: Map,
    pub(crate) attach: List,
    pub(crate) blkio_weight: u16,
    pub(crate) blkio_weight_device: List,
    pub(crate) cap_add: List,
    pub(crate) cap_drop: List,
    pub(crate) cgroup_parent: String,
    pub(crate) cgroupns: String,
    pub(crate) cidfile: String,
    pub(crate) cpu_count: i64,
    pub(crate) cpu_percent: i64,
    pub(crate) cpu_period: i64,
    pub(crate) cpu_quota: i64,
    pub(crate) cpu_rt_period: i64,
    pub(crate) cpu_rt_runtime: i64,
    pub(crate) cpu_shares: i64,
    pub(crate) cpus: Cpus,
    pub(crate) cpuset_cpus: String,
    pub(crate) cpuset_mems: String,
    pub(crate) devices: List,
    pub(crate) device_cgroup_rules: List,
    pub(crate) device_read_bps: List,
    pub(crate) device_read_iops: List,
    pub(crate) device_write_bps: List,
    pub(crate) device_write_iops: List,
    pub(crate) dns: List,
    pub(crate) dns_options: List,
    pub(crate) dns_search: List,
    pub(crate) domainname: String,
    pub(crate) entrypoint: Given<String>,
    pub(crate) env: List,
    pub(crate) env_file: List,
    pub(crate) expose: List,
    pub(crate) gpus: Gpus,
    pub(crate) group_add: List,
    pub(crate) health_cmd: String,
    pub(crate) health_interval: Duration,
    pub(crate) health_retries: i64,
    pub(crate) health_start_interval: Duration,
    pub(crate) health_start_period: Duration,
    pub(crate) health_timeout: Duration,
    pub(crate) hostname: String,
    pub(crate) init: Given<bool>,
    pub(crate) interactive: bool,
    pub(crate) io_max_bandwidth: Bytes,
    pub(crate) io_max_iops: u64,
    pub(crate) ip: String,
    pub(crate) ip6: String,
    pub(crate) ipc: String,
    pub(crate) isolation: String,
    pub(crate) kernel_memory: Bytes,
    pub(crate) labels: List,
    pub(crate) label_file: List,
    pub(crate) links: List,
    pub(crate) link_local_ips: List,
    pub(crate) log_driver: String,
    pub(crate) log_opts: List,
    pub(crate) mac_address: String,
    pub(crate) memory: Bytes,
    pub(crate) memory_reservation: Bytes,
    pub(crate) memory_swap: SwapBytes,
    pub(crate) memory_swappiness: i64,
    pub(crate) mounts: Mounts,
    pub(crate) networks: Attachments,
    pub(crate) network_aliases: List,
    pub(crate) no_healthcheck: bool,
    pub(crate) oom_kill_disable: bool,
    pub(crate) oom_score_adj: i64,
    pub(crate) pid: String,
    pub(crate) pids_limit: i64,
    pub(crate) privileged: bool,
    pub(crate) publish: List,
    pub(crate) publish_all: bool,
    pub(crate) read_only: bool,
    pub(crate) restart: String,
    pub(crate) rm: bool,
    pub(crate) runtime: String,
    pub(crate) security_opts: List,
    pub(crate) shm_size: Bytes,
    pub(crate) stop_signal: String,
    pub(crate) stop_timeout: Given<i64>,
    pub(crate) storage_opts: List,
    pub(crate) sysctls: Map,
    pub(crate) tmpfs: List,
    pub(crate) tty: bool,
    pub(crate) ulimits: Ulimits,
    pub(crate) user: String,
    pub(crate) userns: String,
    pub(crate) uts: String,
    pub(crate) volumes: List,
    pub(crate) volume_driver: String,
    pub(crate) volumes_from: List,
    pub(crate) workdir: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            add_host: List::checked(checks::extra_host),
            annotations: Map::default(),
            attach: List::checked(checks::stream),
            blkio_weight: 0,
            blkio_weight_device: List::shown(checks::device_weight),
            cap_add: List::default(),
            cap_drop: List::default(),
            cgroup_parent: String::new(),
            cgroupns: String::new(),
            cidfile: String::new(),
            cpu_count: 0,
            cpu_percent: 0,
            cpu_period: 0,
            cpu_quota: 0,
            cpu_rt_period: 0,
            cpu_rt_runtime: 0,
            cpu_shares: 0,
            cpus: Cpus::default(),
            cpuset_cpus: String::new(),
            cpuset_mems: String::new(),
            devices: List::default(),
            device_cgroup_rules: List::checked(checks::cgroup_rule),
            device_read_bps: List::shown(checks::device_bytes),
            device_read_iops: List::shown(checks::device_operations),
            device_write_bps: List::shown(checks::device_bytes),
            device_write_iops: List::shown(checks::device_operations),
            dns: List::checked(checks::ip_address),
            dns_options: List::default(),
            dns_search: List::checked(checks::domain),
            domainname: String::new(),
            entrypoint: Given::default(),
            env: List::checked(checks::environment),
            env_file: List::default(),
            expose: List::default(),
            gpus: Gpus::default(),
            group_add: List::default(),
            health_cmd: String::new(),
            health_interval: Duration::default(),
            health_retries: 0,
            health_start_interval: Duration::default(),
            health_start_period: Duration::default(),
            health_timeout: Duration::default(),
            hostname: String::new(),
            init: Given::default(),
            interactive: false,
            io_max_bandwidth: Bytes::default(),
            io_max_iops: 0,
            ip: String::new(),
            ip6: String::new(),
            ipc: String::new(),
            isolation: String::new(),
            kernel_memory: Bytes::default(),
            labels: List::checked(checks::label),
            label_file: List::default(),
            links: List::checked(checks::link),
            link_local_ips: List::checked(checks::ip_address),
            log_driver: String::new(),
            log_opts: List::default(),
            mac_address: String::new(),
            memory: Bytes::default(),
            memory_reservation: Bytes::default(),
            memory_swap: SwapBytes::default(),
            memory_swappiness: -1,
            mounts: Mounts::default(),
            networks: Attachments::default(),
            network_aliases: List::default(),
            no_healthcheck: false,
            oom_kill_disable: false,
            oom_score_adj: 0,
            pid: String::new(),
            pids_limit: 0,
            privileged: false,
            publish: List::default(),
            publish_all: false,
            read_only: false,
            restart: "no".to_owned(),
            rm: false,
            runtime: String::new(),
            security_opts: List::default(),
            shm_size: Bytes::default(),
            stop_signal: String::new(),
            stop_timeout: Given::default(),
            storage_opts: List::default(),
            sysctls: Map::checked(checks::sysctl),
            tmpfs: List::default(),
            tty: false,
            ulimits: Ulimits::default(),
            user: String::new(),
            userns: String::new(),
            uts: String::new(),
            volumes: List::default(),
            volume_driver: String::new(),
            volumes_from: List::default(),
            workdir: String::new(),
        }
    }
}

impl Options {
    #[rustfmt::skip] // one flag, one line
    pub(crate) fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>, help: &'a mut bool) {
        // -h is the host name here, so help shows that it has only the long form.
        set.long(help, "help", "Print usage");

        // General
        set.short(&mut self.attach, "attach", 'a', "Attach to STDIN, STDOUT or STDERR");
        set.long(&mut self.device_cgroup_rules, "device-cgroup-rule", "Add a rule to the cgroup allowed devices list");
        set.long(&mut self.devices, "device", "Add a host device to the container");
        set.long(&mut self.gpus, "gpus", "GPU devices to add to the container ('all' to pass all GPUs)");
        set.short(&mut self.env, "env", 'e', "Set environment variables");
        set.long(&mut self.env_file, "env-file", "Read in a file of environment variables");
        set.long(&mut self.entrypoint, "entrypoint", "Overwrite the default ENTRYPOINT of the image");
        set.long(&mut self.group_add, "group-add", "Add additional groups to join");
        set.short(&mut self.hostname, "hostname", 'h', "Container host name");
        set.long(&mut self.domainname, "domainname", "Container NIS domain name");
        set.short(&mut self.interactive, "interactive", 'i', "Keep STDIN open even if not attached");
        set.short(&mut self.labels, "label", 'l', "Set meta data on a container");
        set.long(&mut self.label_file, "label-file", "Read in a line delimited file of labels");
        set.long(&mut self.read_only, "read-only", "Mount the container's root filesystem as read only");
        set.long(&mut self.restart, "restart", "Restart policy to apply when a container exits");
        set.long(&mut self.stop_signal, "stop-signal", "Signal to stop the container");
        set.long(&mut self.stop_timeout, "stop-timeout", "Timeout (in seconds) to stop a container");
        set.long(&mut self.sysctls, "sysctl", "Sysctl options");
        set.short(&mut self.tty, "tty", 't', "Allocate a pseudo-TTY");
        set.long(&mut self.ulimits, "ulimit", "Ulimit options");
        set.short(&mut self.user, "user", 'u', "Username or UID (format: <name|uid>[:<group|gid>])");
        set.short(&mut self.workdir, "workdir", 'w', "Working directory inside the container");
        set.long(&mut self.rm, "rm", "Automatically remove the container and its associated anonymous volumes when it exits");

        // Security
        set.long(&mut self.cap_add, "cap-add", "Add Linux capabilities");
        set.long(&mut self.cap_drop, "cap-drop", "Drop Linux capabilities");
        set.long(&mut self.privileged, "privileged", "Give extended privileges to this container");
        set.long(&mut self.security_opts, "security-opt", "Security Options");
        set.long(&mut self.userns, "userns", "User namespace to use");

        // Network and port publishing
        set.long(&mut self.add_host, "add-host", "Add a custom host-to-IP mapping (host:ip)");
        set.long(&mut self.dns, "dns", "Set custom DNS servers");
        set.long(&mut self.dns_options, "dns-option", "Set DNS options").alias(&["dns-opt"]);
        set.long(&mut self.dns_search, "dns-search", "Set custom DNS search domains");
        set.long(&mut self.expose, "expose", "Expose a port or a range of ports");
        set.long(&mut self.ip, "ip", "IPv4 address (e.g., 172.30.100.104)");
        set.long(&mut self.ip6, "ip6", "IPv6 address (e.g., 2001:db8::33)");
        set.long(&mut self.links, "link", "Add link to another container");
        set.long(&mut self.link_local_ips, "link-local-ip", "Container IPv4/IPv6 link-local addresses");
        set.long(&mut self.mac_address, "mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)");
        set.short(&mut self.publish, "publish", 'p', "Publish a container's port(s) to the host");
        set.short(&mut self.publish_all, "publish-all", 'P', "Publish all exposed ports to random ports");
        set.long(&mut self.networks, "network", "Connect a container to a network").alias(&["net"]);
        set.long(&mut self.network_aliases, "network-alias", "Add network-scoped alias for the container").alias(&["net-alias"]);

        // Logging and storage
        set.long(&mut self.log_driver, "log-driver", "Logging driver for the container");
        set.long(&mut self.volume_driver, "volume-driver", "Optional volume driver for the container");
        set.long(&mut self.log_opts, "log-opt", "Log driver options");
        set.long(&mut self.storage_opts, "storage-opt", "Storage driver options for the container");
        set.long(&mut self.tmpfs, "tmpfs", "Mount a tmpfs directory");
        set.long(&mut self.volumes_from, "volumes-from", "Mount volumes from the specified container(s)");
        set.short(&mut self.volumes, "volume", 'v', "Bind mount a volume");
        set.long(&mut self.mounts, "mount", "Attach a filesystem mount to the container");

        // Health-checking
        set.long(&mut self.health_cmd, "health-cmd", "Command to run to check health");
        set.long(&mut self.health_interval, "health-interval", "Time between running the check (ms|s|m|h)");
        set.long(&mut self.health_retries, "health-retries", "Consecutive failures needed to report unhealthy");
        set.long(&mut self.health_timeout, "health-timeout", "Maximum time to allow one check to run (ms|s|m|h)");
        set.long(&mut self.health_start_period, "health-start-period", "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)");
        set.long(&mut self.health_start_interval, "health-start-interval", "Time between running the check during the start period (ms|s|m|h)");
        set.long(&mut self.no_healthcheck, "no-healthcheck", "Disable any container-specified HEALTHCHECK");

        // Resource management
        set.long(&mut self.blkio_weight, "blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable");
        set.long(&mut self.blkio_weight_device, "blkio-weight-device", "Block IO weight (relative device weight)");
        set.long(&mut self.cidfile, "cidfile", "Write the container ID to the file");
        set.long(&mut self.cpuset_cpus, "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)");
        set.long(&mut self.cpuset_mems, "cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)");
        set.long(&mut self.cpu_count, "cpu-count", "CPU count (Windows only)");
        set.long(&mut self.cpu_percent, "cpu-percent", "CPU percent (Windows only)");
        set.long(&mut self.cpu_period, "cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period");
        set.long(&mut self.cpu_quota, "cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota");
        set.long(&mut self.cpu_rt_period, "cpu-rt-period", "Limit CPU real-time period in microseconds");
        set.long(&mut self.cpu_rt_runtime, "cpu-rt-runtime", "Limit CPU real-time runtime in microseconds");
        set.short(&mut self.cpu_shares, "cpu-shares", 'c', "CPU shares (relative weight)");
        set.long(&mut self.cpus, "cpus", "Number of CPUs");
        set.long(&mut self.device_read_bps, "device-read-bps", "Limit read rate (bytes per second) from a device");
        set.long(&mut self.device_read_iops, "device-read-iops", "Limit read rate (IO per second) from a device");
        set.long(&mut self.device_write_bps, "device-write-bps", "Limit write rate (bytes per second) to a device");
        set.long(&mut self.device_write_iops, "device-write-iops", "Limit write rate (IO per second) to a device");
        set.long(&mut self.io_max_bandwidth, "io-maxbandwidth", "Maximum IO bandwidth limit for the system drive (Windows only)");
        set.long(&mut self.io_max_iops, "io-maxiops", "Maximum IOps limit for the system drive (Windows only)");
        set.long(&mut self.kernel_memory, "kernel-memory", "Kernel memory limit");
        set.short(&mut self.memory, "memory", 'm', "Memory limit");
        set.long(&mut self.memory_reservation, "memory-reservation", "Memory soft limit");
        set.long(&mut self.memory_swap, "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap");
        set.long(&mut self.memory_swappiness, "memory-swappiness", "Tune container memory swappiness (0 to 100)");
        set.long(&mut self.oom_kill_disable, "oom-kill-disable", "Disable OOM Killer");
        set.long(&mut self.oom_score_adj, "oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)");
        set.long(&mut self.pids_limit, "pids-limit", "Tune container pids limit (set -1 for unlimited)");

        // Low-level execution
        set.long(&mut self.cgroup_parent, "cgroup-parent", "Optional parent cgroup for the container");
        set.long(&mut self.ipc, "ipc", "IPC mode to use");
        set.long(&mut self.isolation, "isolation", "Container isolation technology");
        set.long(&mut self.pid, "pid", "PID namespace to use");
        set.long(&mut self.shm_size, "shm-size", "Size of /dev/shm");
        set.long(&mut self.uts, "uts", "UTS namespace to use");
        set.long(&mut self.runtime, "runtime", "Runtime to use for this container");
        set.long(&mut self.init, "init", "Run an init inside the container that forwards signals and reaps processes");
        set.long(&mut self.cgroupns, "cgroupns", CGROUPNS_HELP);
        set.long(&mut self.annotations, "annotation", "Add an annotation to the container (passed through to the OCI runtime)");
    }
}
