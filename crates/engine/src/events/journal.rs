//! Who is told that the journal grew.
//!
//! The journal itself is rows in the database. Here is only the number of its newest row, so
//! that readers need not ask again and again. A reader reads rows, never a queue: however slow
//! it is, it misses none and nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::model::Event;

/// The newest number, and how many read.
#[derive(Debug)]
pub(crate) struct Journal {
    newest: watch::Sender<u64>,
    readers: Arc<AtomicUsize>,
}

/// A reader, for as long as it is held.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) newest: watch::Receiver<u64>,
    readers: Arc<AtomicUsize>,
}

impl Journal {
    /// A journal whose newest row has this number.
    pub(crate) fn new(newest: u64) -> Journal {
        Journal {
            newest: watch::Sender::new(newest),
            readers: Arc::default(),
        }
    }

    /// Rows up to `number` are there. Commits may tell of this out of order.
    pub(crate) fn grew_to(&self, number: u64) {
        self.newest.send_if_modified(|newest| {
            number > *newest && {
                *newest = number;
                true
            }
        });
    }

    /// How many live readers there are.
    pub(crate) fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    pub(super) fn reader(&self) -> Reader {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader {
            newest: self.newest.subscribe(),
            readers: Arc::clone(&self.readers),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An event about an object, now.
pub(crate) fn event(
    kind: &str,
    action: impl Into<String>,
    actor: &str,
    attributes: impl IntoIterator<Item = (String, String)>,
) -> Event {
    Event {
        seq: 0,
        time: crate::clock::now(),
        kind: kind.to_owned(),
        action: action.into(),
        actor: actor.to_owned(),
        attributes: attributes.into_iter().collect(),
    }
}
