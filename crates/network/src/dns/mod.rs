//! Names for containers: a server at 127.0.0.11 in each container's own namespace.
//!
//! ```text
//!   program ──▶ 127.0.0.11:53 ──▶ question ──▶ zone: a name of its networks? ──▶ answer
//!                                                   │ no
//!                                                   ├─▶ nothing may leave ──▶ "no such name"
//!                                                   └─▶ cache ─▶ upstream, from the container's
//!                                                        namespace or the host's ──▶ answer, as it came
//! ```
//! - A container has a [`Zone`] of its own, which knows its networks and no other: the server has
//!   nothing that could answer for a stranger.
//! - A name of the zone that lacks the family asked for exists: the answer is empty, never "no such
//!   name", after which resolvers would give up on the other family.
//! - What is relayed is relayed byte for byte, but for the number of the question. An answer counts
//!   only if it comes from the server asked, to a port opened for this question, with its number
//!   and its question, letter case included.
//! - Everything has a bound ([`server`], [`Cache`], [`QueryLog`]), and at it the answer is
//!   "server failure", which makes a resolver try again.
//! - Each question is logged with what became of it, and which server outside learned of it.
//!
//! A question that is given up half-way is logged like any other, with every server that was asked
//! until then.
//!
//! The sockets have ports of their own, to which a table in the container's namespace sends what is
//! meant for port 53 ([`redirect_resolver`](crate::firewall::redirect_resolver)), so that a container
//! may itself be a name server. The sockets are the daemon's, made by a thread that entered the namespace; the tasks run on the
//! daemon's runtime. When the daemon goes they go, and a resolver's retries span its return.

mod cache;
mod forward;
mod message;
mod querylog;
mod server;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use cache::Cache;
pub use message::{Question, Unfit};
pub use querylog::{Outcome, Query, QueryLog};
pub use server::{Handle, Server, ServerError};

/// Where containers find their server.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The names of one container's networks.
pub trait Zone: Send + Sync {
    /// The addresses of a name, of both families; the name has no dot at its end and its letters
    /// are small. Nothing if the name is none of this zone's. Must not block.
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>>;

    /// The name of an address, without a dot at its end. Must not block.
    fn reverse(&self, address: IpAddr) -> Option<String>;
}

/// A server that is asked for what the zone does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it is asked from.
    pub origin: Origin,
}

/// Whose namespace a question leaves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The container's: its routes decide, as for the rest of what it sends.
    Container,
    /// The host's: for a server on the host's own loopback.
    Host,
}

/// What is asked of upstream servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarding {
    /// Every name the zone does not know.
    #[default]
    Everything,
    /// Only names with a dot in them: the others mean containers that are not there.
    Qualified,
    /// Nothing: the networks are internal, and no name leaves them.
    Nothing,
}

/// What a container's server is told.
#[derive(Debug, Clone, Default)]
pub struct SandboxConfig {
    /// The container, as the log calls it.
    pub container: String,
    /// Asked in this order until one answers.
    pub upstreams: Vec<Upstream>,
    /// See [`Forwarding`].
    pub forwarding: Forwarding,
    /// Shared by all servers of a daemon.
    pub log: QueryLog,
    /// Shared by all servers of a daemon.
    pub cache: Cache,
}
