//! Endpoints on a parent: macvlan and ipvlan.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, AsRawFd};

use super::spec::{Attached, EndpointSpec, InterfaceName};
use crate::host;
use crate::link_error::{LinkError, Result};
use crate::mac::Mac;
use crate::namespace::Netns;
use crate::netlink::kernel::{
    IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_IPVLAN_FLAGS, IFLA_IPVLAN_MODE,
    IFLA_LINK, IFLA_LINKINFO, IFLA_MACVLAN_MODE, IFLA_MTU, IFLA_NET_NS_FD, NLM_F_CREATE,
    NLM_F_EXCL, RTM_NEWLINK,
};
use crate::netlink::{Message, Refusal, Socket, link_message};

/// Who talks to whom on a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// All with each other and with the outside.
    #[default]
    Bridge,
    /// With the outside only.
    Private,
    /// With each other by way of the switch outside, which sends back.
    Vepa,
    /// One only, which is the parent, in effect.
    Passthru,
}

/// At which layer an ipvlan parent passes packets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    /// Ethernet.
    #[default]
    L2,
    /// IP, past the host's filter.
    L3,
    /// IP, through the host's filter.
    L3s,
}

/// Who talks to whom on an ipvlan parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanFlag {
    /// All with each other.
    #[default]
    Bridge,
    /// With the outside only.
    Private,
    /// With each other by way of the switch outside.
    Vepa,
}

/// One of the two kinds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlag),
}

/// So often another name is tried when somebody takes the one that was free.
const NAMES: usize = 16;

impl Mode {
    fn kind(self) -> &'static str {
        match self {
            Mode::Macvlan(_) => "macvlan",
            Mode::Ipvlan(..) => "ipvlan",
        }
    }

    fn info(self) -> Message {
        let data = match self {
            Mode::Macvlan(mode) => Message::attributes().u32(
                IFLA_MACVLAN_MODE,
                match mode {
                    MacvlanMode::Private => 1,
                    MacvlanMode::Vepa => 2,
                    MacvlanMode::Bridge => 4,
                    MacvlanMode::Passthru => 8,
                },
            ),
            Mode::Ipvlan(mode, flag) => Message::attributes()
                .u16(
                    IFLA_IPVLAN_MODE,
                    match mode {
                        IpvlanMode::L2 => 0,
                        IpvlanMode::L3 => 1,
                        IpvlanMode::L3s => 2,
                    },
                )
                .u16(
                    IFLA_IPVLAN_FLAGS,
                    match flag {
                        IpvlanFlag::Bridge => 0,
                        IpvlanFlag::Private => 1,
                        IpvlanFlag::Vepa => 2,
                    },
                ),
        };
        Message::attributes()
            .text(IFLA_INFO_KIND, self.kind())
            .nest(IFLA_INFO_DATA, &data)
    }
}

/// The link, down, in the target's namespace.
pub(super) fn make(
    here: &mut Socket,
    there: &mut Socket,
    spec: &EndpointSpec,
    parent: &str,
    mode: Mode,
    target: &Netns,
) -> Result<Attached> {
    let parent = host::existing(here, parent)?;
    for _ in 0..NAMES {
        // Found by its name afterwards, so the name is chosen here and not by the kernel.
        let name = match &spec.name {
            InterfaceName::Exact(name) => name.clone(),
            InterfaceName::Next(prefix) => next_name(there, prefix)?,
        };
        let new = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0)
            .text(IFLA_IFNAME, &name)
            .u32(IFLA_LINK, parent.index)
            .attribute(IFLA_NET_NS_FD, &target.as_fd().as_raw_fd().to_ne_bytes())
            .maybe(spec.mac, |message, mac| {
                message.attribute(IFLA_ADDRESS, &mac.0)
            })
            .maybe(spec.mtu, |message, mtu| message.u32(IFLA_MTU, mtu))
            .nest(IFLA_LINKINFO, &mode.info());
        match here.ask(&new)? {
            Ok(_) => {
                let link = host::existing(there, &name)?;
                return Ok(Attached {
                    name,
                    index: link.index,
                    mac: link.mac.unwrap_or(Mac([0; 6])),
                    mtu: link.mtu,
                    host_name: None,
                    host_index: None,
                });
            }
            Err(refusal)
                if refusal.is(Errno::EXIST) && matches!(spec.name, InterfaceName::Next(_)) => {}
            Err(refusal) => return Err(refused(refusal, &name, &parent.name, mode)),
        }
    }
    Err(LinkError::LinkExists { link: spec.shown() })
}

fn refused(refusal: Refusal, name: &str, parent: &str, mode: Mode) -> LinkError {
    let kind = mode.kind();
    if refusal.is(Errno::OPNOTSUPP) {
        return LinkError::Unsupported {
            link: name.to_owned(),
            feature: kind,
        };
    }
    if refusal.is(Errno::EXIST) {
        return LinkError::LinkExists {
            link: name.to_owned(),
        };
    }
    // A parent that is a bridge's port, or a passthru's, or another kind's.
    if refusal.is(Errno::BUSY) || (refusal.is(Errno::INVAL) && matches!(mode, Mode::Macvlan(_))) {
        return LinkError::ParentBusy {
            parent: parent.to_owned(),
            reason: refusal.to_string(),
        };
    }
    refusal.while_doing(format!("making a {kind} link on {parent} named"), name)
}

fn next_name(there: &mut Socket, prefix: &str) -> Result<String> {
    let links = host::links_by(there)?;
    let free = (0..=links.len())
        .map(|number| format!("{prefix}{number}"))
        .find(|name| links.iter().all(|link| link.name != *name));
    free.ok_or_else(|| LinkError::LinkExists {
        link: format!("{prefix}*"),
    })
}
