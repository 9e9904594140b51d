//! Reading attributes, from wherever: nothing here reads past the slice it was given, and what is
//! too short for its type is not there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kernel::NLA_TYPE_MASK;
use crate::mac::Mac;

/// Length and type.
const HEADER: usize = 4;

/// The attributes in a message or in another attribute, in order. Ends at the first that does not
/// fit, as the kernel's own loops do.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(&'a [u8]);

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its type, without the flags for nesting and byte order.
    pub kind: u16,
    /// What it holds.
    pub value: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Those in these bytes.
    pub fn new(bytes: &'a [u8]) -> Attributes<'a> {
        Attributes(bytes)
    }

    /// Those after a message's fixed part; none if that is cut short.
    pub fn after(message: &'a [u8], fixed: usize) -> Attributes<'a> {
        Attributes(message.get(fixed..).unwrap_or_default())
    }

    /// The first of a type.
    pub fn get(self, kind: u16) -> Option<Attribute<'a>> {
        let mut all = self;
        all.find(|attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk()?) & NLA_TYPE_MASK;
        let value = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

impl<'a> Attribute<'a> {
    /// The attributes inside.
    pub fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// A number of one byte.
    pub fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    /// A number of four bytes.
    pub fn u32(self) -> Option<u32> {
        self.value
            .first_chunk()
            .map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// A number of eight bytes.
    pub fn u64(self) -> Option<u64> {
        self.value
            .first_chunk()
            .map(|bytes| u64::from_ne_bytes(*bytes))
    }

    /// A text up to its end or its zero. The kernel's names are bytes; one that is not UTF-8 is
    /// shown with replacements.
    pub fn text(self) -> String {
        let text = self
            .value
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// An IP address of the family that its length tells.
    pub fn address(self) -> Option<IpAddr> {
        if let Ok(octets) = <[u8; 4]>::try_from(self.value) {
            return Some(IpAddr::V4(Ipv4Addr::from(octets)));
        }
        let octets = <[u8; 16]>::try_from(self.value).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    }

    /// An Ethernet address; other links' are of other lengths.
    pub fn mac(self) -> Option<Mac> {
        <[u8; 6]>::try_from(self.value).ok().map(Mac)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::netlink::{Message, nested};

    #[test]
    fn what_a_message_says_reads_back() {
        let message = Message::new(1, 0, &[]).u32(7, 9).text(3, "eth0").attribute(
            nested(18),
            Message::attributes().u32(1, 5).text(2, "veth").bytes(),
        );
        let mut read = Attributes::new(message.body());
        assert_eq!(read.next().unwrap().u32(), Some(9));
        assert_eq!(read.next().unwrap().text(), "eth0");
        let inside = read.next().unwrap();
        assert_eq!(inside.kind, 18);
        assert_eq!(inside.nested().get(2).unwrap().text(), "veth");
        assert!(read.next().is_none());
    }

    #[test]
    fn an_attribute_longer_than_its_message_ends_the_reading() {
        for bytes in [
            &[][..],
            &[4],
            &[3, 0, 1, 0],
            &[0, 0, 1, 0],
            &[9, 0, 1, 0, 1, 2, 3, 4],
            &[0xff, 0xff, 1, 0, 0],
        ] {
            assert_eq!(Attributes::new(bytes).count(), 0, "{bytes:?}");
        }
        // The last one needs no padding.
        assert_eq!(Attributes::new(&[5, 0, 1, 0, 7]).count(), 1);
    }
}
