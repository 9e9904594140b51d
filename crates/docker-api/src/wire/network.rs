//! Networks, and a container's place in one.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model;

use crate::time;
use crate::version::ApiVersion;

/// A container in a network. There are no addresses until there are bridges.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam_config: (),
    #[serde(rename = "Links")]
    links: (),
    #[serde(rename = "Aliases")]
    aliases: (),
    #[serde(rename = "MacAddress")]
    mac_address: &'static str,
    #[serde(rename = "DriverOpts")]
    driver_options: (),
    #[serde(rename = "GwPriority")]
    gateway_priority: u32,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: &'static str,
    #[serde(rename = "Gateway")]
    gateway: &'static str,
    #[serde(rename = "IPAddress")]
    address: &'static str,
    #[serde(rename = "IPPrefixLen")]
    prefix_length: u32,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: &'static str,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6_address: &'static str,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    ipv6_prefix_length: u32,
    #[serde(rename = "DNSNames")]
    dns_names: (),
}

impl Endpoint {
    /// The networks of a container in this mode, given the ids of the networks by name.
    pub(crate) fn of_mode(mode: &str, ids: &BTreeMap<String, String>) -> BTreeMap<String, Self> {
        let name = if mode == "default" { "bridge" } else { mode };
        if !matches!(name, "bridge" | "host" | "none") {
            // Somebody else's name space: no network of its own.
            return BTreeMap::new();
        }
        let endpoint = Self {
            network_id: ids.get(name).cloned().unwrap_or_default(),
            ..Self::default()
        };
        [(name.to_owned(), endpoint)].into()
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
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    options: (),
    /// `null`: no addresses are given out.
    config: (),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: &'static str,
}

#[derive(Debug, Serialize)]
struct Member {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: &'static str,
    #[serde(rename = "MacAddress")]
    mac_address: &'static str,
    #[serde(rename = "IPv4Address")]
    ipv4_address: &'static str,
    #[serde(rename = "IPv6Address")]
    ipv6_address: &'static str,
}

/// Which of the two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    List,
    Inspect,
}

impl Network {
    pub(crate) fn of(from: model::Network, detail: Detail, version: ApiVersion) -> Self {
        let members = from.containers.into_iter().map(|(id, name)| {
            let member = Member {
                name,
                endpoint_id: "",
                mac_address: "",
                ipv4_address: "",
                ipv6_address: "",
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
        Self {
            created: time::rfc3339(from.created),
            scope: "local",
            enable_ipv4: from.driver == "bridge",
            enable_ipv6: false,
            driver: from.driver,
            ipam: Ipam {
                driver: "default",
                options: (),
                config: (),
            },
            internal: false,
            attachable: false,
            ingress: false,
            config_from: ConfigFrom { network: "" },
            config_only: false,
            containers,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
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
            containers: [("1".to_owned(), "box".to_owned())].into(),
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
    fn a_joined_name_space_has_no_networks() {
        let ids = BTreeMap::new();
        assert!(Endpoint::of_mode("container:x", &ids).is_empty());
        assert!(Endpoint::of_mode("ns:/run/netns/blue", &ids).is_empty());
        assert!(Endpoint::of_mode("default", &ids).contains_key("bridge"));
    }
}
