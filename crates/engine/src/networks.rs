//! The predefined networks. Others come with the networking issue.

use std::collections::BTreeMap;

use crate::containers::network_mode;
use crate::filters;
use crate::model::{Filters, Network, NetworkMode};
use crate::{Engine, Error, Result};

/// Name and driver.
const PREDEFINED: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

const KNOWN: [&str; 8] = [
    "dangling", "driver", "id", "label", "label!", "name", "scope", "type",
];

impl Engine {
    /// `bridge`, `host` and `none`, as far as the filters let them through.
    pub async fn network_list(&self, filters: Filters) -> Result<Vec<Network>> {
        filters::check(&filters, &KNOWN)?;
        let any = |name: &str, matches: &dyn Fn(&str) -> bool| {
            filters::values(&filters, name)
                .is_none_or(|values| values.iter().any(|value| matches(value)))
        };
        // They are part of the engine: never unused, whoever uses them.
        let dangling = filters::truth(&filters, "dangling")? == Some(true);
        let mut networks = self.networks();
        networks.retain(|network| {
            !dangling
                && any("driver", &|value| value == network.driver)
                && any("id", &|value| network.id.starts_with(value))
                && any("name", &|value| network.name.contains(value))
                && any("scope", &|value| value == "local")
                && any("type", &|value| value == "builtin")
                && filters::labels_match(&filters, &BTreeMap::new())
        });
        Ok(networks)
    }

    /// One of them, by name, id or prefix of an id, with the running containers on it.
    pub async fn network_inspect(&self, network: &str) -> Result<Network> {
        let networks = self.networks();
        if let Some(found) = networks
            .iter()
            .find(|known| known.name == network || known.id == network)
        {
            return Ok(found.clone());
        }
        let mut matching = networks
            .iter()
            .filter(|known| !network.is_empty() && known.id.starts_with(network));
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(found.clone()),
            (Some(_), Some(_)) => Err(Error::InvalidArgument(format!(
                "network {network} is ambiguous (2 matches found based on ID prefix)"
            ))),
            (None, _) => Err(Error::NoSuchNetwork(network.to_owned())),
        }
    }

    fn networks(&self) -> Vec<Network> {
        let running: Vec<_> = self
            .0
            .containers
            .all()
            .into_iter()
            .filter(|snapshot| snapshot.is_running())
            .collect();
        PREDEFINED
            .iter()
            .map(|(name, driver)| Network {
                id: self.network_id(name),
                name: (*name).to_owned(),
                driver: (*driver).to_owned(),
                created: self.0.identity.created,
                containers: running
                    .iter()
                    .filter(|snapshot| network_mode(&snapshot.record.spec.host.network) == **name)
                    .map(|snapshot| (snapshot.id().to_owned(), snapshot.name().to_owned()))
                    .collect(),
            })
            .collect()
    }

    /// The same as long as the engine is the same.
    fn network_id(&self, name: &str) -> String {
        let text = format!("{}/network/{name}", self.0.identity.id);
        wharf_store::Digest::of(text.as_bytes()).hex()
    }

    /// The id of the network a container is on; none for `container:` and `ns:`.
    #[must_use]
    pub fn network_of(&self, mode: &NetworkMode) -> Option<String> {
        match mode {
            NetworkMode::Container(_) | NetworkMode::Path(_) => None,
            mode => Some(self.network_id(&network_mode(mode))),
        }
    }
}
