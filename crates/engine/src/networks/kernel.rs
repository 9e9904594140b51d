//! What a network and a place in it are to the kernel: domain types to those of the mechanism.

use std::net::IpAddr;

use ipnet::IpNet;
use wharf_network::bridge::{self, BridgeSpec, Ipv6, Owner};
use wharf_network::endpoint::{
    self, EndpointSpec, InterfaceName, IpvlanFlag, IpvlanMode, Isolation, Kind, MacvlanMode, Route,
    parent,
};
use wharf_network::firewall::{GatewayMode, Icc, NetworkRules, Reach};
use wharf_network::shaping::Shaping;
use wharf_network::{Mac, Netns, host};

use super::driver::{BridgeSettings, Driver, ParentSettings};
use super::registry::Net;
use super::sandbox::{Seat, Who};
use super::{cni, shaping, validate};
use crate::model::Endpoint;
use crate::{Error, Result};

/// Whether a place is the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

/// Makes a network's bridge, or finds it as it should be.
pub(super) fn ensure_bridge(net: &Net, settings: &BridgeSettings) -> Result<()> {
    let record = &net.record;
    let addresses = net
        .state()
        .subnets
        .iter()
        .filter(|subnet| match subnet.net {
            IpNet::V4(_) => !settings.inhibit_ipv4 && settings.mode_v4 != GatewayMode::Isolated,
            IpNet::V6(_) => settings.mode_v6 != GatewayMode::Isolated,
        })
        .filter_map(|subnet| IpNet::new(subnet.gateway?, subnet.net.prefix_len()).ok())
        .collect();
    let spec = BridgeSpec {
        name: settings.name.clone(),
        owner: if settings.theirs {
            Owner::Somebody
        } else {
            Owner::Us
        },
        addresses,
        mtu: settings.mtu,
        mac: None,
        ipv6: if record.ipv6 { Ipv6::On } else { Ipv6::Off },
    };
    bridge::ensure(&spec).map_err(failed)?;
    Ok(())
}

/// Removes a bridge that is ours.
pub(super) fn remove_bridge(settings: &BridgeSettings) -> Result<()> {
    if settings.theirs {
        return Ok(());
    }
    bridge::remove(&settings.name).map_err(failed)
}

/// What the packet filter is told of a network.
pub(super) fn rules(net: &Net, settings: &BridgeSettings) -> NetworkRules {
    let mut rules = NetworkRules {
        bridge: settings.name.clone(),
        subnets_v4: Vec::new(),
        subnets_v6: Vec::new(),
        mode_v4: settings.mode_v4,
        mode_v6: settings.mode_v6,
        icc: settings.icc,
        masquerade: settings.masquerade,
        reach: if net.record.internal {
            Reach::Internal
        } else {
            Reach::External
        },
        trusted_interfaces: settings.trusted.clone(),
    };
    for subnet in net.nets() {
        match subnet {
            IpNet::V4(subnet) => rules.subnets_v4.push(subnet),
            IpNet::V6(subnet) => rules.subnets_v6.push(subnet),
        }
    }
    rules
}

/// What the host's end of a place will be called; empty for drivers that have none.
pub(super) fn host_interface(driver: &Driver, endpoint: &str) -> String {
    match driver {
        Driver::Bridge(_) => format!("veth{}", endpoint.get(..7).unwrap_or(endpoint)),
        _ => String::new(),
    }
}

/// Makes a place's interface inside a namespace.
pub(super) fn attach(seat: &mut Seat, who: Who<'_>, namespace: &Netns, way: Way) -> Result<()> {
    let net = std::sync::Arc::clone(&seat.net);
    let kind = match &net.driver {
        Driver::Host | Driver::Null => return Ok(()),
        Driver::Cni { config } => return cni::attach(config, seat, who, namespace),
        Driver::Bridge(settings) => Kind::Veth {
            bridge: settings.name.clone(),
            isolation: if settings.icc == Icc::Denied {
                Isolation::Isolated
            } else {
                Isolation::Open
            },
        },
        Driver::Macvlan(settings) => macvlan(settings),
        Driver::Ipvlan(settings) => ipvlan(settings),
    };
    let endpoint = &seat.endpoint;
    let mac = endpoint.mac.parse::<Mac>().map_err(failed)?;
    let spec = EndpointSpec {
        // The address on the wire is the parent's.
        mac: (!matches!(net.driver, Driver::Ipvlan(_))).then_some(mac),
        kind,
        host_name: endpoint.host_interface.clone(),
        name: InterfaceName::Exact(endpoint.interface.clone()),
        mtu: mtu(&net.driver),
        addresses: assigned(seat),
        routes: routes(endpoint, way, &net.driver),
        sysctls: sysctls(seat),
        outgoing: shaping::of(&seat.spec.options)?,
        incoming: match net.driver {
            // Nothing of these is on the host's side.
            Driver::Bridge(_) => shaping::of(&seat.spec.options)?,
            _ => None,
        },
    };
    let attached = endpoint::attach(&spec, namespace).map_err(failed)?;
    seat.endpoint.interface = attached.name;
    seat.endpoint.mac = attached.mac.to_string();
    Ok(())
}

/// Takes a place's interface away. One that is gone with its namespace is no error.
pub(super) fn detach(driver: &Driver, container: &str, endpoint: &Endpoint) -> Result<()> {
    match driver {
        Driver::Bridge(_) => {
            endpoint::detach(Some(&endpoint.host_interface), None, None).map_err(failed)
        }
        Driver::Cni { config } => cni::detach(config, container, endpoint, None),
        _ => Ok(()),
    }
}

