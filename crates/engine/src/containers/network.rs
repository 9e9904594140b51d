//! A container's networks: from its specification to its places, and back to what is shown.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record::Record;
use super::snapshot::Snapshot;
use crate::model::{
    BoundPorts, ContainerSpec, ContainerState, Endpoint, EndpointSpec, Event, HostPorts,
    NetworkMode, NetworkPlace, PortRange, Protocol, PublishSpec,
};
use crate::networks::{Networks, Seats, Who, check_endpoint};
use crate::{Engine, Error, Result, events};

/// Who a container is on networks.
pub(super) fn who(record: &Record) -> Who<'_> {
    Who {
        id: &record.id,
        name: &record.name,
        hostname: &record.spec.hostname,
    }
}

/// Fills in what a specification means by its network mode, and refuses what cannot be; gives
/// warnings.
pub(super) fn settle(engine: &Engine, spec: &mut ContainerSpec) -> Result<Vec<String>> {
    let networks = &engine.0.networks;
    let mut warnings = Vec::new();
    let mode = spec.host.network.clone();
    if let NetworkMode::Container(_) = mode {
        refuse_for_shared(spec)?;
    }
    let main = match &mode {
        _ if spec.network_disabled => None,
        NetworkMode::Container(_) | NetworkMode::Path(_) => None,
        NetworkMode::Default | NetworkMode::Bridge => {
            // Without that network there is none, as with dockerd.
            networks.find("bridge").ok().map(|_| "bridge".to_owned())
        }
        NetworkMode::None => Some("none".to_owned()),
        NetworkMode::Host => Some("host".to_owned()),
        NetworkMode::Named(name) => Some(
            networks
                .find(name)
                .map_or_else(|_| name.clone(), |net| net.record.name.clone()),
        ),
    };
    let Some(main) = main else {
        spec.networks.clear();
        return Ok(warnings);
    };
    let wanted = std::mem::take(&mut spec.networks);
    for (reference, mut endpoint) in wanted {
        let found = networks.find(&reference).ok();
        let name = match &found {
            Some(net) => net.record.name.clone(),
            None => reference,
        };
        check_endpoint(&name, &endpoint, found.as_deref())
            .map_err(|error| error.within(&format!("invalid config for network {name}")))?;
        if let Some(net) = &found {
            endpoint.network.clone_from(&net.record.id);
        }
        spec.networks.insert(name, endpoint);
    }
    if spec.networks.is_empty() {
        let network = networks
            .find(&main)
            .map(|net| net.record.id.clone())
            .unwrap_or_default();
        let endpoint = EndpointSpec {
            network,
            ..EndpointSpec::default()
        };
        spec.networks.insert(main.clone(), endpoint);
    }
    mac_address(spec, &main)?;
    if mode == NetworkMode::Host && (!spec.host.publish.is_empty() || spec.host.publish_all) {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    Ok(warnings)
}

fn refuse_for_shared(spec: &ContainerSpec) -> Result<()> {
    let conflict = |what: &str| {
        Err(Error::InvalidArgument(format!(
            "conflicting options: {what}"
        )))
    };
    let host = &spec.host;
    if !host.links.is_empty() {
        return conflict(
            "container type network can't be used with links. This would result in undefined behavior",
        );
    }
    if !spec.mac_address.is_empty() {
        return conflict("mac-address and the network mode");
    }
    if !host.publish.is_empty() || host.publish_all {
        return conflict("port publishing and the container type network mode");
    }
    Ok(())
}

/// The container-wide address of older clients is that of the main network.
fn mac_address(spec: &mut ContainerSpec, main: &str) -> Result<()> {
    if spec.mac_address.is_empty() {
        return Ok(());
    }
    let wanted = spec.mac_address.clone();
    let Some(endpoint) = spec.networks.get_mut(main) else {
        return Ok(());
    };
    if !endpoint.mac_address.is_empty() && endpoint.mac_address != wanted {
        return Err(Error::InvalidArgument("the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty".to_owned()));
    }
    endpoint.mac_address = wanted;
    check_endpoint(main, endpoint, None)
        .map_err(|error| error.within(&format!("invalid config for network {main}")))
}

/// The networks in the order of their interfaces: that of the network mode first.
pub(super) fn wanted(spec: &ContainerSpec) -> Vec<(String, EndpointSpec)> {
    let main = super::list::network_mode(&spec.host.network);
    let mut wanted: Vec<(String, EndpointSpec)> = spec
        .networks
        .iter()
        .map(|(name, endpoint)| (name.clone(), endpoint.clone()))
        .collect();
    wanted.sort_by_key(|(name, endpoint)| *name != main && endpoint.network != main);
    wanted
}

/// What is to be published: as asked for, and with `-P` what is exposed and not published.
pub(super) fn publish(spec: &ContainerSpec) -> Vec<PublishSpec> {
    if spec.host.network == NetworkMode::Host {
        return Vec::new();
    }
    let mut publish = spec.host.publish.clone();
    if spec.host.publish_all {
        for text in &spec.exposed_ports {
            let Some((number, protocol)) = exposed(text) else {
                continue;
            };
            let published = publish
                .iter()
                .any(|spec| spec.protocol == protocol && spec.container.contains(number));
            if !published {
                publish.push(PublishSpec {
                    protocol,
                    container: PortRange::one(number),
                    host_ip: String::new(),
                    host: HostPorts::Ephemeral,
                });
            }
        }
    }
    publish
}

/// `80/tcp`
fn exposed(text: &str) -> Option<(u16, Protocol)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((number.parse().ok()?, Protocol::parse(protocol)?))
}

