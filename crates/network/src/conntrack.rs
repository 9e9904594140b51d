//! Connection tracking entries that outlive the rule that made them.
//!
//! The tables are asked only about a flow's first packet. A UDP client that goes on sending from
//! one port keeps its flow for ever: to the host itself after its port was published, to a
//! container that is gone after it was withdrawn. Such flows are forgotten, and their next packet
//! is a first one again. TCP and SCTP flows end by themselves, or are let go on.

use std::net::IpAddr;

use rustix::io::Errno;

use crate::firewall::socket::NetfilterSocket;
use crate::firewall::wire::{self, Attributes, Message, Writer};
use crate::firewall::{Error, PortRule, Protocol, Result};

const CONNTRACK: u8 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;

const V4: u8 = 2;
const V6: u8 = 10;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const ID: u16 = 12;
const ZONE: u16 = 18;

const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const FILTER: u16 = 25;
const FILTER_ORIGINAL: u16 = 1;
const BY_PROTOCOL: u32 = 1 << 3;

const SOURCE_TRANSLATED: u32 = 1 << 4;
const DESTINATION_TRANSLATED: u32 = 1 << 5;

/// One direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tuple {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
}

/// A tracked flow, with what is needed to name it to the kernel.
#[derive(Debug)]
struct Flow {
    original: Tuple,
    reply: Tuple,
    status: u32,
    /// The attributes by which the kernel knows it, as it sent them.
    name: Vec<(u16, Vec<u8>)>,
    family: u8,
}

/// Forget UDP flows that ports removed or added have made stale; a failure is no reason to fail,
/// as the ports themselves are right.
pub(crate) fn forget_stale(
    socket: &mut NetfilterSocket,
    removed: &[&PortRule],
    added: &[&PortRule],
) {
    match forget(socket, removed, added) {
        Ok(0) => {}
        Ok(flows) => tracing::debug!(flows, "stale UDP flows to published ports forgotten"),
        Err(error) => {
            tracing::warn!(%error, "stale UDP flows to published ports may go on for a while");
        }
    }
}

/// How many there were.
fn forget(
    socket: &mut NetfilterSocket,
    removed: &[&PortRule],
    added: &[&PortRule],
) -> Result<usize> {
    let mut forgotten = 0;
    for (family, is_v4) in [(V4, true), (V6, false)] {
        let of_family = |rules: &[&PortRule]| {
            let rules = rules.iter().copied();
            let rules =
                rules.filter(|r| r.protocol == Protocol::Udp && r.target.is_ipv4() == is_v4);
            rules.cloned().collect::<Vec<_>>()
        };
        let (removed, added) = (of_family(removed), of_family(added));
        if removed.is_empty() && added.is_empty() {
            continue;
        }
        let change = Change::new(removed, added);
        for flow in stale(socket, family, &change)? {
            forgotten += usize::from(delete(socket, &flow)?);
        }
    }
    Ok(forgotten)
}

/// UDP ports of one family that were withdrawn and published.
struct Change {
    removed: Vec<PortRule>,
    added: Vec<PortRule>,
    /// A bit for each of the host's ports that one of them is about: most flows are about none,
    /// and a host may track a million.
    ports: Vec<bool>,
}

impl Change {
    fn new(removed: Vec<PortRule>, added: Vec<PortRule>) -> Self {
        let mut ports = vec![false; usize::from(u16::MAX) + 1];
        for rule in removed.iter().chain(&added) {
            for port in rule.host_ports.iter() {
                ports[usize::from(port)] = true;
            }
        }
        Self {
            removed,
            added,
            ports,
        }
    }

    fn makes_stale(&self, flow: &Flow) -> bool {
        self.ports[usize::from(flow.original.destination_port)]
            && (self.removed.iter().any(|rule| flow.came_by(rule))
                || flow.is_untranslated() && self.added.iter().any(|rule| flow.missed(rule)))
    }
}

fn stale(socket: &mut NetfilterSocket, family: u8, change: &Change) -> Result<Vec<Flow>> {
    let mut request = Writer::default();
    let kind = wire::kind(CONNTRACK, GET);
    // Kernels from 5.8 on leave out the other protocols, which are most flows; older ones give all.
    request.netfilter(kind, wire::DUMP, 0, (family, 0), |w| {
        w.nest(TUPLE_ORIGINAL, |w| {
            w.nest(TUPLE_PROTOCOL, |w| {
                w.attribute(PROTOCOL_NUMBER, &[Protocol::Udp.number()]);
            });
        });
        w.nest(FILTER, |w| {
            w.attribute(FILTER_ORIGINAL, &BY_PROTOCOL.to_ne_bytes());
        });
    });
    socket.dump(
        "listing tracked flows",
        request.bytes(),
        |flows: &mut Vec<Flow>, message| {
            let flow = Flow::read(message).filter(|flow| change.makes_stale(flow));
            flows.extend(flow);
        },
    )
}