/// As [`detach`], of a container that goes on.
pub(super) fn detach_live(
    driver: &Driver,
    container: &str,
    endpoint: &Endpoint,
    namespace: &Netns,
) -> Result<()> {
    match driver {
        Driver::Host | Driver::Null => Ok(()),
        Driver::Cni { config } => cni::detach(config, container, endpoint, Some(namespace)),
        Driver::Bridge(_) => {
            let host = Some(endpoint.host_interface.as_str());
            endpoint::detach(host, Some(namespace), Some(&endpoint.interface)).map_err(failed)
        }
        Driver::Macvlan(_) | Driver::Ipvlan(_) => {
            endpoint::detach(None, Some(namespace), Some(&endpoint.interface)).map_err(failed)
        }
    }
}

fn mtu(driver: &Driver) -> Option<u32> {
    match driver {
        Driver::Bridge(settings) => settings.mtu,
        Driver::Macvlan(settings) | Driver::Ipvlan(settings) => settings.mtu,
        _ => None,
    }
}

fn assigned(seat: &Seat) -> Vec<IpNet> {
    let endpoint = &seat.endpoint;
    let local = seat.spec.link_local.iter().filter_map(|text| {
        let address: IpAddr = text.parse().ok()?;
        let length = if address.is_ipv4() { 16 } else { 64 };
        IpNet::new(address, length).ok()
    });
    endpoint
        .ipv4
        .map(IpNet::V4)
        .into_iter()
        .chain(endpoint.ipv6.map(IpNet::V6))
        .chain(local)
        .collect()
}

/// The default routes, where this place is the way out.
fn routes(endpoint: &Endpoint, way: Way, driver: &Driver) -> Vec<Route> {
    // Between subnets there is nobody who routes for them: the interface itself is the way.
    let on_link = matches!(driver, Driver::Ipvlan(settings) if settings.mode != "l2");
    let route = |via: IpAddr| {
        let route = Route::default_by(via);
        Route {
            via: route.via.filter(|_| !on_link),
            ..route
        }
    };
    let v4 = endpoint.gateway.filter(|_| way.v4).map(IpAddr::V4);
    let v6 = endpoint.ipv6_gateway.filter(|_| way.v6).map(IpAddr::V6);
    v4.into_iter().chain(v6).map(route).collect()
}

fn sysctls(seat: &Seat) -> Vec<(String, String)> {
    validate::listed(seat.spec.options.get(validate::SYSCTLS))
        .filter_map(|text| text.split_once('='))
        .map(|(key, value)| (key.replace("ifname", "IFNAME"), value.to_owned()))
        .collect()
}

fn macvlan(settings: &ParentSettings) -> Kind {
    Kind::Macvlan {
        parent: settings.parent.clone(),
        mode: match settings.mode.as_str() {
            "private" => MacvlanMode::Private,
            "vepa" => MacvlanMode::Vepa,
            "passthru" => MacvlanMode::Passthru,
            _ => MacvlanMode::Bridge,
        },
    }
}

fn ipvlan(settings: &ParentSettings) -> Kind {
    Kind::Ipvlan {
        parent: settings.parent.clone(),
        mode: match settings.mode.as_str() {
            "l3" => IpvlanMode::L3,
            "l3s" => IpvlanMode::L3s,
            _ => IpvlanMode::L2,
        },
        flag: match settings.flag.as_str() {
            "private" => IpvlanFlag::Private,
            "vepa" => IpvlanFlag::Vepa,
            _ => IpvlanFlag::Bridge,
        },
    }
}

/// Sees that the interface is there that a network stands on.
pub(super) fn ensure_parent(settings: &ParentSettings) -> Result<()> {
    if settings.inner {
        parent::ensure_inner(&settings.parent)
    } else {
        parent::ensure(&settings.parent)
    }
    .map(drop)
    .map_err(failed)
}

/// Removes the interface of a network that stood on nothing.
pub(super) fn remove_parent(settings: &ParentSettings) -> Result<()> {
    if !settings.inner {
        return Ok(());
    }
    parent::remove(&settings.parent).map_err(failed)
}

/// Slows the traffic of a place, or does no more.
pub(super) fn shape(
    driver: &Driver,
    endpoint: &Endpoint,
    namespace: &Netns,
    shaping: Option<&Shaping>,
) -> Result<()> {
    use wharf_network::shaping as queue;
    let change = |link: &str| match shaping {
        Some(shaping) => queue::set(link, shaping),
        None => queue::clear(link),
    };
    namespace
        .run(|| change(&endpoint.interface))
        .and_then(|changed| changed)
        .map_err(failed)?;
    match driver {
        Driver::Bridge(_) => change(&endpoint.host_interface).map_err(failed),
        _ => Ok(()),
    }
}

/// Default routes anew, when another place became the way out.
pub(super) fn default_routes(
    namespace: &Netns,
    v4: Option<&Endpoint>,
    v6: Option<&Endpoint>,
) -> Result<()> {
    endpoint::set_default_routes(
        namespace,
        v4.and_then(|endpoint| endpoint.gateway),
        v6.and_then(|endpoint| endpoint.ipv6_gateway),
    )
    .map_err(failed)
}

/// Packets are forwarded where networks need it; what was changed is said once.
pub(super) fn forwarding(net: &Net) -> Result<()> {
    let record = &net.record;
    for (wanted, family) in [
        (record.ipv4, host::Family::V4),
        (record.ipv6, host::Family::V6),
    ] {
        if !wanted {
            continue;
        }
        for change in host::enable_forwarding(family).map_err(failed)? {
            tracing::info!(
                sysctl = change.key,
                from = change.from,
                to = change.to,
                "switched for the containers' networks"
            );
        }
    }
    Ok(())
}
