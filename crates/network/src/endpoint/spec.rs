//! What an endpoint should be, and what it became.

use std::net::IpAddr;

use ipnet::IpNet;

use super::macvlan::{IpvlanFlag, IpvlanMode, MacvlanMode};
use crate::bridge::check_name;
use crate::link_error::{LinkError, Result};
use crate::mac::Mac;
use crate::shaping::Shaping;

/// The kind of link that an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A pair, one end in a bridge.
    Veth {
        /// The bridge's name.
        bridge: String,
        /// Whether it talks to the bridge's other ports.
        isolation: Isolation,
    },
    /// A link with an Ethernet address of its own on another one.
    Macvlan {
        /// The other one's name.
        parent: String,
        /// Who talks to whom.
        mode: MacvlanMode,
    },
    /// A link that shares the other one's Ethernet address.
    Ipvlan {
        /// The other one's name.
        parent: String,
        /// At which layer packets are passed on.
        mode: IpvlanMode,
        /// Who talks to whom.
        flag: IpvlanFlag,
    },
}

/// Whether a port talks to the isolated ports of its bridge; it always talks to the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// To all.
    Open,
    /// Not to other isolated ones, at the layer of Ethernet already.
    Isolated,
}

/// The name of a link in its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceName {
    /// This one.
    Exact(String),
    /// This prefix and the lowest number that is free, from 0.
    Next(String),
}

/// A route through an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to. A length of 0 is the default route of that family ([`Route::default_by`]).
    pub to: IpNet,
    /// By which gateway; none: everything there is on the link itself.
    pub via: Option<IpAddr>,
    /// Its rank among those to the same place, lowest first; the kernel's choice if not said.
    pub metric: Option<u32>,
}

impl Route {
    /// The default route by a gateway, in its family.
    pub fn default_by(gateway: IpAddr) -> Route {
        Route {
            to: default_of(gateway),
            via: Some(gateway),
            metric: None,
        }
    }
}

/// `0.0.0.0/0` or `::/0`, as the address is.
pub(super) fn default_of(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpAddr::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

/// What an endpoint should be.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSpec {
    /// The kind of link.
    pub kind: Kind,
    /// The name of the host's end of a veth pair; others have none and leave it empty.
    pub host_name: String,
    /// Its name in the container.
    pub name: InterfaceName,
    /// Its Ethernet address; a random local one if not said.
    pub mac: Option<Mac>,
    /// The largest packet; the bridge's or parent's if not said.
    pub mtu: Option<u32>,
    /// Its addresses. Without one of IPv6 that is switched off on the link.
    pub addresses: Vec<IpNet>,
    /// Routes through it, made in this order.
    pub routes: Vec<Route>,
    /// Kernel parameters, with `IFNAME` for the link's name: `net.ipv4.conf.IFNAME.log_martians`.
    pub sysctls: Vec<(String, String)>,
    /// How fast, how late and how lossy, from the container.
    pub outgoing: Option<Shaping>,
    /// The same to the container; a veth pair's only.
    pub incoming: Option<Shaping>,
}

impl EndpointSpec {
    /// What can be known without the kernel.
    pub(super) fn check(&self) -> Result<()> {
        match &self.name {
            InterfaceName::Exact(name) => check_name(name)?,
            // A number of four digits has to fit behind.
            InterfaceName::Next(prefix) => check_name(&format!("{prefix}9999"))?,
        }
        let is_veth = matches!(self.kind, Kind::Veth { .. });
        if is_veth {
            check_name(&self.host_name)?;
        }
        let impossible = |reason: String| LinkError::Impossible {
            link: self.shown(),
            reason,
        };
        if let Some(mac) = self.mac.filter(|mac| !mac.is_usable()) {
            return Err(impossible(format!("{mac} is not the address of one link")));
        }
        if self.incoming.is_some() && !is_veth {
            return Err(impossible(
                "traffic to it cannot be shaped, only traffic from it".to_owned(),
            ));
        }
        for (key, _) in &self.sysctls {
            let of_link = key.split(['.', '/']).any(|part| part == IFNAME);
            if !of_link {
                return Err(impossible(format!(
                    "sysctl {key} is not one of the link: no {IFNAME}"
                )));
            }
        }
        Ok(())
    }

    /// How it is called in errors before it has a name.
    pub(super) fn shown(&self) -> String {
        match &self.name {
            InterfaceName::Exact(name) => name.clone(),
            InterfaceName::Next(prefix) => format!("{prefix}*"),
        }
    }
}

/// Stands for the link's name in a parameter's.
pub(super) const IFNAME: &str = "IFNAME";

/// An endpoint that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its name in the container.
    pub name: String,
    /// Its number in the container.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: Mac,
    /// The largest packet.
    pub mtu: u32,
    /// The host's end of a veth pair.
    pub host_name: Option<String>,
    /// That one's number.
    pub host_index: Option<u32>,
}
