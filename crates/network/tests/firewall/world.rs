//! A little internet of namespaces: a client, a host with bridges, containers on them.
//!
//! Nothing outside the namespaces made here is touched, and they go with their last descriptor.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wharf_network::firewall::{
    Desired, Firewall, GatewayMode, Icc, Masquerade, NetworkRules, PortRule, Ports, Protocol, Reach,
};
use wharf_sys::clone::Namespaces;
use wharf_sys::namespaces;

/// How long what must come is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long what must not come is waited for.
pub const SILENCE: Duration = Duration::from_millis(300);

/// A network namespace.
#[derive(Clone)]
pub struct Ns(Arc<File>);

impl Ns {
    pub fn new() -> Self {
        let file = std::thread::spawn(|| {
            namespaces::unshare(Namespaces::NETWORK).unwrap();
            let file = File::open("/proc/thread-self/ns/net").unwrap();
            // Duplicate address detection takes a second, in which an address does not work.
            for scope in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0").unwrap();
            }
            shell("ip link set lo up");
            file
        });
        Self(Arc::new(file.join().unwrap()))
    }

    /// Do `f` inside.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    namespaces::join(self.0.as_fd(), Namespaces::NETWORK).unwrap();
                    f()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Run a shell script inside; its output.
    pub fn sh(&self, script: &str) -> String {
        self.run(|| shell(script))
    }

    /// A path by which `ip` finds it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.run(|| std::fs::write(&path, value).unwrap_or_else(|e| panic!("{path}: {e}")));
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests lay cables with ip and look with nft"
)]
fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}{failure}");
    said
}

/// Client 10.0.0.2 - host 10.0.0.1, the same in fd10::/64; the client routes everything there.
pub struct World {
    pub client: Ns,
    pub host: Ns,
    pub firewall: Firewall,
    port_mode: &'static str,
}

pub const HOST_V4: &str = "10.0.0.1";
pub const HOST_V6: &str = "fd10::1";
pub const CLIENT_V4: &str = "10.0.0.2";
pub const CLIENT_V6: &str = "fd10::2";

impl World {
    /// A world whose table is there, but empty.
    pub fn new() -> Self {
        let (client, host) = (Ns::new(), Ns::new());
        host.sh(&format!(
            "ip link add out type veth peer name eth0 netns {}
             ip link set out up
             ip addr add {HOST_V4}/24 dev out; ip addr add {HOST_V6}/64 dev out nodad",
            client.path()
        ));
        client.sh(&format!(
            "ip link set eth0 up
             ip addr add {CLIENT_V4}/24 dev eth0; ip addr add {CLIENT_V6}/64 dev eth0 nodad
             ip route add default via {HOST_V4}; ip route add default via {HOST_V6}"
        ));
        settled(&host, HOST_V6);
        settled(&client, CLIENT_V6);
        host.sysctl("net.ipv4.ip_forward", "1");
        host.sysctl("net.ipv6.conf.all.forwarding", "1");
        host.sysctl("net.bridge.bridge-nf-call-iptables", "0");
        host.sysctl("net.bridge.bridge-nf-call-ip6tables", "0");
        let firewall = host.run(|| Firewall::open("wharf")).unwrap();
        firewall.reconcile(Desired::default()).unwrap();
        Self {
            client,
            host,
            firewall,
            port_mode: "hairpin off",
        }
    }

    /// Frames between ports of a bridge pass the filter too, as `br_netfilter` has it; ports
    /// are in hairpin mode, as that needs.
    pub fn with_bridge_netfilter(mut self) -> Self {
        self.port_mode = "hairpin on";
        self.host.sysctl("net.bridge.bridge-nf-call-iptables", "1");
        self.host.sysctl("net.bridge.bridge-nf-call-ip6tables", "1");
        self
    }

