//! Networks, and containers' places in them.
//!
//! ```text
//!   facade (this file, list, prune)   names -> networks; requests -> changes
//!   registry                          which networks there are, who is on them
//!   create                            making and removing, each step with its undo
//!   driver, validate, options         what options mean; what is refused; the daemon's defaults
//!   subnet, ports                     what is promised: addresses, the host's ports
//!   sandbox                           a container's places: reserved, attached, released
//!   connect                           places that come and go while a container runs
//!   resolver                          names: a server in each container that needs one
//!   defaults, reconcile               the three that are always there; a daemon's start
//!   kernel, cni, shaping              to the mechanism's types
//! ```
//! Facts are in three places, each fact in one: what a network *is* in its own row, which places a
//! running container has in the container's row (written with its start, one fsync), and what is
//! derived from these (taken addresses, promised ports, names) in memory only. The kernel is made to
//! agree: rules are replaced whole and atomically when the daemon starts, interfaces of running
//! containers are left as they are. A killed daemon interrupts nothing but the names it answers.

mod cni;
mod connect;
mod create;
mod defaults;
mod driver;
#[cfg(test)]
pub(crate) mod fixture;
mod kernel;
mod list;
mod options;
mod ports;
mod reconcile;
mod registry;
mod resolver;
mod sandbox;
mod shaping;
mod subnet;
mod validate;

use crate::blocking::{blocking, to_the_end};
use crate::containers::Command;
use crate::model::{EndpointSpec, Filters, Network, NetworkCreate, NetworkCreated};
use crate::{Engine, Error, Result, clock, events, filters};

pub(crate) use connect::without_spec;
pub use options::NetworkOptions;
pub(crate) use registry::Networks;
pub(crate) use sandbox::{Seats, Who};
pub(crate) use shaping::PREFIX as SHAPING;
pub(crate) use validate::is_predefined;

/// Checks what a container asks of a network, which may not be there yet.
pub(crate) fn check_endpoint(
    name: &str,
    spec: &crate::model::EndpointSpec,
    net: Option<&registry::Net>,
) -> Result<()> {
    validate::endpoint(name, spec, net.map(|net| &net.record))
}

/// Kind of the documents; the key is the id.
const KIND: &str = "network";

impl Engine {
    /// Makes a network.
    pub async fn network_create(&self, request: NetworkCreate) -> Result<NetworkCreated> {
        self.0.check_open()?;
        let engine = self.clone();
        to_the_end(async move {
            let networks = engine.0.networks.clone();
            let (net, number) = blocking(move || networks.create(request)).await?;
            if let Some(number) = number {
                engine.0.events.grew_to(number);
            }
            Ok(NetworkCreated {
                id: net.record.id.clone(),
                warning: String::new(),
            })
        })
        .await
    }

    /// Removes one that nobody is on: by name, id or the first digits of an id.
    pub async fn network_remove(&self, network: &str) -> Result<()> {
        let net = self.0.networks.find(network)?;
        let engine = self.clone();
        to_the_end(async move {
            let networks = engine.0.networks.clone();
            if let Some(number) = blocking(move || networks.remove(&net)).await? {
                engine.0.events.grew_to(number);
            }
            Ok(())
        })
        .await
    }

    /// Removes those of somebody's making that no container uses, running or not; gives their
    /// names.
    pub async fn network_prune(&self, filters: Filters) -> Result<Vec<String>> {
        filters::check(&filters, &["label", "label!", "until"])?;
        let until = filters::time_filter(&filters, "until", clock::now())?;
        let engine = self.clone();
        to_the_end(async move {
            let used = engine.networks_in_use();
            let mut deleted = Vec::new();
            for net in engine.0.networks.all() {
                let record = &net.record;
                let late = until.is_some_and(|until| record.created > until);
                if is_predefined(&record.name)
                    || record.config_only
                    || used.contains(&record.id)
                    || late
                    || !filters::labels_match(&filters, &record.labels)
                {
                    continue;
                }
                let name = record.name.clone();
                match engine.network_remove(&record.id).await {
                    Ok(()) => deleted.push(name),
                    // Joined by a container meanwhile, or removed by somebody else.
                    Err(error) => tracing::debug!(network = name, %error, "not pruned"),
                }
            }
            let attributes = [("reclaimed".to_owned(), "0".to_owned())];
            engine
                .0
                .emit(events::event("network", "prune", "", attributes))
                .await;
            Ok(deleted)
        })
        .await
    }

    /// Those that the filters let through, in the order of their making.
    pub async fn network_list(&self, filters: Filters) -> Result<Vec<Network>> {
        let filter = list::Filter::parse(&filters)?;
        let used = self.networks_in_use();
        Ok(self
            .0
            .networks
            .all()
            .iter()
            .map(|net| net.view())
            .filter(|network| filter.matches(network, used.contains(&network.id)))
            .collect())
    }

    /// One network, with the running containers on it: by name, id or the first digits of an id.
    pub async fn network_inspect(&self, network: &str) -> Result<Network> {
        Ok(self.0.networks.find(network)?.view())
    }

    /// Puts a container on a network, at once if it runs.
    pub async fn network_connect(
        &self,
        network: &str,
        container: &str,
        settings: EndpointSpec,
    ) -> Result<()> {
        self.0.check_open()?;
        let found = self.0.containers.find(container)?;
        let (network, settings) = (network.to_owned(), Box::new(settings));
        found
            .ask(|reply| Command::Connect {
                network,
                settings,
                reply,
            })
            .await
    }

    /// Takes a container off a network. With `force` one that is not there is off it.
    pub async fn network_disconnect(
        &self,
        network: &str,
        container: &str,
        force: bool,
    ) -> Result<()> {
        let found = match self.0.containers.find(container) {
            Err(_) if force => {
                self.0.networks.find(network)?;
                return Ok(());
            }
            found => found?,
        };
        let network = network.to_owned();
        found
            .ask(|reply| Command::Disconnect { network, reply })
            .await
    }

    /// What containers asked their name servers: the newest, and what is to come. A reader that is
    /// too slow misses some, and is told so.
    #[must_use]
    pub fn name_queries(
        &self,
    ) -> (
        Vec<wharf_network::dns::Query>,
        tokio::sync::broadcast::Receiver<wharf_network::dns::Query>,
    ) {
        self.0.networks.queries()
    }

    /// Ids of the networks that containers have a place in, or will when they run.
    fn networks_in_use(&self) -> std::collections::HashSet<String> {
        let mut used = std::collections::HashSet::new();
        for snapshot in self.0.containers.all() {
            for (name, spec) in &snapshot.record.spec.networks {
                match spec.network.as_str() {
                    "" => used.extend(
                        self.0
                            .networks
                            .find(name)
                            .ok()
                            .map(|net| net.record.id.clone()),
                    ),
                    id => {
                        used.insert(id.to_owned());
                    }
                }
            }
        }
        used
    }
}

/// Errors of address management, by what they mean to a client.
fn address_error(error: &wharf_network::ipam::IpamError) -> Error {
    use wharf_network::ipam::IpamError;
    let text = error.to_string();
    match error {
        IpamError::InUse(_) => Error::Forbidden(text),
        IpamError::Outside { .. } | IpamError::Range { .. } | IpamError::Pool { .. } => {
            Error::InvalidArgument(text)
        }
        IpamError::NoSubnet(_) | IpamError::NoAddress(_) => Error::Internal(text),
    }
}
