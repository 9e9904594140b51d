//! Garbage collection: mark from roots, sweep the rest, while everything else goes on.
//!
//! ```text
//! begin            from here on, what leases release is remembered
//!   roots()        the caller reads what images, containers and builds name
//!   for each thing on disk, under the lease lock:
//!     named in roots, held, or released since begin -> stays
//!     otherwise -> hidden (one rename)
//!   outside the lock: freed
//! end
//! ```
//!
//! Why this never removes what somebody needs is told in `lease`.

use std::collections::HashSet;
use std::sync::PoisonError;

use crate::blobs;
use crate::digest::{DiffId, Digest};
use crate::error::StoreError;
use crate::layers;
use crate::store::Store;

/// What is named by something that exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// Blobs that stay.
    pub blobs: HashSet<Digest>,
    /// Layers that stay.
    pub layers: HashSet<DiffId>,
}

impl Roots {
    /// Add everything in `other`.
    pub fn extend(&mut self, other: Roots) {
        self.blobs.extend(other.blobs);
        self.layers.extend(other.layers);
    }
}

/// What a collection freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs removed.
    pub blobs: Vec<Digest>,
    /// Layers removed.
    pub layers: Vec<DiffId>,
    /// Bytes freed on disk.
    pub bytes: u64,
}

impl Store {
    /// Remove every blob and layer that neither `roots` nor a lease names.
    ///
    /// `roots` is called after the store has begun to remember what leases release, so whatever
    /// is committed to the database while it runs is safe. It must name everything that is
    /// committed and not leased; on its error nothing is removed. A thing that cannot be removed
    /// is logged and left for the next run.
    pub fn collect<E: From<StoreError>>(
        &self,
        roots: impl FnOnce() -> Result<Roots, E>,
    ) -> Result<Collected, E> {
        let _one_at_a_time = self
            .maintenance()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _collecting = self.leases().begin_collection();
        let roots = roots()?;
        let mut collected = Collected::default();
        for digest in self.blobs().list()? {
            if roots.blobs.contains(&digest) {
                continue;
            }
            match self.collect_blob(&digest) {
                Ok(Some(bytes)) => {
                    collected.blobs.push(digest);
                    collected.bytes += bytes;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%digest, %error, "cannot remove an unused blob"),
            }
        }
        for diff_id in self.layers().list()? {
            if roots.layers.contains(&diff_id) {
                continue;
            }
            match self.collect_layer(&diff_id) {
                Ok(Some(bytes)) => {
                    collected.layers.push(diff_id);
                    collected.bytes += bytes;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%diff_id, %error, "cannot remove an unused layer"),
            }
        }
        Ok(collected)
    }

    fn collect_blob(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let hidden = {
            let table = self.leases().lock();
            if table.blobs.keeps(digest) {
                return Ok(None);
            }
            self.blobs().hide(digest)?
        };
        hidden.map(blobs::Hidden::delete).transpose()
    }

    fn collect_layer(&self, diff_id: &DiffId) -> Result<Option<u64>, StoreError> {
        let hidden = {
            let table = self.leases().lock();
            if table.layers.keeps(diff_id) {
                return Ok(None);
            }
            self.layers().hide(diff_id)?
        };
        hidden.map(layers::Hidden::delete).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn open(directory: &tempfile::TempDir) -> Store {
        Store::open(&directory.path().join("store"), &StoreOptions::default()).unwrap()
    }

    fn nothing() -> Result<Roots, StoreError> {
        Ok(Roots::default())
    }

    #[test]
    fn what_neither_roots_nor_leases_name_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let lease = store.lease();
        let held = store.blobs().put(&lease, b"held").unwrap();
        let other = store.lease();
        let root = store.blobs().put(&other, b"root").unwrap();
        let garbage = store.blobs().put(&other, b"garbage").unwrap();
        drop(other);
        let roots = Roots {
            blobs: HashSet::from([root]),
            ..Roots::default()
        };
        let collected = store.collect(|| Ok::<_, StoreError>(roots)).unwrap();
        assert_eq!(collected.blobs, [garbage]);
        assert_eq!(collected.bytes, 7);
        assert_eq!(store.blobs().total_bytes(), 8);
        drop(lease);
        assert_eq!(store.collect(nothing).unwrap().blobs.len(), 2);
        assert_eq!(store.blobs().size(&held).unwrap(), None);
    }

    #[test]
    fn what_is_committed_while_roots_are_being_read_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let lease = store.lease();
        let digest = store.blobs().put(&lease, b"new").unwrap();
        // The roots are read, then a load commits its row and lets its lease go.
        let roots = || {
            let roots = nothing();
            drop(lease);
            roots
        };
        assert_eq!(store.collect(roots).unwrap(), Collected::default());
        assert!(store.blobs().size(&digest).unwrap().is_some());
        assert_eq!(store.collect(nothing).unwrap().blobs, [digest]);
    }

    #[test]
    fn when_roots_cannot_be_read_nothing_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let digest = store.blobs().put(&store.lease(), b"x").unwrap();
        let failing = || Err::<Roots, _>(StoreError::NoSuchBlob(digest));
        assert!(store.collect(failing).is_err());
        assert!(store.blobs().size(&digest).unwrap().is_some());
    }

    #[test]
    fn writers_of_the_same_content_and_a_collector_never_disagree() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let collector = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.collect(nothing).unwrap();
                }
            });
            let writers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for round in 0..60u8 {
                            let lease = store.lease();
                            let content = [round % 4; 100];
                            let digest = store.blobs().put(&lease, &content).unwrap();
                            assert_eq!(store.blobs().read(&digest, 100).unwrap(), content);
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
            collector.join().unwrap();
        });
        store.collect(nothing).unwrap();
        assert_eq!(store.blobs().list().unwrap(), []);
        assert_eq!(store.blobs().total_bytes(), 0);
    }
}