    /// A bridge `br{n}` with 172.{n}.0.1/24 and fd{n}::1/64, for its network.
    pub fn bridge(&self, n: u8) {
        self.host.sh(&format!(
            "ip link add br{n} type bridge
             ip addr add 172.{n}.0.1/24 dev br{n}; ip addr add fd{n}::1/64 dev br{n} nodad
             ip link set br{n} up
             ip route add local ::1/128 dev br{n} table local metric $((1024 + {n}))"
        ));
        self.host
            .sysctl(&format!("net.ipv4.conf.br{n}.route_localnet"), "1");
    }

    /// A bridge and its network, in mode nat.
    pub fn network(&self, n: u8) {
        self.network_with(n, |_| {});
    }

    pub fn network_with(&self, n: u8, adapt: impl FnOnce(&mut NetworkRules)) {
        self.bridge(n);
        let mut rules = rules(n);
        adapt(&mut rules);
        self.firewall
            .add_network(&format!("net{n}"), &rules)
            .unwrap();
    }

    /// A container 172.{n}.0.{k}, fd{n}::{k} on bridge `br{n}`.
    pub fn container(&self, n: u8, k: u8) -> Ns {
        let ns = Ns::new();
        self.host.sh(&format!(
            "ip link add v{n}x{k} type veth peer name eth0 netns {}
             ip link set v{n}x{k} master br{n} up
             ip link set v{n}x{k} type bridge_slave {}",
            ns.path(),
            self.port_mode
        ));
        ns.sh(&format!(
            "ip link set eth0 up
             ip addr add 172.{n}.0.{k}/24 dev eth0; ip addr add fd{n}::{k}/64 dev eth0 nodad
             ip route add default via 172.{n}.0.1; ip route add default via fd{n}::1"
        ));
        settled(&self.host, &format!("fd{n}::1"));
        settled(&ns, &format!("fd{n}::{k}"));
        ns
    }

    pub fn publish(&self, endpoint: &str, ports: &[PortRule]) {
        self.firewall.publish(endpoint, ports).unwrap();
    }

    pub fn table(&self) -> String {
        self.host.sh("nft list table inet wharf")
    }
}

/// Wait until an IPv6 address is one: the kernel takes its time, `nodad` or not.
fn settled(ns: &Ns, address: &str) {
    eventually(address, || {
        let local = ns.sh("ip -6 route show table local");
        local.contains(&format!("local {address} dev"))
    });
}

/// The network of `br{n}`, in mode nat.
pub fn rules(n: u8) -> NetworkRules {
    NetworkRules {
        bridge: format!("br{n}"),
        subnets_v4: vec![format!("172.{n}.0.0/24").parse().unwrap()],
        subnets_v6: vec![format!("fd{n}::/64").parse().unwrap()],
        mode_v4: GatewayMode::Nat,
        mode_v6: GatewayMode::Nat,
        icc: Icc::Allowed,
        masquerade: Masquerade::Auto,
        reach: Reach::External,
        trusted_interfaces: Vec::new(),
    }
}

/// `0.0.0.0:8080->172.17.0.2:80`, ranges `8000-8010`, of network `net{second byte}`.
pub fn port(protocol: Protocol, text: &str) -> PortRule {
    let (host, target) = text.split_once("->").unwrap();
    let (host, host_ports) = place(host);
    let (target, target_ports) = place(target);
    let n = match target {
        IpAddr::V4(target) => target.octets()[1].to_string(),
        IpAddr::V6(target) => format!("{:x}", target.segments()[0] & 0xff),
    };
    PortRule {
        network: format!("net{n}").into(),
        protocol,
        host,
        host_ports,
        target,
        target_ports,
    }
}

pub fn tcp(text: &str) -> PortRule {
    port(Protocol::Tcp, text)
}

pub fn udp(text: &str) -> PortRule {
    port(Protocol::Udp, text)
}

fn place(text: &str) -> (IpAddr, Ports) {
    let (address, ports) = text.rsplit_once(':').unwrap();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let ports = Ports::new(first.parse().unwrap(), last.parse().unwrap());
    let address = address.trim_matches(['[', ']']).parse().unwrap();
    (address, ports.unwrap())
}

