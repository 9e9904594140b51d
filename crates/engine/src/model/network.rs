//! Networks, and a container's place in one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// A request for a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCreate {
    /// Unique on this engine.
    pub name: String,
    /// `bridge` when empty.
    pub driver: String,
    /// `local` or empty.
    pub scope: String,
    /// No way in or out.
    pub internal: bool,
    /// Echoed only: what it allows needs a swarm.
    pub attachable: bool,
    /// Needs a swarm.
    pub ingress: bool,
    /// Only a configuration for others to copy.
    pub config_only: bool,
    /// The configuration-only network to copy from; empty for none.
    pub config_from: String,
    /// `default` when empty; `null` gives no addresses.
    pub ipam_driver: String,
    /// Options of the address management.
    pub ipam_options: BTreeMap<String, String>,
    /// Wanted subnets; taken from the pools for a family that has none.
    pub subnets: Vec<SubnetSpec>,
    /// On unless said otherwise.
    pub ipv4: Option<bool>,
    /// Off unless said otherwise.
    pub ipv6: Option<bool>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A subnet and what is special in it, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubnetSpec {
    /// CIDR.
    pub subnet: String,
    /// The part of it that addresses are given out from; empty for all.
    pub ip_range: String,
    /// The bridge's own address; empty for the first.
    pub gateway: String,
    /// Addresses that are somebody else's, by a name that means nothing here.
    pub auxiliary: BTreeMap<String, String>,
}

/// A network as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Unique.
    pub name: String,
    /// `bridge`, `host`, `null`, `macvlan`, `ipvlan`, `cni`.
    pub driver: String,
    /// Nanoseconds since 1970.
    pub created: i64,
    /// IPv4 addresses are given out.
    pub ipv4: bool,
    /// IPv6 addresses are given out.
    pub ipv6: bool,
    /// No way in or out.
    pub internal: bool,
    /// As asked for.
    pub attachable: bool,
    /// Only a configuration.
    pub config_only: bool,
    /// Where the configuration was copied from; empty for nowhere.
    pub config_from: String,
    /// `default` or `null`.
    pub ipam_driver: String,
    /// Options of the address management.
    pub ipam_options: BTreeMap<String, String>,
    /// The subnets, with the gateways that they got. Those of IPv4 first.
    pub subnets: Vec<SubnetSpec>,
    /// Whether the subnets were asked for: only then may containers ask for addresses.
    pub configured: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Running containers on it, by id. Not stored: read from the containers.
    #[serde(skip)]
    pub members: BTreeMap<String, Member>,
}

/// A running container in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The container's name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub endpoint: String,
    /// The interface's address; empty when there is no interface of its own.
    pub mac: String,
    /// Its address.
    pub ipv4: Option<Ipv4Net>,
    /// Its address.
    pub ipv6: Option<Ipv6Net>,
}

/// What a container asks of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSpec {
    /// The network's id when it was last known; empty before.
    pub network: String,
    /// Whether addresses were named at all, as opposed to an empty object: echoed.
    pub addressed: bool,
    /// Wanted address; empty for any.
    pub ipv4_address: String,
    /// Wanted address; empty for any.
    pub ipv6_address: String,
    /// More addresses for the interface.
    pub link_local: Vec<String>,
    /// `container:alias`, known to this container only.
    pub links: Vec<String>,
    /// Further names in the network.
    pub aliases: Vec<String>,
    /// Wanted address of the interface; empty for any.
    pub mac_address: String,
    /// Options of the driver for this endpoint.
    pub options: BTreeMap<String, String>,
    /// The network of the highest priority gives the default route.
    pub gateway_priority: i64,
}

/// A running container's place in a network: facts, as long as it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The network's driver.
    pub driver: String,
    /// The interface inside; empty when there is none of its own (host, none).
    pub interface: String,
    /// The interface's other end on the host, for drivers that have one.
    pub host_interface: String,
    /// The interface's address.
    pub mac: String,
    /// Its address.
    pub ipv4: Option<Ipv4Net>,
    /// Its address.
    pub ipv6: Option<Ipv6Net>,
    /// The way out.
    pub gateway: Option<Ipv4Addr>,
    /// The way out.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// What it is called in the network.
    pub names: Vec<String>,
}

/// A network of a container, as wished for and, while it runs, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkPlace {
    /// What was asked for.
    pub spec: EndpointSpec,
    /// What it got.
    pub endpoint: Option<Endpoint>,
}

/// Answer of a network prune and of a create: what a client is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCreated {
    /// Its id.
    pub id: String,
    /// Sentences for the user.
    pub warning: String,
}