/// Places for a start. Blocks.
pub(super) fn reserve(networks: &Networks, record: &Record) -> Result<Seats> {
    let spec = &record.spec;
    networks
        .reserve(who(record), &wanted(spec), &publish(spec))
        .map_err(setting_up)
}

/// dockerd's words before what goes wrong about networks in a start.
pub(super) fn setting_up(error: Error) -> Error {
    error.within("failed to set up container networking")
}

/// An event for each network that a container is on.
pub(super) fn events(snapshot: &Snapshot, action: &str) -> Vec<Event> {
    let endpoints = &snapshot.state.endpoints;
    endpoints
        .iter()
        .map(|(name, endpoint)| event(snapshot.id(), name, endpoint, action))
        .collect()
}

/// An event about a place.
pub(super) fn event(container: &str, network: &str, endpoint: &Endpoint, action: &str) -> Event {
    let attributes = [
        ("container".to_owned(), container.to_owned()),
        ("name".to_owned(), network.to_owned()),
        ("type".to_owned(), endpoint.driver.clone()),
    ];
    events::event("network", action, &endpoint.network, attributes)
}

/// What is shown of a container's networks.
pub(super) fn places(snapshot: &Snapshot) -> BTreeMap<String, NetworkPlace> {
    let endpoints = &snapshot.state.endpoints;
    let mut shown: BTreeMap<String, NetworkPlace> = snapshot
        .record
        .spec
        .networks
        .iter()
        .map(|(name, spec)| {
            let place = NetworkPlace {
                spec: spec.clone(),
                endpoint: endpoints.get(name).cloned(),
            };
            (name.clone(), place)
        })
        .collect();
    for (name, endpoint) in endpoints {
        shown.entry(name.clone()).or_insert_with(|| NetworkPlace {
            spec: EndpointSpec::default(),
            endpoint: Some(endpoint.clone()),
        });
    }
    shown
}

/// The facts of a run, beside its shim's socket: for a daemon that comes back before the row of the
/// start was written. On memory, and gone with the run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Facts {
    endpoints: BTreeMap<String, Endpoint>,
    ports: Vec<BoundPorts>,
}

const FACTS: &str = "network.json";

/// Writes them before the program goes.
pub(super) fn note(exec: &Path, seats: &Seats) -> Result<()> {
    if seats.list.is_empty() {
        return Ok(());
    }
    let path = exec.join(FACTS);
    let failed = |error: &dyn std::fmt::Display| {
        Error::Internal(format!("write {}: {error}", path.display()))
    };
    let facts = Facts {
        endpoints: seats.endpoints(),
        ports: seats.ports.clone(),
    };
    let text = serde_json::to_vec(&facts).map_err(|error| failed(&error))?;
    fs::write(&path, text).map_err(|error| failed(&error))
}

/// Puts them into a state that does not know them. Blocks.
pub(super) fn recall(exec: &Path, state: &mut ContainerState) {
    let facts = fs::read(exec.join(FACTS))
        .ok()
        .and_then(|text| serde_json::from_slice::<Facts>(&text).ok());
    if let Some(facts) = facts {
        state.endpoints = facts.endpoints;
        state.ports = facts.ports;
    }
}

/// Why a container cannot be put on a further network.
pub(super) fn refuse_connect(spec: &ContainerSpec, name: &str) -> Result<()> {
    let refuse = |text: &str| Err(Error::InvalidArgument(text.to_owned()));
    let host = &spec.host;
    if matches!(
        host.network,
        NetworkMode::Container(_) | NetworkMode::Path(_)
    ) {
        return refuse(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        );
    }
    if name == "host" && host.network != NetworkMode::Host {
        return refuse("container cannot be connected to host network");
    }
    if host.network == NetworkMode::Host {
        return refuse(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        );
    }
    let others = spec.networks.keys().any(|other| other != name);
    if others && (name == "none" || spec.networks.contains_key("none")) {
        return refuse(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        );
    }
    Ok(())
}

/// The state of a container that is to have another name: its places are called so, too.
pub(super) fn renamed(
    networks: &Networks,
    record: &Record,
    state: &ContainerState,
) -> ContainerState {
    let mut state = state.clone();
    for (name, endpoint) in &mut state.endpoints {
        let wished = record.spec.networks.get(name).cloned().unwrap_or_default();
        endpoint.names = networks.names_of(who(record), endpoint, &wished);
    }
    state
}

/// Makes what a snapshot says of a container's places known to the networks.
pub(super) fn tell(networks: &Networks, snapshot: &Snapshot) {
    for endpoint in snapshot.state.endpoints.values() {
        networks.know(who(&snapshot.record), endpoint);
    }
}
