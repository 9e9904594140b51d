//! What was asked for, and the batches that take the kernel from there to what is asked next.
//!
//! The state changes only when the kernel has agreed. If the kernel's table turns out not to be
//! what we left there (somebody flushed it a moment ago), the change is made by a rebuild.

use std::collections::BTreeMap;
use std::io;

use super::batch::{self, Batch, INET};
use super::error::{Error, Result};
use super::model::{Desired, NetworkRules, PortRule};
use super::socket::NetfilterSocket;
use super::wire::{self, Writer};
use super::{ForwardDrop, network, publish, schema};
use crate::{conntrack, ports};

const NFTABLES: u8 = 10;
/// How often a rebuild begins anew because another program changed the ruleset meanwhile.
const ATTEMPTS: usize = 8;
const NAME_LENGTH: usize = 15;

#[derive(Debug)]
pub(super) struct State {
    table: String,
    socket: NetfilterSocket,
    desired: Desired,
}

/// How much of the table a rebuild makes anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rebuild {
    /// Chains' rules and sets' elements: what the administrator's rules refer to stays.
    Contents,
    /// The chains and sets too, because another version of us has defined them otherwise.
    Definitions,
}

/// A chain of any table, as a dump tells it.
struct Chain {
    family: u8,
    table: String,
    name: String,
    hook: Option<u32>,
    policy: Option<u32>,
}

impl State {
    pub(super) fn open(table: &str) -> Result<Self> {
        Ok(Self {
            table: table.to_owned(),
            socket: NetfilterSocket::open()?,
            desired: Desired::default(),
        })
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    pub(super) fn port(&self) -> u32 {
        self.socket.port()
    }

    pub(super) fn reconcile(&mut self, mut desired: Desired) -> Result<()> {
        for rules in desired.ports.values_mut() {
            *rules = publish::coalesce(rules);
        }
        self.rebuild(&desired)?;
        self.desired = desired;
        Ok(())
    }

    pub(super) fn reassert(&mut self) -> Result<()> {
        let desired = std::mem::take(&mut self.desired);
        let result = self.rebuild(&desired);
        self.desired = desired;
        result
    }

    /// After a failure: if a batch too large for this kernel was done in part, begin anew from
    /// what was before it.
    pub(super) fn mend(&mut self) {
        if self.socket.take_torn()
            && let Err(error) = self.reassert()
        {
            tracing::error!(%error, "the table holds a part of a refused change");
        }
    }

    pub(super) fn add_network(&mut self, id: &str, rules: &NetworkRules) -> Result<()> {
        if self.desired.networks.get(id) == Some(rules) {
            return Ok(());
        }
        let old = self.desired.networks.insert(id.to_owned(), rules.clone());
        let result = check_networks(&self.desired.networks).and_then(|()| {
            // Other modes change what becomes of its ports.
            if old.is_some() {
                return self.reassert();
            }
            let mut batch = Batch::new(&self.table);
            network::add(&mut batch, rules);
            self.change(&mut batch)
        });
        if result.is_err() {
            match old {
                Some(old) => self.desired.networks.insert(id.to_owned(), old),
                None => self.desired.networks.remove(id),
            };
        }
        result
    }

    pub(super) fn remove_network(&mut self, id: &str) -> Result<()> {
        let Some(rules) = self.desired.networks.get(id).cloned() else {
            return Ok(());
        };
        let mut batch = Batch::new(&self.table);
        let before = self.desired.ports.clone();
        let of_it = |rule: &PortRule| &*rule.network == id;
        let withdrawn: Vec<_> = before.values().flatten().filter(|r| of_it(r)).collect();
        publish::remove(&mut batch, &ways(&self.desired, &withdrawn)?);
        network::remove(&mut batch, &rules);
        for rules in self.desired.ports.values_mut() {
            rules.retain(|rule| !of_it(rule));
        }
        self.desired.ports.retain(|_, rules| !rules.is_empty());
        self.desired.networks.remove(id);
        let result = self.change(&mut batch);
        if result.is_err() {
            self.desired.networks.insert(id.to_owned(), rules);
            self.desired.ports = before;
        } else {
            conntrack::forget_stale(&mut self.socket, &withdrawn, &[]);
        }
        result
    }

    pub(super) fn publish(&mut self, endpoint: &str, rules: &[PortRule]) -> Result<()> {
        let new = publish::coalesce(rules);
        let old = self.desired.ports.remove(endpoint).unwrap_or_default();
        let removed: Vec<_> = old.iter().filter(|r| !new.contains(r)).collect();
        let added: Vec<_> = new.iter().filter(|r| !old.contains(r)).collect();
        let result = self.exchange(endpoint, &removed, &added, &new);
        if result.is_ok() {
            conntrack::forget_stale(&mut self.socket, &removed, &added);
        } else if old.is_empty() {
            self.desired.ports.remove(endpoint);
        } else {
            self.desired.ports.insert(endpoint.to_owned(), old);
        }
        result
    }

    fn exchange(
        &mut self,
        endpoint: &str,
        removed: &[&PortRule],
        added: &[&PortRule],
        new: &[PortRule],
    ) -> Result<()> {
        let mut batch = Batch::new(&self.table);
        publish::remove(&mut batch, &ways(&self.desired, removed)?);
        publish::add(&mut batch, &ways(&self.desired, added)?);
        if !new.is_empty() {
            self.desired.ports.insert(endpoint.to_owned(), new.to_vec());
        }
        self.change(&mut batch).map_err(|error| {
            let taken = matches!(&error, Error::Refused { source, .. }
                if source.kind() == io::ErrorKind::AlreadyExists);
            match added.iter().find(|rule| self.is_published(endpoint, rule)) {
                Some(rule) if taken => Error::Published(Box::new((*rule).clone())),
                _ => error,
            }
        })
    }

    /// Whether another endpoint has a port of `rule`.
    fn is_published(&self, endpoint: &str, rule: &PortRule) -> bool {
        let place = |rule: &PortRule| (rule.protocol, rule.host, rule.host_ports);
        let others = self.desired.ports.iter().filter(|(id, _)| *id != endpoint);
        others
            .flat_map(|(_, rules)| rules)
            .any(|other| ports::conflict(place(other), place(rule)))
    }

    /// Commit a change that is in `desired` already.
    fn change(&mut self, batch: &mut Batch) -> Result<()> {
        match self.socket.commit(batch, None) {
            Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.reassert()
            }
            result => result,
        }
    }

