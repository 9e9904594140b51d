//! The log of a container: Docker's json-file format, always bounded.
//!
//! ```text
//!  output ─▶ Lines (one per stream: cuts at newlines, 16 KiB at most) ─▶ Writer ─▶ x-json.log
//!                                                                                  x-json.log.1 …
//!  Reader (tail, then record by record, following across rotations) ◀──────────────┘
//! ```
//! A line of the file is a record: `{"log":"text\n","stream":"stdout","time":"…Z"}`. The text of a
//! line longer than 16 KiB is spread over records, all but the last without the newline.
//!
//! Invariants
//! - A record is whole in the file or not there: what a full disk cut short is taken back.
//! - The bound of the files together holds at all times.
//! - A reader that follows gives each record once, in order, however often the files rotate, as
//!   long as its own place has not been rotated away.

mod lines;
mod reader;
mod record;
mod time;
mod writer;

pub use lines::Lines;
pub use reader::Reader;
pub(crate) use time::write as write_time;

pub use record::{Record, Stream};
pub use writer::Writer;

/// Longest piece of a line that is one record, as Docker has it.
pub const PART_MAX: usize = 16 * 1024;
