//! Making and removing networks.
//!
//! ```text
//!   checked -> subnets: as asked for, or from the pools, overlapping nobody's
//!           -> bridge -> packet filter -> row and event, one fsync -> found by name
//! ```
//! Each step before the row has its undo. Removing goes the other way, and the row first: what a
//! crash leaves behind it is a bridge that nobody names, swept at the next start.

use std::sync::Arc;

use ipnet::IpNet;
use wharf_network::ipam::Family;
use wharf_store::Batch;

use super::driver::{Driver, truth};
use super::registry::{Net, Networks};
use super::subnet::Subnet;
use super::{KIND, kernel, validate};
use crate::model::{Event, Network, NetworkCreate, SubnetSpec};
use crate::undo::Undo;
use crate::{Error, Result, clock, events, ids};

impl Networks {
    /// Makes a network. Blocks. The number is that of the event.
    pub(super) fn create(&self, request: NetworkCreate) -> Result<(Arc<Net>, Option<u64>)> {
        let name = request.name.clone();
        if name.trim().is_empty() {
            return Err(Error::InvalidArgument(format!("invalid name: {name}")));
        }
        if validate::is_predefined(&name) {
            return Err(Error::Forbidden(format!(
                "operation is not permitted on predefined {name} network "
            )));
        }
        let _one_at_a_time = self.changing();
        if self.named(&name).is_some() {
            return Err(Error::Conflict(format!(
                "network with name {name} already exists"
            )));
        }
        let request = self.with_defaults(request)?;
        let mut record = record(request)?;
        let driver = if record.config_only {
            record.driver = "null".to_owned();
            Driver::Null
        } else {
            let driver = Driver::of(&record, &self.0.options)?;
            self.check_driver(&record, &driver)?;
            driver
        };
        let mut undo = Undo::new();
        let subnets = self.subnets(&mut record, &driver)?;
        let net = Arc::new(Net::new(record, driver, subnets));
        if !net.record.config_only {
            self.make(&net, &mut undo)?;
        }
        let mut batch = Batch::new();
        batch.put(KIND, &net.record.id, &net.record);
        events::add(&mut batch, &event(&net.record, "create"))?;
        let number = self.0.store.facts().commit(batch)?.last().copied();
        undo.keep();
        self.insert(Arc::clone(&net));
        Ok((net, number))
    }

    /// What a configuration-only network, or the daemon, says where the request does not.
    fn with_defaults(&self, mut request: NetworkCreate) -> Result<NetworkCreate> {
        if request.ingress || request.scope == "swarm" || request.scope == "global" {
            return Err(Error::Forbidden("This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.".to_owned()));
        }
        if !request.config_from.is_empty() {
            self.copy_configuration(&mut request)?;
        }
        if request.driver.is_empty() {
            request.driver = "bridge".to_owned();
        }
        if request.config_from.is_empty()
            && let Some(defaults) = self.0.options.default_options.get(&request.driver)
        {
            for (key, value) in defaults {
                let option = request.options.entry(key.clone());
                option.or_insert_with(|| value.clone());
            }
        }
        for (key, given) in [
            ("com.docker.network.enable_ipv4", &mut request.ipv4),
            ("com.docker.network.enable_ipv6", &mut request.ipv6),
        ] {
            match (&given, request.options.get(key)) {
                (Some(_), _) => {
                    request.options.remove(key);
                }
                (None, Some(text)) => {
                    *given = Some(truth(text).ok_or_else(|| {
                        Error::InvalidArgument(format!("driver-opt \"{key}\" is not a valid bool"))
                    })?);
                }
                (None, None) => {}
            }
        }
        Ok(request)
    }

    fn copy_configuration(&self, request: &mut NetworkCreate) -> Result<()> {
        let from = &request.config_from;
        let source = self
            .named(from)
            .or_else(|| self.find(from).ok())
            .ok_or_else(|| {
                Error::NotFound(format!("configuration network \"{from}\" does not exist"))
            })?;
        let source = &source.record;
        if !source.config_only {
            return Err(Error::Forbidden(format!(
                "network {} is not a configuration only network",
                source.name
            )));
        }
        if !request.options.is_empty() || !request.subnets.is_empty() || !request.labels.is_empty()
        {
            return Err(Error::Forbidden("user specified configurations are not supported if the network depends on a configuration network".to_owned()));
        }
        request.config_from.clone_from(&source.name);
        request.subnets.clone_from(&source.subnets);
        request.options.clone_from(&source.options);
        request.labels.clone_from(&source.labels);
        request.ipam_driver.clone_from(&source.ipam_driver);
        request.ipam_options.clone_from(&source.ipam_options);
        request.ipv4 = Some(source.ipv4);
        request.ipv6 = Some(source.ipv6);
        Ok(())
    }

