//! What macvlan and ipvlan links stand on: an interface of the host, a VLAN on one (`eth0.10`),
//! made when it is asked for, or nothing outside at all.

use rustix::io::Errno;

use crate::bridge::check_name;
use crate::host::{self, Link};
use crate::link_error::{LinkError, Result};
use crate::netlink::kernel::{
    IFF_UP, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_VLAN_ID,
    NLM_F_CREATE, NLM_F_EXCL, RTM_DELLINK, RTM_NEWLINK,
};
use crate::netlink::{Message, Refusal, Socket, link_message};

/// VLAN numbers that can be given.
const VLANS: std::ops::RangeInclusive<u16> = 1..=4094;

/// A parent that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// The largest packet.
    pub mtu: u32,
    /// Whether it was made just now, and goes with the network.
    pub made: bool,
}

/// See that a parent is there: as it is, or, if its name is that of a VLAN (`eth0.10`) on one that
/// is there, made.
pub fn ensure(name: &str) -> Result<Parent> {
    check_name(name)?;
    let mut socket = Socket::open()?;
    if let Some(link) = host::link_by(&mut socket, name)? {
        return usable(link, false);
    }
    if !name.contains('.') {
        return Err(LinkError::NoSuchLink {
            link: name.to_owned(),
        });
    }
    let (lower, vlan) = vlan(name)?;
    let lower = host::existing(&mut socket, lower)?;
    let data = Message::attributes().u16(IFLA_VLAN_ID, vlan);
    let new = made_by(name).u32(IFLA_LINK, lower.index).nest(
        IFLA_LINKINFO,
        &Message::attributes()
            .text(IFLA_INFO_KIND, "vlan")
            .nest(IFLA_INFO_DATA, &data),
    );
    make(&mut socket, &new, name, "802.1q")
}

/// Make a parent that leads nowhere: links on it reach each other and nothing else.
///
/// Docker makes a `dummy` link. Kernels without that kind still have bridges, and one without
/// ports leads as far.
pub fn ensure_inner(name: &str) -> Result<Parent> {
    check_name(name)?;
    let mut socket = Socket::open()?;
    if let Some(link) = host::link_by(&mut socket, name)? {
        return usable(link, false);
    }
    for kind in ["dummy", "bridge"] {
        let new = made_by(name).nest(
            IFLA_LINKINFO,
            &Message::attributes().text(IFLA_INFO_KIND, kind),
        );
        match make(&mut socket, &new, name, kind) {
            Err(LinkError::Unsupported { .. }) => {}
            result => return result,
        }
    }
    Err(LinkError::Unsupported {
        link: name.to_owned(),
        feature: "dummy",
    })
}

/// Take down a parent that was made. Hardware is never taken down; what is not there is.
pub fn remove(name: &str) -> Result<()> {
    let mut socket = Socket::open()?;
    let Some(link) = host::link_by(&mut socket, name)? else {
        return Ok(());
    };
    if !matches!(link.kind.as_str(), "vlan" | "dummy" | "bridge") {
        let found = if link.kind.is_empty() {
            "hardware".to_owned()
        } else {
            link.kind
        };
        return Err(LinkError::WrongKind {
            link: link.name,
            found,
            expected: "parent that was made",
        });
    }
    match socket.ask(&link_message(RTM_DELLINK, 0, link.index, 0))? {
        Err(refusal) if !refusal.is(Errno::NODEV) => Err(refusal.while_doing("removing", name)),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn made_by(name: &str) -> Message {
    link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP).text(IFLA_IFNAME, name)
}

fn make(socket: &mut Socket, new: &Message, name: &str, feature: &'static str) -> Result<Parent> {
    let refused = |refusal: Refusal| {
        if refusal.is(Errno::OPNOTSUPP) {
            LinkError::Unsupported {
                link: name.to_owned(),
                feature,
            }
        } else if refusal.is(Errno::EXIST) {
            // Not of this name: a VLAN of that number by another.
            LinkError::ParentBusy {
                parent: name.to_owned(),
                reason: refusal.to_string(),
            }
        } else {
            refusal.while_doing("making", name)
        }
    };
    socket.ask(new)?.map_err(refused)?;
    usable(host::existing(socket, name)?, true)
}

fn usable(link: Link, made: bool) -> Result<Parent> {
    if link.loopback {
        let reason = "the loopback link cannot be a parent".to_owned();
        return Err(LinkError::Impossible {
            link: link.name,
            reason,
        });
    }
    Ok(Parent {
        name: link.name,
        index: link.index,
        mtu: link.mtu,
        made,
    })
}

/// `eth0.10`: the link and the number.
fn vlan(name: &str) -> Result<(&str, u16)> {
    let invalid = || LinkError::InvalidVlan {
        name: name.to_owned(),
    };
    let (lower, number) = name.split_once('.').ok_or_else(invalid)?;
    let vlan = number
        .parse()
        .ok()
        .filter(|vlan| VLANS.contains(vlan))
        .ok_or_else(invalid)?;
    if lower.is_empty() {
        return Err(invalid());
    }
    Ok((lower, vlan))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn only_a_link_and_a_number_name_a_vlan() {
        assert_eq!(vlan("eth0.10").unwrap(), ("eth0", 10));
        for name in [
            "eth0.0",
            "eth0.4095",
            "eth0.",
            ".10",
            "eth0.1.2",
            "eth0.x",
            "eth0.-1",
        ] {
            assert!(
                matches!(vlan(name), Err(LinkError::InvalidVlan { .. })),
                "{name}"
            );
        }
    }
}
