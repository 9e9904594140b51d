//! Endpoints in a bridge: a veth pair.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

use super::spec::{Attached, EndpointSpec, InterfaceName, Isolation};
use crate::host;
use crate::link_error::{LinkError, Result};
use crate::mac::Mac;
use crate::namespace::Netns;
use crate::netlink::kernel::{
    IFF_UP, IFLA_ADDRESS, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_MODE, IFLA_EXT_MASK, IFLA_IFNAME,
    IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_INFO_SLAVE_DATA, IFLA_INFO_SLAVE_KIND, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_MTU, IFLA_NET_NS_FD, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, NLM_F_CREATE,
    NLM_F_EXCL, RTEXT_FILTER_SKIP_STATS, RTM_GETLINK, RTM_NEWLINK, VETH_INFO_PEER,
};
use crate::netlink::{Message, Refusal, Socket, link_header, link_message};
use crate::sysctl;

/// The pair: the host's end up and in the bridge, the container's end down, in its namespace and
/// under its name.
pub(super) fn make(
    here: &mut Socket,
    there: &mut Socket,
    spec: &EndpointSpec,
    bridge: &str,
    port: &Port,
    target: &Netns,
) -> Result<Attached> {
    let master = host::existing(here, bridge)?;
    if master.kind != "bridge" {
        return Err(LinkError::WrongKind {
            link: bridge.to_owned(),
            found: master.kind,
            expected: "bridge",
        });
    }
    let mtu = spec.mtu.unwrap_or(master.mtu);
    let mut requests = vec![
        pair(spec, master.index, mtu, target),
        host::link_request(&spec.host_name),
    ];
    requests.extend(port.request(&spec.host_name));
    let mut outcomes = here.exchange(&requests)?.into_iter();
    if let Some(Err(refusal)) = outcomes.next() {
        return Err(refused(here, refusal, spec));
    }
    let near = outcomes
        .next()
        .and_then(|told| host::read_link(&told.ok()?))
        .ok_or_else(|| LinkError::NoSuchLink {
            link: spec.host_name.clone(),
        })?;
    let made = match outcomes.next() {
        Some(Err(refusal)) => Err(refusal.while_doing("setting up the port", &spec.host_name)),
        Some(Ok(_)) | None => far_end(there, near.lower),
    };
    match made {
        Ok(far) => Ok(Attached {
            host_name: Some(near.name),
            host_index: Some(near.index),
            ..far
        }),
        Err(error) => {
            if let Err(left) = super::delete(here, &spec.host_name) {
                tracing::warn!(link = spec.host_name, %left, "half-made endpoint left behind");
            }
            Err(error)
        }
    }
}

fn pair(spec: &EndpointSpec, master: u32, mtu: u32, target: &Netns) -> Message {
    // With `%d` the kernel itself takes the lowest number that is free, so that two who attach at
    // once do not choose the same.
    let name = match &spec.name {
        InterfaceName::Exact(name) => name.clone(),
        InterfaceName::Next(prefix) => format!("{prefix}%d"),
    };
    // One queue, not one per processor: a queue is two objects in sysfs and gains a pair nothing.
    let peer = Message::new(0, 0, &link_header(0, 0))
        .text(IFLA_IFNAME, &name)
        .u32(IFLA_MTU, mtu)
        .u32(IFLA_NUM_TX_QUEUES, 1)
        .u32(IFLA_NUM_RX_QUEUES, 1)
        .attribute(IFLA_NET_NS_FD, &target.as_fd().as_raw_fd().to_ne_bytes())
        .maybe(spec.mac, |message, mac| {
            message.attribute(IFLA_ADDRESS, &mac.0)
        });
    let data = Message::attributes().attribute(VETH_INFO_PEER, peer.body());
    let info = Message::attributes()
        .text(IFLA_INFO_KIND, "veth")
        .nest(IFLA_INFO_DATA, &data);
    link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP)
        .text(IFLA_IFNAME, &spec.host_name)
        .u32(IFLA_MTU, mtu)
        .u32(IFLA_MASTER, master)
        .u32(IFLA_NUM_TX_QUEUES, 1)
        .u32(IFLA_NUM_RX_QUEUES, 1)
        .nest(IFLA_LINKINFO, &info)
}

/// What the host's end is as a port of its bridge.
pub(super) struct Port {
    isolation: Isolation,
    /// Whether what came from it may go back to it. A bridge whose packets go through the IP
    /// filter (`br_netfilter`) has a container's packet to its own published port turned round
    /// inside the bridge; without `br_netfilter` it goes up to IP and comes back as the host's.
    hairpin: bool,
}

impl Port {
    /// As this thread's namespace needs it.
    pub(super) fn here(isolation: Isolation) -> Port {
        let filtered = sysctl::read("net.bridge.bridge-nf-call-iptables");
        Port {
            isolation,
            hairpin: filtered.is_ok_and(|value| value == "1"),
        }
    }

    fn request(&self, host_name: &str) -> Option<Message> {
        let isolated = self.isolation == Isolation::Isolated;
        if !isolated && !self.hairpin {
            return None;
        }
        let port = Message::attributes()
            .u8(IFLA_BRPORT_MODE, self.hairpin.into())
            .u8(IFLA_BRPORT_ISOLATED, isolated.into());
        let info = Message::attributes()
            .text(IFLA_INFO_SLAVE_KIND, "bridge")
            .nest(IFLA_INFO_SLAVE_DATA, &port);
        let message = link_message(RTM_NEWLINK, 0, 0, 0).text(IFLA_IFNAME, host_name);
        Some(message.nest(IFLA_LINKINFO, &info))
    }
}

/// What the kernel made of the container's end: the number is the near end's `IFLA_LINK`.
fn far_end(there: &mut Socket, index: Option<u32>) -> Result<Attached> {
    let gone = || LinkError::NoSuchLink {
        link: "the container's end".to_owned(),
    };
    let request = link_message(RTM_GETLINK, 0, index.ok_or_else(gone)?, 0)
        .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    let told = there
        .ask(&request)?
        .map_err(|refusal| refusal.while_doing("looking up", "the container's end"))?;
    let link = host::read_link(&told).ok_or_else(gone)?;
    Ok(Attached {
        name: link.name,
        index: link.index,
        mac: link.mac.unwrap_or(Mac([0; 6])),
        mtu: link.mtu,
        host_name: None,
        host_index: None,
    })
}

fn refused(here: &mut Socket, refusal: Refusal, spec: &EndpointSpec) -> LinkError {
    if refusal.is(Errno::OPNOTSUPP) {
        return LinkError::Unsupported {
            link: spec.host_name.clone(),
            feature: "veth",
        };
    }
    if refusal.is(Errno::EXIST) {
        // One of the two names.
        let near = host::link_by(here, &spec.host_name).ok().flatten();
        let link = if near.is_some() {
            spec.host_name.clone()
        } else {
            spec.shown()
        };
        return LinkError::LinkExists { link };
    }
    refusal.while_doing("making the veth pair", &spec.host_name)
}
