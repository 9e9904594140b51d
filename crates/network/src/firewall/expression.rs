//! Rules as rows of nftables expressions.
//!
//! A match loads a part of the packet or of its connection into a register and compares it; what
//! does not agree ends the rule. Register 1 holds what is compared; a concatenation goes on in
//! the 32-bit registers that overlay it, each field at a word.

use std::net::IpAddr;

use ipnet::IpNet;

use super::batch::{self, verdict};
use super::wire::Writer;

/// The first 16-byte register.
const REGISTER: u32 = 1;
/// The first 4-byte register, which overlays it.
const WORD: u32 = 8;
/// Where a verdict goes.
const VERDICT: u32 = 0;

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;

const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
const INVALID: u32 = 1;
const DESTINATION_TRANSLATED: u32 = 1 << 5;

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Offset and length in it, the same for TCP, UDP and SCTP.
const DESTINATION_PORT: (u32, u32) = (2, 2);

const V4: u8 = 2;
const V6: u8 = 10;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::V4 => V4,
            Self::V6 => V6,
        }
    }

    /// Where a concatenation that begins with an address goes on.
    fn word_behind_address(self) -> u32 {
        WORD + self.address(End::Destination).1 / 4
    }

    /// Offset and length of an address in the network header.
    fn address(self, end: End) -> (u32, u32) {
        match (self, end) {
            (Self::V4, End::Source) => (12, 4),
            (Self::V4, End::Destination) => (16, 4),
            (Self::V6, End::Source) => (8, 16),
            (Self::V6, End::Destination) => (24, 16),
        }
    }
}

/// Which address of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

/// Which interface of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

impl Way {
    fn meta(self) -> u32 {
        match self {
            Self::In => META_IIFNAME,
            Self::Out => META_OIFNAME,
        }
    }
}

/// Whether a match must hold or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Equal,
    Not,
}