    /// What depends on the other networks.
    fn check_driver(&self, record: &Network, driver: &Driver) -> Result<()> {
        let only_one = |what: &str| {
            Err(Error::Forbidden(format!(
                "only one instance of \"{what}\" network is allowed"
            )))
        };
        match driver {
            Driver::Host => only_one("host"),
            Driver::Null => only_one("null"),
            Driver::Bridge(settings) => {
                let same = self.all().into_iter().find(|net| {
                    net.driver
                        .bridge()
                        .is_some_and(|other| other.name == settings.name)
                });
                match same {
                    Some(other) => Err(Error::Forbidden(format!(
                        "cannot create network {} ({}): conflicts with network {} ({}): networks have same bridge name",
                        record.id, settings.name, other.record.id, settings.name
                    ))),
                    None => Ok(()),
                }
            }
            Driver::Macvlan(_) | Driver::Ipvlan(_) | Driver::Cni { .. } => Ok(()),
        }
    }

    /// The subnets of a new network, written back into its record.
    pub(super) fn subnets(&self, record: &mut Network, driver: &Driver) -> Result<Vec<Subnet>> {
        let plugins = matches!(driver, Driver::Cni { .. });
        if record.ipam_driver == "null" || plugins || record.config_only {
            return Ok(Vec::new());
        }
        let mut specs = std::mem::take(&mut record.subnets);
        specs.retain(|spec| match spec.subnet.parse::<IpNet>() {
            Ok(IpNet::V4(_)) => record.ipv4,
            Ok(IpNet::V6(_)) => record.ipv6,
            Err(_) => true,
        });
        record.configured = !specs.is_empty();
        let mut taken = self.taken();
        for spec in &specs {
            let Ok(wanted) = spec.subnet.parse::<IpNet>() else {
                continue;
            };
            if taken.iter().any(|other| overlap(*other, wanted)) {
                return Err(Error::Forbidden(
                    "invalid pool request: Pool overlaps with other one on this address space"
                        .to_owned(),
                ));
            }
            taken.push(wanted);
        }
        for (wanted, family, v4) in [
            (record.ipv4, Family::V4, true),
            (record.ipv6, Family::V6, false),
        ] {
            let has = specs.iter().any(|spec| {
                spec.subnet
                    .parse::<IpNet>()
                    .is_ok_and(|net| net.addr().is_ipv4() == v4)
            });
            if wanted && !has {
                let subnet = self.pool(family, &taken)?;
                taken.push(subnet);
                specs.push(SubnetSpec {
                    subnet: subnet.to_string(),
                    ..SubnetSpec::default()
                });
            }
        }
        // Those of IPv4 first, each family in the order that was given.
        specs.sort_by_key(|spec| spec.subnet.contains(':'));
        let subnets = specs.iter_mut().map(Subnet::new).collect();
        record.subnets = specs;
        subnets
    }

    /// A subnet that neither a network of ours nor a route of the host's has.
    pub(super) fn pool(&self, family: Family, taken: &[IpNet]) -> Result<IpNet> {
        let mut all = taken.to_vec();
        match wharf_network::host::taken_networks() {
            Ok(networks) => all.extend(networks),
            Err(error) => {
                tracing::warn!(%error, "the host's routes are not known; a subnet may meet one");
            }
        }
        self.0
            .pools
            .allocate(family, &all)
            .map_err(|error| super::address_error(&error))
    }

    /// The subnets of all networks.
    pub(super) fn taken(&self) -> Vec<IpNet> {
        self.all().iter().flat_map(|net| net.nets()).collect()
    }

    /// What a network is to the kernel. Blocks.
    pub(super) fn make(&self, net: &Arc<Net>, undo: &mut Undo) -> Result<()> {
        let settings = match &net.driver {
            Driver::Bridge(settings) => settings,
            Driver::Macvlan(settings) | Driver::Ipvlan(settings) => {
                kernel::ensure_parent(settings)?;
                let made = settings.clone();
                undo.push("make the parent interface", move || {
                    kernel::remove_parent(&made)
                });
                return Ok(());
            }
            Driver::Cni { .. } | Driver::Host | Driver::Null => return Ok(()),
        };
        kernel::ensure_bridge(net, settings)?;
        let made = settings.clone();
        undo.push("make the bridge", move || kernel::remove_bridge(&made));
        if self.0.options.forward && !net.record.internal {
            kernel::forwarding(net)?;
        }
        let firewall = self.firewall()?;
        firewall
            .add_network(&net.record.id, &kernel::rules(net, settings))
            .map_err(|error| Error::Internal(error.to_string()))?;
        let id = net.record.id.clone();
        undo.push("tell the packet filter", move || {
            firewall
                .remove_network(&id)
                .map_err(|error| Error::Internal(error.to_string()))
        });
        Ok(())
    }

