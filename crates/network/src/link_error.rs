//! What goes wrong with links, each with the link it went wrong with.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::netlink::Refusal;

/// A result of this crate's link modules.
pub type Result<T, E = LinkError> = std::result::Result<T, E>;

/// Why links are not as they were asked to be. Nothing half-made is left behind.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No link of this name in the namespace.
    #[error("no such link: {link}")]
    NoSuchLink {
        /// Its name.
        link: String,
    },
    /// A link of this name is there already, and is something else.
    #[error("a link named {link} already exists")]
    LinkExists {
        /// Its name.
        link: String,
    },
    /// A link's name that the kernel would not take, or not take literally.
    #[error("invalid interface name {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The link is of another kind than it has to be.
    #[error("{link} is a {found} link, not a {expected}")]
    WrongKind {
        /// The link's name.
        link: String,
        /// Its kind, as the kernel calls it.
        found: String,
        /// The kind that was asked for.
        expected: &'static str,
    },
    /// A bridge has other addresses than those asked for. Whatever is on it would lose its gateway.
    #[error(
        "bridge {bridge} has the address {has}, not {wants}: it is not renumbered while it exists"
    )]
    Renumber {
        /// The bridge's name.
        bridge: String,
        /// What it has.
        has: IpNet,
        /// What was asked for.
        wants: IpNet,
    },
    /// The kernel lacks this kind of link, queue discipline or option.
    #[error("{link}: this kernel has no {feature}")]
    Unsupported {
        /// The link that would have used it.
        link: String,
        /// What is missing, by the kernel's name for it.
        feature: &'static str,
    },
    /// The kind of link cannot do what was asked of it, whatever the kernel.
    #[error("{link}: {reason}")]
    Impossible {
        /// The link.
        link: String,
        /// Why not.
        reason: String,
    },
    /// A parent that others use in a way that excludes this one.
    #[error("parent interface {parent} is in use: {reason}")]
    ParentBusy {
        /// The parent's name.
        parent: String,
        /// The kernel's word on it.
        reason: String,
    },
    /// A name of a sub-interface that names no VLAN.
    #[error("invalid subinterface vlan name {name}, example formatting is eth0.10")]
    InvalidVlan {
        /// The name.
        name: String,
    },
    /// The address is on the link already.
    #[error("address {address} is already on {link}")]
    AddressExists {
        /// The link's name.
        link: String,
        /// The address.
        address: IpNet,
    },
    /// The gateway cannot be reached by any of the link's addresses.
    #[error("gateway {via} is not reachable through {link}")]
    Unreachable {
        /// The link's name.
        link: String,
        /// The gateway.
        via: IpAddr,
    },
    /// The kernel said no to something else.
    #[error("{action} {link}: {refusal}")]
    Refused {
        /// The link's name.
        link: String,
        /// What was being done.
        action: String,
        /// The kernel's answer.
        refusal: Refusal,
    },
    /// The netlink socket failed, not the request.
    #[error("netlink: {action}")]
    Netlink {
        /// What was being done.
        action: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A namespace that cannot be had or entered.
    #[error("network namespace {namespace}")]
    Namespace {
        /// Which.
        namespace: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A thread to work in a namespace could not be made.
    #[error("starting a thread for a network namespace")]
    Thread {
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A kernel parameter that cannot be read or written.
    #[error("sysctl {key}")]
    Sysctl {
        /// The parameter, with dots.
        key: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Several went wrong while taking something down; all of it was tried.
    #[error("{}", join(.0))]
    Several(Vec<LinkError>),
}

impl LinkError {
    /// The kernel's error number, where the kernel spoke.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            LinkError::Refused { refusal, .. } => Some(refusal.errno),
            LinkError::Netlink { source, .. }
            | LinkError::Namespace { source, .. }
            | LinkError::Thread { source }
            | LinkError::Sysctl { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

fn join(errors: &[LinkError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
