//! Which of the host's ports are taken by sockets, and which are free to be given.
//!
//! Nothing is held: a socket for each published port would cost 65,000 descriptors for a range.
//! Who listens is asked of the kernel (`sock_diag`) at the moment of publishing, so nothing can be
//! left over from a crash. A program that listens later on a published port gets its socket, but
//! not the packets: they are translated before they reach it.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::firewall::socket::NetfilterSocket;
use crate::firewall::wire::{self, Attributes, Message, Writer};
use crate::firewall::{self, PortRule, Ports, Protocol};

const LOCAL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Length of `inet_diag_sockid`.
const SOCKET_ID: usize = 48;
/// Length of `inet_diag_msg`, behind which attributes follow.
const DIAG_MESSAGE: usize = 4 + SOCKET_ID + 20;
const V6_ONLY: u16 = 11;
const V4: u8 = 2;
const V6: u8 = 10;

const STATE_CLOSE: u32 = 1 << 7;
const STATE_LISTEN: u32 = 1 << 10;

/// A socket that holds a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Where it is bound; an IPv4 address in IPv6 form is given as IPv4.
    pub address: SocketAddr,
    /// Whether it is bound to the unspecified IPv6 address and serves IPv4 by it.
    pub dual_stack: bool,
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody listens there.
    #[error("{protocol} port {address} is in use by a socket bound to {listener}")]
    InUse {
        /// The protocol.
        protocol: Protocol,
        /// The address asked for.
        address: SocketAddr,
        /// The socket's address.
        listener: SocketAddr,
    },
    /// No free port (or row of ports) is left.
    #[error("no {count} free {protocol} ports in a row in {first}-{last}")]
    Exhausted {
        /// The protocol.
        protocol: Protocol,
        /// How many in a row were wanted.
        count: u16,
        /// Where the search began.
        first: u16,
        /// Where it ended.
        last: u16,
    },
    /// The kernel would not say.
    #[error("{doing}: {source}")]
    Kernel {
        /// What was asked.
        doing: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

/// Sockets of the calling thread's namespace that hold a port: listening TCP and SCTP, unconnected
/// UDP. None for a protocol that the kernel lacks.
pub fn in_use(protocol: Protocol) -> Result<Vec<Listener>, Error> {
    let states = match protocol {
        Protocol::Tcp | Protocol::Sctp => STATE_LISTEN,
        Protocol::Udp => STATE_CLOSE,
    };
    let mut socket = NetfilterSocket::open_protocol(NETLINK_SOCK_DIAG).map_err(kernel)?;
    let mut listeners = Vec::new();
    for family in [V4, V6] {
        let request = request(family, protocol, states);
        let found = socket.dump(
            "listing sockets",
            request.bytes(),
            |found: &mut Vec<Listener>, message| found.extend(Listener::read(message)),
        );
        match found {
            Ok(found) => listeners.extend(found),
            Err(firewall::Error::Socket { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(kernel(error)),
        }
    }
    Ok(listeners)
}

fn kernel(error: firewall::Error) -> Error {
    match error {
        firewall::Error::Socket { doing, source } => Error::Kernel { doing, source },
        other => Error::Kernel {
            doing: "listing sockets",
            source: io::Error::other(other),
        },
    }
}

fn request(family: u8, protocol: Protocol, states: u32) -> Writer {
    let mut request = Writer::default();
    request.message(SOCK_DIAG_BY_FAMILY, wire::DUMP, 0, |w| {
        w.raw(&[family, protocol.number(), 0, 0]);
        w.raw(&states.to_ne_bytes());
        w.raw(&[0; SOCKET_ID]);
    });
    request
}

impl Listener {
    fn read(message: &Message<'_>) -> Option<Self> {
        let body = message.body;
        let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
        let address = match *body.first()? {
            V4 => IpAddr::from(<[u8; 4]>::try_from(body.get(8..12)?).ok()?),
            V6 => IpAddr::from(<[u8; 16]>::try_from(body.get(8..24)?).ok()?),
            _ => return None,
        };
        let attributes = Attributes(body.get(DIAG_MESSAGE..)?);
        let v6_only = attributes.get(V6_ONLY).is_some_and(|value| value != [0]);
        (port != 0).then(|| Self {
            address: SocketAddr::new(address.to_canonical(), port),
            dual_stack: address.is_ipv6() && address.is_unspecified() && !v6_only,
        })
    }

    /// Whether it holds its port on `host` too.
    fn holds(&self, host: IpAddr) -> bool {
        self.dual_stack || same_or_any(self.address.ip(), host)
    }
}

/// Whether every host port of `rules` is free of listening sockets.
pub fn check(rules: &[PortRule]) -> Result<(), Error> {
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        if rules.iter().any(|rule| rule.protocol == protocol) {
            check_against(&in_use(protocol)?, protocol, rules)?;
        }
    }
    Ok(())
}

fn check_against(
    listeners: &[Listener],
    protocol: Protocol,
    rules: &[PortRule],
) -> Result<(), Error> {
    for rule in rules.iter().filter(|rule| rule.protocol == protocol) {
        let holder = listeners.iter().find(|listener| {
            rule.host_ports.contains(listener.address.port()) && listener.holds(rule.host)
        });
        if let Some(holder) = holder {
            return Err(Error::InUse {
                protocol,
                address: SocketAddr::new(rule.host, holder.address.port()),
                listener: holder.address,
            });
        }
    }
    Ok(())
}

/// Whether two published ports would meet: same protocol, a port in common, the same address or
/// one of them every address of that family.
#[must_use]
pub fn conflict(a: (Protocol, IpAddr, Ports), b: (Protocol, IpAddr, Ports)) -> bool {
    a.0 == b.0 && a.2.overlaps(b.2) && same_or_any(a.1, b.1)
}

fn same_or_any(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
}

/// Where ports are picked from when none is named (`net.ipv4.ip_local_port_range`).
pub fn ephemeral_range() -> Result<RangeInclusive<u16>, Error> {
    let failed = |source| Error::Kernel {
        doing: "reading net.ipv4.ip_local_port_range",
        source,
    };
    let text = std::fs::read_to_string(LOCAL_RANGE).map_err(failed)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => Ok(first..=last),
        _ => Err(failed(io::Error::new(io::ErrorKind::InvalidData, text))),
    }
}

/// The first `count` ports in a row, from `range` and beginning with `from`, that no listening
/// socket holds on any of `hosts` and that `taken` does not claim. Docker gives one after the
/// other, so that a port that was freed is not given to somebody else at once: `from` is the last
/// given plus one.
pub fn pick(
    protocol: Protocol,
    hosts: &[IpAddr],
    count: u16,
    range: RangeInclusive<u16>,
    from: u16,
    taken: impl Fn(Ports) -> bool,
) -> Result<Ports, Error> {
    let held: BTreeSet<u16> = in_use(protocol)?
        .into_iter()
        .filter(|listener| hosts.iter().any(|host| listener.holds(*host)))
        .map(|listener| listener.address.port())
        .collect();
    let free = |row: Ports| held.range(row.iter()).next().is_none() && !taken(row);
    search(&range, count, from, free).ok_or(Error::Exhausted {
        protocol,
        count,
        first: *range.start(),
        last: *range.end(),
    })
}

fn search(
    range: &RangeInclusive<u16>,
    count: u16,
    from: u16,
    free: impl Fn(Ports) -> bool,
) -> Option<Ports> {
    let from = if range.contains(&from) {
        from
    } else {
        *range.start()
    };
    let starts = (from..=*range.end()).chain(*range.start()..from);
    starts
        .filter_map(|first| {
            let last = first.checked_add(count.checked_sub(1)?)?;
            Ports::new(first, last).filter(|_| last <= *range.end())
        })
        .find(|row| free(*row))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{TcpListener, UdpSocket};

    use wharf_sys::clone::Namespaces;
    use wharf_sys::namespaces::unshare;

    use super::*;

    /// In a namespace with a loopback interface that is down: binding needs no more.
    fn in_a_new_namespace(f: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            unshare(Namespaces::NETWORK).unwrap();
            f();
        });
        thread.join().unwrap();
    }

    fn rule(protocol: Protocol, host: &str, first: u16, last: u16) -> PortRule {
        let ports = Ports::new(first, last).unwrap();
        PortRule {
            network: "net".into(),
            protocol,
            host: host.parse().unwrap(),
            host_ports: ports,
            target: host.parse().unwrap(),
            target_ports: ports,
        }
    }

    fn refused(protocol: Protocol, host: &str) -> bool {
        match check(&[rule(protocol, host, 70, 90)]) {
            Ok(()) => false,
            Err(Error::InUse { address, .. }) => {
                assert_eq!(address, SocketAddr::new(host.parse().unwrap(), 80));
                true
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_listener_on_every_address_of_both_families_refuses_any_host() {
        in_a_new_namespace(|| {
            let _held = TcpListener::bind("[::]:80").unwrap();
            for host in ["0.0.0.0", "127.0.0.1", "10.0.0.1", "::", "::1", "fd00::1"] {
                assert!(refused(Protocol::Tcp, host), "{host}");
            }
            assert!(!refused(Protocol::Udp, "0.0.0.0"));
            assert!(!refused(Protocol::Sctp, "0.0.0.0"));
            check(&[rule(Protocol::Tcp, "0.0.0.0", 81, 90)]).unwrap();
        });
    }

    #[test]
    fn a_listener_of_one_family_leaves_the_other_alone() {
        in_a_new_namespace(|| {
            let _held = UdpSocket::bind("0.0.0.0:80").unwrap();
            assert!(refused(Protocol::Udp, "0.0.0.0"));
            assert!(refused(Protocol::Udp, "10.0.0.1"));
            assert!(!refused(Protocol::Udp, "::"));
            assert!(!refused(Protocol::Tcp, "0.0.0.0"));
        });
    }

    #[test]
    fn a_listener_that_is_only_ipv6_leaves_ipv4_alone() {
        use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
        in_a_new_namespace(|| {
            let held = socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
            sockopt::set_ipv6_v6only(&held, true).unwrap();
            bind(&held, &"[::]:80".parse::<SocketAddr>().unwrap()).unwrap();
            listen(&held, 1).unwrap();
            assert!(refused(Protocol::Tcp, "::1"));
            assert!(!refused(Protocol::Tcp, "0.0.0.0"));
        });
    }

    #[test]
    fn a_listener_on_one_address_refuses_that_and_every() {
        in_a_new_namespace(|| {
            let held = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                None,
            )
            .unwrap();
            // Loopback is down; a listener there needs no interface with IP_FREEBIND.
            rustix::net::sockopt::set_ip_freebind(&held, true).unwrap();
            let address: SocketAddr = "127.0.0.53:80".parse().unwrap();
            rustix::net::bind(&held, &address).unwrap();
            rustix::net::listen(&held, 1).unwrap();
            assert!(refused(Protocol::Tcp, "127.0.0.53"));
            assert!(refused(Protocol::Tcp, "0.0.0.0"));
            assert!(!refused(Protocol::Tcp, "127.0.0.1"));
            assert!(!refused(Protocol::Tcp, "::"));
        });
    }

    #[test]
    fn the_kernels_range_is_read_and_a_picked_port_is_free() {
        in_a_new_namespace(|| {
            let range = ephemeral_range().unwrap();
            assert_eq!(range, 32_768..=60_999);
            let _held = TcpListener::bind("0.0.0.0:32769").unwrap();
            let any = ["0.0.0.0".parse().unwrap(), "::".parse().unwrap()];
            let taken = |row: Ports| row.contains(32_771);
            let pick = |count, from| {
                let picked = pick(Protocol::Tcp, &any, count, range.clone(), from, taken);
                picked.map(|row| (row.first(), row.last()))
            };
            assert_eq!(pick(1, 0).unwrap(), (32_768, 32_768));
            assert_eq!(pick(1, 32_769).unwrap(), (32_770, 32_770));
            assert_eq!(pick(3, 0).unwrap(), (32_772, 32_774));
            // Behind the end it goes on at the beginning.
            assert_eq!(pick(2, 60_999).unwrap(), (32_772, 32_773));
            assert!(matches!(pick(40_000, 0), Err(Error::Exhausted { .. })));
        });
    }

    #[test]
    fn ports_meet_on_the_same_address_or_on_every_one_of_the_family() {
        let place = |host: &str, first, last| {
            let ports = Ports::new(first, last).unwrap();
            (Protocol::Tcp, host.parse::<IpAddr>().unwrap(), ports)
        };
        let any = place("0.0.0.0", 80, 90);
        assert!(conflict(any, place("10.0.0.1", 90, 99)));
        assert!(conflict(place("10.0.0.1", 80, 80), any));
        assert!(!conflict(any, place("10.0.0.1", 91, 99)));
        assert!(!conflict(any, place("::", 80, 80)));
        assert!(!conflict(
            place("10.0.0.1", 80, 80),
            place("10.0.0.2", 80, 80)
        ));
        let (_, host, ports) = any;
        assert!(!conflict(any, (Protocol::Udp, host, ports)));
    }
}
