//! The three objects of this family: links, addresses and routes, as they are asked for and told.

use std::net::IpAddr;

use ipnet::IpNet;

use super::attributes::Attributes;
use super::kernel::{
    AF_INET, AF_INET6, IFA_ADDRESS, IFA_BROADCAST, IFA_F_NODAD, IFA_FLAGS, IFA_LOCAL, IFF_LOOPBACK,
    IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER,
    IFLA_MTU, RT_SCOPE_LINK, RT_SCOPE_NOWHERE, RT_SCOPE_UNIVERSE, RT_TABLE_LOCAL, RT_TABLE_MAIN,
    RT_TABLE_UNSPEC, RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PRIORITY, RTA_TABLE, RTM_DELROUTE,
    RTM_NEWADDR, RTN_LOCAL, RTN_UNICAST, RTN_UNSPEC, RTPROT_BOOT,
};
use super::message::Message;
use crate::mac::Mac;

/// `struct ifinfomsg`, `ifaddrmsg` and `rtmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;
const ROUTE: usize = 12;

/// A link, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEntry {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, ...; empty for hardware and loopback.
    pub kind: String,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// The link it is on, or its peer: a number in that one's namespace.
    pub lower: Option<u32>,
    /// The largest packet.
    pub mtu: u32,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// `IFF_...`
    pub flags: u32,
}

