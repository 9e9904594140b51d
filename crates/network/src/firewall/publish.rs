//! Published ports as elements of maps.
//!
//! One port is an element of a hash map from (address,) protocol and port to address and port. A
//! range that keeps its port numbers is one element of a map of ranges, from (address,) protocol
//! and ports to address. A range that shifts them is an element for each port: the kernel's own
//! shifting translation picks ports by chance, not by offset. In a routed network nothing is
//! translated, and the container's own ports are elements of a set of what is open.

use std::net::IpAddr;

use super::batch::{Batch, Element, Value};
use super::error::{Error, Result};
use super::expression::{Family, octets};
use super::model::{GatewayMode, NetworkRules, PortRule, Ports, Reach};
use super::schema;

/// What becomes of a published port in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Translated from the host's address.
    Translated,
    /// Open at the container's own address.
    Open,
    /// Nothing: there is no way in.
    Closed,
}

/// What becomes of `rule` in `network`, after a check that it makes sense there.
pub(super) fn way(rule: &PortRule, network: &NetworkRules) -> Result<Way> {
    if network.reach == Reach::Internal {
        return Ok(Way::Closed);
    }
    match network.mode(Family::of(rule.target)) {
        None | Some(GatewayMode::Isolated) => Ok(Way::Closed),
        Some(GatewayMode::Routed) => Ok(Way::Open),
        Some(GatewayMode::Nat | GatewayMode::NatUnprotected) => {
            if rule.host.is_ipv4() != rule.target.is_ipv4() {
                return Err(Error::Families(Box::new(rule.clone())));
            }
            if rule.host_ports.count() != rule.target_ports.count() {
                return Err(Error::Lengths(Box::new(rule.clone())));
            }
            Ok(Way::Translated)
        }
    }
}

/// The same rules, those in a row made one.
pub(super) fn coalesce(rules: &[PortRule]) -> Vec<PortRule> {
    let mut sorted: Vec<&PortRule> = rules.iter().collect();
    sorted.sort_unstable_by_key(|r| {
        let place = (&r.network, r.protocol, r.host, r.target);
        (place, r.host_ports, r.target_ports)
    });
    let mut joined: Vec<PortRule> = Vec::new();
    for rule in sorted {
        let last = joined.last_mut();
        match last.and_then(|last| Some((join(last, rule)?, last))) {
            Some(((host_ports, target_ports), last)) => {
                last.host_ports = host_ports;
                last.target_ports = target_ports;
            }
            None => joined.push(rule.clone()),
        }
    }
    joined.shrink_to_fit();
    joined
}

/// The ranges of the two as one, if the second goes on where the first ends.
fn join(first: &PortRule, second: &PortRule) -> Option<(Ports, Ports)> {
    let same_place = first.network == second.network
        && first.protocol == second.protocol
        && first.host == second.host
        && first.target == second.target;
    let whole = |rule: &PortRule| rule.host_ports.count() == rule.target_ports.count();
    if !same_place || !whole(first) || !whole(second) {
        return None;
    }
    let row = |a: Ports, b: Ports| {
        (a.last().checked_add(1)? == b.first())
            .then(|| Ports::new(a.first(), b.last()))
            .flatten()
    };
    Some((
        row(first.host_ports, second.host_ports)?,
        row(first.target_ports, second.target_ports)?,
    ))
}

/// The set or map in which a rule's elements are.
fn set_of(rule: &PortRule, way: Way) -> Option<&'static str> {
    let v4 = rule.target.is_ipv4();
    let any = rule.host.is_unspecified();
    let range = rule.host_ports == rule.target_ports && rule.host_ports.count() > 1;
    match way {
        Way::Closed => None,
        Way::Open if v4 => Some(schema::OPEN_V4),
        Way::Open => Some(schema::OPEN_V6),
        Way::Translated => Some(match (v4, range, any) {
            (true, false, false) => schema::PORTS_V4,
            (true, false, true) => schema::PORTS_V4_ANY,
            (true, true, false) => schema::RANGES_V4,
            (true, true, true) => schema::RANGES_V4_ANY,
            (false, false, false) => schema::PORTS_V6,
            (false, false, true) => schema::PORTS_V6_ANY,
            (false, true, false) => schema::RANGES_V6,
            (false, true, true) => schema::RANGES_V6_ANY,
        }),
    }
}

/// Add the elements of `rules`.
pub(super) fn add(batch: &mut Batch, rules: &[(&PortRule, Way)]) {
    for set in schema::SETS {
        batch.add(set.name, elements_in(set.name, rules));
    }
}

/// Delete the elements of `rules`.
pub(super) fn remove(batch: &mut Batch, rules: &[(&PortRule, Way)]) {
    for set in schema::SETS {
        batch.delete(set.name, elements_in(set.name, rules));
    }
}

