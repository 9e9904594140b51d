//! Every flag of dockerd's and every key of daemon.json, in one table.
//!
//! The table is the parser of both, the help, and the promise: what a key does here is the
//! [`Class`] in its row, and nothing else decides it.

use Class::{Ignored, Refused, Works};
use Kind::{Flag, Json, List, Map, Number, Text, Ulimits};

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--debug`, `--debug=false`; `true` in the file.
    Flag,
    /// An integer.
    Number,
    /// A string. Numbers are taken for one in the file, as `default-shm-size` may be either.
    Text,
    /// May be given several times; a list of strings in the file.
    List,
    /// `key=value`, several times; an object of strings in the file.
    Map,
    /// `name=soft:hard`, several times; an object of objects in the file.
    Ulimits,
    /// Anything, in the file only.
    Json,
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It does what it does in dockerd.
    Works,
    /// It is taken, changes nothing, and is said in the log with the reason.
    Ignored(&'static str),
    /// It promises what is not there yet: the daemon does not start with it. Values that promise
    /// nothing (dockerd's defaults) are taken.
    Refused(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Name on the command line, without dashes; empty for one that is only in the file.
    pub(crate) flag: &'static str,
    /// Its letter.
    pub(crate) letter: Option<char>,
    /// Name in the file; empty for one that is only on the command line.
    pub(crate) file: &'static str,
    /// See [`Kind`].
    pub(crate) kind: Kind,
    /// See [`Class`].
    pub(crate) class: Class,
    /// Values that promise nothing, as they print; they are taken whatever the class.
    pub(crate) harmless: &'static [&'static str],
    /// For the help.
    pub(crate) help: &'static str,
}

impl Key {
    /// The name that errors use: the file's, which the flag's is a form of.
    pub(crate) fn name(&self) -> &'static str {
        if self.file.is_empty() {
            self.flag
        } else {
            self.file
        }
    }
}

const fn key(
    flag: &'static str,
    file: &'static str,
    kind: Kind,
    class: Class,
    help: &'static str,
) -> Key {
    Key {
        flag,
        letter: None,
        file,
        kind,
        class,
        harmless: &[],
        help,
    }
}

impl Key {
    const fn letter(mut self, letter: char) -> Self {
        self.letter = Some(letter);
        self
    }

    const fn harmless(mut self, values: &'static [&'static str]) -> Self {
        self.harmless = values;
        self
    }
}

const NO_REGISTRY: Class = Ignored("there is no registry client yet");
const NO_CONTAINERD: Class = Ignored("there is no containerd");
const NO_BUILDER: Class = Ignored("there is no builder yet");
const NO_SWARM: Class = Refused("swarm mode");

/// All of them, in the order of the help.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    key("add-runtime", "runtimes", Map, Refused("other OCI runtimes"), "Register an additional OCI compatible runtime").harmless(&["{}", "map[]"]),
    key("allow-direct-routing", "allow-direct-routing", Flag, Refused("direct routing to published ports"), "Allow remote access to published ports on container IP addresses").harmless(&["false"]),
    key("authorization-plugin", "authorization-plugins", List, Refused("authorization plugins"), "Authorization plugins to load").harmless(&["[]"]),
    key("bip", "bip", Text, Works, "IPv4 address for the default bridge"),
    key("bip6", "bip6", Text, Works, "IPv6 address for the default bridge"),
    key("bridge", "bridge", Text, Works, "Attach containers to a network bridge").letter('b'),
    key("bridge-accept-fwmark", "bridge-accept-fwmark", Text, Refused("firewall marks of others; the chain `user` of our table accepts"), "In bridge networks, accept packets with this firewall mark/mask").harmless(&[""]),
    key("cdi-spec-dir", "cdi-spec-dirs", List, Refused("CDI devices"), "CDI specification directories to use").harmless(&["[]"]),
    key("cgroup-parent", "cgroup-parent", Text, Works, "Set parent cgroup for all containers"),
    key("config-file", "", Text, Works, "Daemon configuration file"),
    key("containerd", "containerd", Text, NO_CONTAINERD, "containerd grpc address"),
    key("containerd-namespace", "containerd-namespace", Text, NO_CONTAINERD, "Containerd namespace to use"),
    key("containerd-plugins-namespace", "containerd-plugins-namespace", Text, NO_CONTAINERD, "Containerd namespace to use for plugins"),
    key("", "containerd-plugin-namespace", Text, NO_CONTAINERD, ""),
    key("cpu-rt-period", "cpu-rt-period", Number, Refused("real-time scheduling"), "Limit the CPU real-time period in microseconds").harmless(&["0"]),
    key("cpu-rt-runtime", "cpu-rt-runtime", Number, Refused("real-time scheduling"), "Limit the CPU real-time runtime in microseconds").harmless(&["0"]),
    key("cri-containerd", "cri-containerd", Flag, Refused("the Kubernetes CRI"), "start containerd with cri").harmless(&["false"]),
    key("data-root", "data-root", Text, Works, "Root directory of persistent state"),
    key("debug", "debug", Flag, Works, "Enable debug mode").letter('D'),
    key("default-address-pool", "default-address-pools", Json, Works, "Default address pools for node specific local networks"),
    key("default-cgroupns-mode", "default-cgroupns-mode", Text, Works, "Default mode for containers cgroup namespace (\"host\" | \"private\")"),
    key("default-gateway", "default-gateway", Text, Works, "Default gateway IPv4 address for the default bridge network"),
    key("default-gateway-v6", "default-gateway-v6", Text, Works, "Default gateway IPv6 address for the default bridge network"),
    key("default-ipc-mode", "default-ipc-mode", Text, Works, "Default mode for containers ipc (\"shareable\" | \"private\")"),
    key("default-network-opt", "default-network-opts", Json, Works, "Default network options"),
    key("default-runtime", "default-runtime", Text, Works, "Default OCI runtime for containers"),
    key("default-shm-size", "default-shm-size", Text, Works, "Default shm size for containers"),
    key("", "default-stop-timeout", Number, Refused("a stop timeout of the daemon's own"), "").harmless(&["0", "10"]),
    key("default-ulimit", "default-ulimits", Ulimits, Works, "Default ulimits for containers"),
    key("dns", "dns", List, Works, "DNS server to use"),
    key("dns-opt", "dns-opts", List, Works, "DNS options to use"),
    key("dns-search", "dns-search", List, Works, "DNS search domains to use"),
    key("exec-opt", "exec-opts", List, Works, "Runtime execution options"),
    key("exec-root", "exec-root", Text, Works, "Root directory for execution state files"),
    key("experimental", "experimental", Flag, Works, "Enable experimental features"),
    key("feature", "features", Json, Ignored("no feature has a switch"), "Enable feature in the daemon"),
    key("firewall-backend", "firewall-backend", Text, Ignored("rules are made in an nftables table of our own"), "Firewall backend to use, iptables or nftables").harmless(&[""]),
    key("fixed-cidr", "fixed-cidr", Text, Works, "IPv4 subnet for the default bridge network"),
    key("fixed-cidr-v6", "fixed-cidr-v6", Text, Works, "IPv6 subnet for the default bridge network"),
    key("group", "group", Text, Works, "Group for the unix socket").letter('G'),
    key("help", "", Flag, Works, "Print usage"),
    key("host", "hosts", List, Works, "Daemon socket(s) to connect to").letter('H'),
    key("host-gateway-ip", "host-gateway-ips", List, Works, "IP addresses that the special 'host-gateway' string in --add-host resolves to"),
    key("", "host-gateway-ip", Text, Works, ""),
    key("http-proxy", "http-proxy", Text, NO_REGISTRY, "HTTP proxy URL to use for outgoing traffic"),
    key("https-proxy", "https-proxy", Text, NO_REGISTRY, "HTTPS proxy URL to use for outgoing traffic"),
    key("icc", "icc", Flag, Works, "Enable inter-container communication for the default bridge network"),
    key("init", "init", Flag, Works, "Run an init in the container to forward signals and reap processes"),
    key("", "default-init", Flag, Works, ""),
    key("init-path", "init-path", Text, Works, "Path to the docker-init binary (default: Wharf's own)"),
    key("insecure-registry", "insecure-registries", List, NO_REGISTRY, "Enable insecure registry communication"),
    key("ip", "ip", Text, Works, "Host IP for port publishing from the default bridge network"),
    key("ip-forward", "ip-forward", Flag, Works, "Enable IP forwarding in system configuration"),
    key("ip-forward-no-drop", "ip-forward-no-drop", Flag, Ignored("the policy of others' chains is never changed"), "Do not set the filter-FORWARD policy to DROP when enabling IP forwarding"),
    key("ip-masq", "ip-masq", Flag, Works, "Enable IP masquerading for the default bridge network"),
    key("ip6tables", "ip6tables", Flag, Ignored("rules are made in an nftables table of our own"), "Enable addition of ip6tables rules"),
    key("iptables", "iptables", Flag, Ignored("rules are made in an nftables table of our own"), "Enable addition of iptables rules"),
    key("ipv6", "ipv6", Flag, Works, "Enable IPv6 networking for the default bridge network"),
    key("label", "labels", List, Works, "Set key=value labels to the daemon"),
    key("live-restore", "live-restore", Flag, Works, "Keep containers running when the daemon stops (default true)"),
    key("log-driver", "log-driver", Text, Works, "Default driver for container logs"),
    key("log-format", "log-format", Text, Works, "Set the logging format (\"text\"|\"json\")"),
    key("log-level", "log-level", Text, Works, "Set the logging level (\"debug\"|\"info\"|\"warn\"|\"error\"|\"fatal\")").letter('l'),
    key("log-opt", "log-opts", Map, Works, "Default log driver options for containers"),
    key("max-concurrent-downloads", "max-concurrent-downloads", Number, NO_REGISTRY, "Set the max concurrent downloads"),
    key("max-concurrent-uploads", "max-concurrent-uploads", Number, NO_REGISTRY, "Set the max concurrent uploads"),
    key("max-download-attempts", "max-download-attempts", Number, NO_REGISTRY, "Set the max download attempts for each pull"),
    key("metrics-addr", "metrics-addr", Text, Refused("metrics"), "Set default address and port to serve the metrics api on").harmless(&[""]),
    key("", "min-api-version", Text, Works, ""),
    key("mtu", "mtu", Number, Works, "Set the MTU for the default \"bridge\" network"),
    key("network-control-plane-mtu", "network-control-plane-mtu", Number, NO_SWARM, "Network Control plane MTU").harmless(&["0", "1500"]),
    key("", "network-diagnostic-port", Number, NO_SWARM, "").harmless(&["0"]),
    key("no-new-privileges", "no-new-privileges", Flag, Works, "Set no-new-privileges by default for new containers"),
    key("no-proxy", "no-proxy", Text, NO_REGISTRY, "Comma-separated list of hosts or IP addresses for which the proxy is skipped"),
    key("node-generic-resource", "node-generic-resources", List, NO_SWARM, "Advertise user-defined resource").harmless(&["[]"]),
    key("", "nri-opts", Json, Refused("the node resource interface"), "").harmless(&["{}"]),
    key("pidfile", "pidfile", Text, Works, "Path to use for daemon PID file").letter('p'),
    key("raw-logs", "raw-logs", Flag, Works, "Full timestamps without ANSI coloring"),
    key("registry-mirror", "registry-mirrors", List, NO_REGISTRY, "Preferred registry mirror"),
    key("", "resolv-conf", Text, Refused("a resolv.conf other than the host's"), "").harmless(&["", "/etc/resolv.conf"]),
    key("rootless", "rootless", Flag, Refused("rootless mode"), "Enable rootless mode").harmless(&["false"]),
    key("seccomp-profile", "seccomp-profile", Text, Works, "Path to seccomp profile. Set to \"unconfined\" to disable the default seccomp profile"),
    key("selinux-enabled", "selinux-enabled", Flag, Refused("SELinux"), "Enable selinux support").harmless(&["false"]),
    key("shutdown-timeout", "shutdown-timeout", Number, Works, "Set the default shutdown timeout"),
    key("storage-driver", "storage-driver", Text, Refused("other storage drivers"), "Storage driver to use").letter('s').harmless(&["", "overlay2", "overlayfs"]),
    key("storage-opt", "storage-opts", List, Works, "Storage options: layers=auto|index|directory"),
    key("swarm-default-advertise-addr", "swarm-default-advertise-addr", Text, NO_SWARM, "Set default address or interface for swarm advertised address").harmless(&[""]),
    key("", "swarm-raft-heartbeat-tick", Number, NO_SWARM, "").harmless(&["0", "1"]),
    key("", "swarm-raft-election-tick", Number, NO_SWARM, "").harmless(&["0", "10"]),
    key("tls", "tls", Flag, Works, "Use TLS; implied by --tlsverify"),
    key("tlscacert", "tlscacert", Text, Works, "Trust certs signed only by this CA"),
    key("tlscert", "tlscert", Text, Works, "Path to TLS certificate file"),
    key("tlskey", "tlskey", Text, Works, "Path to TLS key file"),
    key("tlsverify", "tlsverify", Flag, Works, "Use TLS and verify the remote"),
    key("userland-proxy", "userland-proxy", Flag, Ignored("ports are never published through a process"), "Use userland proxy for loopback traffic"),
    key("userland-proxy-path", "userland-proxy-path", Text, Ignored("ports are never published through a process"), "Path to the userland proxy binary"),
    key("userns-remap", "userns-remap", Text, Refused("remapped user namespaces"), "User/Group setting for user namespaces").harmless(&["", "host"]),
    key("validate", "", Flag, Works, "Validate daemon configuration and exit"),
    key("version", "", Flag, Works, "Print version information and quit").letter('v'),
    key("", "builder", Json, NO_BUILDER, ""),
    key("", "deprecated-key-path", Text, Ignored("it has no meaning any more"), ""),
    key("", "allow-nondistributable-artifacts", List, Ignored("it has no meaning any more"), ""),
];

/// Objects in the file whose members are keys of their own, and keys that are objects.
pub(crate) const GROUPS: &[&str] = &["proxies"];

/// Members of `builder` and `features` that documentation lists as keys of their own. They are
/// never at the top, so the table does not hold them.
#[cfg(test)]
const NESTED: &[&str] = &["proxies", "network-host", "security-insecure", "device"];

/// The row of a flag.
pub(crate) fn by_flag(name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| !key.flag.is_empty() && key.flag == name)
}

/// The row of a flag's letter.
pub(crate) fn by_letter(letter: char) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.letter == Some(letter))
}

/// The row of a key of the file.
pub(crate) fn by_file(name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| !key.file.is_empty() && key.file == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// dockerd's flags and keys as of 29.8, from its documentation.
    const FLAGS: &str = include_str!("fixtures/dockerd-flags.txt");
    const FILE: &str = include_str!("fixtures/daemon-json-keys.txt");

    #[test]
    fn every_flag_and_every_key_of_dockerds_has_a_row() {
        for flag in FLAGS.lines() {
            assert!(by_flag(flag).is_some(), "--{flag}");
        }
        for name in FILE.lines().filter(|name| !NESTED.contains(name)) {
            assert!(by_file(name).is_some(), "{name}");
        }
    }

    #[test]
    fn no_name_is_in_the_table_twice() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(
                key.flag.is_empty() || seen.insert(("flag", key.flag)),
                "--{}",
                key.flag
            );
            assert!(
                key.file.is_empty() || seen.insert(("file", key.file)),
                "{}",
                key.file
            );
        }
        let letters: Vec<char> = KEYS.iter().filter_map(|key| key.letter).collect();
        assert_eq!(letters.iter().collect::<BTreeSet<_>>().len(), letters.len());
    }
}