    fn rebuild(&mut self, desired: &Desired) -> Result<()> {
        check_networks(&desired.networks)?;
        let rules: Vec<_> = desired.ports.values().flatten().collect();
        let ports = ways(desired, &rules)?;
        let mut extent = Rebuild::Contents;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let generation = self.generation()?;
            let mut batch = self.rebuilding(desired, &ports, extent)?;
            match self.socket.commit(&mut batch, Some(generation)) {
                Err(error) => {
                    tracing::debug!(%error, ?extent, "the table was not rebuilt");
                    if !is_outdated(&error) {
                        if extent == Rebuild::Definitions {
                            return Err(error);
                        }
                        extent = Rebuild::Definitions;
                    }
                    last = Some(error);
                }
                Ok(()) => {
                    // Those that began while the table was not there.
                    conntrack::forget_stale(&mut self.socket, &[], &rules);
                    return Ok(());
                }
            }
        }
        Err(last.unwrap_or(Error::Malformed("generation of the ruleset")))
    }

    fn rebuilding(
        &mut self,
        desired: &Desired,
        ports: &[(&PortRule, publish::Way)],
        extent: Rebuild,
    ) -> Result<Batch> {
        let mut batch = Batch::new(&self.table);
        batch.table();
        batch.chain(schema::USER, None);
        let chains: Vec<String> = self
            .chains(INET)?
            .into_iter()
            .filter(|chain| chain.table == self.table && schema::is_ours(&chain.name))
            .map(|chain| chain.name)
            .collect();
        for chain in &chains {
            batch.flush_chain(chain);
        }
        if extent == Rebuild::Definitions {
            let sets = self.sets()?;
            for set in &sets {
                batch.flush_set(set);
            }
            for chain in &chains {
                batch.delete_chain(chain);
            }
            for set in &sets {
                batch.delete_set(set);
            }
        }
        for set in schema::SETS {
            batch.set(set);
            batch.flush_set(set.name);
        }
        if extent == Rebuild::Contents {
            let wanted = |chain: &str| {
                let mut networks = desired.networks.values();
                networks.any(|n| network::has_chain(&n.bridge, chain))
            };
            let networks = chains.iter().filter(|c| schema::is_network_chain(c));
            for chain in networks.filter(|c| !wanted(c)) {
                batch.delete_chain(chain);
            }
        }
        for (chain, hook) in schema::CHAINS {
            batch.chain(chain, *hook);
        }
        schema::rules(&mut batch);
        for rules in desired.networks.values() {
            network::add(&mut batch, rules);
        }
        publish::add(&mut batch, ports);
        Ok(batch)
    }

    pub(super) fn remove(&mut self) -> Result<()> {
        let mut batch = Batch::new(&self.table);
        batch.delete_table();
        match self.socket.commit(&mut batch, None) {
            Err(Error::Refused { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            result => result,
        }
    }

    pub(super) fn forward_drops(&mut self) -> Result<Vec<ForwardDrop>> {
        const ANY: u8 = 0;
        const FORWARD: u32 = 2;
        const DROP: u32 = 0;
        let chains = self.chains(ANY)?;
        let dropping = chains.into_iter().filter(|c| {
            c.hook == Some(FORWARD) && c.policy == Some(DROP) && matches!(c.family, 1 | 2 | 10)
        });
        Ok(dropping
            .map(|chain| ForwardDrop {
                family: match chain.family {
                    1 => "inet",
                    2 => "ip",
                    _ => "ip6",
                }
                .to_owned(),
                table: chain.table,
                chain: chain.name,
            })
            .collect())
    }

    fn chains(&mut self, family: u8) -> Result<Vec<Chain>> {
        let request = dump(batch::GET_CHAIN, family, |_| {});
        self.socket.dump(
            "listing chains",
            request.bytes(),
            |chains: &mut Vec<Chain>, message| {
                let attributes = message.attributes();
                let Some((table, name)) = attributes.text(1).zip(attributes.text(3)) else {
                    return;
                };
                chains.push(Chain {
                    family: message.family(),
                    table: table.to_owned(),
                    name: name.to_owned(),
                    hook: attributes.nested(4).and_then(|hook| hook.number(1)),
                    policy: attributes.number(5),
                });
            },
        )
    }

    /// Our own sets that are there.
    fn sets(&mut self) -> Result<Vec<String>> {
        const GET_SET: u8 = 10;
        let table = self.table.clone();
        let request = dump(GET_SET, INET, |_| {});
        self.socket.dump(
            "listing sets",
            request.bytes(),
            |sets: &mut Vec<String>, message| {
                let attributes = message.attributes();
                let ours = attributes.text(1) == Some(&table);
                let name = attributes.text(2).filter(|n| ours && schema::is_ours(n));
                sets.extend(name.map(str::to_owned));
            },
        )
    }

    /// The number of the ruleset's last change.
    fn generation(&mut self) -> Result<u32> {
        let request = dump(batch::GET_GENERATION, 0, |_| {});
        self.socket.generation(request.bytes())
    }
}

fn dump(message: u8, family: u8, body: impl FnOnce(&mut Writer)) -> Writer {
    let mut request = Writer::default();
    let flags = if message == batch::GET_GENERATION {
        0
    } else {
        wire::DUMP
    };
    let kind = wire::kind(NFTABLES, message);
    request.netfilter(kind, flags, 0, (family, 0), body);
    request
}

/// Whether a batch failed only because something else changed since its generation was read.
fn is_outdated(error: &Error) -> bool {
    const RESTART: i32 = 85;
    matches!(error, Error::Refused { source, .. } if source.raw_os_error() == Some(RESTART))
}

fn ways<'a>(
    desired: &Desired,
    rules: &[&'a PortRule],
) -> Result<Vec<(&'a PortRule, publish::Way)>> {
    rules
        .iter()
        .map(|rule| match desired.networks.get(&*rule.network) {
            Some(network) => Ok((*rule, publish::way(rule, network)?)),
            None => Err(Error::UnknownNetwork(Box::new((*rule).clone()))),
        })
        .collect()
}

fn check_networks(networks: &BTreeMap<String, NetworkRules>) -> Result<()> {
    let mut bridges = std::collections::BTreeSet::new();
    for network in networks.values() {
        let names = std::iter::once(&network.bridge).chain(&network.trusted_interfaces);
        for name in names {
            if name.is_empty() || name.len() > NAME_LENGTH || name.contains(['\0', '/', ' ']) {
                return Err(Error::Interface(name.clone()));
            }
        }
        if !bridges.insert(&network.bridge) {
            return Err(Error::Bridge(network.bridge.clone()));
        }
    }
    Ok(())
}
