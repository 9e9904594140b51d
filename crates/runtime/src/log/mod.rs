//! The log of a container: Docker's json-file format, always bounded.
//!
//! ```text
//!  output ─▶ Lines (one per stream: cuts at newlines, 16 KiB at most) ─▶ Files ──▶ x-json.log
//!            └───────────────────────── Writer ─────────────────────────────┘      x-json.log.1 …
//!  Reader (tail, then record by record, following across rotations) ◀──────────────┘
//! ```
//! A line of the file is a record: `{"log":"text\n","stream":"stdout","time":"…Z"}`. The text of a
//! line longer than 16 KiB is spread over records, all but the last without the newline.
//!
//! Invariants
//! - Files only grow, are renamed, or are removed: what was read of one stays true.
//! - The bound of the files together holds at all times.
//! - A reader that follows gives each record once, in order, however often the files rotate. It
//!   holds unread files open, up to a bound, beyond which it says where records are missing.
//! - Writing never fails and never waits for more than the disk: a record that does not fit on a
//!   full disk is counted as lost, and the log says so when there is room again.

mod files;
mod lines;
mod places;
mod reader;
mod record;
mod time;
mod trail;
mod writer;

pub use lines::{Lines, Piece};
pub use reader::Reader;
pub use record::{Record, Stream};
pub(crate) use time::write as write_time;
pub use writer::Writer;

/// Longest piece of a line that is one record, as Docker has it.
pub const PART_MAX: usize = 16 * 1024;

/// A place in a log: all that was written before it is in this file before this byte, or in older
/// files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The file, by its inode number.
    pub inode: u64,
    /// The byte.
    pub offset: u64,
}
