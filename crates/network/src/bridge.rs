//! Bridges: the link that the containers of a network are ports of, and their gateway.
//!
//! A bridge of ours is made, or found from before and completed. Its address is never changed
//! while it exists: running containers have it as their gateway. A bridge that belongs to somebody
//! else is used as it is, or refused.

use ipnet::IpNet;
use rustix::io::Errno;

use crate::host::{self, Link};
use crate::link_error::{LinkError, Result};
use crate::mac::Mac;
use crate::netlink::kernel::{
    IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU, NLM_F_CREATE,
    NLM_F_EXCL, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use crate::netlink::{Message, Socket, address_message, link_message, loopback_message};
use crate::sysctl;

const KIND: &str = "bridge";

/// What a bridge should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// Its addresses: the gateways of its network.
    pub addresses: Vec<IpNet>,
    /// The largest packet; the kernel's 1500 if not said.
    pub mtu: Option<u32>,
    /// Its Ethernet address; a random one if not said. It never follows the ports'.
    pub mac: Option<Mac>,
    /// Whether it speaks IPv6. If not, it has no IPv6 address of any kind.
    pub ipv6: Ipv6,
}

/// Whose a bridge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Ours: made if it is not there, and completed.
    Us,
    /// Somebody else's: it has to be there, and nothing of it is changed.
    Somebody,
}

/// Whether there is IPv6 on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// It is switched off there.
    Off,
    /// It is on.
    On,
}

/// A bridge that is as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its number.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: Mac,
    /// The largest packet.
    pub mtu: u32,
    /// All its addresses, of one link only too.
    pub addresses: Vec<IpNet>,
    /// Whether it was made just now.
    pub made: bool,
}

/// See that a bridge is there and as it should be, in the calling thread's namespace.
pub fn ensure(spec: &BridgeSpec) -> Result<Bridge> {
    check_name(&spec.name)?;
    let mut socket = Socket::open()?;
    if let Some(link) = host::link_by(&mut socket, &spec.name)? {
        return found(&mut socket, spec, &link);
    }
    if spec.owner == Owner::Somebody {
        return Err(LinkError::NoSuchLink {
            link: spec.name.clone(),
        });
    }
    let made = make(&mut socket, spec)
        .and_then(|link| complete(&mut socket, spec, &link, &[]).map(|()| link))
        .and_then(|link| told(&mut socket, &link, true));
    match made {
        // Somebody was faster.
        Err(LinkError::LinkExists { .. }) => {
            let link = host::existing(&mut socket, &spec.name)?;
            found(&mut socket, spec, &link)
        }
        Err(error) => {
            if let Err(left) = delete(&mut socket, &spec.name) {
                tracing::warn!(bridge = spec.name, %left, "half-made bridge left behind");
            }
            Err(error)
        }
        made => made,
    }
}

/// Take a bridge down; one that is not there is down.
pub fn remove(name: &str) -> Result<()> {
    let mut socket = Socket::open()?;
    match host::link_by(&mut socket, name)? {
        None => Ok(()),
        Some(link) => {
            check_kind(&link)?;
            delete(&mut socket, name)
        }
    }
}

/// The links that are ports of a bridge.
pub fn ports(name: &str) -> Result<Vec<Link>> {
    let mut socket = Socket::open()?;
    let bridge = host::existing(&mut socket, name)?;
    let links = host::links_by(&mut socket)?;
    Ok(links
        .into_iter()
        .filter(|link| link.master == Some(bridge.index))
        .collect())
}

fn make(socket: &mut Socket, spec: &BridgeSpec) -> Result<Link> {
    // An address of its own: the kernel would otherwise give it the lowest of its ports', and
    // change it, with every neighbour's idea of the gateway, as containers come and go.
    let mac = spec.mac.unwrap_or_else(Mac::random_local);
    let new = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0)
        .text(IFLA_IFNAME, &spec.name)
        .attribute(IFLA_ADDRESS, &mac.0)
        .maybe(spec.mtu, |message, mtu| message.u32(IFLA_MTU, mtu))
        .nest(
            IFLA_LINKINFO,
            &Message::attributes().text(IFLA_INFO_KIND, KIND),
        );
    let outcomes = socket.exchange(&[new, host::link_request(&spec.name)])?;
    let mut link = None;
    for outcome in outcomes {
        match outcome {
            Ok(told) => link = host::read_link(&told).or(link),
            Err(refusal) if refusal.is(Errno::EXIST) => {
                return Err(LinkError::LinkExists {
                    link: spec.name.clone(),
                });
            }
            Err(refusal) if refusal.is(Errno::OPNOTSUPP) => {
                return Err(LinkError::Unsupported {
                    link: spec.name.clone(),
                    feature: KIND,
                });
            }
            Err(refusal) => return Err(refusal.while_doing("making the bridge", &spec.name)),
        }
    }
    link.ok_or_else(|| LinkError::NoSuchLink {
        link: spec.name.clone(),
    })
}

