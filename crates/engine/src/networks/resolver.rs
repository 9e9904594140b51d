//! Names: who is called what, asked from inside a container.
//!
//! Each container on a network that has names has a server of its own, which knows the networks
//! that the container is on and no others. What it knows is read from the networks at each question:
//! nothing is copied, and a rename or a container that leaves is true at once.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::broadcast;
use wharf_network::dns::{
    Cache, Forwarding, Handle, Origin, Query, QueryLog, SandboxConfig, Server, Zone,
};

use super::registry::{Net, Networks};
use super::sandbox::{Seats, Who, namespace};
use crate::containers::Upstream;
use crate::{Error, Result};

/// The port of DNS.
const PORT: u16 = 53;

/// What every container may call the host.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];

/// The name servers of running containers.
#[derive(Debug, Default)]
pub(super) struct Resolvers {
    running: Mutex<HashMap<String, Resolver>>,
    log: QueryLog,
    cache: Cache,
}

#[derive(Debug)]
struct Resolver {
    places: Arc<Places>,
    forwarding: Forwarding,
    /// Dropped, it ends.
    _server: Handle,
}

/// Where a container looks names up.
struct Places {
    list: RwLock<Vec<Place>>,
    networks: Networks,
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}

struct Place {
    net: Arc<Net>,
    /// Alias -> name, known to this container only.
    links: Vec<(String, String)>,
}

impl Resolvers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Resolver>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container is answered no more.
    pub(super) fn end(&self, container: &str) {
        let ended = self.lock().remove(container);
        drop(ended);
    }
}

impl Networks {
    /// Answers for a container's networks, as they are now. Blocks.
    pub(crate) fn answer_names(
        &self,
        who: Who<'_>,
        pid: i32,
        seats: &Seats,
        upstream: &[Upstream],
    ) -> Result<()> {
        let resolvers = &self.0.resolvers;
        if !seats.resolves_names() {
            resolvers.end(who.id);
            return Ok(());
        }
        let places = places(seats);
        let gateways = seats.gateways();
        let forwarding = if gateways.v4.is_none() && gateways.v6.is_none() {
            Forwarding::Nothing
        } else {
            Forwarding::Everything
        };
        if let Some(running) = resolvers.lock().get(who.id)
            && running.forwarding == forwarding
        {
            let mut list = running
                .places
                .list
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            *list = places;
            return Ok(());
        }
        // The old one has the port.
        resolvers.end(who.id);
        let places = Arc::new(Places {
            list: RwLock::new(places),
            networks: self.clone(),
        });
        let config = SandboxConfig {
            container: who.id.to_owned(),
            upstreams: upstream.iter().map(asked).collect(),
            forwarding,
            log: resolvers.log.clone(),
            cache: resolvers.cache.clone(),
        };
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| Error::Internal(error.to_string()))?;
        let zone: Arc<dyn Zone> = Arc::<Places>::clone(&places);
        let server = Server::start(&namespace(pid)?, config, zone, &runtime)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let resolver = Resolver {
            places,
            forwarding,
            _server: server,
        };
        resolvers.lock().insert(who.id.to_owned(), resolver);
        Ok(())
    }

    /// The newest questions that containers asked, and those to come.
    pub(super) fn queries(&self) -> (Vec<Query>, broadcast::Receiver<Query>) {
        let log = &self.0.resolvers.log;
        let following = log.follow();
        (log.newest(), following)
    }
}

fn asked(upstream: &Upstream) -> wharf_network::dns::Upstream {
    wharf_network::dns::Upstream {
        address: SocketAddr::new(upstream.address, PORT),
        origin: if upstream.from_host {
            Origin::Host
        } else {
            Origin::Container
        },
    }
}

fn places(seats: &Seats) -> Vec<Place> {
    seats
        .list
        .iter()
        .filter(|seat| seat.net.resolves_names())
        .map(|seat| Place {
            net: Arc::clone(&seat.net),
            links: seat
                .spec
                .links
                .iter()
                .map(|link| {
                    let (name, alias) = link.split_once(':').unwrap_or((link, link));
                    (alias.to_ascii_lowercase(), name.to_ascii_lowercase())
                })
                .collect(),
        })
        .collect()
}

impl Place {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let linked = self.links.iter().find(|(alias, _)| alias == name);
        let name = linked.map_or(name, |(_, target)| target);
        let state = self.net.state();
        state.addresses_of(name).or_else(|| {
            let network = self.net.record.name.to_ascii_lowercase();
            let bare = name.strip_suffix(&network)?.strip_suffix('.')?;
            state.addresses_of(bare)
        })
    }
}

impl Zone for Places {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let found = list.iter().find_map(|place| place.lookup(name));
        found.or_else(|| {
            if !HOST_NAMES.contains(&name) {
                return None;
            }
            let gateways = self.networks.host_gateways();
            (!gateways.is_empty()).then_some(gateways)
        })
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().find_map(|place| {
            let state = place.net.state();
            let present = state.owner_of(address)?;
            Some(format!("{}.{}", present.name, place.net.record.name))
        })
    }
}
