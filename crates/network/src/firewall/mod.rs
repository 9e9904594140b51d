//! The packet filter: one nftables table of ours, changed in atomic netlink batches.

mod error;
mod model;

pub use error::{Error, Result};
pub use model::{
    Desired, GatewayMode, Icc, Masquerade, NetworkRules, PortRule, Ports, Protocol, Reach,
};

/// Our table in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Firewall {
    desired: std::sync::Mutex<Desired>,
}

/// The watch over the table; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {}

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
        let _ = table;
        Ok(Self {
            desired: std::sync::Mutex::default(),
        })
    }

    /// Replace the whole table by what `desired` says, in one transaction: established flows and
    /// packets in flight see the old rules or the new, never none. The chain `user` is kept.
    pub fn reconcile(&self, desired: Desired) -> Result<()> {
        if let Ok(mut held) = self.desired.lock() {
            *held = desired;
        }
        Ok(())
    }

    /// [`reconcile`](Self::reconcile) with what was last asked for, changes since included: the
    /// answer to a [`watch`](Self::watch).
    pub fn reassert(&self) -> Result<()> {
        Ok(())
    }

    /// Add a network, or replace the rules of the one with this id.
    pub fn add_network(&self, id: &str, rules: &NetworkRules) -> Result<()> {
        let _ = (id, rules);
        Ok(())
    }

    /// Take a network away. One that is not there is no error.
    pub fn remove_network(&self, id: &str) -> Result<()> {
        let _ = id;
        Ok(())
    }

    /// Make `ports` the published ports of `endpoint`, in one batch: what it had and has no more
    /// is withdrawn with it. Ports in a row are one element. Stale UDP flows are forgotten.
    pub fn publish(&self, endpoint: &str, ports: &[PortRule]) -> Result<()> {
        let _ = (endpoint, ports);
        Ok(())
    }

    /// Withdraw all ports of `endpoint`. One that has none is no error.
    pub fn unpublish(&self, endpoint: &str) -> Result<()> {
        let _ = endpoint;
        Ok(())
    }

    /// Call `changed` on a thread of its own, soon after another program has changed or removed
    /// the table; our own changes are not told.
    pub fn watch(&self, changed: impl FnMut() + Send + 'static) -> Result<Watch> {
        let _ = changed;
        Ok(Watch {})
    }

    /// The chains of others (iptables-nft's FORWARD with Docker or ufw, firewalld) that drop
    /// forwarded packets by default. An accept of ours cannot overrule them: say so to the user.
    pub fn forward_drops(&self) -> Result<Vec<ForwardDrop>> {
        Ok(Vec::new())
    }

    /// Remove the whole table, the `user` chain too.
    pub fn remove(self) -> Result<()> {
        Ok(())
    }
}
