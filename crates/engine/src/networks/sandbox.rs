//! A container's networks, for the time that it runs.
//!
//! ```text
//!   reserve   networks found, settings checked, addresses and ports promised; nothing of the
//!             kernel's is touched, and files can be written that name the addresses
//!   attach    interfaces, through the namespace of a process that waits; routes; name server;
//!             ports last, when there is somebody to answer
//!   release   everything back, past what goes wrong: also what never came to be
//! ```
//! `reserve` gives all or nothing. After it, [`Networks::release`] is the undo of whatever came.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wharf_network::{Mac, Netns};

use super::ports::Targets;
use super::registry::{Net, Networks, Present, State, addresses};
use super::validate;
use super::{kernel, shaping};
use crate::model::{BoundPorts, Endpoint, EndpointSpec, PublishSpec};
use crate::{Error, Result, ids};

/// Who is to be on networks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    /// 64 hexadecimal digits.
    pub(crate) id: &'a str,
    /// Without slash.
    pub(crate) name: &'a str,
    /// As the specification has it; empty for none of its own.
    pub(crate) hostname: &'a str,
}

/// A place in a network.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(super) net: Arc<Net>,
    pub(super) spec: EndpointSpec,
    /// What it got.
    pub(crate) endpoint: Endpoint,
}

impl Seat {
    /// Changes what slows its traffic, when that changed. Blocks.
    pub(crate) fn shape(&mut self, spec: &EndpointSpec, pid: i32) -> Result<()> {
        let (before, after) = (
            shaping::of(&self.spec.options)?,
            shaping::of(&spec.options)?,
        );
        self.spec = spec.clone();
        if before == after {
            return Ok(());
        }
        kernel::shape(
            &self.net.driver,
            &self.endpoint,
            &namespace(pid)?,
            after.as_ref(),
        )
    }

    /// The network's name.
    pub(crate) fn network(&self) -> &str {
        &self.net.record.name
    }
}

/// All places of a container, and its ports.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seats {
    /// In the order of the interfaces.
    pub(crate) list: Vec<Seat>,
    /// Promised, and published once attached.
    pub(crate) ports: Vec<BoundPorts>,
}

/// Which places are the way out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gateways {
    pub(super) v4: Option<usize>,
    pub(super) v6: Option<usize>,
}

impl Seats {
    /// The endpoints, as they are kept in the container's row.
    pub(crate) fn endpoints(&self) -> BTreeMap<String, Endpoint> {
        self.list
            .iter()
            .map(|seat| (seat.network().to_owned(), seat.endpoint.clone()))
            .collect()
    }

    /// Whether names are asked of us, and not of the host's name servers.
    pub(crate) fn resolves_names(&self) -> bool {
        self.list.iter().any(|seat| seat.net.resolves_names())
    }

    /// Whether there is IPv6 on any interface.
    pub(crate) fn has_ipv6(&self) -> bool {
        self.list.iter().any(|seat| seat.endpoint.ipv6.is_some())
    }

    /// The addresses in the order of the interfaces.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.list
            .iter()
            .flat_map(|seat| addresses(&seat.endpoint))
            .collect()
    }

    /// Of the networks with a way out, the one of the highest priority, then the one that has both
    /// families, then the first by name.
    pub(super) fn gateways(&self) -> Gateways {
        let best = |has: &dyn Fn(&Endpoint) -> bool| {
            let candidates = self
                .list
                .iter()
                .enumerate()
                .filter(|(_, seat)| has(&seat.endpoint));
            candidates
                .min_by_key(|(_, seat)| {
                    let endpoint = &seat.endpoint;
                    let single = endpoint.gateway.is_none() || endpoint.ipv6_gateway.is_none();
                    (
                        std::cmp::Reverse(seat.spec.gateway_priority),
                        single,
                        seat.network().to_owned(),
                    )
                })
                .map(|(at, _)| at)
        };
        Gateways {
            v4: best(&|endpoint| endpoint.gateway.is_some()),
            v6: best(&|endpoint| endpoint.ipv6_gateway.is_some()),
        }
    }

    /// Where published ports lead: only a bridge translates.
    pub(super) fn targets(&self) -> Targets {
        let gateways = self.gateways();
        let bridge = |at: Option<usize>| {
            at.and_then(|at| self.list.get(at))
                .filter(|seat| seat.net.driver.bridge().is_some())
                .map(|seat| &seat.endpoint)
        };
        Targets::new(bridge(gateways.v4), bridge(gateways.v6))
    }

    /// Where ports go that name no address.
    pub(super) fn bind(&self) -> Option<IpAddr> {
        let at = self.gateways().v4.or(self.gateways().v6)?;
        self.list.get(at)?.net.driver.bridge()?.bind
    }
}

