//! Netlink messages as bytes: a writer of headers and nested attributes, and readers that take
//! what the kernel sends without trusting its lengths.
//!
//! Rejected: building `netlink-packet-netfilter`'s tree of enums first. It knows six of our ten
//! expressions, and with 65,000 elements in a batch the tree costs more than the kernel's work.

/// Length of a netlink message's header.
pub(crate) const HEADER: usize = 16;
/// Length of the header that every netfilter message has behind it (`nfgenmsg`).
const FAMILY_HEADER: usize = 4;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACK: u16 = 0x4;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;

/// An answer with an error or, if that is 0, an acknowledgement.
pub(crate) const ERROR: u16 = 2;
pub(crate) const DONE: u16 = 3;

/// The kind of message of a netfilter subsystem.
pub(crate) fn kind(subsystem: u8, message: u8) -> u16 {
    u16::from(subsystem) << 8 | u16::from(message)
}

/// Messages being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A message of any netlink family; `body` writes what follows the header.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        body: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.raw(&0_u32.to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(&(flags | REQUEST).to_ne_bytes());
        self.raw(&sequence.to_ne_bytes());
        self.raw(&0_u32.to_ne_bytes());
        body(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    /// A netfilter message, for `family` (`NFPROTO_*`) and `resource`.
    pub(crate) fn netfilter(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        (family, resource): (u8, u16),
        body: impl FnOnce(&mut Self),
    ) {
        self.message(kind, flags, sequence, |w| {
            w.raw(&[family, 0]);
            w.raw(&resource.to_be_bytes());
            body(w);
        });
    }

    /// Set flags of the message that begins at `start`.
    pub(crate) fn add_flags(bytes: &mut [u8], start: usize, flags: u16) {
        let Some(field) = bytes.get_mut(start + 6..start + 8) else {
            return;
        };
        let mut old = [0; 2];
        old.copy_from_slice(field);
        field.copy_from_slice(&(u16::from_ne_bytes(old) | flags).to_ne_bytes());
    }

    /// The bytes, to patch.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// An attribute that holds attributes, which `body` writes: at most 64 KiB of them.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.raw(&[0, 0]);
        self.raw(&(kind | NESTED).to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
    }

    /// An attribute with a value as it is.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.raw(&length.to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(value);
        self.pad();
    }

    /// An attribute with a number in network order.
    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// An attribute with a text, which ends with a zero.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let length = u16::try_from(value.len() + 5).unwrap_or(u16::MAX);
        self.raw(&length.to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(value.as_bytes());
        self.raw(&[0]);
        self.pad();
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(field) = self.bytes.get_mut(at..at + value.len()) {
            field.copy_from_slice(value);
        }
    }
}

/// A message that was received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The `NFPROTO_*` of a netfilter message.
    pub(crate) fn family(&self) -> u8 {
        self.body.first().copied().unwrap_or_default()
    }

    /// The attributes of a netfilter message.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes(self.body.get(FAMILY_HEADER..).unwrap_or_default())
    }
}

/// The messages of one datagram. What is cut short ends it.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number_at(bytes, 0)?).ok()?;
        let body = bytes.get(HEADER..length)?;
        let message = Message {
            kind: short_at(bytes, 4)?,
            flags: short_at(bytes, 6)?,
            body,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Attributes of a message, or of an attribute. What is cut short ends them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first of that kind.
    pub(crate) fn get(self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self;
        all.find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first of that kind.
    pub(crate) fn nested(self, kind: u16) -> Option<Attributes<'a>> {
        self.get(kind).map(Attributes)
    }

    /// A text.
    pub(crate) fn text(self, kind: u16) -> Option<&'a str> {
        let value = self.get(kind)?;
        let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
        std::str::from_utf8(&value[..end]).ok()
    }

    /// A 32-bit number in network order.
    pub(crate) fn number(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// A 16-bit number in network order.
    pub(crate) fn short(self, kind: u16) -> Option<u16> {
        Some(u16::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(short_at(self.0, 0)?);
        let kind = short_at(self.0, 2)? & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A 32-bit number in the machine's order.
pub(crate) fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::default();
        writer.netfilter(kind(10, 3), CREATE, 7, (1, 0), |w| {
            w.text(1, "wharf");
            w.nest(4, |w| w.number(1, 0xdead_beef));
        });
        writer.netfilter(kind(10, 4), 0, 8, (2, 0), |w| w.attribute(9, &[1, 2, 3]));
        let read: Vec<_> = messages(writer.bytes()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].kind, 0x0a03);
        assert_eq!(read[0].family(), 1);
        assert_eq!(read[0].attributes().text(1), Some("wharf"));
        let nested = read[0].attributes().nested(4).unwrap();
        assert_eq!(nested.number(1), Some(0xdead_beef));
        assert_eq!(read[1].attributes().get(9), Some(&[1, 2, 3][..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic_or_run_for_ever(bytes: Vec<u8>) {
            for message in messages(&bytes) {
                for (_, value) in message.attributes() {
                    prop_assert!(Attributes(value).count() <= value.len());
                }
            }
        }

        #[test]
        fn a_message_cut_anywhere_is_no_message(cut in 0_usize..40) {
            let mut writer = Writer::default();
            writer.netfilter(1, 0, 0, (1, 0), |w| w.text(1, "0123456789012345"));
            let whole = writer.bytes();
            let cut = cut.min(whole.len() - 1);
            prop_assert_eq!(messages(&whole[..cut]).count(), 0);
        }
    }
}