    /// Removes a network that nobody is on. Blocks.
    pub(super) fn remove(&self, net: &Arc<Net>) -> Result<Option<u64>> {
        let record = &net.record;
        if validate::is_predefined(&record.name) {
            return Err(Error::Forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                record.name
            )));
        }
        let _one_at_a_time = self.changing();
        if record.config_only {
            let user = self
                .all()
                .into_iter()
                .find(|other| other.record.config_from == record.name);
            if user.is_some() {
                return Err(Error::Forbidden(format!(
                    "configuration network \"{}\" is in use",
                    record.name
                )));
            }
        }
        {
            let mut state = net.state();
            if state.removed {
                return Err(Error::NoSuchNetwork(record.name.clone()));
            }
            if !state.members.is_empty() {
                let users: Vec<String> = state
                    .members
                    .values()
                    .map(|present| {
                        let id = present.endpoint.id.get(..12).unwrap_or_default();
                        format!("name:{:?} id:{id:?}", present.name)
                    })
                    .collect();
                return Err(Error::Forbidden(format!(
                    "error while removing network: network {} has active endpoints ({})",
                    record.name,
                    users.join(", ")
                )));
            }
            state.removed = true;
        }
        let mut batch = Batch::new();
        batch.delete(KIND, &record.id);
        let committed = events::add(&mut batch, &event(record, "destroy"))
            .and_then(|()| Ok(self.0.store.facts().commit(batch)?));
        let number = match committed {
            Ok(numbers) => numbers.last().copied(),
            Err(error) => {
                net.state().removed = false;
                return Err(error);
            }
        };
        self.forget(&record.id);
        self.unmake(net);
        Ok(number)
    }

    /// The kernel's half of a removal; what goes wrong is logged.
    fn unmake(&self, net: &Net) {
        let id = &net.record.id;
        if let Driver::Macvlan(settings) | Driver::Ipvlan(settings) = &net.driver
            && let Err(error) = kernel::remove_parent(settings)
        {
            tracing::error!(id, %error, "the interface of a removed network is left");
        }
        let Some(settings) = net.driver.bridge() else {
            return;
        };
        if let Some((firewall, _)) = self.0.firewall.get()
            && let Err(error) = firewall.remove_network(id)
        {
            tracing::error!(id, %error, "rules of a removed network are left");
        }
        if let Err(error) = kernel::remove_bridge(settings) {
            tracing::error!(id, %error, "the bridge of a removed network is left");
        }
    }
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// A new record, but for the subnets that it gets.
fn record(request: NetworkCreate) -> Result<Network> {
    let ipv6 = request.ipv6.unwrap_or(false);
    validate::subnets(&request.subnets, ipv6)?;
    let ipam_driver = match request.ipam_driver.as_str() {
        "" => "default".to_owned(),
        known @ ("default" | "null") => known.to_owned(),
        other => return Err(Error::NotFound(format!("plugin \"{other}\" not found"))),
    };
    let ipv4 = request.ipv4.unwrap_or(true);
    if !ipv4 && !ipv6 && request.driver == "bridge" && !request.config_only {
        return Err(Error::InvalidArgument(
            "IPv4 or IPv6 must be enabled".to_owned(),
        ));
    }
    Ok(Network {
        id: ids::generate(),
        name: request.name,
        driver: request.driver,
        created: clock::now(),
        ipv4,
        ipv6,
        internal: request.internal,
        attachable: request.attachable,
        config_only: request.config_only,
        config_from: request.config_from,
        ipam_driver,
        ipam_options: request.ipam_options,
        subnets: request.subnets,
        configured: false,
        options: request.options,
        labels: request.labels,
        members: std::collections::BTreeMap::new(),
    })
}

/// An event about a network.
pub(super) fn event(network: &Network, action: &str) -> Event {
    let attributes = [
        ("name".to_owned(), network.name.clone()),
        ("type".to_owned(), network.driver.clone()),
    ];
    events::event("network", action, &network.id, attributes)
}
