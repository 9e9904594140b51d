//! What one network adds to the table: four chains, named after its bridge, and the elements
//! that lead to them.
//!
//! For the network of `docker0` with 172.17.0.0/16 in mode nat:
//! ```text
//! chain from-docker0                        # packets that its containers send
//!     oifname "docker0" accept              # to each other (icc)
//!     meta nfproto ipv6 drop                # it has no IPv6
//!     ct state invalid drop                 # would leave with the container's address
//! chain to-docker0                          # connections that begin elsewhere
//!     meta nfproto ipv6 drop
//!     ct status dnat accept                 # came by a published port
//!     drop                                  # came by a route, or from another bridge
//! chain nat-in-docker0
//!     ip saddr 127.0.0.0/8 masquerade       # the host by its loopback address
//!     ip saddr 172.17.0.0/16 ct status dnat masquerade     # hairpin: the answer must come back
//! chain nat-out-docker0
//!     oifname != "docker0" masquerade
//! ```

use std::net::IpAddr;

use ipnet::IpNet;

use super::batch::{Batch, Element, Value};
use super::expression::{End, Family, Is, Rule, Then, Way, interface_bytes, octets};
use super::model::{GatewayMode, Icc, Masquerade, NetworkRules, Reach};
use super::schema;

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

impl NetworkRules {
    /// The mode of one family; nothing if the network does not have that family.
    pub(super) fn mode(&self, family: Family) -> Option<GatewayMode> {
        match family {
            Family::V4 if self.subnets_v4.is_empty() => None,
            Family::V6 if self.subnets_v6.is_empty() => None,
            Family::V4 => Some(self.mode_v4),
            Family::V6 => Some(self.mode_v6),
        }
    }

    fn subnets(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.subnets_v4.iter().map(|n| IpNet::V4(n.trunc()));
        let v6 = self.subnets_v6.iter().map(|n| IpNet::V6(n.trunc()));
        v4.chain(v6)
    }

    /// Those that get another source address on their way out.
    fn translated_subnets(&self) -> impl Iterator<Item = IpNet> {
        let on = self.reach == Reach::External && self.masquerade != Masquerade::Off;
        self.subnets().filter(move |net| {
            on && matches!(
                self.mode(Family::of(net.network())),
                Some(GatewayMode::Nat | GatewayMode::NatUnprotected)
            )
        })
    }

    fn snat(&self, family: Family) -> Option<IpAddr> {
        match (self.masquerade, family) {
            (Masquerade::Fixed { v4, .. }, Family::V4) => v4.map(IpAddr::V4),
            (Masquerade::Fixed { v6, .. }, Family::V6) => v6.map(IpAddr::V6),
            (Masquerade::Off | Masquerade::Auto, _) => None,
        }
    }
}

/// Names of the four chains.
pub(super) struct Chains {
    from: String,
    to: String,
    nat_in: String,
    nat_out: String,
}

impl Chains {
    fn of(bridge: &str) -> Self {
        let [from, to, nat_in, nat_out] = schema::NETWORK_CHAINS.map(|p| format!("{p}{bridge}"));
        Self {
            from,
            to,
            nat_in,
            nat_out,
        }
    }

    fn all(&self) -> [&str; 4] {
        [&self.from, &self.to, &self.nat_in, &self.nat_out]
    }
}

/// Whether `chain` is one of this bridge's.
pub(super) fn has_chain(bridge: &str, chain: &str) -> bool {
    Chains::of(bridge).all().contains(&chain)
}

/// Add a network's chains, which may be there but empty, and what leads to them.
pub(super) fn add(batch: &mut Batch, network: &NetworkRules) {
    let chains = Chains::of(&network.bridge);
    for chain in chains.all() {
        batch.chain(chain, None);
    }
    from_rules(batch, &chains.from, network);
    to_rules(batch, &chains.to, network);
    nat_in_rules(batch, &chains.nat_in, network);
    nat_out_rules(batch, &chains.nat_out, network);
    for (set, elements) in elements(&chains, network) {
        batch.add(set, elements);
    }
}

/// Take a network's chains away.
pub(super) fn remove(batch: &mut Batch, network: &NetworkRules) {
    let chains = Chains::of(&network.bridge);
    for (set, elements) in elements(&chains, network) {
        batch.delete(set, elements);
    }
    for chain in chains.all() {
        batch.flush_chain(chain);
        batch.delete_chain(chain);
    }
}