impl Networks {
    /// The places that a specification asks for, all or none.
    pub(crate) fn reserve(
        &self,
        who: Who<'_>,
        wanted: &[(String, EndpointSpec)],
        publish: &[PublishSpec],
    ) -> Result<Seats> {
        let mut seats = Seats::default();
        let result = self.fill(&mut seats, who, wanted, publish);
        if let Err(error) = result {
            self.release(who.id, &seats.endpoints());
            return Err(error);
        }
        Ok(seats)
    }

    fn fill(
        &self,
        seats: &mut Seats,
        who: Who<'_>,
        wanted: &[(String, EndpointSpec)],
        publish: &[PublishSpec],
    ) -> Result<()> {
        for (name, spec) in wanted {
            let seat = self.seat(who, name, spec, &seats.list)?;
            seats.list.push(seat);
        }
        self.promise_ports(who.id, seats, publish)
    }

    /// Ports for places that are there. What is refused is said of the endpoint it was for.
    pub(super) fn promise_ports(
        &self,
        container: &str,
        seats: &mut Seats,
        publish: &[PublishSpec],
    ) -> Result<()> {
        let targets = seats.targets();
        let made = self
            .0
            .ports
            .promise(container, publish, &targets, seats.bind())
            .map_err(|error| external_connectivity(error, seats))?;
        seats.ports.extend(made);
        Ok(())
    }

    /// One place: checked, addresses taken, the container a member.
    pub(super) fn seat(
        &self,
        who: Who<'_>,
        name: &str,
        spec: &EndpointSpec,
        others: &[Seat],
    ) -> Result<Seat> {
        let net = match spec.network.as_str() {
            "" => self.find(name)?,
            id => self.find(id)?,
        };
        validate::endpoint(&net.record.name, spec, Some(&net.record))?;
        let mut endpoint = Endpoint {
            id: ids::generate(),
            network: net.record.id.clone(),
            driver: net.record.driver.clone(),
            names: names(&net, who, spec),
            ..Endpoint::default()
        };
        if net.driver.has_interfaces() {
            endpoint.interface = interface(&net, spec, others);
            endpoint.host_interface = kernel::host_interface(&net.driver, &endpoint.id);
        }
        let mac = match spec.mac_address.as_str() {
            "" => String::new(),
            wanted => wanted
                .parse::<Mac>()
                .map_err(|error| Error::InvalidArgument(error.to_string()))?
                .to_string(),
        };
        let mut state = net.state();
        if state.removed {
            return Err(Error::NoSuchNetwork(net.record.name.clone()));
        }
        if state.members.contains_key(who.id) {
            return Err(Error::Forbidden(format!(
                "endpoint with name {} already exists in network {}",
                who.name, net.record.name
            )));
        }
        if net.driver.has_interfaces() {
            take_addresses(&mut state, &net, spec, &mut endpoint)
                .map_err(|error| exhausted(error, &net))?;
            endpoint.mac = mac;
            if endpoint.mac.is_empty() {
                endpoint.mac = own_mac(&endpoint).to_string();
            }
        }
        let present = Present {
            name: who.name.to_owned(),
            endpoint: endpoint.clone(),
        };
        state.join(who.id, present);
        drop(state);
        Ok(Seat {
            net,
            spec: spec.clone(),
            endpoint,
        })
    }

