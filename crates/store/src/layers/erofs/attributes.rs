//! Extended attributes: which are stored once, and how they follow an inode.

use std::collections::HashMap;

use crate::layers::tree::Xattrs;

/// What stands before the attributes of an inode: a filter that is not used, and a count.
const HEADER: usize = 12;

/// The most attributes an inode can share: the count is a byte.
const MAX_SHARED: usize = 255;

/// Attributes longer than this are moved into the shared area even if nobody shares them, since
/// what follows an inode is limited to 65535 words.
const MAX_INLINE: usize = 128 * 1024;

/// Prefixes that are stored as a number. The first two names are stored whole.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// One attribute as it stands in the image, padded to four bytes.
fn encode(name: &[u8], value: &[u8]) -> Vec<u8> {
    let (prefix, index) = PREFIXES
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .copied()
        .unwrap_or((b"", 0));
    let rest = &name[prefix.len()..];
    let mut entry = Vec::with_capacity(4 + rest.len() + value.len() + 3);
    // The tree has let in only names and values that fit.
    entry.push(rest.len() as u8);
    entry.push(index);
    entry.extend_from_slice(&(value.len() as u16).to_le_bytes());
    entry.extend_from_slice(rest);
    entry.extend_from_slice(value);
    entry.resize(entry.len().next_multiple_of(4), 0);
    entry
}

/// Attributes that are stored once for all inodes that have them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// How often each occurs, until [`Shared::settle`]; then where in the area it is, in words.
    entries: HashMap<Vec<u8>, u32>,
    area: Vec<u8>,
}

impl Shared {
    /// Note the attributes of an inode.
    pub(super) fn count(&mut self, xattrs: &Xattrs) {
        for (name, value) in xattrs {
            *self.entries.entry(encode(name, value)).or_insert(0) += 1;
        }
    }

    /// All inodes have been noted: give a place to what is worth it.
    pub(super) fn settle(&mut self) {
        let mut worth: Vec<Vec<u8>> = std::mem::take(&mut self.entries)
            .into_iter()
            .filter(|(entry, count)| *count > 1 || entry.len() > 4096)
            .map(|(entry, _)| entry)
            .collect();
        worth.sort();
        for entry in worth {
            let at = (self.area.len() / 4) as u32;
            self.area.extend_from_slice(&entry);
            self.entries.insert(entry, at);
        }
    }

    /// The area, as it stands in the image.
    pub(super) fn area(&self) -> &[u8] {
        &self.area
    }

    /// What follows an inode with these attributes; nothing if it has none.
    pub(super) fn body(&self, xattrs: &Xattrs) -> Vec<u8> {
        if xattrs.is_empty() {
            return Vec::new();
        }
        let mut shared = Vec::new();
        let mut inline = Vec::new();
        for (name, value) in xattrs {
            let entry = encode(name, value);
            match self.entries.get(&entry) {
                Some(at) if shared.len() < MAX_SHARED => shared.push(*at),
                _ => inline.extend_from_slice(&entry),
            }
        }
        let mut body = vec![0u8; HEADER];
        body[4] = shared.len() as u8;
        for at in shared {
            body.extend_from_slice(&at.to_le_bytes());
        }
        body.extend_from_slice(&inline);
        body
    }

    /// Whether the attributes of one inode can be stored.
    pub(super) fn fits(body_length: usize) -> bool {
        body_length <= MAX_INLINE
    }
}

/// The count that an inode has for a body of this length.
pub(super) fn word_count(body_length: usize) -> u16 {
    if body_length == 0 {
        return 0;
    }
    ((body_length - HEADER) / 4 + 1) as u16
}
