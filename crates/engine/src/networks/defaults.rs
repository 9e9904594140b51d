//! The networks that are always there: `bridge`, `host`, `none`.
//!
//! They have no row. `bridge` is what the daemon's options say, at each start anew; only its subnet
//! is kept over starts, by the interface itself: containers may be running on it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use wharf_network::host;
use wharf_network::ipam::Family;

use super::driver::Driver;
use super::registry::{Net, Networks};
use super::subnet::Subnet;
use crate::model::{Network, SubnetSpec};
use crate::{Error, Result};

/// What the three are made from: ids and times stay the same as long as the engine does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The engine's own id.
    pub(super) engine: &'a str,
    /// The first start of the engine, nanoseconds since 1970.
    pub(super) created: i64,
}

impl Origin<'_> {
    fn network(self, name: &str, driver: &str) -> Network {
        let text = format!("{}/network/{name}", self.engine);
        Network {
            id: wharf_store::Digest::of(text.as_bytes()).hex(),
            name: name.to_owned(),
            driver: driver.to_owned(),
            created: self.created,
            ipv4: true,
            ipv6: false,
            internal: false,
            attachable: false,
            config_only: false,
            config_from: String::new(),
            ipam_driver: "default".to_owned(),
            ipam_options: BTreeMap::new(),
            subnets: Vec::new(),
            configured: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }
}

impl Networks {
    /// Makes the three known. The kernel is asked, and not yet changed.
    pub(super) fn add_defaults(&self, origin: Origin<'_>) -> Result<()> {
        for (name, driver) in [("host", Driver::Host), ("none", Driver::Null)] {
            let word = if name == "none" { "null" } else { name };
            let record = origin.network(name, word);
            self.insert(std::sync::Arc::new(Net::new(record, driver, Vec::new())));
        }
        let Some(bridge) = self.0.options.bridge.clone() else {
            return Ok(());
        };
        let mut record = origin.network("bridge", "bridge");
        record.ipv6 = self.0.options.ipv6;
        record.options = self.bridge_options(&bridge);
        let mut driver = Driver::of(&record, &self.0.options)?;
        if let Driver::Bridge(settings) = &mut driver {
            settings.theirs = self.0.options.bridge_is_theirs;
        }
        record.subnets = self.bridge_subnets(&bridge)?;
        let mut subnets = Vec::new();
        for spec in &mut record.subnets {
            subnets.push(Subnet::new(spec)?);
        }
        self.exits(&mut subnets)?;
        self.insert(std::sync::Arc::new(Net::new(record, driver, subnets)));
        Ok(())
    }

    fn bridge_options(&self, bridge: &str) -> BTreeMap<String, String> {
        let options = &self.0.options;
        let bind = options
            .bind
            .map_or_else(|| "0.0.0.0".to_owned(), |address| address.to_string());
        let bridge_option = |name: &str| format!("com.docker.network.bridge.{name}");
        let mut said = options
            .default_options
            .get("bridge")
            .cloned()
            .unwrap_or_default();
        said.extend([
            (bridge_option("default_bridge"), "true".to_owned()),
            (bridge_option("enable_icc"), options.icc.to_string()),
            (
                bridge_option("enable_ip_masquerade"),
                options.masquerade.to_string(),
            ),
            (bridge_option("host_binding_ipv4"), bind),
            (bridge_option("name"), bridge.to_owned()),
            (
                "com.docker.network.driver.mtu".to_owned(),
                options.mtu.unwrap_or(1500).to_string(),
            ),
        ]);
        said
    }

    /// As the options say; else as the interface is; else from the pools.
    fn bridge_subnets(&self, bridge: &str) -> Result<Vec<SubnetSpec>> {
        let options = &self.0.options;
        let present = interface_addresses(bridge);
        let of = |v4: bool| {
            present
                .iter()
                .copied()
                .find(|net| net.addr().is_ipv4() == v4 && !is_link_local(*net))
        };
        let mut subnets = Vec::new();
        let v4 = options.bip.map(IpNet::V4).or_else(|| of(true));
        subnets.push(match v4 {
            Some(net) => spec(net, options.fixed_cidr.map(IpNet::V4)),
            None => SubnetSpec {
                subnet: self.default_pool(Family::V4)?.to_string(),
                ip_range: options
                    .fixed_cidr
                    .map(|range| range.to_string())
                    .unwrap_or_default(),
                ..SubnetSpec::default()
            },
        });
        if options.ipv6 {
            let fixed = options.fixed_cidr_v6.map(IpNet::V6);
            subnets.push(match (options.bip6.map(IpNet::V6), fixed) {
                (Some(net), fixed) => spec(net, fixed),
                (None, Some(fixed)) => SubnetSpec {
                    subnet: fixed.trunc().to_string(),
                    ..SubnetSpec::default()
                },
                (None, None) => match of(false) {
                    Some(net) => spec(net, None),
                    None => SubnetSpec {
                        subnet: self.default_pool(Family::V6)?.to_string(),
                        ..SubnetSpec::default()
                    },
                },
            });
        }
        Ok(subnets)
    }

    fn default_pool(&self, family: Family) -> Result<IpNet> {
        self.pool(family, &self.taken())
    }

    /// The way out that containers use, where it is not the bridge itself.
    fn exits(&self, subnets: &mut [Subnet]) -> Result<()> {
        let options = &self.0.options;
        let v4 = options.default_gateway.map(std::net::IpAddr::V4);
        let v6 = options.default_gateway_v6.map(std::net::IpAddr::V6);
        for exit in [v4, v6].into_iter().flatten() {
            let Some(subnet) = subnets.iter_mut().find(|s| s.net.contains(&exit)) else {
                return Err(Error::InvalidArgument(format!(
                    "default gateway {exit} is not in a subnet of the default bridge"
                )));
            };
            subnet.exit_by(exit)?;
        }
        Ok(())
    }
}

/// The subnet that an address with its prefix is in, with that address as the bridge's.
fn spec(net: IpNet, range: Option<IpNet>) -> SubnetSpec {
    SubnetSpec {
        subnet: net.trunc().to_string(),
        ip_range: range
            .map(|range| range.trunc().to_string())
            .unwrap_or_default(),
        gateway: net.addr().to_string(),
        ..SubnetSpec::default()
    }
}

fn is_link_local(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_link_local(),
        IpNet::V6(net) => net.addr().is_unicast_link_local(),
    }
}

/// What an interface of the host has now; nothing if it is not there.
fn interface_addresses(name: &str) -> Vec<IpNet> {
    let found = host::links().and_then(|links| {
        let Some(link) = links.into_iter().find(|link| link.name == name) else {
            return Ok(Vec::new());
        };
        Ok(host::addresses()?
            .into_iter()
            .filter(|(index, _)| *index == link.index)
            .map(|(_, net)| net)
            .collect())
    });
    found.unwrap_or_else(|error| {
        tracing::warn!(name, %error, "the addresses of an interface are not known");
        Vec::new()
    })
}