    /// Interfaces, routes, name server, ports. Blocks. On an error the caller releases.
    pub(crate) fn attach(&self, who: Who<'_>, seats: &mut Seats, pid: i32) -> Result<()> {
        if seats
            .list
            .iter()
            .all(|seat| !seat.net.driver.has_interfaces())
        {
            return Ok(());
        }
        let namespace = namespace(pid)?;
        let gateways = seats.gateways();
        for (at, seat) in seats.list.iter_mut().enumerate() {
            let way = kernel::Way {
                v4: gateways.v4 == Some(at),
                v6: gateways.v6 == Some(at),
            };
            kernel::attach(seat, who, &namespace, way)?;
            // What the kernel or a plugin decided is what others are told.
            self.told(who, seat);
        }
        self.publish(who.id, seats)
    }

    /// Makes what is said of a place what others see.
    pub(super) fn told(&self, who: Who<'_>, seat: &Seat) {
        seat.net.state().join(
            who.id,
            Present {
                name: who.name.to_owned(),
                endpoint: seat.endpoint.clone(),
            },
        );
    }

    /// Tells the packet filter of a container's ports.
    pub(super) fn publish(&self, container: &str, seats: &Seats) -> Result<()> {
        let rules = seats.targets().rules(&seats.ports);
        if rules.is_empty() {
            return Ok(());
        }
        self.firewall()?
            .publish(container, &rules)
            .map_err(|error| external_connectivity(Error::Internal(error.to_string()), seats))
    }

    /// The end of all places of a container that are named, and of its ports. Blocks. Goes on past
    /// what goes wrong, and says it.
    pub(crate) fn release(&self, container: &str, endpoints: &BTreeMap<String, Endpoint>) {
        self.free(container, endpoints);
        self.detach(container, endpoints);
    }

    /// As [`Self::release`], but for the interfaces: promises only, so that others may have what
    /// was promised at once.
    pub(crate) fn free(&self, container: &str, endpoints: &BTreeMap<String, Endpoint>) {
        self.0.resolvers.end(container);
        if let Some((firewall, _)) = self.0.firewall.get()
            && let Err(error) = firewall.unpublish(container)
        {
            tracing::error!(container, %error, "published ports are left");
        }
        self.0.ports.give_back(container);
        for endpoint in endpoints.values() {
            self.leave(container, endpoint);
        }
    }

    /// Takes the interfaces away. Their namespace's death does that, too, but when it likes; the
    /// kernel takes its time for either, so nobody should wait for this.
    pub(crate) fn detach(&self, container: &str, endpoints: &BTreeMap<String, Endpoint>) {
        for endpoint in endpoints.values() {
            if let Ok(net) = self.find(&endpoint.network)
                && let Err(error) = kernel::detach(&net.driver, container, endpoint)
            {
                tracing::error!(container, network = net.record.name, %error, "an interface is left");
            }
        }
    }

    /// The end of one place, but for its interface.
    pub(super) fn leave(&self, container: &str, endpoint: &Endpoint) {
        if let Ok(net) = self.find(&endpoint.network) {
            let mut state = net.state();
            state.leave(container);
            for address in addresses(endpoint) {
                state.release(address);
            }
        }
    }

