//! Which of the host's ports are promised to whom.
//!
//! ```text
//!   asked for -> expanded for the address families there are -> promised, all or none
//!             -> checked against who listens on this host -> elements of the packet filter
//! ```
//! Promises are made before anything of a container exists, so that a port that is taken is refused
//! before anything changes. They are derived from the containers' rows when the daemon starts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_network::firewall::{self, PortRule, Ports};
use wharf_network::ports;

use crate::model::{BoundPorts, Endpoint, HostPorts, PortRange, Protocol, PublishSpec};
use crate::{Error, Result};

/// The promises, by container.
#[derive(Debug, Default)]
pub(super) struct PortTable(Mutex<Promised>);

#[derive(Debug, Default)]
struct Promised {
    by_container: HashMap<String, Vec<BoundPorts>>,
    /// Where the search for a free port goes on.
    next: u16,
}

/// Which address families a container can be reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

/// The endpoints that published ports lead to.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets {
    pub(super) v4: Option<(String, IpAddr)>,
    pub(super) v6: Option<(String, IpAddr)>,
}

impl Targets {
    /// By the endpoints that are the gateways of their family.
    pub(super) fn new(v4: Option<&Endpoint>, v6: Option<&Endpoint>) -> Targets {
        Targets {
            v4: v4.and_then(|endpoint| {
                Some((endpoint.network.clone(), endpoint.ipv4?.addr().into()))
            }),
            v6: v6.and_then(|endpoint| {
                Some((endpoint.network.clone(), endpoint.ipv6?.addr().into()))
            }),
        }
    }

    pub(super) fn families(&self) -> Families {
        Families {
            v4: self.v4.is_some(),
            v6: self.v6.is_some(),
        }
    }

    /// What the packet filter is told of these ports.
    pub(super) fn rules(&self, bound: &[BoundPorts]) -> Vec<PortRule> {
        bound
            .iter()
            .filter_map(|ports| {
                let (network, target) = match ports.host_ip {
                    IpAddr::V4(_) => self.v4.clone()?,
                    IpAddr::V6(_) => self.v6.clone()?,
                };
                Some(PortRule {
                    network: network.into(),
                    protocol: protocol(ports.protocol),
                    host: ports.host_ip,
                    host_ports: Ports::new(ports.host.first, ports.host.last)?,
                    target,
                    target_ports: Ports::new(ports.container.first, ports.container.last)?,
                })
            })
            .collect()
    }
}

fn protocol(protocol: Protocol) -> firewall::Protocol {
    match protocol {
        Protocol::Tcp => firewall::Protocol::Tcp,
        Protocol::Udp => firewall::Protocol::Udp,
        Protocol::Sctp => firewall::Protocol::Sctp,
    }
}

impl PortTable {
    fn lock(&self) -> MutexGuard<'_, Promised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Promises ports to a container beside those that it has, all or none. `bind` is where those
    /// go that name no address.
    pub(super) fn promise(
        &self,
        container: &str,
        specs: &[PublishSpec],
        targets: &Targets,
        bind: Option<IpAddr>,
    ) -> Result<Vec<BoundPorts>> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        let mut promised = self.lock();
        let mut made: Vec<BoundPorts> = Vec::new();
        for spec in specs {
            let hosts = hosts(spec, targets.families(), bind)?;
            if hosts.is_empty() {
                continue;
            }
            let range = promised.choose(spec, &hosts, &made, targets)?;
            for (host_ip, (container, host)) in hosts
                .iter()
                .flat_map(|host| range.iter().map(move |pair| (*host, *pair)))
            {
                made.push(BoundPorts {
                    protocol: spec.protocol,
                    container,
                    host_ip,
                    host,
                });
            }
        }
        promised
            .by_container
            .entry(container.to_owned())
            .or_default()
            .extend(made.iter().cloned());
        Ok(made)
    }

    /// What is promised to a container is what it has, and nothing else: at a daemon's start, or
    /// when some were given back.
    pub(super) fn set(&self, container: &str, ports: &[BoundPorts]) {
        let mut promised = self.lock();
        if ports.is_empty() {
            promised.by_container.remove(container);
        } else {
            promised
                .by_container
                .insert(container.to_owned(), ports.to_vec());
        }
    }

    /// Gives back all that a container has.
    pub(super) fn give_back(&self, container: &str) {
        self.lock().by_container.remove(container);
    }
}

