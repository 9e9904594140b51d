//! Ports: what a container asks to have published, and what it got.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// By its name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            "sctp" => Some(Self::Sctp),
            _ => None,
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

/// Ports in a row: `first` is not above `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, which is in.
    pub last: u16,
}

impl PortRange {
    /// One port.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last.saturating_sub(self.first)) + 1
    }

    /// Whether a port is among them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// `80`, `8000-8010`; nothing for what is neither, or runs backwards.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        };
        (range.first <= range.last).then_some(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// What is to be published. A range is one of these, however long it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishSpec {
    /// What is spoken.
    pub protocol: Protocol,
    /// The container's ports.
    pub container: PortRange,
    /// The host's address as typed; empty for the network's default.
    pub host_ip: String,
    /// The host's ports.
    pub host: HostPorts,
}

/// Which of the host's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HostPorts {
    /// Any that is free.
    Ephemeral,
    /// These, one for each of the container's.
    Each(PortRange),
    /// One of these, for the container's only one.
    OneOf(PortRange),
}

impl HostPorts {
    /// As the API writes it for the container's port at `offset` in its range.
    #[must_use]
    pub fn text(self, offset: u16) -> String {
        match self {
            Self::Ephemeral => String::new(),
            Self::Each(range) => range.first.saturating_add(offset).to_string(),
            Self::OneOf(range) => range.to_string(),
        }
    }
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPorts {
    /// What is spoken.
    pub protocol: Protocol,
    /// The container's ports.
    pub container: PortRange,
    /// The host's address; unspecified for all of its family.
    pub host_ip: IpAddr,
    /// The host's ports, as many.
    pub host: PortRange,
}

/// Joins what is next to each other, so that ten thousand ports that were named one by one are
/// one element. The order of what cannot be joined stays.
#[must_use]
pub fn join(specs: Vec<PublishSpec>) -> Vec<PublishSpec> {
    let mut joined: Vec<PublishSpec> = Vec::new();
    for spec in specs {
        match joined.last_mut() {
            Some(last) if continues(last, &spec) => {
                last.container.last = spec.container.last;
                if let (HostPorts::Each(range), HostPorts::Each(next)) = (&mut last.host, spec.host)
                {
                    range.last = next.last;
                }
            }
            _ => joined.push(spec),
        }
    }
    joined
}

fn continues(last: &PublishSpec, next: &PublishSpec) -> bool {
    let host = match (last.host, next.host) {
        (HostPorts::Each(a), HostPorts::Each(b)) => a.last.checked_add(1) == Some(b.first),
        _ => false,
    };
    host && last.protocol == next.protocol
        && last.host_ip == next.host_ip
        && last.container.last.checked_add(1) == Some(next.container.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(container: u16, host: u16) -> PublishSpec {
        PublishSpec {
            protocol: Protocol::Tcp,
            container: PortRange::one(container),
            host_ip: String::new(),
            host: HostPorts::Each(PortRange::one(host)),
        }
    }

    #[test]
    fn ports_in_a_row_on_both_sides_are_one_range() {
        let joined = join(vec![spec(80, 8080), spec(81, 8081), spec(82, 9000)]);
        let seen: Vec<_> = joined
            .iter()
            .map(|spec| (spec.container.to_string(), spec.host.text(0)))
            .collect();
        assert_eq!(
            seen,
            [
                ("80-81".to_owned(), "8080".to_owned()),
                ("82".to_owned(), "9000".to_owned())
            ]
        );
    }

    #[test]
    fn a_range_that_runs_backwards_is_none() {
        assert_eq!(PortRange::parse("10-9"), None);
        assert_eq!(
            PortRange::parse("9-10"),
            Some(PortRange { first: 9, last: 10 })
        );
        assert_eq!(PortRange::parse("x"), None);
    }
}
