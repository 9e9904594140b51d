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
//! - A reader that follows gives each record once, in order, however often the files rotate, as
//!   long as its own place has not been rotated away.
//! - Writing never fails and never waits for more than the disk: a record that does not fit on a
//!   full disk is counted as lost, and the log says so when there is room again.

mod files;
mod lines;
mod reader;
mod record;
mod time;
mod writer;

pub use lines::{Lines, Piece};
pub use reader::Reader;
pub use record::{Record, Stream};
pub(crate) use time::write as write_time;
pub use writer::Writer;

/// Longest piece of a line that is one record, as Docker has it.
pub const PART_MAX: usize = 16 * 1024;
