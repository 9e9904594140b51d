//! What the calling thread's namespace has: links, addresses, routes; and whether it forwards.
//!
//! Always the kernel's word of this moment; nothing is remembered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::link_error::{LinkError, Result};
use crate::mac::Mac;
use crate::netlink::kernel::{
    AF_INET, AF_INET6, AF_UNSPEC, IFLA_EXT_MASK, IFLA_IFNAME, RT_TABLE_MAIN,
    RTEXT_FILTER_SKIP_STATS, RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE, RTN_UNICAST,
};
use crate::netlink::{
    AddressEntry, LinkEntry, Message, RouteEntry, Socket, link_message, routes_message,
};
use crate::sysctl;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in this namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, ...; empty for hardware and loopback.
    pub kind: String,
    /// The number of the bridge it is a port of.
    pub master: Option<u32>,
    /// The number of the link it is on (VLAN, macvlan), or of its peer (veth, in that one's
    /// namespace).
    pub lower: Option<u32>,
    /// The largest packet.
    pub mtu: u32,
    /// Whether somebody said it should be up.
    pub up: bool,
    /// Whether it is the namespace's own loopback.
    pub loopback: bool,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
}

impl From<LinkEntry> for Link {
    fn from(entry: LinkEntry) -> Link {
        Link {
            up: entry.is_up(),
            loopback: entry.is_loopback(),
            index: entry.index,
            name: entry.name,
            kind: entry.kind,
            master: entry.master,
            lower: entry.lower,
            mtu: entry.mtu,
            mac: entry.mac,
        }
    }
}

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRoute {
    /// Where to; a length of 0 is the default route.
    pub to: IpNet,
    /// By which gateway.
    pub via: Option<IpAddr>,
    /// Out of which link; none where there are several.
    pub index: Option<u32>,
    /// Its rank among those to the same place, lowest first.
    pub metric: u32,
}

/// All links.
pub fn links() -> Result<Vec<Link>> {
    links_by(&mut Socket::open()?)
}

pub(crate) fn links_by(socket: &mut Socket) -> Result<Vec<Link>> {
    let all = link_message(RTM_GETLINK, 0, 0, 0).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    socket
        .dump(&all, |body| LinkEntry::read(body).map(Link::from))?
        .map_err(|refusal| refusal.while_doing("listing", "links"))
}

/// The link of this name, if there is one.
pub fn link(name: &str) -> Result<Option<Link>> {
    link_by(&mut Socket::open()?, name)
}

pub(crate) fn link_by(socket: &mut Socket, name: &str) -> Result<Option<Link>> {
    match socket.ask(&link_request(name))? {
        Ok(told) => Ok(read_link(&told)),
        Err(refusal) if refusal.is(rustix::io::Errno::NODEV) => Ok(None),
        Err(refusal) => Err(refusal.while_doing("looking up", name)),
    }
}

/// The link of this name, which has to be there.
pub(crate) fn existing(socket: &mut Socket, name: &str) -> Result<Link> {
    link_by(socket, name)?.ok_or_else(|| LinkError::NoSuchLink {
        link: name.to_owned(),
    })
}

/// A question for one link by name.
pub(crate) fn link_request(name: &str) -> Message {
    link_message(RTM_GETLINK, 0, 0, 0)
        .text(IFLA_IFNAME, name)
        .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
}

/// The first link in an answer.
pub(crate) fn read_link(told: &[Vec<u8>]) -> Option<Link> {
    told.iter()
        .find_map(|body| LinkEntry::read(body))
        .map(Link::from)
}

/// All addresses, with the number of the link that has each.
pub fn addresses() -> Result<Vec<(u32, IpNet)>> {
    let found = addresses_by(&mut Socket::open()?, None)?;
    Ok(found
        .into_iter()
        .map(|entry| (entry.index, entry.address))
        .collect())
}