    /// A container that was running before the daemon was: its addresses and ports are its own.
    pub(crate) fn adopt(
        &self,
        who: Who<'_>,
        endpoints: &BTreeMap<String, Endpoint>,
        ports: &[BoundPorts],
    ) {
        for (name, endpoint) in endpoints {
            let Ok(net) = self.find(&endpoint.network) else {
                tracing::warn!(
                    container = who.id,
                    network = name,
                    "a container is on a network that is no more"
                );
                continue;
            };
            let mut state = net.state();
            for address in addresses(endpoint) {
                if let Some(subnet) = state.subnets.iter_mut().find(|s| s.net.contains(&address))
                    && let Err(error) = subnet.take(Some(address))
                {
                    tracing::warn!(container = who.id, %address, %error, "an address of a running container is another's");
                }
            }
            state.join(
                who.id,
                Present {
                    name: who.name.to_owned(),
                    endpoint: endpoint.clone(),
                },
            );
        }
        self.0.ports.set(who.id, ports);
    }

    /// What a container is called at a place of its.
    pub(crate) fn names_of(
        &self,
        who: Who<'_>,
        endpoint: &Endpoint,
        spec: &EndpointSpec,
    ) -> Vec<String> {
        self.find(&endpoint.network)
            .map_or_else(|_| endpoint.names.clone(), |net| names(&net, who, spec))
    }

    /// A place of a running container is so from here on.
    pub(crate) fn know(&self, who: Who<'_>, endpoint: &Endpoint) {
        if let Ok(net) = self.find(&endpoint.network) {
            let present = Present {
                name: who.name.to_owned(),
                endpoint: endpoint.clone(),
            };
            net.state().join(who.id, present);
        }
    }

    /// What `host-gateway` stands for: as the daemon was told, or the default bridge's addresses.
    pub(crate) fn host_gateways(&self) -> Vec<IpAddr> {
        let told = &self.0.options.host_gateway;
        if !told.is_empty() {
            return told.clone();
        }
        let bridge = self.find("bridge").ok();
        bridge
            .iter()
            .flat_map(|net| {
                let state = net.state();
                let gateways: Vec<IpAddr> = state
                    .subnets
                    .iter()
                    .filter_map(|subnet| subnet.gateway)
                    .collect();
                gateways
            })
            .collect()
    }

    /// The places of a container that runs, from its row.
    pub(crate) fn seats_of(
        &self,
        endpoints: &BTreeMap<String, Endpoint>,
        specs: &BTreeMap<String, EndpointSpec>,
        ports: &[BoundPorts],
    ) -> Seats {
        let mut list: Vec<Seat> = endpoints
            .iter()
            .filter_map(|(name, endpoint)| {
                Some(Seat {
                    net: self.find(&endpoint.network).ok()?,
                    spec: specs.get(name).cloned().unwrap_or_default(),
                    endpoint: endpoint.clone(),
                })
            })
            .collect();
        list.sort_by(|a, b| a.endpoint.interface.cmp(&b.endpoint.interface));
        Seats {
            list,
            ports: ports.to_vec(),
        }
    }
}

/// The network namespace of a process of ours.
pub(super) fn namespace(pid: i32) -> Result<Netns> {
    let pid = u32::try_from(pid)
        .map_err(|_| Error::Internal("the container has no process".to_owned()))?;
    Netns::of_process(pid).map_err(|error| Error::Internal(error.to_string()))
}

/// dockerd's words for what goes wrong about published ports.
fn external_connectivity(error: Error, seats: &Seats) -> Error {
    let gateways = seats.gateways();
    let at = gateways.v4.or(gateways.v6).unwrap_or_default();
    let Some(seat) = seats.list.get(at) else {
        return error;
    };
    let name = seat.endpoint.names.first().map_or("", String::as_str);
    error.within(&format!(
        "driver failed programming external connectivity on endpoint {name} ({})",
        seat.endpoint.id
    ))
}

