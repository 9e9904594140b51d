//! Tar archives, read and written as streams.
//!
//! One reader for every dialect that layers, images and `cp` meet, so that there is one opinion
//! about what an archive says: v7, ustar, star and GNU (long names and links, base-256 numbers,
//! old sparse files), PAX (global and per entry, extended attributes, the three ways to write
//! sparse files). Where dialects contradict each other the reader follows Go's `archive/tar`,
//! since that is what Docker's daemon reads with; what only GNU tar knows (global headers that
//! apply, dump directories, volume labels) it takes from there.
//!
//! The reader says of each entry where its data lies in the archive ([`Entry::data_offset`]):
//! that is what an index of a layer points to. It holds no more than one entry: every header is
//! bounded ([`MAX_EXTENDED_HEADER`], [`MAX_SEGMENTS`]), and the work is linear in what it reads.
//! Any byte sequence gives entries or an error, never a panic and never a wrong offset.
//!
//! The writer makes ustar entries, with a PAX header in front when something does not fit.
//!
//! Neither touches a file system: what a path means is the caller's business.

mod entry;
mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

use std::io;

pub use entry::{Entry, Kind, Segment, Time};
pub use reader::{Content, Reader};
pub use writer::Writer;

/// The unit of an archive.
pub const BLOCK: usize = 512;

/// The longest PAX header or GNU long name: what Go's reader allows, too.
pub const MAX_EXTENDED_HEADER: u64 = 1 << 20;

/// The most pieces of data in one sparse file.
pub const MAX_SEGMENTS: usize = 1 << 20;

/// An archive that cannot be read further.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The stream ended inside something.
    #[error("unexpected end of the archive at byte {offset}")]
    Truncated {
        /// Where.
        offset: u64,
    },
    /// A header that is none.
    #[error("invalid tar header at byte {offset}: {reason}")]
    BadHeader {
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Something larger than any archive needs it to be.
    #[error("{what} at byte {offset} is larger than {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Where.
        offset: u64,
        /// The bound.
        limit: u64,
    },
    /// An entry of a type nobody here can make.
    #[error("{}: unhandled tar header type {kind}", String::from_utf8_lossy(.path))]
    UnknownKind {
        /// The entry.
        path: Vec<u8>,
        /// Its type flag.
        kind: u8,
    },
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> io::Error {
        match error {
            TarError::Io(error) => error,
            TarError::Truncated { .. } => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Bytes of padding after `size` bytes of data.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
