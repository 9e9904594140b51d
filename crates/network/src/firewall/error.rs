//! What goes wrong in the packet filter, and of what.

use std::io;

use super::PortRule;

/// A failure of the packet filter, with what it was about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The netlink socket could not be made or used.
    #[error("nftables: {doing}: {source}")]
    Socket {
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refused a part of a batch, and with it the whole batch.
    #[error("nftables: {what}: {source}{}", .note.as_ref().map(|n| format!(" ({n})")).unwrap_or_default())]
    Refused {
        /// The object or rule that was refused.
        what: String,
        /// The kernel's words about it, where it has some.
        note: Option<String>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] crate::LinkError),
    /// An answer of the kernel that makes no sense.
    #[error("nftables: {0}: malformed answer")]
    Malformed(&'static str),
    /// A port is published on a network that is not there.
    #[error("nftables: port {0} is published on the unknown network {network}", network = .0.network)]
    UnknownNetwork(Box<PortRule>),
    /// Host and container address of one rule are of two families.
    #[error("nftables: cannot publish {0}: host and container address are of different families")]
    Families(Box<PortRule>),
    /// Host and container range of one rule differ in length.
    #[error("nftables: cannot publish {0}: the two ranges differ in length")]
    Lengths(Box<PortRule>),
    /// Two rules want the same port of the host.
    #[error("nftables: cannot publish {0}: already published")]
    Published(Box<PortRule>),
    /// A name that the kernel cannot have as an interface's.
    #[error("nftables: {0:?} is not an interface name")]
    Interface(String),
    /// Two networks want the same bridge.
    #[error("nftables: bridge {0} belongs to two networks")]
    Bridge(String),
    /// Not a protocol with ports.
    #[error("invalid proto: {0}")]
    Protocol(String),
}

/// What every function here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