/// A server in `ns` that answers every TCP connection and UDP packet to any address, port `port`,
/// with its name and the address it sees. It ends with the test's process.
pub fn serve(ns: &Ns, port: u16, name: &'static str) {
    serve_at(ns, &format!("[::]:{port}"), name);
}

/// [`serve`] at one address.
pub fn serve_at(ns: &Ns, at: &str, name: &'static str) {
    let (listener, socket) =
        ns.run(|| (TcpListener::bind(at).unwrap(), UdpSocket::bind(at).unwrap()));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve_stream(stream, name));
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(greeting(name, from).as_bytes(), from);
        }
    });
}

/// Greets, then sends back what comes until the end.
fn serve_stream(mut stream: TcpStream, name: &str) {
    let Ok(from) = stream.peer_addr() else { return };
    let _ = stream.write_all(greeting(name, from).as_bytes());
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let _ = stream.write_all(&buffer[..length]);
    }
}

fn greeting(name: &str, from: SocketAddr) -> String {
    format!("{name} sees {}", from.ip().to_canonical())
}

/// What a TCP client in `ns` is greeted with at `to`; nothing if it is refused or unheard.
pub fn ask_tcp(ns: &Ns, to: &str) -> Option<String> {
    ask_tcp_within(ns, to, SILENCE * 3)
}

/// [`ask_tcp`] where no answer is expected: the wait is shorter.
pub fn probe_tcp(ns: &Ns, to: &str) -> Option<String> {
    ask_tcp_within(ns, to, SILENCE)
}

fn ask_tcp_within(ns: &Ns, to: &str, time: Duration) -> Option<String> {
    ns.run(|| {
        let mut stream = connect_within(to, time)?;
        let mut buffer = [0; 64];
        let length = stream.read(&mut buffer).ok().filter(|l| *l > 0)?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
}

/// A TCP connection, within the time of [`ask_tcp`].
pub fn connect(to: &str) -> Option<TcpStream> {
    connect_within(to, SILENCE * 3)
}

fn connect_within(to: &str, time: Duration) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&to.parse().unwrap(), time).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(stream)
}

/// What a UDP client in `ns` hears from `to`.
pub fn ask_udp(ns: &Ns, to: &str) -> Option<String> {
    // The first may wait for a neighbour's answer; three are enough of a question.
    ask_udp_times(ns, to, 3)
}

/// [`ask_udp`] where no answer is expected: the wait is shorter.
pub fn probe_udp(ns: &Ns, to: &str) -> Option<String> {
    ask_udp_times(ns, to, 1)
}

fn ask_udp_times(ns: &Ns, to: &str, times: usize) -> Option<String> {
    ns.run(|| {
        let to: SocketAddr = to.parse().unwrap();
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.connect(to).ok()?;
        for _ in 0..times {
            socket.send(b"?").ok()?;
            let mut buffer = [0; 64];
            if let Ok(length) = socket.recv(&mut buffer) {
                return Some(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
        None
    })
}

/// Whether `to` answers an echo request.
pub fn ping(ns: &Ns, to: &str) -> bool {
    let script = format!(
        "python3 - <<'E'
import socket, struct
six = ':' in '{to}'
request = struct.pack('!BBHHH', 128 if six else 8, 0, 0 if six else 0xffff - 0x800 - 4, 0, 4)
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 58 if six else 1)
s.settimeout(1)
s.sendto(request, ('{to}', 0))
try:
    while True:
        answer = s.recv(100)
        if answer[0 if six else 20] == (129 if six else 0):
            print('answered')
            break
except TimeoutError:
    pass
E"
    );
    ns.sh(&script).contains("answered")
}

/// Wait until `holds`.
#[allow(
    clippy::disallowed_methods,
    reason = "the kernel offers nothing to wait on here"
)]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}
