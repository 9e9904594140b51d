//! The journal of what happened, and its readers.

use tokio::sync::mpsc;

use crate::containers::missing;
use crate::model::{Event, EventQuery};
use crate::{Engine, Result};

/// Events in order; ends at the query's `until`, never because the reader is slow.
pub type EventStream = mpsc::Receiver<Result<Event>>;

impl Engine {
    /// Reads the journal and goes on as it grows.
    pub async fn events(&self, _query: EventQuery) -> Result<EventStream> {
        missing("events")
    }
}
