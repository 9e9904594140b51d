//! The journal of what happened, and its readers.
//!
//! ```text
//!  a change --Batch{document, event}--> database --seq--> Journal::grew_to
//!                                          ^                    |
//!                       rows, in order     |                    v
//!  client <--bounded channel-- reader task +-------- wakes up, reads on
//! ```
//! A change and the event that tells of it are one transaction, so an event is never told of
//! something that is not so, nor the other way round.

mod filter;
mod journal;

use std::time::Duration;

use tokio::sync::mpsc;
use wharf_store::Batch;

use crate::blocking::blocking;
use crate::clock;
use crate::engine::Inner;
use crate::model::{Event, EventQuery};
use crate::{Engine, Error, Result};

use filter::EventFilter;
pub(crate) use journal::{Journal, event};

/// Events in order; ends at the query's `until`, never because the reader is slow.
pub type EventStream = mpsc::Receiver<Result<Event>>;

/// Rows read at once, and events in flight to a client.
const PAGE: usize = 256;

/// Every so many events the oldest are forgotten.
const TRIM_EVERY: u64 = 1024;

impl Engine {
    /// Reads the journal and goes on as it grows.
    pub async fn events(&self, query: EventQuery) -> Result<EventStream> {
        let filter = EventFilter::parse(&query.filters)?;
        let reader = self.0.events.reader();
        let after = match query.since {
            Some(_) => 0,
            None => *reader.newest.borrow(),
        };
        let (sink, stream) = mpsc::channel(PAGE);
        let follow = Follow {
            engine: self.clone(),
            reader,
            filter,
            since: query.since.unwrap_or(i64::MIN),
            until: query.until,
            after,
        };
        tokio::spawn(follow.run(sink));
        Ok(stream)
    }
}

/// One reader.
struct Follow {
    engine: Engine,
    reader: journal::Reader,
    filter: EventFilter,
    since: i64,
    until: Option<i64>,
    after: u64,
}

impl Follow {
    async fn run(mut self, sink: mpsc::Sender<Result<Event>>) {
        loop {
            self.reader.newest.mark_unchanged();
            match self.page().await {
                Err(error) => {
                    let _ = sink.send(Err(error)).await;
                    return;
                }
                Ok(events) if events.is_empty() => {
                    if !self.more(&sink).await {
                        return;
                    }
                }
                Ok(events) => {
                    for event in events {
                        self.after = event.seq;
                        if self.filter.wants(&event) && sink.send(Ok(event)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn page(&self) -> Result<Vec<Event>> {
        let engine = self.engine.clone();
        let (since, until, after) = (self.since, self.until.unwrap_or(i64::MAX), self.after);
        blocking(move || {
            engine
                .0
                .store
                .facts()
                .events_between(since, until, after, PAGE)?
                .into_iter()
                .map(|(seq, _, body)| decode(seq, &body))
                .collect()
        })
        .await
    }

    /// Waits until there may be more. False at the end: the time is up, the client has left or
    /// the engine stops.
    async fn more(&mut self, sink: &mpsc::Sender<Result<Event>>) -> bool {
        let left = match self.until {
            None => Duration::MAX,
            Some(until) => match u64::try_from(until - clock::now()) {
                Ok(left) if left > 0 => Duration::from_nanos(left),
                _ => return false,
            },
        };
        tokio::select! {
            changed = self.reader.newest.changed() => changed.is_ok(),
            // The last rows before the end are read once more.
            () = tokio::time::sleep(left.min(Duration::from_secs(86_400))) => true,
            () = sink.closed() => false,
            () = self.engine.0.stopping.cancelled() => false,
        }
    }
}

fn decode(seq: u64, body: &[u8]) -> Result<Event> {
    let mut event: Event = serde_json::from_slice(body)
        .map_err(|error| Error::Internal(format!("event {seq} of the journal: {error}")))?;
    event.seq = seq;
    Ok(event)
}

/// Adds an event to a change.
pub(crate) fn add(batch: &mut Batch, event: &Event) -> Result<()> {
    let body = serde_json::to_vec(event)
        .map_err(|error| Error::Internal(format!("event {}: {error}", event.action)))?;
    batch.event(event.time, &body);
    Ok(())
}

impl Inner {
    /// Makes a change durable, with its events, and tells the readers. One fsync.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        let store = self.store.clone();
        let kept = self.options.events_kept;
        let newest = blocking(move || {
            let numbers = store.facts().commit(batch)?;
            let newest = numbers.last().copied();
            if numbers.iter().any(|number| number % TRIM_EVERY == 0) {
                store.facts().trim_events(kept)?;
            }
            Ok(newest)
        })
        .await?;
        if let Some(newest) = newest {
            self.events.grew_to(newest);
        }
        Ok(())
    }

    /// Journals an event that goes with no change of a document. What cannot be journalled is
    /// logged: the thing itself has happened.
    pub(crate) async fn emit(&self, event: Event) {
        let mut batch = Batch::new();
        let result = match add(&mut batch, &event) {
            Ok(()) => self.commit(batch).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::error!(kind = event.kind, action = event.action, actor = event.actor, %error, "an event was not journalled");
        }
    }
}