/// What a rule does at its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then<'a> {
    Accept,
    Drop,
    Return,
    Jump(&'a str),
    Goto(&'a str),
}

/// One rule, written from left to right.
#[derive(Debug, Default)]
pub(super) struct Rule {
    expressions: Writer,
}

impl Rule {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.raw(self.expressions.bytes());
    }

    fn push(mut self, name: &str, body: impl FnOnce(&mut Writer)) -> Self {
        self.expressions.nest(1, |w| {
            w.text(1, name);
            w.nest(2, body);
        });
        self
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.push("meta", |w| {
            w.number(2, key);
            w.number(1, register);
        })
    }

    fn payload(self, base: u32, (offset, length): (u32, u32), register: u32) -> Self {
        self.push("payload", |w| {
            w.number(1, register);
            w.number(2, base);
            w.number(3, offset);
            w.number(4, length);
        })
    }

    fn immediate(self, value: &[u8], register: u32) -> Self {
        self.push("immediate", |w| {
            w.number(1, register);
            w.nest(2, |w| w.attribute(1, value));
        })
    }

    fn compare(self, operation: u32, value: &[u8]) -> Self {
        self.push("cmp", |w| {
            w.number(1, REGISTER);
            w.number(2, operation);
            w.nest(3, |w| w.attribute(1, value));
        })
    }

    fn mask(self, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        let zeros = vec![0; mask.len()];
        self.push("bitwise", |w| {
            w.number(1, REGISTER);
            w.number(2, REGISTER);
            w.number(3, length);
            w.nest(4, |w| w.attribute(1, mask));
            w.nest(5, |w| w.attribute(1, &zeros));
        })
    }

    fn lookup(self, set: &str, into: Option<u32>) -> Self {
        self.push("lookup", |w| {
            w.text(1, set);
            w.number(2, REGISTER);
            if let Some(register) = into {
                w.number(3, register);
            }
        })
    }

    fn connection_bits(self, key: u32, bits: u32) -> Self {
        // In registers these are in the machine's order.
        self.push("ct", |w| {
            w.number(2, key);
            w.number(1, REGISTER);
        })
        .mask(&bits.to_ne_bytes())
        .compare(NOT_EQUAL, &[0; 4])
    }

    /// Packets of one address family.
    pub(super) fn family(self, family: Family) -> Self {
        self.meta(META_FAMILY, REGISTER)
            .compare(EQUAL, &[family.number()])
    }

    /// The interface is, or is not, `name`.
    pub(super) fn interface(self, way: Way, is: Is, name: &str) -> Self {
        let operation = match is {
            Is::Equal => EQUAL,
            Is::Not => NOT_EQUAL,
        };
        self.meta(way.meta(), REGISTER)
            .compare(operation, &interface_bytes(name))
    }

    /// The interface is in `set`.
    pub(super) fn interface_in(self, way: Way, set: &str) -> Self {
        self.meta(way.meta(), REGISTER).lookup(set, None)
    }

    /// Go where `map` says for the interface.
    pub(super) fn interface_map(self, way: Way, map: &str) -> Self {
        self.meta(way.meta(), REGISTER).lookup(map, Some(VERDICT))
    }

    /// An address of the packet is in `net`.
    pub(super) fn address(self, end: End, net: IpNet) -> Self {
        let family = Family::of(net.network());
        let (network, mask) = match (net.network(), net.netmask()) {
            (IpAddr::V4(network), IpAddr::V4(mask)) => {
                (network.octets().to_vec(), mask.octets().to_vec())
            }
            (network, mask) => (octets(network), octets(mask)),
        };
        let rule = self
            .family(family)
            .payload(NETWORK_HEADER, family.address(end), REGISTER);
        if net.prefix_len() == net.max_prefix_len() {
            return rule.compare(EQUAL, &network);
        }
        rule.mask(&mask).compare(EQUAL, &network)
    }

    /// Go where `map` says for the source address.
    pub(super) fn source_map(self, family: Family, map: &str) -> Self {
        self.family(family)
            .payload(NETWORK_HEADER, family.address(End::Source), REGISTER)
            .lookup(map, Some(VERDICT))
    }

    /// The transport protocol.
    pub(super) fn protocol(self, number: u8) -> Self {
        self.meta(META_PROTOCOL, REGISTER).compare(EQUAL, &[number])
    }

    /// The destination port.
    pub(super) fn port(self, port: u16) -> Self {
        self.payload(TRANSPORT_HEADER, DESTINATION_PORT, REGISTER)
            .compare(EQUAL, &port.to_be_bytes())
    }

    /// The connection is known, or belongs to one that is.
    pub(super) fn established(self) -> Self {
        self.connection_bits(CT_STATE, ESTABLISHED_OR_RELATED)
    }

    /// The packet fits no connection and begins none.
    pub(super) fn invalid(self) -> Self {
        self.connection_bits(CT_STATE, INVALID)
    }

    /// The connection's destination has been translated.
    pub(super) fn translated(self) -> Self {
        self.connection_bits(CT_STATUS, DESTINATION_TRANSLATED)
    }

    /// The destination is an address of this host.
    pub(super) fn bound_for_this_host(self) -> Self {
        const RESULT_TYPE: u32 = 3;
        const BY_DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        self.push("fib", |w| {
            w.number(3, BY_DESTINATION);
            w.number(2, RESULT_TYPE);
            w.number(1, REGISTER);
        })
        .compare(EQUAL, &LOCAL.to_ne_bytes())
    }

    /// Load destination address, protocol and destination port, and look them up in `set`, which
    /// may lead to data.
    fn destination_lookup(self, family: Family, with: Key, set: &str, into: Option<u32>) -> Self {
        let (rule, next) = match with {
            Key::AddressAndPort => {
                let (offset, length) = family.address(End::Destination);
                let rule = self
                    .family(family)
                    .payload(NETWORK_HEADER, (offset, length), REGISTER);
                (rule, WORD + length / 4)
            }
            Key::Port => (self.family(family), WORD),
        };
        rule.meta(META_PROTOCOL, next)
            .payload(TRANSPORT_HEADER, DESTINATION_PORT, next + 1)
            .lookup(set, into)
    }

    /// Destination address, protocol and port are in `set`.
    pub(super) fn destination_in(self, family: Family, set: &str) -> Self {
        self.destination_lookup(family, Key::AddressAndPort, set, None)
    }

    /// Translate the destination to what `map` says.
    pub(super) fn translate(self, family: Family, key: Key, to: To, map: &str) -> Self {
        self.destination_lookup(family, key, map, Some(REGISTER))
            .translate_to_registers(family, to)
    }

    /// Translate the destination to `address` and `port`.
    pub(super) fn translate_to(self, address: IpAddr, port: u16) -> Self {
        let family = Family::of(address);
        self.immediate(&octets(address), REGISTER)
            .immediate(&port.to_be_bytes(), family.word_behind_address())
            .translate_to_registers(family, To::AddressAndPort)
    }

    fn translate_to_registers(self, family: Family, to: To) -> Self {
        self.push("nat", |w| {
            const DESTINATION: u32 = 1;
            w.number(1, DESTINATION);
            w.number(2, family.number().into());
            w.number(3, REGISTER);
            if to == To::AddressAndPort {
                w.number(5, family.word_behind_address());
            }
        })
    }

    /// Give the connection this source address.
    pub(super) fn source(self, address: IpAddr) -> Self {
        let family = Family::of(address);
        self.family(family)
            .immediate(&octets(address), REGISTER)
            .push("nat", |w| {
                const SOURCE: u32 = 0;
                w.number(1, SOURCE);
                w.number(2, family.number().into());
                w.number(3, REGISTER);
            })
    }

    /// Give the connection the source address of the interface by which it leaves.
    pub(super) fn masquerade(self) -> Self {
        self.push("masq", |_| {})
    }

    /// The end of the rule.
    pub(super) fn then(self, then: Then<'_>) -> Self {
        let (code, chain) = match then {
            Then::Accept => (batch::ACCEPT, None),
            Then::Drop => (batch::DROP, None),
            Then::Return => (batch::RETURN, None),
            Then::Jump(chain) => (batch::JUMP, Some(chain)),
            Then::Goto(chain) => (batch::GOTO, Some(chain)),
        };
        self.push("immediate", |w| {
            w.number(1, VERDICT);
            w.nest(2, |w| verdict(w, code, chain));
        })
    }
}

/// What a published port is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    AddressAndPort,
    Port,
}

/// What a map of published ports leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// The port stays.
    Address,
    AddressAndPort,
}

/// An address in network order.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An interface name as the kernel compares it: 16 bytes.
pub(super) fn interface_bytes(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}
