//! Which parts of a sparse file are in the archive: three ways of writing it down.

use std::ops::Range;

use super::MAX_SEGMENTS;
use super::entry::Segment;
use super::header::{self, Block};
use super::pax::{self, Records};

/// Pieces in an extension block of the old GNU format, and whether another block follows.
pub(super) const EXTENSION: Range<usize> = 0..504;
pub(super) const EXTENSION_MORE: usize = 504;

/// One piece in the old GNU format: two numbers.
const PIECE: usize = 24;

/// Add the pieces of a header or extension block of the old GNU format. An unused piece ends
/// them.
pub(super) fn add_gnu(map: &mut Vec<Segment>, field: &[u8]) -> Result<(), String> {
    for piece in field.chunks_exact(PIECE) {
        if piece[0] == 0 {
            break;
        }
        let read = |field: &[u8]| {
            header::number(field)
                .and_then(|value| u64::try_from(value).ok())
                .ok_or("malformed sparse piece")
        };
        let (offset, length) = (read(&piece[..12])?, read(&piece[12..])?);
        add(map, offset, length)?;
    }
    Ok(())
}

/// The size with holes, in the old GNU format.
pub(super) fn gnu_size(block: &Block) -> Option<u64> {
    header::number(&block[header::SPARSE_SIZE]).and_then(|size| u64::try_from(size).ok())
}

/// The map in PAX formats 0.0 (repeated records) and 0.1 (one list); `None` if there is none.
pub(super) fn in_records(records: &Records) -> Result<Option<Vec<Segment>>, String> {
    let mut map = Vec::new();
    if let Some(list) = records.text("GNU.sparse.map") {
        let mut numbers = list.split(|&byte| byte == b',').map(pax::decimal);
        while let Some(offset) = numbers.next() {
            match (offset, numbers.next().flatten()) {
                (Some(offset), Some(length)) => add(&mut map, offset, length)?,
                _ => return Err("malformed GNU.sparse.map".to_owned()),
            }
        }
    } else if !records.pieces.is_empty() {
        for piece in records.pieces.chunks(2) {
            match piece {
                [offset, length] => add(&mut map, *offset, *length)?,
                _ => return Err("a sparse offset without a length".to_owned()),
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(map))
}

/// Add a piece; those of no length say nothing.
pub(super) fn add(map: &mut Vec<Segment>, offset: u64, length: u64) -> Result<(), String> {
    if length == 0 {
        return Ok(());
    }
    if map.len() >= MAX_SEGMENTS {
        return Err(format!("a sparse file of more than {MAX_SEGMENTS} pieces"));
    }
    map.push(Segment { offset, length });
    Ok(())
}

/// Whether the pieces are in order, apart, inside the file, and just what is stored.
pub(super) fn check(map: &[Segment], size: u64, stored: u64) -> Result<(), String> {
    let mut end = 0u64;
    let mut total = 0u64;
    for piece in map {
        if piece.offset < end {
            return Err("sparse pieces overlap or are out of order".to_owned());
        }
        end = piece
            .offset
            .checked_add(piece.length)
            .ok_or("a sparse piece is out of range")?;
        total += piece.length;
    }
    if end > size {
        return Err("a sparse piece lies behind the end of its file".to_owned());
    }
    if total != stored {
        return Err(format!(
            "{total} bytes of sparse pieces, but {stored} stored"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pieces: &[(u64, u64)]) -> Vec<Segment> {
        let mut map = Vec::new();
        for &(offset, length) in pieces {
            add(&mut map, offset, length).unwrap();
        }
        map
    }

    #[test]
    fn a_map_must_be_ordered_inside_the_file_and_complete() {
        assert_eq!(check(&map(&[(0, 5), (5, 5), (20, 1)]), 21, 11), Ok(()));
        assert_eq!(check(&map(&[(9, 0)]), 9, 0), Ok(()));
        assert!(check(&map(&[(0, 5), (4, 5)]), 99, 10).is_err());
        assert!(check(&map(&[(10, 5), (0, 5)]), 99, 10).is_err());
        assert!(check(&map(&[(0, 5)]), 4, 5).is_err());
        assert!(check(&map(&[(0, 5)]), 9, 6).is_err());
        assert!(check(&map(&[(u64::MAX, 5)]), 9, 5).is_err());
    }
}
