//! `docker network create`

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::client::Call;
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::{FlagSet, Given, List, Map};
use crate::json::Json;
use crate::session::Session;
use crate::spec::{checks, files};

pub(crate) const COMMAND: Command = Command::verb(
    "create",
    "[OPTIONS] NETWORK",
    "Create a network",
    Arity::Exactly(1),
    || Box::new(Create::default()),
);

struct Create {
    attachable: bool,
    aux_addresses: Map,
    config_from: String,
    config_only: bool,
    driver: String,
    gateways: List,
    ingress: bool,
    internal: bool,
    ip_ranges: List,
    ipam_driver: String,
    ipam_options: Map,
    ipv4: Given<bool>,
    ipv6: Given<bool>,
    labels: List,
    options: Map,
    scope: String,
    subnets: List,
}

impl Default for Create {
    fn default() -> Create {
        Create {
            attachable: false,
            aux_addresses: Map::default(),
            config_from: String::new(),
            config_only: false,
            driver: "bridge".to_owned(),
            gateways: List::comma_separated(),
            ingress: false,
            internal: false,
            ip_ranges: List::comma_separated(),
            ipam_driver: "default".to_owned(),
            ipam_options: Map::default(),
            ipv4: Given::or(true),
            ipv6: Given::default(),
            labels: List::checked(checks::label),
            options: Map::default(),
            scope: String::new(),
            subnets: List::comma_separated(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'r> {
    name: &'r str,
    driver: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'r str,
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    enable_ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    ipam: Ipam<'r>,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_from: Option<ConfigFrom<'r>>,
    options: &'r BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom<'r> {
    network: &'r str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam<'r> {
    driver: &'r str,
    options: &'r BTreeMap<String, String>,
    config: Vec<Pool>,
}

/// One subnet with what belongs to it.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    #[serde(skip_serializing_if = "String::is_empty")]
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    ip_range: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(
        rename = "AuxiliaryAddresses",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    aux: BTreeMap<String, String>,
}

impl Verb for Create {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.driver,
            "driver",
            'd',
            "Driver to manage the Network",
        );
        set.short(&mut self.options, "opt", 'o', "Set driver specific options");
        set.long(&mut self.labels, "label", "Set metadata on a network");
        set.long(
            &mut self.internal,
            "internal",
            "Restrict external access to the network",
        );
        set.long(
            &mut self.ipv4,
            "ipv4",
            "Enable or disable IPv4 address assignment",
        );
        set.long(
            &mut self.ipv6,
            "ipv6",
            "Enable or disable IPv6 address assignment",
        );
        set.long(
            &mut self.attachable,
            "attachable",
            "Enable manual container attachment",
        );
        set.long(
            &mut self.ingress,
            "ingress",
            "Create swarm routing-mesh network",
        );
        set.long(&mut self.scope, "scope", "Control the network's scope");
        set.long(
            &mut self.config_only,
            "config-only",
            "Create a configuration only network",
        );
        set.long(
            &mut self.config_from,
            "config-from",
            "The network from which to copy the configuration",
        );
        set.long(
            &mut self.ipam_driver,
            "ipam-driver",
            "IP Address Management Driver",
        );
        set.long(
            &mut self.subnets,
            "subnet",
            "Subnet in CIDR format that represents a network segment",
        );
        set.long(
            &mut self.ip_ranges,
            "ip-range",
            "Allocate container ip from a sub-range",
        );
        set.long(
            &mut self.gateways,
            "gateway",
            "IPv4 or IPv6 Gateway for the master subnet",
        );
        set.long(
            &mut self.aux_addresses,
            "aux-address",
            "Auxiliary IPv4 or IPv6 addresses used by Network driver",
        );
        set.long(
            &mut self.ipam_options,
            "ipam-opt",
            "Set IPAM driver specific options",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let config = pools(
                &self.subnets,
                &self.ip_ranges,
                &self.gateways,
                &self.aux_addresses.entries,
            )?;
            let request = Request {
                name: &args[0],
                driver: &self.driver,
                scope: &self.scope,
                enable_ipv4: self.ipv4.given().copied(),
                enable_ipv6: self.ipv6.given().copied(),
                ipam: Ipam {
                    driver: &self.ipam_driver,
                    options: &self.ipam_options.entries,
                    config,
                },
                internal: self.internal,
                attachable: self.attachable,
                ingress: self.ingress,
                config_only: self.config_only,
                config_from: (!self.config_from.is_empty()).then_some(ConfigFrom {
                    network: &self.config_from,
                }),
                options: &self.options.entries,
                labels: files::labels(&[], &self.labels)?,
            };
            let call = Call::post("/networks/create").json(&request)?;
            let made: Json = session.client()?.send(call).await?.json().await?;
            let warning = made.text("Warning");
            if !warning.is_empty() {
                session.complain(&format!("WARNING: {warning}"));
            }
            session.print(&format!("{}\n", made.text("Id")))?;
            Ok(())
        })
    }
}

/// An address and the length of its prefix.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    address: IpAddr,
    length: u32,
}

impl Prefix {
    fn parse(text: &str) -> Result<Prefix, Failure> {
        let bad = || Failure::Text(format!("invalid CIDR address: {text}"));
        let (address, length) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let length: u32 = length.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if length > most {
            Err(bad())
        } else {
            Ok(Prefix { address, length })
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.length).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.length).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Ranges, gateways and auxiliary addresses go to the subnet that holds them.
fn pools(
    subnets: &[String],
    ranges: &[String],
    gateways: &[String],
    aux: &BTreeMap<String, String>,
) -> Result<Vec<Pool>, Failure> {
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".into());
    }
    let mut pools: Vec<(Prefix, Pool)> = Vec::new();
    for subnet in subnets {
        let prefix = Prefix::parse(subnet)?;
        if pools
            .iter()
            .any(|(other, _)| other.holds(prefix.address) || prefix.holds(other.address))
        {
            return Err("multiple overlapping subnet configuration is not supported".into());
        }
        pools.push((
            prefix,
            Pool {
                subnet: subnet.clone(),
                ..Pool::default()
            },
        ));
    }
    for range in ranges {
        let address = Prefix::parse(range)?.address;
        let pool = holder(&mut pools, address)
            .ok_or_else(|| Failure::Text(format!("no matching subnet for range {range}")))?;
        if !pool.ip_range.is_empty() {
            return Err(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                pool.ip_range, pool.subnet
            )
            .into());
        }
        pool.ip_range.clone_from(range);
    }
    for gateway in gateways {
        let pool = gateway
            .parse()
            .ok()
            .and_then(|address| holder(&mut pools, address));
        let pool =
            pool.ok_or_else(|| Failure::Text(format!("no matching subnet for gateway {gateway}")))?;
        if !pool.gateway.is_empty() {
            return Err(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                pool.gateway, pool.subnet
            )
            .into());
        }
        pool.gateway.clone_from(gateway);
    }
    for (name, text) in aux {
        let pool = text
            .parse()
            .ok()
            .and_then(|address| holder(&mut pools, address));
        let pool = pool
            .ok_or_else(|| Failure::Text(format!("no matching subnet for aux-address {text}")))?;
        pool.aux.insert(name.clone(), text.clone());
    }
    Ok(pools.into_iter().map(|(_, pool)| pool).collect())
}

fn holder(pools: &mut [(Prefix, Pool)], address: IpAddr) -> Option<&mut Pool> {
    pools
        .iter_mut()
        .find(|(prefix, _)| prefix.holds(address))
        .map(|(_, pool)| pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn settings_go_to_the_subnet_that_holds_them() {
        let pools = pools(
            &texts(&["10.0.0.0/16", "fd00::/64"]),
            &texts(&["fd00::/80"]),
            &texts(&["10.0.0.1"]),
            &BTreeMap::new(),
        )
        .unwrap();
        assert_eq!(pools[0].gateway, "10.0.0.1");
        assert_eq!(pools[1].ip_range, "fd00::/80");
    }

    #[test]
    fn what_fits_nowhere_is_refused() {
        let none = BTreeMap::new();
        assert!(pools(&[], &texts(&["10.0.0.0/24"]), &[], &none).is_err());
        assert!(pools(&texts(&["10.0.0.0/8", "10.1.0.0/16"]), &[], &[], &none).is_err());
        assert!(pools(&texts(&["10.0.0.0/8"]), &[], &texts(&["11.0.0.1"]), &none).is_err());
        assert!(pools(&texts(&["10.0.0.0"]), &[], &[], &none).is_err());
    }
}
