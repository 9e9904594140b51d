//! The entries of a directory.
//!
//! A directory is a row of blocks, each with entries of twelve bytes and behind them their names;
//! the names ascend, byte by byte, through all blocks, so that the kernel finds one by halving.
//! The last block ends with its last name.

use super::BLOCK;

/// An entry without its name.
const ENTRY: usize = 12;

/// One entry to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u64,
    pub(super) kind: u8,
}

/// How many of these names, which are sorted, go into the next block, and how many bytes of it
/// they take. At least one does: a name has at most 255 bytes.
fn next_block<'a>(names: impl Iterator<Item = &'a [u8]>) -> (usize, usize) {
    let mut used = 0;
    let mut count = 0;
    for name in names {
        let with = used + ENTRY + name.len();
        if with > BLOCK as usize {
            break;
        }
        used = with;
        count += 1;
    }
    (count, used)
}

/// The length of a directory of these names.
pub(super) fn length(names: &[&[u8]]) -> u64 {
    let mut rest = names;
    let mut length = 0;
    while !rest.is_empty() {
        let (count, used) = next_block(rest.iter().copied());
        rest = &rest[count..];
        length += if rest.is_empty() { used as u64 } else { BLOCK };
    }
    length
}

/// The directory, as it stands in the image.
pub(super) fn encode(names: &[Name<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = names;
    while !rest.is_empty() {
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        let (count, _) = next_block(rest.iter().map(|name| name.name));
        let (block, after) = rest.split_at(count);
        let mut name_at = count * ENTRY;
        for name in block {
            bytes.extend_from_slice(&name.inode.to_le_bytes());
            bytes.extend_from_slice(&(name_at as u16).to_le_bytes());
            bytes.extend_from_slice(&[name.kind, 0]);
            name_at += name.name.len();
        }
        for name in block {
            bytes.extend_from_slice(name.name);
        }
        rest = after;
    }
    bytes
}
