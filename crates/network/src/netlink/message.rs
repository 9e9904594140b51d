//! Writing requests.

use std::net::IpAddr;

use super::kernel::NLA_F_NESTED;

/// `struct nlmsghdr`: length, type, flags, sequence, port.
pub(super) const HEADER: usize = 16;

/// A request in the making: a header, the fixed part of its type, attributes. Or, begun with
/// [`Message::attributes`], attributes that go inside another.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    header: usize,
}

impl Message {
    /// A request of this type.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Message {
            bytes,
            header: HEADER,
        }
    }

    /// Attributes alone.
    pub fn attributes() -> Message {
        Message {
            bytes: Vec::new(),
            header: 0,
        }
    }

    /// Add an attribute. One longer than 65,531 bytes, which nothing here makes, is left out.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Message {
        let Ok(length) = u16::try_from(value.len() + 4) else {
            return self;
        };
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Add a number of one byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Message {
        self.attribute(kind, &[value])
    }

    /// Add a number of two bytes.
    #[must_use]
    pub fn u16(self, kind: u16, value: u16) -> Message {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Add a number of four bytes.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Message {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Add a number of eight bytes.
    #[must_use]
    pub fn u64(self, kind: u16, value: u64) -> Message {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Add a text, with the zero that ends it.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Message {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Add an IP address.
    #[must_use]
    pub fn address(self, kind: u16, address: IpAddr) -> Message {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// Add attributes inside one.
    #[must_use]
    pub fn nest(self, kind: u16, inside: &Message) -> Message {
        self.attribute(nested(kind), inside.bytes())
    }

    /// Add what an option says, if there is one.
    #[must_use]
    pub fn maybe<T>(self, value: Option<T>, add: impl FnOnce(Message, T) -> Message) -> Message {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.header..).unwrap_or_default()
    }

    /// As it goes out: with its length, its number and the flags of how it is asked.
    pub(super) fn sealed(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let [a, b] = flags.to_ne_bytes();
        if let Some(header) = out.get_mut(start..start + HEADER) {
            header[..4].copy_from_slice(&length.to_ne_bytes());
            header[6] |= a;
            header[7] |= b;
            header[8..12].copy_from_slice(&sequence.to_ne_bytes());
        }
    }
}

/// An attribute's type with the flag that says it holds others.
pub(crate) fn nested(kind: u16) -> u16 {
    kind | NLA_F_NESTED
}
