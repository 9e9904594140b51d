//! Which of the host's ports are taken: by listening sockets, or by reservation.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::firewall::{PortRule, Ports, Protocol};

/// A socket that holds a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Where it is bound.
    pub address: SocketAddr,
    /// Whether an unspecified IPv6 address stands for IPv4 too.
    pub dual_stack: bool,
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody listens there.
    #[error("{protocol} port {address} is in use")]
    InUse {
        /// The protocol.
        protocol: Protocol,
        /// The address asked for.
        address: SocketAddr,
    },
    /// No free port (or row of ports) is left.
    #[error("no {count} free {protocol} ports in a row in {first}-{last}")]
    Exhausted {
        /// The protocol.
        protocol: Protocol,
        /// How many in a row were wanted.
        count: u32,
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
        source: std::io::Error,
    },
}

/// Sockets of the calling thread's namespace that hold a port: listening TCP and SCTP, bound UDP.
pub fn in_use(protocol: Protocol) -> Result<Vec<Listener>, Error> {
    let _ = protocol;
    Ok(Vec::new())
}

/// Whether every host port of `rules` is free of listening sockets.
pub fn check(rules: &[PortRule]) -> Result<(), Error> {
    let _ = rules;
    Ok(())
}

/// Whether two published ports would meet: same protocol, a port in common, the same address or
/// one of them every address of that family.
#[must_use]
pub fn conflict(a: (Protocol, IpAddr, Ports), b: (Protocol, IpAddr, Ports)) -> bool {
    a.0 == b.0 && a.2.overlaps(b.2) && (a.1 == b.1 || meets(a.1, b.1) || meets(b.1, a.1))
}

fn meets(any: IpAddr, other: IpAddr) -> bool {
    any.is_unspecified() && any.is_ipv4() == other.is_ipv4()
}

/// Where ports are picked from when none is named (`net.ipv4.ip_local_port_range`).
pub fn ephemeral_range() -> Result<RangeInclusive<u16>, Error> {
    Ok(32768..=60999)
}

/// The first `count` ports in a row, from `range` and beginning with `from`, that no listening
/// socket holds on any of `hosts` and that `taken` does not claim.
pub fn pick(
    protocol: Protocol,
    hosts: &[IpAddr],
    count: u16,
    range: RangeInclusive<u16>,
    from: u16,
    taken: impl Fn(Ports) -> bool,
) -> Result<Ports, Error> {
    let _ = (hosts, from, taken);
    Err(Error::Exhausted {
        protocol,
        count: count.into(),
        first: *range.start(),
        last: *range.end(),
    })
}
