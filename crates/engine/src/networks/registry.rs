//! Which networks there are, and who is on them.
//!
//! A network's record is a document and never changes; what changes (who is on it, which addresses
//! are taken) lives behind a lock of its own that is held for lookups in maps, never across I/O.
//! Making and removing networks is one at a time, on threads that may block.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use ipnet::IpNet;
use wharf_network::firewall::{Firewall, Watch};
use wharf_network::ipam::Pools;
use wharf_store::Store;

use super::NetworkOptions;
use super::driver::Driver;
use super::ports::PortTable;
use super::resolver::Resolvers;
use super::subnet::Subnet;
use crate::model::{Endpoint, Member, Network};
use crate::{Error, Result};

/// All networks. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub(crate) struct Networks(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) options: NetworkOptions,
    pub(super) store: Store,
    known: RwLock<BTreeMap<String, Arc<Net>>>,
    /// One network is made or removed at a time.
    changing: Mutex<()>,
    /// Where subnets come from that nobody named.
    pub(super) pools: Pools,
    /// Which of the host's ports are promised.
    pub(super) ports: PortTable,
    /// One thread opens the packet filter's table, the others wait for it.
    pub(super) opening: Mutex<()>,
    /// Opened with the first bridge; the watch over it lives as long.
    pub(super) firewall: OnceLock<(Arc<Firewall>, Option<Watch>)>,
    /// Name servers of running containers.
    pub(super) resolvers: Resolvers,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Networks").finish_non_exhaustive()
    }
}

/// One network.
#[derive(Debug)]
pub(crate) struct Net {
    /// What it is.
    pub(crate) record: Network,
    /// How it is made.
    pub(super) driver: Driver,
    state: Mutex<State>,
}

/// What changes about a network.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Nobody may join any more.
    pub(super) removed: bool,
    pub(super) subnets: Vec<Subnet>,
    /// Who is on it, by the container's id.
    pub(super) members: BTreeMap<String, Present>,
    /// Lower-case name -> ids of the containers that are called so.
    names: HashMap<String, Vec<String>>,
}

/// A container on a network.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
}

impl Networks {
    /// None yet.
    pub(super) fn new(store: Store, options: NetworkOptions, pools: Pools) -> Networks {
        Networks(Arc::new(Inner {
            options,
            store,
            known: RwLock::default(),
            changing: Mutex::default(),
            pools,
            ports: PortTable::default(),
            opening: Mutex::default(),
            firewall: OnceLock::new(),
            resolvers: Resolvers::default(),
        }))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Net>>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Net>>> {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while a network is made or removed.
    pub(super) fn changing(&self) -> MutexGuard<'_, ()> {
        self.0
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// All, in the order of their making.
    pub(crate) fn all(&self) -> Vec<Arc<Net>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_by(|a, b| {
            (a.record.created, &a.record.name).cmp(&(b.record.created, &b.record.name))
        });
        all
    }

    /// The network that a user means: by name, by id, by the first digits of its id.
    pub(crate) fn find(&self, reference: &str) -> Result<Arc<Net>> {
        let known = self.read();
        let reference = if reference == "default" {
            "bridge"
        } else {
            reference
        };
        if let Some(net) = known.get(reference) {
            return Ok(Arc::clone(net));
        }
        if let Some(net) = known.values().find(|net| net.record.name == reference) {
            return Ok(Arc::clone(net));
        }
        if reference.is_empty() {
            return Err(Error::NoSuchNetwork(String::new()));
        }
        let mut matching = known
            .range(reference.to_owned()..)
            .take_while(|(id, _)| id.starts_with(reference));
        match (matching.next(), matching.next()) {
            (Some((_, net)), None) => Ok(Arc::clone(net)),
            (Some(_), Some(_)) => Err(Error::InvalidArgument(format!(
                "network {reference} is ambiguous ({} matches found based on ID prefix)",
                matching.count() + 2
            ))),
            (None, _) => Err(Error::NoSuchNetwork(reference.to_owned())),
        }
    }

    /// The network of that name.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Net>> {
        self.read()
            .values()
            .find(|net| net.record.name == name)
            .cloned()
    }

    pub(super) fn insert(&self, net: Arc<Net>) {
        self.write().insert(net.record.id.clone(), net);
    }

    pub(super) fn forget(&self, id: &str) {
        self.write().remove(id);
    }
}

impl Net {
    /// A network nobody is on.
    pub(super) fn new(record: Network, driver: Driver, subnets: Vec<Subnet>) -> Net {
        Net {
            record,
            driver,
            state: Mutex::new(State {
                subnets,
                ..State::default()
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether containers on it have names for each other.
    pub(super) fn resolves_names(&self) -> bool {
        self.driver.has_interfaces() && self.record.name != "bridge"
    }

    /// It, with who is on it.
    pub(super) fn view(&self) -> Network {
        let mut network = self.record.clone();
        network.members = self
            .state()
            .members
            .iter()
            .map(|(id, present)| {
                let endpoint = &present.endpoint;
                let member = Member {
                    name: present.name.clone(),
                    endpoint: endpoint.id.clone(),
                    mac: endpoint.mac.clone(),
                    ipv4: endpoint.ipv4,
                    ipv6: endpoint.ipv6,
                };
                (id.clone(), member)
            })
            .collect();
        network
    }

    /// Its subnets of one family.
    pub(super) fn nets(&self) -> Vec<IpNet> {
        self.state()
            .subnets
            .iter()
            .map(|subnet| subnet.net)
            .collect()
    }
}

impl State {
    /// Addresses of the containers that are called so, of both families.
    pub(super) fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        let ids = self.names.get(name)?;
        Some(
            ids.iter()
                .filter_map(|id| self.members.get(id))
                .flat_map(|present| addresses(&present.endpoint))
                .collect(),
        )
    }

    /// Whose address that is.
    pub(super) fn owner_of(&self, address: IpAddr) -> Option<&Present> {
        self.members
            .values()
            .find(|present| addresses(&present.endpoint).any(|own| own == address))
    }

    /// Makes a container a member, by all its names.
    pub(super) fn join(&mut self, container: &str, present: Present) {
        self.leave(container);
        for name in &present.endpoint.names {
            let ids = self.names.entry(name.to_ascii_lowercase()).or_default();
            ids.push(container.to_owned());
        }
        self.members.insert(container.to_owned(), present);
    }

    /// The end of a membership. Its addresses are the caller's to release.
    pub(super) fn leave(&mut self, container: &str) -> Option<Present> {
        let present = self.members.remove(container)?;
        for name in &present.endpoint.names {
            let name = name.to_ascii_lowercase();
            if let Some(ids) = self.names.get_mut(&name) {
                ids.retain(|id| id != container);
                if ids.is_empty() {
                    self.names.remove(&name);
                }
            }
        }
        Some(present)
    }

    /// Gives an address back to the subnet that it is from.
    pub(super) fn release(&mut self, address: IpAddr) {
        if let Some(subnet) = self
            .subnets
            .iter_mut()
            .find(|subnet| subnet.net.contains(&address))
        {
            subnet.release(address);
        }
    }
}

/// The addresses of an endpoint.
pub(super) fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> {
    let v4 = endpoint.ipv4.map(|net| IpAddr::V4(net.addr()));
    let v6 = endpoint.ipv6.map(|net| IpAddr::V6(net.addr()));
    v4.into_iter().chain(v6)
}