fn elements_in(set: &str, rules: &[(&PortRule, Way)]) -> impl Iterator<Item = Element> {
    rules
        .iter()
        .filter(move |(rule, way)| set_of(rule, *way) == Some(set))
        .flat_map(|(rule, way)| elements(rule, *way))
}

fn elements(rule: &PortRule, way: Way) -> impl Iterator<Item = Element> {
    let (address, ports) = match way {
        Way::Open => (Some(rule.target), rule.target_ports),
        _ if rule.host.is_unspecified() => (None, rule.host_ports),
        _ => (Some(rule.host), rule.host_ports),
    };
    let kept = way == Way::Open || rule.host_ports == rule.target_ports;
    let protocol = rule.protocol.number();
    let range = kept && ports.count() > 1;
    let one = range.then(|| Element {
        key: key(address, protocol, ports.first()),
        key_end: Some(key(address, protocol, ports.last())),
        value: match way {
            Way::Open => Value::Nothing,
            _ => Value::Bytes(octets(rule.target)),
        },
    });
    let target = octets(rule.target);
    let each = (!range).then(|| {
        ports
            .iter()
            .zip(rule.target_ports.iter())
            .map(move |(port, to)| Element {
                key: key(address, protocol, port),
                key_end: None,
                value: match way {
                    Way::Open => Value::Nothing,
                    _ => {
                        let mut value = target.clone();
                        value.extend_from_slice(&padded(to));
                        Value::Bytes(value)
                    }
                },
            })
    });
    one.into_iter().chain(each.into_iter().flatten())
}

/// Address, if one is named, protocol and port, each from a word on.
fn key(address: Option<IpAddr>, protocol: u8, port: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    match address {
        Some(IpAddr::V4(address)) => key.extend_from_slice(&address.octets()),
        Some(IpAddr::V6(address)) => key.extend_from_slice(&address.octets()),
        None => {}
    }
    key.extend_from_slice(&[protocol, 0, 0, 0]);
    key.extend_from_slice(&padded(port));
    key
}

fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::firewall::{Ports, Protocol};

    fn rule(host: u16, target: u16) -> PortRule {
        PortRule {
            network: "net".into(),
            protocol: Protocol::Tcp,
            host: Ipv4Addr::UNSPECIFIED.into(),
            host_ports: Ports::one(host).unwrap(),
            target: Ipv4Addr::new(172, 17, 0, 2).into(),
            target_ports: Ports::one(target).unwrap(),
        }
    }

    #[test]
    fn single_ports_in_a_row_become_one_range_and_one_element() {
        let rules: Vec<_> = (1..=65_535).rev().map(|p| rule(p, p)).collect();
        let joined = coalesce(&rules);
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].host_ports, Ports::new(1, 65_535).unwrap());
        assert_eq!(elements(&joined[0], Way::Translated).count(), 1);
        let one = elements(&joined[0], Way::Translated).next().unwrap();
        assert_eq!(one.key, [6, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(one.key_end.unwrap(), [6, 0, 0, 0, 255, 255, 0, 0]);
        assert_eq!(one.value, Value::Bytes(vec![172, 17, 0, 2]));
    }

    #[test]
    fn a_range_that_shifts_its_ports_is_an_element_for_each() {
        let shifted = coalesce(&[rule(8000, 80), rule(8001, 81)]);
        assert_eq!(shifted.len(), 1);
        let values: Vec<_> = elements(&shifted[0], Way::Translated)
            .map(|e| (e.key[4..6].to_vec(), e.value))
            .collect();
        let to = |port| Value::Bytes(vec![172, 17, 0, 2, 0, port, 0, 0]);
        assert_eq!(values[0], (vec![0x1f, 0x40], to(80)));
        assert_eq!(values[1], (vec![0x1f, 0x41], to(81)));
    }

    #[test]
    fn ports_of_different_hosts_protocols_or_shifts_are_not_joined() {
        let mut other = rule(81, 81);
        other.host = Ipv4Addr::LOCALHOST.into();
        let mut udp = rule(81, 81);
        udp.protocol = Protocol::Udp;
        for next in [other, udp, rule(81, 82), rule(82, 82), rule(80, 81)] {
            assert_eq!(coalesce(&[rule(80, 80), next]).len(), 2);
        }
    }

    #[test]
    fn an_ipv6_key_begins_with_all_sixteen_bytes_of_the_address() {
        let key = key(Some(Ipv6Addr::LOCALHOST.into()), 17, 53);
        assert_eq!(key[15..], [1, 17, 0, 0, 0, 0, 53, 0, 0]);
    }

    proptest! {
        #[test]
        fn joining_loses_no_port_and_adds_none(ports in proptest::collection::btree_set(1_u16..200, 0..60)) {
            let rules: Vec<_> = ports.iter().map(|p| rule(*p, *p)).collect();
            let joined = coalesce(&rules);
            let back: Vec<u16> = joined.iter().flat_map(|r| r.host_ports.iter()).collect();
            prop_assert_eq!(back, ports.into_iter().collect::<Vec<_>>());
        }
    }
}
