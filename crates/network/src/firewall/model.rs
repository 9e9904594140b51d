//! What the packet filter is asked to do: plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};

/// Everything that shall hold: what [`Firewall::reconcile`](super::Firewall::reconcile) makes
/// the kernel agree with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// Networks by their id.
    pub networks: BTreeMap<String, NetworkRules>,
    /// Published ports by the id of the endpoint that has them.
    pub ports: BTreeMap<String, Vec<PortRule>>,
}

/// One bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRules {
    /// The bridge's interface name, which no other network has.
    pub bridge: String,
    /// IPv4 subnets of the network.
    pub subnets_v4: Vec<Ipv4Net>,
    /// IPv6 subnets of the network.
    pub subnets_v6: Vec<Ipv6Net>,
    /// How IPv4 enters and leaves.
    pub mode_v4: GatewayMode,
    /// How IPv6 enters and leaves.
    pub mode_v6: GatewayMode,
    /// Whether the network's containers reach each other without a published port.
    pub icc: Icc,
    /// Whether outgoing packets take the host's address (the two nat modes only).
    pub masquerade: Masquerade,
    /// Whether there is a way in or out at all.
    pub reach: Reach,
    /// Interfaces of the host from which containers may be addressed directly, as from their own
    /// bridge (Docker's `trusted_host_interfaces`).
    pub trusted_interfaces: Vec<String>,
}

/// How packets of one address family pass between a network and the rest of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GatewayMode {
    /// Published ports are translated from the host's addresses; nothing else comes in.
    #[default]
    Nat,
    /// As `Nat`, and whoever has a route to the containers' own addresses reaches every port.
    NatUnprotected,
    /// No translation: the published ports of the containers' own addresses are open.
    Routed,
    /// Nothing comes in or goes out; the bridge has no address.
    Isolated,
}

/// Whether containers of one network reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Icc {
    /// They do.
    #[default]
    Allowed,
    /// Only through a published port. Frames between two ports of a bridge do not reach the
    /// filter where `br_netfilter` is off, so the endpoints must be isolated bridge ports too.
    Denied,
}

/// The source address of what leaves a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Masquerade {
    /// The containers' own.
    Off,
    /// That of the interface by which it leaves.
    #[default]
    Auto,
    /// These; a family that has none gets the interface's.
    Fixed {
        /// For IPv4.
        v4: Option<Ipv4Addr>,
        /// For IPv6.
        v6: Option<Ipv6Addr>,
    },
}

/// Whether a network has a way to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// As its gateway modes say.
    #[default]
    External,
    /// None: only its own containers and the host (`--internal`).
    Internal,
}

/// A published port, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRule {
    /// The network whose address `target` is. Shared: there can be ten thousands of rules.
    pub network: Arc<str>,
    /// What is spoken.
    pub protocol: Protocol,
    /// The host's address; unspecified is every address of that family, loopback included.
    /// Of the family of `target`. Without meaning in a routed network.
    pub host: IpAddr,
    /// The host's ports. Without meaning in a routed network.
    pub host_ports: Ports,
    /// The container's address.
    pub target: IpAddr,
    /// The container's ports, as many as the host's.
    pub target_ports: Ports,
}

/// Ports in a row, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// From `first` to `last`, both in; nothing if that is empty or has port 0.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first != 0 && first <= last).then_some(Self { first, last })
    }

    /// One port; nothing if it is port 0.
    #[must_use]
    pub fn one(port: u16) -> Option<Self> {
        Self::new(port, port)
    }

    /// The first.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last, which is in.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether `port` is one of them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether the two have a port in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Each of them.
    pub fn iter(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its number in the IP header.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = super::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(super::Error::Protocol(name.to_owned())),
        }
    }
}

impl fmt::Display for PortRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.host {
            IpAddr::V4(host) => host.to_string(),
            IpAddr::V6(host) => format!("[{host}]"),
        };
        let target = match self.target {
            IpAddr::V4(target) => target.to_string(),
            IpAddr::V6(target) => format!("[{target}]"),
        };
        write!(
            f,
            "{host}:{}->{target}:{}/{}",
            self.host_ports, self.target_ports, self.protocol
        )
    }
}