impl Promised {
    fn taken(&self, made: &[BoundPorts], wanted: (Protocol, IpAddr, PortRange)) -> Option<u16> {
        let all = self.by_container.values().flatten().chain(made);
        all.filter(|bound| meets(bound, wanted.0, wanted.1))
            .filter(|bound| bound.host.first <= wanted.2.last && wanted.2.first <= bound.host.last)
            .map(|bound| bound.host.first.max(wanted.2.first))
            .min()
    }

    /// Pairs of the container's and the host's ports.
    fn choose(
        &mut self,
        spec: &PublishSpec,
        hosts: &[IpAddr],
        made: &[BoundPorts],
        targets: &Targets,
    ) -> Result<Vec<(PortRange, PortRange)>> {
        match spec.host {
            HostPorts::Each(range) => {
                for host in hosts {
                    if let Some(port) = self.taken(made, (spec.protocol, *host, range)) {
                        return Err(allocated(*host, port));
                    }
                }
                check(spec, hosts, range, targets)?;
                Ok(vec![(spec.container, range)])
            }
            HostPorts::OneOf(range) => {
                let port = self.pick(spec.protocol, hosts, range, range.first, made)?;
                Ok(vec![(spec.container, PortRange::one(port))])
            }
            HostPorts::Ephemeral => {
                let range = ports::ephemeral_range().map_err(|error| kernel(&error))?;
                let range = PortRange {
                    first: *range.start(),
                    last: *range.end(),
                };
                let mut pairs = Vec::new();
                let mut held = made.to_vec();
                for port in spec.container.first..=spec.container.last {
                    let from = if range.contains(self.next) {
                        self.next
                    } else {
                        range.first
                    };
                    let host = self.pick(spec.protocol, hosts, range, from, &held)?;
                    self.next = host.checked_add(1).unwrap_or(range.first);
                    let pair = (PortRange::one(port), PortRange::one(host));
                    held.extend(hosts.iter().map(|host_ip| BoundPorts {
                        protocol: spec.protocol,
                        container: pair.0,
                        host_ip: *host_ip,
                        host: pair.1,
                    }));
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
    }

    /// One free port of a range, beginning with `from`.
    fn pick(
        &self,
        of: Protocol,
        hosts: &[IpAddr],
        range: PortRange,
        from: u16,
        made: &[BoundPorts],
    ) -> Result<u16> {
        let claimed = |ports: Ports| {
            let wanted = PortRange {
                first: ports.first(),
                last: ports.last(),
            };
            hosts
                .iter()
                .any(|host| self.taken(made, (of, *host, wanted)).is_some())
        };
        ports::pick(
            protocol(of),
            hosts,
            1,
            range.first..=range.last,
            from,
            claimed,
        )
        .map(Ports::first)
        .map_err(|error| match error {
            ports::Error::Exhausted { .. } => Error::Internal(format!(
                "Bind for {} failed: all ports are allocated",
                hosts
                    .first()
                    .copied()
                    .unwrap_or(Ipv4Addr::UNSPECIFIED.into())
            )),
            error => kernel(&error),
        })
    }
}

/// dockerd's words for a port that another container has.
fn allocated(host: IpAddr, port: u16) -> Error {
    let host = std::net::SocketAddr::new(host, port);
    Error::Internal(format!("Bind for {host} failed: port is already allocated"))
}

fn kernel(error: &ports::Error) -> Error {
    Error::Internal(error.to_string())
}

/// Whether somebody listens there.
fn check(spec: &PublishSpec, hosts: &[IpAddr], range: PortRange, targets: &Targets) -> Result<()> {
    for host in hosts {
        let Some(wanted) = Ports::new(range.first, range.last) else {
            continue;
        };
        let rule = PortRule {
            network: "".into(),
            protocol: protocol(spec.protocol),
            host: *host,
            host_ports: wanted,
            target: *host,
            target_ports: wanted,
        };
        ports::check(&[rule]).map_err(|error| match error {
            ports::Error::InUse {
                protocol, address, ..
            } => {
                let target = match host {
                    IpAddr::V4(_) => targets.v4.as_ref(),
                    IpAddr::V6(_) => targets.v6.as_ref(),
                };
                let offset = address.port().saturating_sub(range.first);
                let port = spec.container.first.saturating_add(offset);
                let target = target.map_or(*host, |(_, address)| *address);
                let target = std::net::SocketAddr::new(target, port);
                Error::Internal(format!(
                    "failed to bind host port for {address}:{target}/{protocol}: address already in use"
                ))
            }
            error => kernel(&error),
        })?;
    }
    Ok(())
}

fn meets(bound: &BoundPorts, of: Protocol, host: IpAddr) -> bool {
    bound.protocol == of
        && bound.host_ip.is_ipv4() == host.is_ipv4()
        && (bound.host_ip == host || bound.host_ip.is_unspecified() || host.is_unspecified())
}

/// The host's addresses that a port is bound to: what was named, or the default, in every family
/// that the container has.
fn hosts(spec: &PublishSpec, families: Families, bind: Option<IpAddr>) -> Result<Vec<IpAddr>> {
    let named = match spec.host_ip.as_str() {
        "" => bind,
        text => Some(
            text.trim_matches(['[', ']'])
                .parse()
                .map_err(|_| Error::InvalidArgument(format!("invalid host IP address: {text}")))?,
        ),
    };
    let unspecified: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let wanted: Vec<IpAddr> = match named {
        None => unspecified.to_vec(),
        Some(address) => vec![address],
    };
    Ok(wanted
        .into_iter()
        .filter(|address| match address {
            IpAddr::V4(_) => families.v4,
            IpAddr::V6(_) => families.v6,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> Targets {
        Targets {
            v4: Some(("n".into(), "172.17.0.2".parse().unwrap())),
            v6: None,
        }
    }

    fn both() -> Targets {
        Targets {
            v6: Some(("n".into(), "fd00::2".parse().unwrap())),
            ..v4()
        }
    }

    fn spec(container: u16, host_ip: &str, host: HostPorts) -> PublishSpec {
        PublishSpec {
            protocol: Protocol::Tcp,
            container: PortRange::one(container),
            host_ip: host_ip.into(),
            host,
        }
    }

    fn each(port: u16) -> HostPorts {
        HostPorts::Each(PortRange::one(port))
    }

    #[test]
    fn a_port_is_promised_once_per_address() {
        let table = PortTable::default();
        let bound = table
            .promise("a", &[spec(80, "127.0.0.2", each(4080))], &v4(), None)
            .unwrap();
        assert_eq!(bound.len(), 1);
        table
            .promise("b", &[spec(80, "127.0.0.3", each(4080))], &v4(), None)
            .unwrap();
        let refused = table
            .promise("c", &[spec(80, "", each(4080))], &v4(), None)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Bind for 0.0.0.0:4080 failed: port is already allocated"
        );
        table.give_back("a");
        table.give_back("b");
        table
            .promise("c", &[spec(80, "", each(4080))], &v4(), None)
            .unwrap();
    }

    #[test]
    fn both_families_are_bound_where_there_are_both() {
        let table = PortTable::default();
        let bound = table
            .promise("a", &[spec(80, "", each(4081))], &both(), None)
            .unwrap();
        let hosts: Vec<String> = bound.iter().map(|b| b.host_ip.to_string()).collect();
        assert_eq!(hosts, ["0.0.0.0", "::"]);
        let narrow = table
            .promise(
                "b",
                &[spec(80, "", each(4082))],
                &both(),
                Some("127.0.0.1".parse().unwrap()),
            )
            .unwrap();
        assert_eq!(narrow.len(), 1);
    }

    #[test]
    fn what_is_refused_promises_nothing() {
        let table = PortTable::default();
        table
            .promise("a", &[spec(80, "", each(4083))], &v4(), None)
            .unwrap();
        assert!(
            table
                .promise(
                    "b",
                    &[spec(80, "", each(4084)), spec(81, "", each(4083))],
                    &v4(),
                    None
                )
                .is_err()
        );
        table
            .promise("c", &[spec(80, "", each(4084))], &v4(), None)
            .unwrap();
    }
}
