//! The 512-byte header block: its fields, its numbers, its checksum.

use std::ops::Range;

use super::BLOCK;

/// A header block.
pub(super) type Block = [u8; BLOCK];

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const USER: Range<usize> = 265..297;
pub(super) const GROUP: Range<usize> = 297..329;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
pub(super) const PREFIX: Range<usize> = 345..500;
/// Star's prefix is shorter; two times follow it.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_TRAILER: Range<usize> = 508..512;
/// In an old GNU sparse header: four pieces, whether more follow, and the size with holes.
pub(super) const SPARSE: Range<usize> = 386..482;
pub(super) const SPARSE_MORE: usize = 482;
pub(super) const SPARSE_SIZE: Range<usize> = 483..495;

pub(super) const POSIX_MAGIC: &[u8; 8] = b"ustar\x0000";
const GNU_MAGIC: &[u8; 8] = b"ustar  \0";

/// Which of the fields after the link name mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// The dialect of a header, by its magic number.
pub(super) fn dialect(block: &Block) -> Dialect {
    let magic = &block[MAGIC];
    if magic == GNU_MAGIC {
        Dialect::Gnu
    } else if magic[..6] == POSIX_MAGIC[..6] {
        if &block[STAR_TRAILER] == b"tar\0" {
            Dialect::Star
        } else {
            Dialect::Ustar
        }
    } else {
        Dialect::V7
    }
}

/// A text field: up to the first zero.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or(field)
}

/// The path of a header, with its prefix.
pub(super) fn path(block: &Block, dialect: Dialect) -> Vec<u8> {
    let prefix = match dialect {
        Dialect::Ustar => text(&block[PREFIX]),
        Dialect::Star => text(&block[STAR_PREFIX]),
        Dialect::V7 | Dialect::Gnu => &[],
    };
    let mut path = Vec::with_capacity(prefix.len() + 101);
    if !prefix.is_empty() {
        path.extend_from_slice(prefix);
        path.push(b'/');
    }
    path.extend_from_slice(text(&block[NAME]));
    path
}

/// Whether the checksum is right, counting bytes as unsigned or, as some old tars did, signed.
pub(super) fn checksum_is_right(block: &Block) -> bool {
    let Some(given) = number(&block[CHECKSUM]) else {
        return false;
    };
    let blanks = CHECKSUM.len() as i64 * i64::from(b' ');
    let outside = || block[..CHECKSUM.start].iter().chain(&block[CHECKSUM.end..]);
    let unsigned: i64 = outside().map(|&byte| i64::from(byte)).sum();
    given == unsigned + blanks || {
        let signed: i64 = outside().map(|&byte| i64::from(byte.cast_signed())).sum();
        given == signed + blanks
    }
}

/// A number: octal digits, or base 256 if the first bit is set. `None` if it is neither, or does
/// not fit. An empty field is zero.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_blank(byte));
    let Some(start) = start else { return Some(0) };
    let digits = field[start..].split(is_blank).next()?;
    let rest = &field[start + digits.len()..];
    if !rest.iter().all(is_blank) && rest.first() != Some(&0) {
        return None;
    }
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Big-endian two's complement over the whole field, whose first bit is only the mark.
fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let fill = if negative { 0xff } else { 0 };
    let mut value: i64 = 0;
    for (at, &byte) in field.iter().enumerate() {
        let mut byte = byte ^ fill;
        if at == 0 {
            byte &= 0x7f;
        }
        value = value.checked_mul(256)?.checked_add(i64::from(byte))?;
    }
    Some(if negative { !value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_numbers_are_read_with_any_blanks_around_them() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"0644    "), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"644\0junk"), Some(0o644));
        assert_eq!(number(b"77777777777\0"), Some(0o77_777_777_777));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(number(b"0000689\0"), None);
        assert_eq!(number(b"-000644\0"), None);
        assert_eq!(number(b"6 44   \0"), None);
        assert_eq!(number(b"77777777777777777777777"), None);
    }

    #[test]
    fn base_256_numbers_are_read_with_their_sign() {
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 8]), Some(-1));
        assert_eq!(
            number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
            Some(-256)
        );
        let mut large = [0u8; 12];
        large[0] = 0x80;
        large[4..].copy_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(number(&large), Some(i64::MAX));
        large[4] = 0x80;
        assert_eq!(number(&large), None);
        assert_eq!(number(&[0xbf; 12]), None);
    }
}
