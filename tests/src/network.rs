//! Sockets and tools inside the network namespaces of a test.
//!
//! A socket belongs to the namespace of the thread that made it, for ever: tests make theirs on a
//! thread that has moved there, and use them from anywhere. No program has to run for traffic.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Daemon, PATIENCE};

/// How long a packet is waited for that should not come.
pub const SILENCE: Duration = Duration::from_millis(700);

/// A network namespace.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// The one of a process.
    #[track_caller]
    pub fn of_process(pid: u32) -> Self {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    #[track_caller]
    pub(crate) fn open(path: &Path) -> Self {
        Self(File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Runs `work` inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                        .expect("setns");
                    work()
                })
                .join()
                .expect("the work inside a namespace")
        })
    }

    /// A TCP server that tells each client the address it came from, until the test ends.
    #[track_caller]
    pub fn serve_tcp(&self, address: &str) {
        let listener = self.run(|| TcpListener::bind(address)).expect("bind");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let Ok(peer) = stream.peer_addr() else {
                    continue;
                };
                let _ = stream.write_all(plain(peer).as_bytes());
                // Whoever wants a connection that stays talks: each byte comes back.
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
    }

    /// The same over UDP.
    #[track_caller]
    pub fn serve_udp(&self, address: &str) {
        let socket = self.run(|| UdpSocket::bind(address)).expect("bind");
        std::thread::spawn(move || {
            let mut packet = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut packet) {
                let _ = socket.send_to(plain(peer).as_bytes(), peer);
            }
        });
    }

    /// Connects within `patience`.
    pub fn connect(&self, to: &str, patience: Duration) -> std::io::Result<TcpStream> {
        let to: SocketAddr = to.parse().expect("an address");
        let stream = self.run(|| TcpStream::connect_timeout(&to, patience))?;
        stream.set_read_timeout(Some(patience))?;
        Ok(stream)
    }

    /// What [`Namespace::serve_tcp`] says there: who we are, seen from it.
    pub fn ask_tcp(&self, to: &str, patience: Duration) -> std::io::Result<String> {
        let mut stream = self.connect(to, patience)?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// What [`Namespace::serve_udp`] says there.
    pub fn ask_udp(&self, to: &str, patience: Duration) -> std::io::Result<String> {
        let to: SocketAddr = to.parse().expect("an address");
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = self.run(|| UdpSocket::bind(any))?;
        socket.set_read_timeout(Some(patience))?;
        self.run(|| socket.connect(to))?;
        socket.send(b"?")?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// The address the server saw, over TCP; fails where it is out of reach.
    #[track_caller]
    pub fn seen_as(&self, to: &str) -> String {
        self.ask_tcp(to, PATIENCE / 6)
            .unwrap_or_else(|error| panic!("tcp {to}: {error}"))
    }

    /// The same over UDP.
    #[track_caller]
    pub fn seen_as_udp(&self, to: &str) -> String {
        self.ask_udp(to, PATIENCE / 6)
            .unwrap_or_else(|error| panic!("udp {to}: {error}"))
    }

    /// Whether a TCP connection comes about.
    pub fn reaches(&self, to: &str) -> bool {
        self.ask_tcp(to, SILENCE).is_ok()
    }
}

fn plain(peer: SocketAddr) -> String {
    peer.ip().to_canonical().to_string()
}

impl Daemon {
    /// The daemon's own namespace: the host.
    #[track_caller]
    pub fn host_network(&self) -> Namespace {
        Namespace::of_process(self.pid())
    }

    /// A namespace that the test's `prepare` made with `ip netns add`.
    #[track_caller]
    pub fn named_network(&self, name: &str) -> Namespace {
        Namespace::open(Path::new(&format!(
            "/proc/{}/root/run/netns/{name}",
            self.pid()
        )))
    }

    /// The namespace of a running container.
    #[track_caller]
    pub fn network_of(&self, container: &str) -> Namespace {
        let pid = self.docker(&["inspect", "-f", "{{.State.Pid}}", container]);
        Namespace::of_process(pid.parse().expect("a pid"))
    }

    /// A sleeping container with these flags of `run`.
    #[track_caller]
    pub fn sleeper(&self, name: &str, flags: &[&str]) -> String {
        let mut args = vec!["run", "-d", "--name", name];
        args.extend(flags);
        args.extend(["busybox", "sleep", "1000"]);
        self.docker(&args)
    }

    /// A field of the container's endpoint in a network.
    #[track_caller]
    pub fn endpoint(&self, container: &str, network: &str, field: &str) -> String {
        let path = format!("{{{{(index .NetworkSettings.Networks {network:?}).{field}}}}}");
        self.docker(&["inspect", "-f", &path, container])
    }

    /// Links, addresses, routes, rules and named namespaces of the host, without what the kernel
    /// changes by itself.
    #[track_caller]
    pub fn host_state(&self) -> String {
        self.host(
            "ip -o link | cut -d: -f2 | cut -d@ -f1 | sort; \
             ip -o addr | grep -v -e 'inet6 fe80' | awk '{print $2, $4}' | sort; \
             { ip route; ip -6 route; } | grep -v -e fe80 -e 'ff00' | sed 's/ linkdown//' | sort; \
             ip rule; ls /run/netns 2>/dev/null; nft -s list ruleset",
        )
    }
}
