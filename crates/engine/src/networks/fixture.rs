//! Networks for the tests of this module.

use std::collections::BTreeMap;

use crate::model::Network;

/// A network with nothing in it.
pub(crate) fn network(name: &str, driver: &str) -> Network {
    Network {
        id: "0123456789ab".repeat(5) + "0123",
        name: name.into(),
        driver: driver.into(),
        created: 0,
        ipv4: true,
        ipv6: false,
        internal: false,
        attachable: false,
        config_only: false,
        config_from: String::new(),
        ipam_driver: "default".into(),
        ipam_options: BTreeMap::new(),
        subnets: Vec::new(),
        configured: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        members: BTreeMap::new(),
    }
}