fn found(socket: &mut Socket, spec: &BridgeSpec, link: &Link) -> Result<Bridge> {
    check_kind(link)?;
    let has = addresses(socket, link)?;
    for wants in &spec.addresses {
        let strange = |has: &&IpNet| excludes(has, wants) && !spec.addresses.contains(has);
        if !has.contains(wants)
            && let Some(has) = has.iter().find(strange)
        {
            let bridge = spec.name.clone();
            return Err(LinkError::Renumber {
                bridge,
                has: *has,
                wants: *wants,
            });
        }
    }
    if spec.owner == Owner::Us {
        complete(socket, spec, link, &has)?;
    }
    let link = host::existing(socket, &spec.name)?;
    told(socket, &link, false)
}

/// Whether a bridge that has the one, unasked, cannot be given the other as well: they are of one
/// family, and the one is an address for the world.
fn excludes(has: &IpNet, wants: &IpNet) -> bool {
    match (has, wants) {
        (IpNet::V4(_), IpNet::V4(_)) => true,
        (IpNet::V6(has), IpNet::V6(_)) => !has.addr().is_unicast_link_local(),
        _ => false,
    }
}

/// Give a bridge of ours what it lacks, and see that it is up.
fn complete(socket: &mut Socket, spec: &BridgeSpec, link: &Link, has: &[IpNet]) -> Result<()> {
    parameters(spec)?;
    let settings = link_message(RTM_NEWLINK, 0, link.index, IFF_UP)
        .maybe(spec.mtu.filter(|mtu| *mtu != link.mtu), |m, mtu| {
            m.u32(IFLA_MTU, mtu)
        })
        .maybe(spec.mac.filter(|mac| Some(*mac) != link.mac), |m, mac| {
            m.attribute(IFLA_ADDRESS, &mac.0)
        });
    let new = NLM_F_CREATE | NLM_F_EXCL;
    let missing = spec
        .addresses
        .iter()
        .filter(|address| !has.contains(address));
    let mut requests = vec![("setting up".to_owned(), settings)];
    requests.extend(missing.map(|address| {
        (
            format!("adding {address} to"),
            address_message(RTM_NEWADDR, new, link.index, *address),
        )
    }));
    if spec.ipv6 == Ipv6::On {
        // The answer from a port that is published on ::1. Not exclusive: each bridge has one.
        let loopback = loopback_message(RTM_NEWROUTE, NLM_F_CREATE, link.index);
        requests.push(("routing ::1 through".to_owned(), loopback));
    }
    let (actions, requests): (Vec<String>, Vec<Message>) = requests.into_iter().unzip();
    for (action, outcome) in actions.into_iter().zip(socket.exchange(&requests)?) {
        match outcome {
            Err(refusal) if !refusal.is(Errno::EXIST) => {
                return Err(refusal.while_doing(action, &spec.name));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Before the bridge is up and has addresses, so that it never acts otherwise.
fn parameters(spec: &BridgeSpec) -> Result<()> {
    let v4 = |name| sysctl::of_link("net.ipv4.conf", &spec.name, name);
    let v6 = |name| sysctl::of_link("net.ipv6.conf", &spec.name, name);
    // A port published on 127.0.0.1 is a packet from there that leaves by the bridge.
    sysctl::write(&v4("route_localnet"), "1")?;
    match spec.ipv6 {
        Ipv6::Off => sysctl::write_if_there(&v6("disable_ipv6"), "1"),
        Ipv6::On => {
            // No container says where the host's packets go (CVE-2020-13401).
            sysctl::write_if_there(&v6("accept_ra"), "0")?;
            sysctl::write_if_there(&v6("accept_dad"), "0")?;
            sysctl::write_if_there(&v6("disable_ipv6"), "0")
        }
    }
}

fn told(socket: &mut Socket, link: &Link, made: bool) -> Result<Bridge> {
    let addresses = addresses(socket, link)?;
    let mac = link.mac.unwrap_or(Mac([0; 6]));
    Ok(Bridge {
        index: link.index,
        mac,
        mtu: link.mtu,
        addresses,
        made,
    })
}

fn addresses(socket: &mut Socket, link: &Link) -> Result<Vec<IpNet>> {
    let found = host::addresses_by(socket, Some(link.index))?;
    Ok(found.into_iter().map(|entry| entry.address).collect())
}

fn check_kind(link: &Link) -> Result<()> {
    if link.kind == KIND {
        return Ok(());
    }
    Err(LinkError::WrongKind {
        link: link.name.clone(),
        found: if link.kind.is_empty() {
            "hardware".to_owned()
        } else {
            link.kind.clone()
        },
        expected: KIND,
    })
}

fn delete(socket: &mut Socket, name: &str) -> Result<()> {
    match socket.ask(&link_message(RTM_DELLINK, 0, 0, 0).text(IFLA_IFNAME, name))? {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.is(Errno::NODEV) => Ok(()),
        Err(refusal) => Err(refusal.while_doing("removing", name)),
    }
}

/// The longest name of a link, `IFNAMSIZ` without its zero.
const LONGEST_NAME: usize = 15;

/// Whether the kernel takes a name for a link, and takes it as it is.
pub fn check_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 15 bytes"
    } else if matches!(name, "." | ".." | "all" | "default") {
        "it means something else to the kernel"
    } else if name
        .contains(|c: char| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control())
    {
        "it has a slash, a colon, a percent sign or a space in it"
    } else {
        return Ok(());
    };
    Err(LinkError::InvalidName {
        name: name.to_owned(),
        reason,
    })
}