/// Those of one link, or of all.
pub(crate) fn addresses_by(socket: &mut Socket, link: Option<u32>) -> Result<Vec<AddressEntry>> {
    let [i0, i1, i2, i3] = link.unwrap_or_default().to_ne_bytes();
    let wanted = Message::new(RTM_GETADDR, 0, &[AF_UNSPEC, 0, 0, 0, i0, i1, i2, i3]);
    // Older kernels tell them all, whatever was asked.
    let read = |body: &[u8]| {
        AddressEntry::read(body).filter(|entry| link.is_none_or(|link| link == entry.index))
    };
    socket
        .dump(&wanted, read)?
        .map_err(|refusal| refusal.while_doing("listing the addresses of", "links"))
}

/// The addresses of the link of this name.
pub fn addresses_of(name: &str) -> Result<Vec<IpNet>> {
    let mut socket = Socket::open()?;
    let link = existing(&mut socket, name)?;
    let found = addresses_by(&mut socket, Some(link.index))?;
    Ok(found.into_iter().map(|entry| entry.address).collect())
}

/// All ordinary routes of the main tables, IPv4's first.
pub fn routes() -> Result<Vec<HostRoute>> {
    routes_by(&mut Socket::open()?)
}

pub(crate) fn routes_by(socket: &mut Socket) -> Result<Vec<HostRoute>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let all = routes_message(RTM_GETROUTE, family);
        match socket.dump(&all, RouteEntry::read)? {
            Ok(routes) => found.extend(routes),
            // A kernel without IPv6.
            Err(refusal) if family == AF_INET6 && refusal.is(rustix::io::Errno::OPNOTSUPP) => {}
            Err(refusal) => return Err(refusal.while_doing("listing the routes of", "links")),
        }
    }
    let ordinary = found
        .into_iter()
        .filter(|route| route.table == u32::from(RT_TABLE_MAIN) && route.kind == RTN_UNICAST);
    Ok(ordinary
        .map(|route| HostRoute {
            to: route.to,
            via: route.via,
            index: route.index,
            metric: route.metric,
        })
        .collect())
}

/// The networks that something here already leads to: a new one must not be inside any of them.
/// Default routes lead everywhere and do not count, nor do addresses of one link only.
pub fn taken_networks() -> Result<BTreeSet<IpNet>> {
    let mut socket = Socket::open()?;
    let routes = routes_by(&mut socket)?;
    let addresses = addresses_by(&mut socket, None)?;
    let routed = routes
        .into_iter()
        .map(|route| route.to)
        .filter(|to| to.prefix_len() > 0);
    let owned = addresses.into_iter().map(|entry| entry.address.trunc());
    Ok(routed
        .chain(owned)
        .filter(|net| !is_of_one_link(net))
        .collect())
}

fn is_of_one_link(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_link_local(),
        IpNet::V6(net) => net.addr().is_unicast_link_local() || net.addr().is_multicast(),
    }
}

/// An IP version, where both have a switch each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn forwarding_key(self) -> &'static str {
        match self {
            Family::V4 => "net.ipv4.ip_forward",
            Family::V6 => "net.ipv6.conf.all.forwarding",
        }
    }
}

/// Whether packets of other hosts are passed on.
pub fn forwarding(family: Family) -> Result<bool> {
    Ok(sysctl::read(family.forwarding_key())? != "0")
}

/// Have packets of other hosts passed on; what was changed, to be said and to be undone.
///
/// IPv6's switch also stops the kernel from taking routes from router advertisements, which would
/// take a host that lives by them off the network some time later. Links that do so (`accept_ra`
/// is 1) are told to go on (2) first.
pub fn enable_forwarding(family: Family) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    if forwarding(family)? {
        return Ok(changes);
    }
    if family == Family::V6 {
        for link in links()?.iter().filter(|link| !link.loopback) {
            let key = format!("net.ipv6.conf.{}.accept_ra", link.name.replace('.', "/"));
            if matches!(sysctl::read(&key).as_deref(), Ok("1")) {
                changes.push(change(&key, "2")?);
            }
        }
    }
    changes.push(change(family.forwarding_key(), "1")?);
    Ok(changes)
}

/// A kernel parameter that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which, with dots; a dot in a link's name is a slash.
    pub key: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

fn change(key: &str, to: &str) -> Result<Change> {
    let from = sysctl::read(key)?;
    sysctl::write(key, to)?;
    Ok(Change {
        key: key.to_owned(),
        from,
        to: to.to_owned(),
    })
}