impl LinkEntry {
    /// Read `struct ifinfomsg` and what follows.
    pub fn read(body: &[u8]) -> Option<LinkEntry> {
        let fixed: &[u8; LINK] = body.first_chunk()?;
        let index = i32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let mut link = LinkEntry {
            index: u32::try_from(index).ok()?,
            name: String::new(),
            kind: String::new(),
            master: None,
            lower: None,
            mtu: 0,
            mac: None,
            flags: u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        for attribute in Attributes::after(body, LINK) {
            match attribute.kind {
                IFLA_IFNAME => link.name = attribute.text(),
                IFLA_MASTER => link.master = attribute.u32(),
                IFLA_LINK => link.lower = attribute.u32(),
                IFLA_MTU => link.mtu = attribute.u32().unwrap_or_default(),
                IFLA_ADDRESS => link.mac = attribute.mac(),
                IFLA_LINKINFO => {
                    if let Some(kind) = attribute.nested().get(IFLA_INFO_KIND) {
                        link.kind = kind.text();
                    }
                }
                _ => {}
            }
        }
        Some(link)
    }

    /// Whether somebody said it should be up.
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Whether it is the namespace's own.
    pub fn is_loopback(&self) -> bool {
        self.flags & IFF_LOOPBACK != 0
    }
}

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressEntry {
    /// The link's number.
    pub index: u32,
    /// The address and its network's length.
    pub address: IpNet,
    /// `RT_SCOPE_...`: 0 is the world, 253 the link, 254 this host.
    pub scope: u8,
}

impl AddressEntry {
    /// Read `struct ifaddrmsg` and what follows.
    pub fn read(body: &[u8]) -> Option<AddressEntry> {
        let &[_, prefix, _, scope, i0, i1, i2, i3] = body.first_chunk::<ADDRESS>()?;
        let attributes = Attributes::after(body, ADDRESS);
        // On a point-to-point link IFA_ADDRESS is the other end.
        let address = attributes
            .get(IFA_LOCAL)
            .or_else(|| attributes.get(IFA_ADDRESS))?;
        Some(AddressEntry {
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            address: IpNet::new(address.address()?, prefix).ok()?,
            scope,
        })
    }
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where to; a length of 0 is the default route.
    pub to: IpNet,
    /// By which gateway.
    pub via: Option<IpAddr>,
    /// Out of which link.
    pub index: Option<u32>,
    /// Its rank among those to the same place, lowest first.
    pub metric: u32,
    /// Which table it is in; 254 is the main one.
    pub table: u32,
    /// `RTN_...`: 1 is an ordinary route.
    pub kind: u8,
}

impl RouteEntry {
    /// Read `struct rtmsg` and what follows.
    pub fn read(body: &[u8]) -> Option<RouteEntry> {
        let &[family, prefix, _, _, table, _, _, kind, ..] = body.first_chunk::<ROUTE>()?;
        let attributes = Attributes::after(body, ROUTE);
        let to = match attributes.get(RTA_DST) {
            Some(to) => to.address()?,
            None => unspecified(family)?,
        };
        Some(RouteEntry {
            to: IpNet::new(to, prefix).ok()?,
            via: attributes
                .get(RTA_GATEWAY)
                .and_then(super::Attribute::address),
            index: attributes.get(RTA_OIF).and_then(super::Attribute::u32),
            metric: attributes
                .get(RTA_PRIORITY)
                .and_then(super::Attribute::u32)
                .unwrap_or(0),
            table: attributes
                .get(RTA_TABLE)
                .and_then(super::Attribute::u32)
                .unwrap_or_else(|| u32::from(table)),
            kind,
        })
    }
}

fn unspecified(family: u8) -> Option<IpAddr> {
    match family {
        AF_INET => Some(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        AF_INET6 => Some(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
        _ => None,
    }
}

pub(crate) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// A request on a link: by number, or, with 0, by the name that follows. `flags` become what they
/// say, all others stay.
pub(crate) fn link_message(kind: u16, options: u16, index: u32, flags: u32) -> Message {
    Message::new(kind, options, &link_header(index, flags))
}

/// `struct ifinfomsg`.
pub(crate) fn link_header(index: u32, flags: u32) -> [u8; LINK] {
    let mut fixed = [0; LINK];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

/// A request on a link's address. One of IPv6 is in use at once: who owns it was decided by the
/// caller, and the second that duplicate detection takes is longer than many containers live.
pub(crate) fn address_message(kind: u16, options: u16, index: u32, address: IpNet) -> Message {
    let [i0, i1, i2, i3] = index.to_ne_bytes();
    let fixed = [
        family(address.addr()),
        address.prefix_len(),
        0,
        RT_SCOPE_UNIVERSE,
        i0,
        i1,
        i2,
        i3,
    ];
    let message = Message::new(kind, options, &fixed)
        .address(IFA_LOCAL, address.addr())
        .address(IFA_ADDRESS, address.addr());
    match address {
        IpNet::V4(net) if kind == RTM_NEWADDR && net.prefix_len() < 31 => {
            message.address(IFA_BROADCAST, IpAddr::V4(net.broadcast()))
        }
        IpNet::V6(_) if kind == RTM_NEWADDR => message.u32(IFA_FLAGS, IFA_F_NODAD),
        IpNet::V4(_) | IpNet::V6(_) => message,
    }
}

/// A request on a route of the main table.
pub(crate) fn route_message(
    kind: u16,
    options: u16,
    to: IpNet,
    via: Option<IpAddr>,
    link: Option<u32>,
    metric: Option<u32>,
) -> Message {
    let (scope, of) = match (kind, via) {
        // Whatever it is.
        (RTM_DELROUTE, _) => (RT_SCOPE_NOWHERE, RTN_UNSPEC),
        (_, None) if to.addr().is_ipv4() => (RT_SCOPE_LINK, RTN_UNICAST),
        _ => (RT_SCOPE_UNIVERSE, RTN_UNICAST),
    };
    let protocol = if kind == RTM_DELROUTE { 0 } else { RTPROT_BOOT };
    let family = family(to.addr());
    let fixed = [
        family,
        to.prefix_len(),
        0,
        0,
        RT_TABLE_MAIN,
        protocol,
        scope,
        of,
        0,
        0,
        0,
        0,
    ];
    Message::new(kind, options, &fixed)
        .maybe(
            (to.prefix_len() > 0).then(|| to.network()),
            |message, to| message.address(RTA_DST, to),
        )
        .maybe(via, |message, via| message.address(RTA_GATEWAY, via))
        .maybe(link, |message, link| message.u32(RTA_OIF, link))
        .maybe(metric, |message, metric| message.u32(RTA_PRIORITY, metric))
}

/// A request on a route by which `::1` is answered on this link too: IPv6's `route_localnet`.
pub(crate) fn loopback_message(kind: u16, options: u16, link: u32) -> Message {
    let (table, scope) = (RT_TABLE_LOCAL, RT_SCOPE_UNIVERSE);
    let fixed = [
        AF_INET6,
        128,
        0,
        0,
        table,
        RTPROT_BOOT,
        scope,
        RTN_LOCAL,
        0,
        0,
        0,
        0,
    ];
    Message::new(kind, options, &fixed)
        .address(RTA_DST, IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))
        .u32(RTA_OIF, link)
        .u32(RTA_PRIORITY, LOOPBACK_METRIC.saturating_add(link))
}

/// Behind the loopback link's own, which is 0; each link's is another, or the second one that asks
/// would be told that there is such a route.
const LOOPBACK_METRIC: u32 = 1024;

/// A request for all routes of a family.
pub(crate) fn routes_message(kind: u16, family: u8) -> Message {
    Message::new(
        kind,
        0,
        &[family, 0, 0, 0, RT_TABLE_UNSPEC, 0, 0, 0, 0, 0, 0, 0],
    )
}
