//! The packet filter: one nftables table of ours, `inet wharf`, changed in atomic netlink batches.
//!
//! ```text
//!   Desired, NetworkRules, PortRule        model.rs     plain data, given by the engine
//!            |
//!        state.rs     what was asked; the batch from there to what is asked now; rebuild
//!       /    |    \
//! schema  network  publish                 what is always there | a network's chains | elements
//!       \    |    /
//!        batch.rs, expression.rs           nftables' objects and rules as messages
//!            |
//!        wire.rs, socket.rs                bytes; requests, dumps, commits
//!        watch.rs                          notices of what others did to the table
//! ```
//!
//! # What a packet meets
//! A published port is one element of a map, and a range that keeps its port numbers is one too,
//! whatever its length: the cost of a packet is a lookup, and only the first packet of a
//! connection pays it. The rules themselves are written out in [`schema`] and [`network`].
//! Translation happens in prerouting (the world, containers) and output (the host itself, by any
//! of its addresses, 127.0.0.1 and ::1). The source address is kept, with two exceptions where the
//! answer could not find its way back: the host's own loopback address, and a container that
//! reaches a port of its own network through the host (hairpin).
//!
//! # Who may pass
//! Forwarded packets of containers, in this order: the chain `user`; what is established; between
//! containers of one network unless icc is off; out of a network unless it is internal; into a
//! network only by a published port. A connection that comes by a route (a neighbour that routes
//! to 172.17.0.2) or from another bridge is dropped, except where the network's gateway mode or
//! trusted interfaces say otherwise. What is published on 127.0.0.1 cannot be reached from a
//! neighbour that sends to 127.0.0.1.
//!
//! # The administrator's chain
//! `user` is made once and never flushed, by a rebuild neither. It sees every forwarded packet from
//! and to containers, first. Packets to published ports are translated by then; what the client
//! asked for is in `ct original`:
//! ```text
//! nft add rule inet wharf user iifname eth0 ip saddr != 10.0.0.0/8 \
//!     meta l4proto tcp ct original proto-dst 5432 drop
//! nft add rule inet wharf user iifname eth0 ct direction original ct status dnat drop
//! ```
//! More chains and sets in our table are left alone as long as their names are not ours. Rules in
//! them may refer to our sets (`iifname @bridges`), not to networks' chains.
//!
//! # Other firewalls on this host
//! We touch our table only. A packet that we accept still passes the other tables at the same
//! hook, and one that drops wins: iptables-nft's or -legacy's `FORWARD` with policy DROP (set by
//! dockerd, ufw, many guides) and firewalld's filter drop containers' traffic, and nothing in our
//! table can overrule that. The administrator accepts it there (`iptables -I FORWARD -i br+ -j
//! ACCEPT` ..., `ufw route allow`, the bridges in firewalld's zone `trusted`).
//! [`Firewall::forward_drops`] finds the nftables chains that do this, so that the user is told.
//! Nor does an accept of theirs open what we drop.
//!
//! # What the kernel must have
//! nf_tables with NAT in the family inet and ranges in concatenated keys (Linux 5.6), which every
//! distribution builds. `nft` and `iptables` need not be there.
//!
//! # What needs help elsewhere
//! `net.ipv4.conf.BRIDGE.route_localnet=1` for 127.0.0.1 (the chain `guard` closes the hole that
//! this opens). For ::1 its counterpart, a route `local ::1 dev BRIDGE table local`, each of another metric:
//! the kernel looks up loopback addresses strictly by interface, and the answer comes by the
//! bridge (no hole: ::1 from the wire is refused before any route). icc=off needs isolated bridge ports: frames between two ports pass the filter only
//! where `br_netfilter` is on. Where it is, a container that reaches its own published port
//! needs hairpin mode on its bridge port.

mod batch;
mod error;
mod expression;
mod model;
mod network;
mod publish;
mod resolver;
mod schema;
pub(crate) mod socket;
mod state;
mod watch;
pub(crate) mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use error::{Error, Result};
pub use model::{
    Desired, GatewayMode, Icc, Masquerade, NetworkRules, PortRule, Ports, Protocol, Reach,
};
pub use resolver::redirect_resolver;
use state::State;
pub use watch::Watch;

/// Our table in the network namespace in which it was opened.
///
/// Calls are made one after the other, as the kernel does them: each is one batch.
#[derive(Debug)]
pub struct Firewall {
    state: Mutex<State>,
}

/// A chain of somebody else's that drops forwarded packets by default: what we accept, it drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardDrop {
    /// `ip`, `ip6` or `inet`.
    pub family: String,
    /// The table, `filter` for those of iptables-nft.
    pub table: String,
    /// The chain.
    pub chain: String,
}

impl Firewall {
    /// Use `table` (family inet) of the calling thread's network namespace. Nothing is changed
    /// until the first [`reconcile`](Self::reconcile), which must come before the rest.
    pub fn open(table: &str) -> Result<Self> {
        Ok(Self {
            state: Mutex::new(State::open(table)?),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Make a change, all or nothing of it.
    fn change(&self, change: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.state();
        change(&mut state).inspect_err(|_| state.mend())
    }

    /// Replace the whole table by what `desired` says, in one transaction: established flows and
    /// packets in flight see the old rules or the new, never none. The chain `user` is kept.
    pub fn reconcile(&self, desired: Desired) -> Result<()> {
        self.state().reconcile(desired)
    }

    /// [`reconcile`](Self::reconcile) with what was last asked for, changes since included: the
    /// answer to a [`watch`](Self::watch).
    pub fn reassert(&self) -> Result<()> {
        self.state().reassert()
    }

    /// Add a network, or replace the rules of the one with this id.
    pub fn add_network(&self, id: &str, rules: &NetworkRules) -> Result<()> {
        self.change(|state| state.add_network(id, rules))
    }

    /// Take a network away, and the ports published on it. One that is not there is no error.
    pub fn remove_network(&self, id: &str) -> Result<()> {
        self.change(|state| state.remove_network(id))
    }

    /// Make `ports` the published ports of `endpoint`, in one batch: what it had and has no more
    /// is withdrawn with it. Ports in a row are one element. Stale UDP flows are forgotten;
    /// established TCP connections to a withdrawn port go on.
    pub fn publish(&self, endpoint: &str, ports: &[PortRule]) -> Result<()> {
        self.change(|state| state.publish(endpoint, ports))
    }

    /// Withdraw all ports of `endpoint`. One that has none is no error.
    pub fn unpublish(&self, endpoint: &str) -> Result<()> {
        self.change(|state| state.publish(endpoint, &[]))
    }

    /// Call `changed` on a thread of its own, soon after another program has changed or removed
    /// the table; our own changes are not told.
    pub fn watch(&self, changed: impl FnMut() + Send + 'static) -> Result<Watch> {
        let state = self.state();
        watch::start(state.table(), state.port(), changed)
    }

    /// The chains of others (iptables-nft's FORWARD with Docker or ufw, firewalld) that drop
    /// forwarded packets by default. An accept of ours cannot overrule them: say so to the user.
    pub fn forward_drops(&self) -> Result<Vec<ForwardDrop>> {
        self.state().forward_drops()
    }

    /// Remove the whole table, the `user` chain too.
    pub fn remove(self) -> Result<()> {
        self.state().remove()
    }
}