fn elements(chains: &Chains, network: &NetworkRules) -> Vec<(&'static str, Vec<Element>)> {
    let bridge = interface_bytes(&network.bridge);
    let on_bridge = |value| Element {
        key: bridge.clone(),
        key_end: None,
        value,
    };
    let mut all = vec![
        (schema::BRIDGES, vec![on_bridge(Value::Nothing)]),
        (
            schema::FROM,
            vec![on_bridge(Value::Jump(chains.from.clone()))],
        ),
        (schema::TO, vec![on_bridge(Value::Goto(chains.to.clone()))]),
        (
            schema::NAT_IN,
            vec![on_bridge(Value::Jump(chains.nat_in.clone()))],
        ),
    ];
    for net in network.translated_subnets() {
        let map = match net {
            IpNet::V4(_) => schema::NAT_OUT_V4,
            IpNet::V6(_) => schema::NAT_OUT_V6,
        };
        all.push((map, subnet_elements(net, &chains.nat_out)));
    }
    all
}

/// A subnet in a map of ranges of one field: where it begins, and the first address behind it.
fn subnet_elements(net: IpNet, chain: &str) -> Vec<Element> {
    let mut elements = vec![Element {
        key: octets(net.network()),
        key_end: None,
        value: Value::Jump(chain.to_owned()),
    }];
    let behind = match net {
        IpNet::V4(net) => u32::from(net.broadcast())
            .checked_add(1)
            .map(|n| n.to_be_bytes().to_vec()),
        IpNet::V6(net) => u128::from(net.broadcast())
            .checked_add(1)
            .map(|n| n.to_be_bytes().to_vec()),
    };
    elements.extend(behind.map(|key| Element {
        key,
        key_end: None,
        value: Value::RangeEnd,
    }));
    elements
}

fn from_rules(batch: &mut Batch, chain: &str, network: &NetworkRules) {
    let within = || Rule::new().interface(Way::Out, Is::Equal, &network.bridge);
    match network.icc {
        Icc::Allowed => batch.rule(chain, &within().then(Then::Accept)),
        Icc::Denied => {
            batch.rule(chain, &within().translated().then(Then::Accept));
            batch.rule(chain, &within().then(Then::Drop));
        }
    }
    if network.reach == Reach::Internal {
        batch.rule(chain, &Rule::new().then(Then::Drop));
        return;
    }
    closed_families(batch, chain, network);
    batch.rule(chain, &Rule::new().invalid().then(Then::Drop));
}

/// A family that the network lacks, or that is isolated, does not pass.
fn closed_families(batch: &mut Batch, chain: &str, network: &NetworkRules) {
    for family in [Family::V4, Family::V6] {
        if matches!(network.mode(family), None | Some(GatewayMode::Isolated)) {
            batch.rule(chain, &Rule::new().family(family).then(Then::Drop));
        }
    }
}

fn to_rules(batch: &mut Batch, chain: &str, network: &NetworkRules) {
    if network.reach == Reach::Internal {
        batch.rule(chain, &Rule::new().then(Then::Drop));
        return;
    }
    closed_families(batch, chain, network);
    batch.rule(chain, &Rule::new().translated().then(Then::Accept));
    for interface in &network.trusted_interfaces {
        let trusted = Rule::new().interface(Way::In, Is::Equal, interface);
        batch.rule(chain, &trusted.then(Then::Accept));
    }
    for (family, open, icmp) in [
        (Family::V4, schema::OPEN_V4, ICMP),
        (Family::V6, schema::OPEN_V6, ICMP_V6),
    ] {
        match network.mode(family) {
            Some(GatewayMode::Routed) => {
                let port = Rule::new().destination_in(family, open);
                batch.rule(chain, &port.then(Then::Accept));
                let icmp = Rule::new().family(family).protocol(icmp);
                batch.rule(chain, &icmp.then(Then::Accept));
            }
            Some(GatewayMode::NatUnprotected) => {
                let bridge = Rule::new()
                    .family(family)
                    .interface_in(Way::In, schema::BRIDGES);
                batch.rule(chain, &bridge.then(Then::Drop));
                batch.rule(chain, &Rule::new().family(family).then(Then::Accept));
            }
            Some(GatewayMode::Nat | GatewayMode::Isolated) | None => {}
        }
    }
    batch.rule(chain, &Rule::new().then(Then::Drop));
}

fn nat_in_rules(batch: &mut Batch, chain: &str, network: &NetworkRules) {
    for loopback in [schema::LOOPBACK_V4, schema::LOOPBACK_V6] {
        let rule = Rule::new().address(End::Source, loopback);
        batch.rule(chain, &rule.masquerade());
    }
    for net in network.subnets() {
        let hairpin = Rule::new().address(End::Source, net).translated();
        batch.rule(chain, &hairpin.masquerade());
    }
}

fn nat_out_rules(batch: &mut Batch, chain: &str, network: &NetworkRules) {
    let leaving = || Rule::new().interface(Way::Out, Is::Not, &network.bridge);
    for family in [Family::V4, Family::V6] {
        if let Some(address) = network.snat(family) {
            batch.rule(chain, &leaving().source(address));
        }
    }
    batch.rule(chain, &leaving().masquerade());
}
