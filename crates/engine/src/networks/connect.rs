//! Places that come and go while a container runs, and ports that do.
//!
//! The gateway of a container may change with each: then its default routes are set anew and its
//! published ports lead to the new place, host ports unchanged.

use std::net::Ipv4Addr;

use wharf_network::Netns;

use super::kernel::{self, Way};
use super::registry::Networks;
use super::sandbox::{Gateways, Seats, Who, namespace};
use crate::model::{BoundPorts, EndpointSpec, HostPorts, PublishSpec};
use crate::{Error, Result};

impl Networks {
    /// A further place for a container that runs. Blocks. On an error nothing is left of it.
    pub(crate) fn connect(
        &self,
        who: Who<'_>,
        pid: i32,
        seats: &mut Seats,
        name: &str,
        spec: &EndpointSpec,
    ) -> Result<()> {
        let namespace = namespace(pid)?;
        let before = self.ways(seats);
        let seat = self.seat(who, name, spec, &seats.list)?;
        seats.list.push(seat);
        let added = seats.list.len().saturating_sub(1);
        let result = self.settle(who, &namespace, seats, added, &before);
        if result.is_err()
            && let Some(seat) = seats.list.pop()
        {
            if let Err(error) =
                kernel::detach_live(&seat.net.driver, who.id, &seat.endpoint, &namespace)
            {
                tracing::debug!(container = who.id, %error, "an interface that was not made is not there");
            }
            self.leave(who.id, &seat.endpoint);
        }
        result
    }

    fn settle(
        &self,
        who: Who<'_>,
        namespace: &Netns,
        seats: &mut Seats,
        added: usize,
        before: &(Option<String>, Option<String>),
    ) -> Result<()> {
        if let Some(seat) = seats.list.get_mut(added) {
            let no_way = Way {
                v4: false,
                v6: false,
            };
            kernel::attach(seat, who, namespace, no_way)?;
            self.told(who, seat);
        }
        self.follow_gateway(who, namespace, seats, before)
    }

    /// The end of a place of a container that runs. Blocks.
    pub(crate) fn disconnect(
        &self,
        who: Who<'_>,
        pid: i32,
        seats: &mut Seats,
        name: &str,
    ) -> Result<()> {
        let Some(at) = seats.list.iter().position(|seat| seat.network() == name) else {
            return Err(Error::Internal(format!(
                "container {} is not connected to network {name}",
                who.id
            )));
        };
        let namespace = namespace(pid)?;
        let before = self.ways(seats);
        let seat = seats.list.remove(at);
        if let Err(error) =
            kernel::detach_live(&seat.net.driver, who.id, &seat.endpoint, &namespace)
        {
            tracing::warn!(container = who.id, network = name, %error, "an interface is left");
        }
        self.leave(who.id, &seat.endpoint);
        self.follow_gateway(who, &namespace, seats, &before)
    }

    /// Ids of the endpoints that are the way out.
    fn ways(&self, seats: &Seats) -> (Option<String>, Option<String>) {
        let Gateways { v4, v6 } = seats.gateways();
        let id = |at: Option<usize>| {
            at.and_then(|at| seats.list.get(at))
                .map(|seat| seat.endpoint.id.clone())
        };
        (id(v4), id(v6))
    }

    fn follow_gateway(
        &self,
        who: Who<'_>,
        namespace: &Netns,
        seats: &Seats,
        before: &(Option<String>, Option<String>),
    ) -> Result<()> {
        if self.ways(seats) == *before {
            return Ok(());
        }
        let Gateways { v4, v6 } = seats.gateways();
        let endpoint = |at: Option<usize>| {
            at.and_then(|at| seats.list.get(at))
                .map(|seat| &seat.endpoint)
        };
        kernel::default_routes(namespace, endpoint(v4), endpoint(v6))?;
        if !seats.ports.is_empty() {
            self.publish_anew(who.id, seats)?;
        }
        Ok(())
    }

    /// The packet filter has what `seats` say, and nothing else.
    fn publish_anew(&self, container: &str, seats: &Seats) -> Result<()> {
        let rules = seats.targets().rules(&seats.ports);
        self.firewall()?
            .publish(container, &rules)
            .map_err(|error| Error::Internal(error.to_string()))
    }

