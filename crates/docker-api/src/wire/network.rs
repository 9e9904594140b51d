//! Networks, and a container's place in one.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model;

use crate::time;
use crate::version::ApiVersion;

type Map = BTreeMap<String, String>;

/// A list that prints as `null` when it is empty.
fn nullable(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

/// A container in a network.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam_config: Option<EndpointIpam>,
    #[serde(rename = "Links")]
    links: Option<Vec<String>>,
    #[serde(rename = "Aliases")]
    aliases: Option<Vec<String>>,
    #[serde(rename = "MacAddress")]
    pub(super) mac_address: String,
    #[serde(rename = "DriverOpts")]
    driver_options: Option<Map>,
    #[serde(rename = "GwPriority")]
    gateway_priority: i64,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
    #[serde(rename = "Gateway")]
    pub(super) gateway: String,
    #[serde(rename = "IPAddress")]
    pub(super) address: String,
    #[serde(rename = "IPPrefixLen")]
    pub(super) prefix_length: u8,
    #[serde(rename = "IPv6Gateway")]
    pub(super) ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub(super) ipv6_prefix_length: u8,
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

/// What was asked for of the addresses.
#[derive(Debug, Clone, Default, Serialize)]
struct EndpointIpam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    ipv6_address: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    link_local_ips: Vec<String>,
}

impl Endpoint {
    /// The networks of a container.
    pub(crate) fn all(places: BTreeMap<String, model::NetworkPlace>) -> BTreeMap<String, Self> {
        places
            .into_iter()
            .map(|(name, place)| {
                let endpoint = Self::of(&name, place);
                (name, endpoint)
            })
            .collect()
    }

    fn of(network: &str, place: model::NetworkPlace) -> Self {
        let model::NetworkPlace { spec, endpoint } = place;
        let runs = endpoint.is_some();
        let facts = endpoint.unwrap_or_default();
        let text = |value: Option<String>| value.unwrap_or_default();
        let predefined = matches!(network, "bridge" | "host" | "none");
        Self {
            ipam_config: spec.addressed.then_some(EndpointIpam {
                ipv4_address: spec.ipv4_address,
                ipv6_address: spec.ipv6_address,
                link_local_ips: spec.link_local,
            }),
            links: nullable(spec.links),
            aliases: nullable(spec.aliases),
            mac_address: if runs { facts.mac } else { spec.mac_address },
            driver_options: (!spec.options.is_empty()).then_some(spec.options),
            gateway_priority: spec.gateway_priority,
            network_id: if runs { facts.network } else { spec.network },
            endpoint_id: facts.id,
            gateway: text(facts.gateway.map(|gateway| gateway.to_string())),
            address: text(facts.ipv4.map(|net| net.addr().to_string())),
            prefix_length: facts.ipv4.map_or(0, |net| net.prefix_len()),
            ipv6_gateway: text(facts.ipv6_gateway.map(|gateway| gateway.to_string())),
            ipv6_address: text(facts.ipv6.map(|net| net.addr().to_string())),
            ipv6_prefix_length: facts.ipv6.map_or(0, |net| net.prefix_len()),
            dns_names: nullable(facts.names).filter(|_| !predefined),
        }
    }
}

/// `GET /networks` and `GET /networks/{id}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    name: String,
    id: String,
    created: String,
    scope: &'static str,
    driver: String,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<BTreeMap<String, Member>>,
    options: Map,
    labels: Map,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: String,
    options: Option<Map>,
    /// `null` where no addresses are given out.
    config: Option<Vec<Subnet>>,
}

#[derive(Debug, Serialize)]
struct Subnet {
    #[serde(rename = "Subnet")]
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    ip_range: String,
    #[serde(rename = "Gateway", skip_serializing_if = "String::is_empty")]
    gateway: String,
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "Map::is_empty")]
    auxiliary: Map,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: String,
}

#[derive(Debug, Serialize)]
struct Member {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    #[serde(rename = "MacAddress")]
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
}

/// `POST /networks/create`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Created {
    pub(crate) id: String,
    pub(crate) warning: String,
}

/// `POST /networks/prune`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pruned {
    /// `null` when there are none.
    pub(crate) networks_deleted: Option<Vec<String>>,
}

/// Which of the two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    List,
    Inspect,
}