/// Whether the flow was still there to be deleted.
fn delete(socket: &mut NetfilterSocket, flow: &Flow) -> Result<bool> {
    let mut request = Writer::default();
    let kind = wire::kind(CONNTRACK, DELETE);
    request.netfilter(kind, wire::ACK, 0, (flow.family, 0), |w| {
        for (kind, value) in &flow.name {
            match *kind {
                TUPLE_ORIGINAL => w.nest(TUPLE_ORIGINAL, |w| w.raw(value)),
                kind => w.attribute(kind, value),
            }
        }
    });
    match socket.request(request.bytes()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(Error::Socket {
            doing: "forgetting a tracked flow",
            source: error.into(),
        }),
    }
}

impl Flow {
    fn read(message: &Message<'_>) -> Option<Self> {
        let attributes = message.attributes();
        let name = [TUPLE_ORIGINAL, ID, ZONE]
            .into_iter()
            .filter_map(|kind| Some((kind, attributes.get(kind)?.to_vec())))
            .collect();
        Some(Self {
            original: Tuple::read(attributes.nested(TUPLE_ORIGINAL)?)?,
            reply: Tuple::read(attributes.nested(TUPLE_REPLY)?)?,
            status: attributes.number(STATUS).unwrap_or_default(),
            name,
            family: message.family(),
        })
    }

    /// Whether its first packet was translated by `rule`.
    fn came_by(&self, rule: &PortRule) -> bool {
        self.is_to_host_side_of(rule)
            && self.status & DESTINATION_TRANSLATED != 0
            && self.reply.source == rule.target
            && rule.target_ports.contains(self.reply.source_port)
    }

    /// Whether its first packet met no translation, and would be translated by `rule` now. Whether
    /// an address is the host's is not asked: a flow of the host itself to the same port elsewhere
    /// is forgotten too, which costs it nothing, as it is not translated.
    fn missed(&self, rule: &PortRule) -> bool {
        self.is_untranslated() && self.is_to_host_side_of(rule)
    }

    fn is_untranslated(&self) -> bool {
        self.status & (SOURCE_TRANSLATED | DESTINATION_TRANSLATED) == 0
    }

    fn is_to_host_side_of(&self, rule: &PortRule) -> bool {
        self.original.protocol == rule.protocol.number()
            && self.original.destination.is_ipv4() == rule.host.is_ipv4()
            && (rule.host.is_unspecified() || self.original.destination == rule.host)
            && rule.host_ports.contains(self.original.destination_port)
    }
}

impl Tuple {
    fn read(tuple: Attributes<'_>) -> Option<Self> {
        let (ip, transport) = (tuple.nested(1)?, tuple.nested(2)?);
        let address = |v4, v6| match (ip.get(v4), ip.get(v6)) {
            (Some(v4), _) => Some(IpAddr::from(<[u8; 4]>::try_from(v4).ok()?)),
            (None, Some(v6)) => Some(IpAddr::from(<[u8; 16]>::try_from(v6).ok()?)),
            (None, None) => None,
        };
        Some(Self {
            source: address(1, 3)?,
            destination: address(2, 4)?,
            protocol: *transport.get(1)?.first()?,
            source_port: transport.short(2).unwrap_or_default(),
            destination_port: transport.short(3).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::firewall::Ports;
    use crate::firewall::wire::messages;

    fn rule(host: IpAddr) -> PortRule {
        PortRule {
            network: "net".into(),
            protocol: Protocol::Udp,
            host,
            host_ports: Ports::one(53).unwrap(),
            target: Ipv4Addr::new(172, 17, 0, 2).into(),
            target_ports: Ports::one(5353).unwrap(),
        }
    }

    fn flow(destination: [u8; 4], answering: ([u8; 4], u16), status: u32) -> Flow {
        let client = IpAddr::from([10, 0, 0, 2]);
        Flow {
            original: Tuple {
                source: client,
                destination: destination.into(),
                protocol: 17,
                source_port: 4000,
                destination_port: 53,
            },
            reply: Tuple {
                source: answering.0.into(),
                destination: client,
                protocol: 17,
                source_port: answering.1,
                destination_port: 4000,
            },
            status,
            name: Vec::new(),
            family: V4,
        }
    }

    #[test]
    fn a_flow_to_a_withdrawn_port_is_stale_and_one_to_another_container_is_not() {
        let any = rule(Ipv4Addr::UNSPECIFIED.into());
        let ours = ([172, 17, 0, 2], 5353);
        let translated = DESTINATION_TRANSLATED;
        assert!(flow([10, 0, 0, 1], ours, translated).came_by(&any));
        assert!(!flow([10, 0, 0, 1], ([172, 17, 0, 3], 5353), translated).came_by(&any));
        assert!(!flow([10, 0, 0, 1], ours, 0).came_by(&any));
        let loopback = rule(Ipv4Addr::LOCALHOST.into());
        assert!(!flow([10, 0, 0, 1], ours, translated).came_by(&loopback));
    }

    #[test]
    fn a_new_port_leaves_containers_masqueraded_queries_alone() {
        let any = rule(Ipv4Addr::UNSPECIFIED.into());
        let dns = ([8, 8, 8, 8], 53);
        assert!(!flow([8, 8, 8, 8], dns, SOURCE_TRANSLATED).missed(&any));
        assert!(flow([10, 0, 0, 1], ([10, 0, 0, 1], 53), 0).missed(&any));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                let _ = Flow::read(&message);
            }
        }
    }
}
