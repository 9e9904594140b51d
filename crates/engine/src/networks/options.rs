//! What the daemon decides about networks at its start.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// dockerd's options of networks, by what they mean. Its names are in the daemon's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The interface of the network `bridge`; `None` for no such network at all.
    pub bridge: Option<String>,
    /// The interface is somebody else's: it is used as it is, and never removed.
    pub bridge_is_theirs: bool,
    /// Address and subnet of the bridge.
    pub bip: Option<Ipv4Net>,
    /// Address and subnet of the bridge.
    pub bip6: Option<Ipv6Net>,
    /// The part of the subnet that containers get addresses from.
    pub fixed_cidr: Option<Ipv4Net>,
    /// Subnet of the default bridge; addresses come from all of it.
    pub fixed_cidr_v6: Option<Ipv6Net>,
    /// What containers on the default bridge use as default gateway in place of the bridge.
    pub default_gateway: Option<Ipv4Addr>,
    /// See [`Self::default_gateway`].
    pub default_gateway_v6: Option<Ipv6Addr>,
    /// IPv6 on the default bridge.
    pub ipv6: bool,
    /// Containers on the default bridge reach each other.
    pub icc: bool,
    /// What leaves the default bridge takes the host's address.
    pub masquerade: bool,
    /// Forwarding is switched on where a network needs it.
    pub forward: bool,
    /// Where published ports are bound that name no address.
    pub bind: Option<IpAddr>,
    /// MTU of the default bridge; `None` for the kernel's.
    pub mtu: Option<u32>,
    /// Where subnets of networks come from that name none: a base and the prefix length of each.
    pub pools: Vec<(IpNet, u8)>,
    /// Options of new networks that do not name them, by driver.
    pub default_options: BTreeMap<String, BTreeMap<String, String>>,
    /// What `host-gateway` means; the default bridge's own addresses when empty.
    pub host_gateway: Vec<IpAddr>,
    /// Name of our nftables table.
    pub table: String,
    /// Ports published on a container's own address may be reached from outside.
    pub direct_routing: bool,
}

impl Default for NetworkOptions {
    /// dockerd's defaults, and a bridge of our own name: dockerd may run beside us.
    fn default() -> Self {
        Self {
            bridge: Some("wharf0".into()),
            bridge_is_theirs: false,
            bip: None,
            bip6: None,
            fixed_cidr: None,
            fixed_cidr_v6: None,
            default_gateway: None,
            default_gateway_v6: None,
            ipv6: false,
            icc: true,
            masquerade: true,
            forward: true,
            bind: None,
            mtu: None,
            pools: Vec::new(),
            default_options: BTreeMap::new(),
            host_gateway: Vec::new(),
            table: "wharf".into(),
            direct_routing: false,
        }
    }
}