impl Network {
    pub(crate) fn of(from: model::Network, detail: Detail, version: ApiVersion) -> Self {
        let members = from.members.into_iter().map(|(id, member)| {
            let net = |text: Option<String>| text.unwrap_or_default();
            let member = Member {
                name: member.name,
                endpoint_id: member.endpoint,
                mac_address: member.mac,
                ipv4_address: net(member.ipv4.map(|net| net.to_string())),
                ipv6_address: net(member.ipv6.map(|net| net.to_string())),
            };
            (id, member)
        });
        // Since 1.28 a list does not look into the containers, and since 1.52 it says so by
        // leaving the key out.
        let containers = match detail {
            Detail::Inspect => Some(members.collect()),
            Detail::List if version.before(28) => Some(members.collect()),
            Detail::List if version.before(52) => Some(BTreeMap::new()),
            Detail::List => None,
        };
        let predefined = matches!(from.name.as_str(), "bridge" | "host" | "none");
        let subnets: Vec<Subnet> = from
            .subnets
            .into_iter()
            .map(|subnet| Subnet {
                subnet: subnet.subnet,
                ip_range: subnet.ip_range,
                gateway: subnet.gateway,
                auxiliary: subnet.auxiliary,
            })
            .collect();
        Self {
            created: time::rfc3339(from.created),
            scope: "local",
            enable_ipv4: from.ipv4,
            enable_ipv6: from.ipv6,
            ipam: Ipam {
                driver: from.ipam_driver,
                options: (!predefined || !from.ipam_options.is_empty())
                    .then_some(from.ipam_options),
                config: (!subnets.is_empty()).then_some(subnets),
            },
            driver: from.driver,
            internal: from.internal,
            attachable: from.attachable,
            ingress: false,
            config_from: ConfigFrom {
                network: from.config_from,
            },
            config_only: from.config_only,
            containers,
            options: from.options,
            labels: from.labels,
            name: from.name,
            id: from.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> model::Network {
        model::Network {
            id: "abc".into(),
            name: "host".into(),
            driver: "host".into(),
            created: 0,
            ipv4: true,
            ipv6: false,
            internal: false,
            attachable: false,
            config_only: false,
            config_from: String::new(),
            ipam_driver: "default".into(),
            ipam_options: Map::new(),
            subnets: Vec::new(),
            configured: false,
            options: Map::new(),
            labels: Map::new(),
            members: [(
                "1".to_owned(),
                model::Member {
                    name: "box".to_owned(),
                    ..model::Member::default()
                },
            )]
            .into(),
        }
    }

    fn printed(detail: Detail, version: u32) -> serde_json::Value {
        serde_json::to_value(Network::of(host(), detail, ApiVersion::v1(version))).unwrap()
    }

    #[test]
    fn who_is_in_a_network_is_inspected_not_listed() {
        assert_eq!(
            printed(Detail::Inspect, 50)["Containers"]["1"]["Name"],
            "box"
        );
        assert_eq!(
            printed(Detail::List, 50)["Containers"],
            serde_json::json!({})
        );
        assert_eq!(printed(Detail::List, 24)["Containers"]["1"]["Name"], "box");
        assert!(printed(Detail::List, 52).get("Containers").is_none());
    }

    #[test]
    fn a_place_shows_what_was_asked_and_what_it_got() {
        let place = model::NetworkPlace {
            spec: model::EndpointSpec {
                addressed: true,
                ipv4_address: "10.0.0.2".into(),
                aliases: vec!["db".into()],
                ..model::EndpointSpec::default()
            },
            endpoint: Some(model::Endpoint {
                id: "e".into(),
                network: "n".into(),
                mac: "02:00:00:00:00:01".into(),
                ipv4: Some("10.0.0.2/24".parse().unwrap()),
                gateway: Some("10.0.0.1".parse().unwrap()),
                names: vec!["box".into(), "db".into()],
                ..model::Endpoint::default()
            }),
        };
        let shown = serde_json::to_value(Endpoint::of("blue", place)).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({
                "IPAMConfig": {"IPv4Address": "10.0.0.2"}, "Links": null, "Aliases": ["db"],
                "MacAddress": "02:00:00:00:00:01", "DriverOpts": null, "GwPriority": 0,
                "NetworkID": "n", "EndpointID": "e", "Gateway": "10.0.0.1",
                "IPAddress": "10.0.0.2", "IPPrefixLen": 24, "IPv6Gateway": "",
                "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": ["box", "db"],
            })
        );
        let stopped = Endpoint::of("blue", model::NetworkPlace::default());
        assert_eq!(stopped.endpoint_id, "");
    }
}
