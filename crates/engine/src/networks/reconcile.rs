//! A daemon's start: the kernel and what is known are made to agree.
//!
//! ```text
//!   open       rows read, the three defaults added                  nothing changed
//!              (containers are found: their addresses and ports are theirs)
//!   reconcile  bridges as they should be; the packet filter's table, whole, in one batch;
//!              interfaces on our bridges that nobody has, gone; name servers back
//! ```
//! Packets flow all the while: a bridge that is as it should be is not touched, and a table is
//! replaced in one transaction.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};

use wharf_network::firewall::{Desired, Firewall, PortRule};
use wharf_network::ipam::Pools;
use wharf_network::{endpoint, host};
use wharf_store::Store;

use super::defaults::Origin;
use super::driver::Driver;
use super::registry::{Net, Networks};
use super::subnet::Subnet;
use super::{KIND, NetworkOptions, kernel};
use crate::containers::Snapshot;
use crate::model::Network;
use crate::{Error, Result};

/// A number of this engine and no other: from its id.
fn seed(engine: &str) -> u64 {
    let digits: String = engine
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}

impl Networks {
    /// Reads what there is. Blocks.
    pub(crate) fn open(
        store: &Store,
        options: NetworkOptions,
        engine: &str,
        created: i64,
    ) -> Result<Networks> {
        let pools = Pools::new(&options.pools, seed(engine))
            .map_err(|error| super::address_error(&error))?;
        let networks = Networks::new(store.clone(), options, pools);
        for (id, record) in store.facts().all::<Network>(KIND)? {
            let name = record.name.clone();
            match networks.restored(record) {
                Ok(net) => networks.insert(Arc::new(net)),
                Err(error) => {
                    tracing::error!(id, name, %error, "a network cannot be used any more");
                }
            }
        }
        networks.add_defaults(Origin { engine, created })?;
        Ok(networks)
    }

    fn restored(&self, mut record: Network) -> Result<Net> {
        let driver = if record.config_only {
            Driver::Null
        } else {
            Driver::of(&record, &self.0.options)?
        };
        let mut subnets = Vec::new();
        if driver.has_interfaces() {
            for spec in &mut record.subnets {
                subnets.push(Subnet::new(spec)?);
            }
        }
        Ok(Net::new(record, driver, subnets))
    }

    /// Makes the kernel agree. `running` are the containers that run. Blocks.
    pub(crate) fn reconcile(&self, running: &[Arc<Snapshot>]) -> Result<()> {
        let bridges: Vec<Arc<Net>> = self
            .all()
            .into_iter()
            .filter(|net| net.driver.bridge().is_some())
            .collect();
        self.ensure_parents();
        if bridges.is_empty() {
            return Ok(());
        }
        for net in &bridges {
            let Some(settings) = net.driver.bridge() else {
                continue;
            };
            if self.0.options.forward && !net.record.internal {
                kernel::forwarding(net)?;
            }
            if let Err(error) = kernel::ensure_bridge(net, settings) {
                // The default one is the daemon's own promise; another only its users miss.
                if net.record.name == "bridge" {
                    return Err(error.within("failed to start the network \"bridge\""));
                }
                tracing::error!(network = net.record.name, %error, "a network has no bridge");
            }
        }
        let mut ports = BTreeMap::new();
        for snapshot in running {
            let rules = self.port_rules(snapshot);
            if !rules.is_empty() {
                ports.insert(snapshot.id().to_owned(), rules);
            }
        }
        self.open_firewall(ports)?;
        self.sweep_interfaces(&bridges, running);
        Ok(())
    }

    /// Interfaces that networks stand on and that a reboot took.
    fn ensure_parents(&self) {
        for net in self.all() {
            if let Driver::Macvlan(settings) | Driver::Ipvlan(settings) = &net.driver
                && let Err(error) = kernel::ensure_parent(settings)
            {
                tracing::error!(network = net.record.name, %error, "a network has no parent interface");
            }
        }
    }

    fn port_rules(&self, snapshot: &Snapshot) -> Vec<PortRule> {
        let state = &snapshot.state;
        let seats = self.seats_of(
            &state.endpoints,
            &snapshot.record.spec.networks,
            &state.ports,
        );
        seats.targets().rules(&seats.ports)
    }

    /// Our table, opened at the first need.
    pub(super) fn firewall(&self) -> Result<Arc<Firewall>> {
        if let Some((firewall, _)) = self.0.firewall.get() {
            return Ok(Arc::clone(firewall));
        }
        self.open_firewall(BTreeMap::new())
    }

    fn open_firewall(&self, ports: BTreeMap<String, Vec<PortRule>>) -> Result<Arc<Firewall>> {
        let _one_at_a_time = self
            .0
            .opening
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((firewall, _)) = self.0.firewall.get() {
            return Ok(Arc::clone(firewall));
        }
        let failed = |error: wharf_network::firewall::Error| {
            Error::Internal(format!("the packet filter: {error}"))
        };
        let networks = self
            .all()
            .into_iter()
            .filter_map(|net| {
                let rules = kernel::rules(&net, net.driver.bridge()?);
                Some((net.record.id.clone(), rules))
            })
            .collect();
        let firewall = Arc::new(Firewall::open(&self.0.options.table).map_err(failed)?);
        firewall
            .reconcile(Desired { networks, ports })
            .map_err(failed)?;
        let again = Arc::clone(&firewall);
        let watch = firewall.watch(move || {
            tracing::warn!("another program changed our rules; they are put back");
            if let Err(error) = again.reassert() {
                tracing::error!(%error, "our rules could not be put back");
            }
        });
        let watch = watch
            .map_err(|error| tracing::warn!(%error, "nobody watches over our rules"))
            .ok();
        match firewall.forward_drops() {
            Ok(drops) => {
                for chain in drops {
                    tracing::warn!(
                        family = chain.family,
                        table = chain.table,
                        chain = chain.chain,
                        "another program's chain drops what is forwarded by default: containers reach the outside only where it accepts them"
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "other chains were not looked at"),
        }
        let opened = self.0.firewall.get_or_init(|| (firewall, watch));
        Ok(Arc::clone(&opened.0))
    }

    /// Interfaces on our bridges whose container is gone: a crash came between.
    fn sweep_interfaces(&self, bridges: &[Arc<Net>], running: &[Arc<Snapshot>]) {
        let used: HashSet<&str> = running
            .iter()
            .flat_map(|snapshot| snapshot.state.endpoints.values())
            .map(|endpoint| endpoint.host_interface.as_str())
            .collect();
        let links = match host::links() {
            Ok(links) => links,
            Err(error) => {
                tracing::warn!(%error, "interfaces that nobody has are not looked for");
                return;
            }
        };
        let ours: HashSet<u32> = links
            .iter()
            .filter(|link| {
                bridges.iter().any(|net| {
                    net.driver
                        .bridge()
                        .is_some_and(|settings| !settings.theirs && settings.name == link.name)
                })
            })
            .map(|link| link.index)
            .collect();
        for link in &links {
            let stray = link.master.is_some_and(|master| ours.contains(&master))
                && link.name.starts_with("veth")
                && !used.contains(link.name.as_str());
            if !stray {
                continue;
            }
            tracing::info!(
                interface = link.name,
                "removing what is left of a container"
            );
            if let Err(error) = endpoint::detach(Some(&link.name), None, None) {
                tracing::warn!(interface = link.name, %error, "an interface is left");
            }
        }
    }
}