    /// Ports of a container that runs: some more, some less, in one change. Blocks. On an error
    /// everything is as it was.
    pub(crate) fn change_ports(
        &self,
        container: &str,
        seats: &mut Seats,
        add: &[PublishSpec],
        remove: &[PublishSpec],
    ) -> Result<()> {
        let before = seats.ports.clone();
        for spec in remove {
            let kept: Vec<BoundPorts> = seats
                .ports
                .iter()
                .flat_map(|bound| without(bound, spec))
                .collect();
            if kept == seats.ports {
                return Err(Error::NotFound(format!(
                    "port {}/{} is not published as asked",
                    spec.container, spec.protocol
                )));
            }
            seats.ports = kept;
        }
        self.0.ports.set(container, &seats.ports);
        let result = self
            .promise_ports(container, seats, add)
            .and_then(|()| self.publish_anew(container, seats));
        if result.is_err() {
            seats.ports.clone_from(&before);
            self.0.ports.set(container, &before);
        }
        result
    }
}

/// What is left of a wish for ports when those that another means are taken out of it.
pub(crate) fn without_spec(known: &PublishSpec, spec: &PublishSpec) -> Vec<PublishSpec> {
    let same_address = spec.host_ip.is_empty() || spec.host_ip == known.host_ip;
    if known.protocol != spec.protocol || !same_address {
        return vec![known.clone()];
    }
    // Where the host's ports are ours to choose, any number stands for them.
    let host = match known.host {
        HostPorts::Each(range) => range,
        HostPorts::Ephemeral | HostPorts::OneOf(_) => known.container,
    };
    let bound = BoundPorts {
        protocol: known.protocol,
        container: known.container,
        host_ip: Ipv4Addr::UNSPECIFIED.into(),
        host,
    };
    let wanted = PublishSpec {
        host_ip: String::new(),
        host: match known.host {
            HostPorts::Each(_) => spec.host,
            HostPorts::Ephemeral | HostPorts::OneOf(_) => HostPorts::Ephemeral,
        },
        ..spec.clone()
    };
    without(&bound, &wanted)
        .into_iter()
        .map(|left| PublishSpec {
            container: left.container,
            host: match known.host {
                HostPorts::Each(_) => HostPorts::Each(left.host),
                other => other,
            },
            ..known.clone()
        })
        .collect()
}

/// What is left of published ports when those that a specification means are taken out.
pub(crate) fn without(bound: &BoundPorts, spec: &PublishSpec) -> Vec<BoundPorts> {
    let meant = spec.container;
    let host_ip = spec.host_ip.trim_matches(['[', ']']);
    let same_host = host_ip.is_empty() || host_ip.parse() == Ok(bound.host_ip);
    let offset = |port: u16| port.saturating_sub(bound.container.first);
    let same_port = match spec.host {
        HostPorts::Ephemeral => true,
        HostPorts::Each(range) | HostPorts::OneOf(range) => {
            let first = meant.first.max(bound.container.first);
            range
                .first
                .saturating_add(first.saturating_sub(meant.first))
                == bound.host.first.saturating_add(offset(first))
        }
    };
    let apart = meant.last < bound.container.first || bound.container.last < meant.first;
    if apart || bound.protocol != spec.protocol || !same_host || !same_port {
        return vec![bound.clone()];
    }
    let mut left = Vec::new();
    let mut part = |first: u16, last: u16| {
        let mut piece = bound.clone();
        piece.container.first = first;
        piece.container.last = last;
        piece.host.first = bound.host.first.saturating_add(offset(first));
        piece.host.last = bound.host.first.saturating_add(offset(last));
        left.push(piece);
    };
    if bound.container.first < meant.first {
        part(bound.container.first, meant.first - 1);
    }
    if meant.last < bound.container.last {
        part(meant.last + 1, bound.container.last);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PortRange, Protocol};

    fn range(first: u16, last: u16) -> PortRange {
        PortRange { first, last }
    }

    #[test]
    fn a_port_is_cut_out_of_a_range() {
        let bound = BoundPorts {
            protocol: Protocol::Tcp,
            container: range(80, 89),
            host_ip: "0.0.0.0".parse().unwrap(),
            host: range(8080, 8089),
        };
        let spec = |container, host| PublishSpec {
            protocol: Protocol::Tcp,
            container,
            host_ip: String::new(),
            host,
        };
        let left = without(&bound, &spec(range(84, 85), HostPorts::Ephemeral));
        let seen: Vec<_> = left
            .iter()
            .map(|piece| (piece.container.to_string(), piece.host.to_string()))
            .collect();
        assert_eq!(
            seen,
            [
                ("80-83".to_owned(), "8080-8083".to_owned()),
                ("86-89".to_owned(), "8086-8089".to_owned())
            ]
        );
        let other = without(
            &bound,
            &spec(range(80, 80), HostPorts::Each(range(9000, 9000))),
        );
        assert_eq!(other, std::slice::from_ref(&bound));
        assert!(
            without(
                &bound,
                &spec(range(80, 89), HostPorts::Each(range(8080, 8089)))
            )
            .is_empty()
        );
    }
}