/// What a container is called in a network: its name first, which is what reverse lookups give.
pub(super) fn names(net: &Net, who: Who<'_>, spec: &EndpointSpec) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let short = who.id.get(..12).unwrap_or(who.id);
    let mut add = |name: &str| {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    add(who.name);
    if net.resolves_names() {
        for alias in &spec.aliases {
            add(alias);
        }
        add(short);
        add(who.hostname);
    }
    names
}

/// dockerd's words for a network whose addresses are all in use.
fn exhausted(error: Error, net: &Net) -> Error {
    let text = error.to_string();
    match text
        .strip_prefix("no available ")
        .and_then(|rest| rest.split_once(' '))
    {
        Some((family, _)) => Error::Internal(format!(
            "no available {family} addresses on this network's address pools: {} ({})",
            net.record.name, net.record.id
        )),
        None => error,
    }
}

/// The address of an interface that asks for none: by its IPv4 address, as Docker's were for long.
/// When a container's address becomes another's, its neighbours are not wrong about it.
fn own_mac(endpoint: &Endpoint) -> Mac {
    endpoint
        .ipv4
        .map_or_else(Mac::random_local, |net| Mac::of_ipv4(net.addr()))
}

/// `eth0` and on, or as it was asked for.
fn interface(net: &Net, spec: &EndpointSpec, others: &[Seat]) -> String {
    if let Some(name) = spec.options.get(validate::IFNAME).filter(|n| !n.is_empty()) {
        return name.clone();
    }
    let prefix = net.driver.prefix();
    (0u32..)
        .map(|number| format!("{prefix}{number}"))
        .find(|name| others.iter().all(|seat| seat.endpoint.interface != *name))
        .unwrap_or_else(|| format!("{prefix}0"))
}

/// Addresses of the families that the network has; those that were taken are given back when one
/// cannot be had.
fn take_addresses(
    state: &mut State,
    net: &Net,
    spec: &EndpointSpec,
    endpoint: &mut Endpoint,
) -> Result<()> {
    let record = &net.record;
    let wanted = |text: &str| -> Option<IpAddr> { text.parse().ok() };
    if record.ipv4 {
        let took = take(state, true, wanted(&spec.ipv4_address))?;
        if let Some((IpNet::V4(address), gateway)) = took {
            endpoint.ipv4 = Some(address);
            endpoint.gateway = gateway.and_then(|gateway| match gateway {
                IpAddr::V4(gateway) => Some(gateway),
                IpAddr::V6(_) => None,
            });
        }
    }
    if record.ipv6 {
        match take(state, false, wanted(&spec.ipv6_address)) {
            Ok(Some((IpNet::V6(address), gateway))) => {
                endpoint.ipv6 = Some(address);
                endpoint.ipv6_gateway = gateway.and_then(|gateway| match gateway {
                    IpAddr::V6(gateway) => Some(gateway),
                    IpAddr::V4(_) => None,
                });
            }
            Ok(_) => {}
            Err(error) => {
                if let Some(address) = endpoint.ipv4 {
                    state.release(address.addr().into());
                }
                return Err(error);
            }
        }
    }
    if record.internal {
        endpoint.gateway = None;
        endpoint.ipv6_gateway = None;
    }
    Ok(())
}

/// An address of a family, with the gateway of its subnet; the wanted one, or the next of the
/// first subnet that has any.
fn take(
    state: &mut State,
    v4: bool,
    wanted: Option<IpAddr>,
) -> Result<Option<(IpNet, Option<IpAddr>)>> {
    let mut refused = None;
    for subnet in state
        .subnets
        .iter_mut()
        .filter(|subnet| subnet.net.addr().is_ipv4() == v4)
        .filter(|subnet| wanted.is_none_or(|wanted| subnet.net.contains(&wanted)))
    {
        match subnet.take(wanted) {
            Ok(address) => {
                let length = subnet.net.prefix_len();
                let net = match address {
                    IpAddr::V4(address) => Ipv4Net::new(address, length).map(IpNet::V4),
                    IpAddr::V6(address) => Ipv6Net::new(address, length).map(IpNet::V6),
                };
                let net = net.map_err(|error| Error::Internal(error.to_string()))?;
                return Ok(Some((net, subnet.exit)));
            }
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(None), Err)
}
