//! Leases: what is in flight survives garbage collection.
//!
//! Whoever reads or writes content holds a [`Lease`] and names on it every digest it depends on.
//! Two rules make collection safe while everything else runs:
//!
//! 1. **Hold, then look.** A digest is held before its existence is tested and before it becomes
//!    visible, and the collector hides a thing only under the same lock and only if nobody holds
//!    it. So either the holder sees the thing and it stays, or the holder sees it gone and
//!    brings it anew.
//! 2. **What is released during a collection stays.** A load that finishes between the moment
//!    the collector asked for its roots and the moment it sweeps is named in the database but
//!    not in those roots. What leases let go meanwhile is therefore kept until the next run.
//!
//! Leases live in memory only: after a restart nothing is in flight, and what is not named by
//! the database is garbage.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::{DiffId, Digest};

/// Keeps content from being collected until dropped. Cheap; may be shared between threads.
#[derive(Debug)]
pub struct Lease {
    table: Arc<LeaseTable>,
    held: Mutex<(HashSet<Digest>, HashSet<DiffId>)>,
}

impl Lease {
    /// Keep this blob, whether it exists yet or not.
    pub fn hold_blob(&self, digest: Digest) {
        let mut held = lock(&self.held);
        if held.0.insert(digest) {
            self.table.lock().blobs.hold(digest);
        }
    }

    /// Keep this layer, whether it exists yet or not.
    pub fn hold_layer(&self, diff_id: DiffId) {
        let mut held = lock(&self.held);
        if held.1.insert(diff_id) {
            self.table.lock().layers.hold(diff_id);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let held = lock(&self.held);
        let mut table = self.table.lock();
        let collecting = table.collecting;
        for digest in &held.0 {
            table.blobs.release(*digest, collecting);
        }
        for diff_id in &held.1 {
            table.layers.release(*diff_id, collecting);
        }
    }
}

/// Who holds what, over all leases of one store.
#[derive(Debug, Default)]
pub(crate) struct LeaseTable(Mutex<Table>);

/// The content of a [`LeaseTable`].
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Held blobs.
    pub(crate) blobs: Holds<Digest>,
    /// Held layers.
    pub(crate) layers: Holds<DiffId>,
    /// A collection has asked for its roots and has not finished.
    collecting: bool,
}

/// Counted holds on one kind of thing.
#[derive(Debug)]
pub(crate) struct Holds<K> {
    count: HashMap<K, u32>,
    released: HashSet<K>,
}

impl<K> Default for Holds<K> {
    fn default() -> Holds<K> {
        Holds {
            count: HashMap::new(),
            released: HashSet::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Holds<K> {
    fn hold(&mut self, key: K) {
        *self.count.entry(key).or_insert(0) += 1;
    }

    fn release(&mut self, key: K, collecting: bool) {
        if let Some(count) = self.count.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.count.remove(&key);
                if collecting {
                    self.released.insert(key);
                }
            }
        }
    }

    /// Whether the collector must leave `key` alone.
    pub(crate) fn keeps(&self, key: &K) -> bool {
        self.count.contains_key(key) || self.released.contains(key)
    }
}

impl LeaseTable {
    /// A new lease that holds nothing yet.
    pub(crate) fn lease(self: &Arc<LeaseTable>) -> Lease {
        Lease {
            table: Arc::clone(self),
            held: Mutex::default(),
        }
    }

    /// The table, locked. The collector decides and hides under this lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.0)
    }

    /// From here on remember what is released, until the returned guard is dropped.
    pub(crate) fn begin_collection(&self) -> Collecting<'_> {
        self.lock().collecting = true;
        Collecting(self)
    }
}

/// A collection that runs.
#[derive(Debug)]
pub(crate) struct Collecting<'a>(&'a LeaseTable);

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        let mut table = self.0.lock();
        table.collecting = false;
        table.blobs.released = HashSet::new();
        table.layers.released = HashSet::new();
    }
}

/// Lock whatever a panicking holder left: every update above is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_kept_until_its_last_lease_is_dropped() {
        let table = Arc::new(LeaseTable::default());
        let digest = Digest::of(b"x");
        let first = table.lease();
        let second = table.lease();
        first.hold_blob(digest);
        first.hold_blob(digest);
        second.hold_blob(digest);
        drop(first);
        assert!(table.lock().blobs.keeps(&digest));
        drop(second);
        assert!(!table.lock().blobs.keeps(&digest));
    }

    #[test]
    fn what_is_released_during_a_collection_is_kept_by_it() {
        let table = Arc::new(LeaseTable::default());
        let diff_id = DiffId(Digest::of(b"x"));
        let lease = table.lease();
        lease.hold_layer(diff_id);
        let collecting = table.begin_collection();
        drop(lease);
        assert!(table.lock().layers.keeps(&diff_id));
        drop(collecting);
        assert!(!table.lock().layers.keeps(&diff_id));
    }
}
