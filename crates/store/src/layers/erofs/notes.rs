//! What wharf notes at the beginning of an index, for itself.

/// So that an index of another making is never taken for ours. The number is that of the format:
/// an index of another number is made anew from its tar.
const MAGIC: &[u8; 16] = b"wharf-index-v1\0\0";

/// Facts about a layer that are not worth computing twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::layers) struct Notes {
    /// Length of the tar.
    pub(in crate::layers) tar_bytes: u64,
    /// Length of the side file; 0 if there is none.
    pub(in crate::layers) side_bytes: u64,
    /// What the layer's files and link texts take, each counted once.
    pub(in crate::layers) content_bytes: u64,
    /// How many objects the layer holds.
    pub(in crate::layers) entries: u64,
}

impl Notes {
    /// Bytes the notes take.
    pub(in crate::layers) const LENGTH: usize = 16 + 4 * 8 + 4;

    /// The notes as they are written.
    pub(in crate::layers) fn encode(&self) -> [u8; Notes::LENGTH] {
        let mut bytes = [0u8; Notes::LENGTH];
        bytes[..16].copy_from_slice(MAGIC);
        let numbers = [
            self.tar_bytes,
            self.side_bytes,
            self.content_bytes,
            self.entries,
        ];
        for (field, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32c(&bytes[..48]);
        bytes[48..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Notes that were written; `None` if these are none, or damaged.
    pub(in crate::layers) fn decode(bytes: &[u8; Notes::LENGTH]) -> Option<Notes> {
        let number = |at: usize| {
            let mut field = [0u8; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(field)
        };
        if &bytes[..16] != MAGIC || bytes[48..] != crc32c(&bytes[..48]).to_le_bytes() {
            return None;
        }
        Some(Notes {
            tar_bytes: number(16),
            side_bytes: number(24),
            content_bytes: number(32),
            entries: number(40),
        })
    }
}

/// CRC-32C without its final inversion, as EROFS uses it. Over a few hundred bytes of each
/// layer, so bit by bit will do.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli() {
        // The check value of the algorithm's catalogue entry, which inverts at the end.
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn notes_read_back_and_damage_is_seen() {
        let notes = Notes {
            tar_bytes: 1,
            side_bytes: 2,
            content_bytes: u64::MAX,
            entries: 4,
        };
        let bytes = notes.encode();
        assert_eq!(Notes::decode(&bytes), Some(notes));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(Notes::decode(&damaged), None);
        }
    }
}
