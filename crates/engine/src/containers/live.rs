//! What changes about a container's networks while it exists: joined, left, ports, shaping.
//!
//! Each gives the record and the state that the task then writes in one transaction with the
//! events. The kernel is changed first, as in a start: a row that came before would have to be taken
//! back. When the row cannot be written the kernel is ahead of it until the container ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::Record;
use super::resolv_conf::Answering;
use super::snapshot::Snapshot;
use super::{etc, network};
use crate::blocking::blocking;
use crate::model::{ContainerState, EndpointSpec, Event, NetworkMode, PublishSpec, Status, Update};
use crate::networks::{Seats, check_endpoint};
use crate::{Engine, Error, Result};

/// A change, to be written.
pub(super) struct Changed {
    pub(super) record: Record,
    pub(super) state: ContainerState,
    pub(super) told: Vec<Event>,
}

/// The half of an update that is about networks.
#[derive(Debug, Default)]
pub(super) struct Changes {
    add: Vec<PublishSpec>,
    remove: Vec<PublishSpec>,
    options: BTreeMap<String, BTreeMap<String, String>>,
}

impl Changes {
    pub(super) fn of(update: &Update) -> Changes {
        Changes {
            add: update.publish_add.clone(),
            remove: update.publish_remove.clone(),
            options: update.endpoint_options.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.options.is_empty()
    }
}

/// What is being removed joins and leaves nothing.
pub(super) fn must_stay(snapshot: &Snapshot) -> Result<()> {
    if matches!(snapshot.state.status, Status::Removing | Status::Dead) {
        return Err(Error::Conflict(format!(
            "container {} is marked for removal and cannot be connected or disconnected to the network",
            snapshot.id()
        )));
    }
    Ok(())
}

fn seats(engine: &Engine, snapshot: &Snapshot) -> Seats {
    let state = &snapshot.state;
    engine.0.networks.seats_of(
        &state.endpoints,
        &snapshot.record.spec.networks,
        &state.ports,
    )
}

fn state_with(snapshot: &Snapshot, seats: &Seats) -> ContainerState {
    ContainerState {
        endpoints: seats.endpoints(),
        ports: seats.ports.clone(),
        ..snapshot.state.clone()
    }
}

/// Puts it on a network, now if it runs.
pub(super) async fn connect(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    reference: String,
    mut settings: EndpointSpec,
) -> Result<Changed> {
    let found = engine.0.networks.find(&reference);
    let running = snapshot.is_running();
    let name = match &found {
        Ok(net) => net.record.name.clone(),
        Err(error) if running => return Err(Error::NotFound(error.to_string())),
        // A container that does not run may be on a network that does not exist yet.
        Err(_) => reference.clone(),
    };
    let spec = &snapshot.record.spec;
    network::refuse_connect(spec, &name)?;
    let net = found.ok();
    check_endpoint(&name, &settings, net.as_deref())?;
    if let Some(net) = &net {
        settings.network.clone_from(&net.record.id);
    }
    let mut record = Record::clone(&snapshot.record);
    record.spec.networks.insert(name.clone(), settings.clone());
    if !running {
        return Ok(Changed {
            record,
            state: snapshot.state.clone(),
            told: Vec::new(),
        });
    }
    let changing = (engine.clone(), Arc::clone(snapshot));
    let joined = name.clone();
    let after = blocking(move || {
        let (engine, snapshot) = changing;
        let mut now = seats(&engine, &snapshot);
        let before = now.clone();
        let who = network::who(&snapshot.record);
        let networks = &engine.0.networks;
        networks.connect(who, snapshot.state.pid, &mut now, &joined, &settings)?;
        files_follow(&engine, &snapshot, &before, &now);
        Ok(now)
    })
    .await?;
    let state = state_with(snapshot, &after);
    let told = event(snapshot, &name, &state, "connect");
    Ok(Changed {
        record,
        state,
        told,
    })
}

/// Takes it off a network.
pub(super) async fn disconnect(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    reference: String,
) -> Result<Changed> {
    let name = engine
        .0
        .networks
        .find(&reference)
        .map_or(reference, |net| net.record.name.clone());
    let spec = &snapshot.record.spec;
    if spec.host.network == NetworkMode::Host && name == "host" {
        return Err(Error::InvalidArgument(
            "cannot disconnect container from host network - container was created in host network mode"
                .to_owned(),
        ));
    }
    if !spec.networks.contains_key(&name) && !snapshot.state.endpoints.contains_key(&name) {
        return Err(Error::Internal(format!(
            "container {} is not connected to network {name}",
            snapshot.id()
        )));
    }
    let mut record = Record::clone(&snapshot.record);
    record.spec.networks.remove(&name);
    if !snapshot.is_running() || !snapshot.state.endpoints.contains_key(&name) {
        return Ok(Changed {
            record,
            state: snapshot.state.clone(),
            told: Vec::new(),
        });
    }
    let changing = (engine.clone(), Arc::clone(snapshot));
    let left = name.clone();
    let after = blocking(move || {
        let (engine, snapshot) = changing;
        let mut now = seats(&engine, &snapshot);
        let before = now.clone();
        let who = network::who(&snapshot.record);
        let networks = &engine.0.networks;
        networks.disconnect(who, snapshot.state.pid, &mut now, &left)?;
        files_follow(&engine, &snapshot, &before, &now);
        Ok(now)
    })
    .await?;
    let told = event(snapshot, &name, &snapshot.state, "disconnect");
    Ok(Changed {
        record,
        state: state_with(snapshot, &after),
        told,
    })
}

fn event(snapshot: &Snapshot, name: &str, state: &ContainerState, action: &str) -> Vec<Event> {
    let endpoint = state.endpoints.get(name);
    endpoint
        .map(|endpoint| network::event(snapshot.id(), name, endpoint, action))
        .into_iter()
        .collect()
}

/// The files of a running container after a change. They are a comfort, and no reason to fail.
fn files_follow(engine: &Engine, snapshot: &Snapshot, before: &Seats, now: &Seats) {
    let (old, new) = (before.addresses(), now.addresses());
    let gone: Vec<_> = old.iter().filter(|a| !new.contains(a)).copied().collect();
    let come: Vec<_> = new.iter().filter(|a| !old.contains(a)).copied().collect();
    let record = &snapshot.record;
    let names = etc::own_names(&record.hostname(), &record.spec.domainname);
    let options = &engine.0.options;
    let resolv = |seats: &Seats| etc::resolv(record, options, answering(seats));
    let hosts = if gone.is_empty() {
        Ok(())
    } else {
        etc::remove_hosts(&snapshot.paths, &gone)
    };
    let result = hosts
        .and_then(|()| {
            if come.is_empty() {
                return Ok(());
            }
            etc::add_hosts(&snapshot.paths, &come, &names)
        })
        .and_then(|()| etc::replace_resolv(&snapshot.paths, &resolv(before), &resolv(now)))
        .and_then(|()| network::note(&snapshot.paths.exec, now));
    if let Err(error) = result {
        tracing::warn!(id = snapshot.id(), %error, "a container's files do not follow its networks");
    }
    resolve_names(engine, record, snapshot.state.pid, now);
}

fn answering(seats: &Seats) -> Answering {
    if seats.resolves_names() {
        Answering::Engine
    } else {
        Answering::Servers {
            ipv6: seats.has_ipv6(),
        }
    }
}

/// Starts, changes or ends the name server of a container, by the networks that it is on.
pub(super) fn resolve_names(engine: &Engine, record: &Record, pid: i32, seats: &Seats) {
    let upstream = etc::resolv(record, &engine.0.options, answering(seats)).upstream;
    let who = network::who(record);
    if let Err(error) = engine.0.networks.answer_names(who, pid, seats, &upstream) {
        tracing::error!(id = record.id, %error, "a container's names are not answered");
    }
}

/// The name server of a container that was running before the daemon was.
pub(super) fn start_resolver(engine: &Engine, snapshot: &Snapshot) {
    let seats = seats(engine, snapshot);
    resolve_names(engine, &snapshot.record, snapshot.state.pid, &seats);
}

/// The networks' half of an update: written into the record; the state as it is then.
pub(super) async fn update(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    record: &mut Record,
    changes: Changes,
) -> Result<ContainerState> {
    if changes.is_empty() {
        return Ok(snapshot.state.clone());
    }
    if snapshot.record.spec.host.network == NetworkMode::Host {
        return Err(Error::InvalidArgument(
            "a container on the host's network publishes no ports".to_owned(),
        ));
    }
    change_spec(record, &changes)?;
    if !snapshot.is_running() {
        return Ok(snapshot.state.clone());
    }
    let changing = (engine.clone(), Arc::clone(snapshot), record.clone());
    let after = blocking(move || {
        let (engine, snapshot, record) = changing;
        let mut now = seats(&engine, &snapshot);
        for seat in &mut now.list {
            if let Some(spec) = record.spec.networks.get(seat.network()) {
                seat.shape(spec, snapshot.state.pid)?;
            }
        }
        let networks = &engine.0.networks;
        if !changes.add.is_empty() || !changes.remove.is_empty() {
            networks.change_ports(snapshot.id(), &mut now, &changes.add, &changes.remove)?;
            network::note(&snapshot.paths.exec, &now)?;
        }
        Ok(now)
    })
    .await?;
    Ok(state_with(snapshot, &after))
}

fn change_spec(record: &mut Record, changes: &Changes) -> Result<()> {
    let publish = &mut record.spec.host.publish;
    for spec in &changes.remove {
        let before = publish.len();
        let kept: Vec<PublishSpec> = publish
            .drain(..)
            .flat_map(|known| crate::networks::without_spec(&known, spec))
            .collect();
        *publish = kept;
        tracing::debug!(
            before,
            after = publish.len(),
            "ports of a specification removed"
        );
    }
    publish.extend(changes.add.iter().cloned());
    for (name, options) in &changes.options {
        let Some(endpoint) = record.spec.networks.get_mut(name) else {
            return Err(Error::InvalidArgument(format!(
                "container {} is not connected to network {name}",
                record.id
            )));
        };
        for (key, value) in options {
            if !key.starts_with(crate::networks::SHAPING) {
                return Err(Error::InvalidArgument(format!(
                    "option {key} of an endpoint cannot be changed: only {}* can",
                    crate::networks::SHAPING
                )));
            }
            if value.is_empty() {
                endpoint.options.remove(key);
            } else {
                endpoint.options.insert(key.clone(), value.clone());
            }
        }
        check_endpoint(name, endpoint, None)?;
    }
    Ok(())
}
