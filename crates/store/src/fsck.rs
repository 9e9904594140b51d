//! Checking the store against itself: every blob and layer is hashed again, the database asked.
//!
//! What does not hash to its name is worse than missing: it would be served. With `repair` it is
//! moved to `quarantine/`, where nothing reads it, and whoever needs it sees it gone and brings
//! it anew (`load`, `pull`). A layer's index is derived from its tar and is simply built again.
//! Which images are thereby incomplete is for `images` to say; the store does not know images.

use std::path::PathBuf;
use std::sync::PoisonError;

use crate::digest::{DiffId, Digest};
use crate::directory;
use crate::error::StoreError;
use crate::layers::LayerState;
use crate::store::Store;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A blob whose bytes are not those of its name.
    CorruptBlob {
        /// Its name.
        digest: Digest,
        /// The digest of its bytes.
        actual: Digest,
    },
    /// A layer whose tar is not the one of its name.
    CorruptLayer {
        /// Its name.
        diff_id: DiffId,
        /// The digest of its bytes.
        actual: Digest,
    },
    /// A layer whose tar is right and whose index is not.
    BrokenIndex {
        /// The layer.
        diff_id: DiffId,
        /// What is wrong with the index, when it was not built again at once.
        reason: String,
    },
    /// A layer kept as a directory, which cannot be hashed again.
    Unverifiable(DiffId),
    /// A file that has no business where it is.
    Stray(PathBuf),
    /// Something that could not be read.
    Unreadable(String),
    /// SQLite says that its file is damaged.
    Database(String),
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::CorruptBlob { digest, actual } => {
                write!(f, "blob {digest} is corrupt: its content is {actual}")
            }
            Finding::CorruptLayer { diff_id, actual } => {
                write!(f, "layer {diff_id} is corrupt: its content is {actual}")
            }
            Finding::BrokenIndex { diff_id, reason } => {
                write!(f, "the index of layer {diff_id} is broken: {reason}")
            }
            Finding::Unverifiable(diff_id) => {
                write!(
                    f,
                    "layer {diff_id} is kept as a directory and cannot be verified"
                )
            }
            Finding::Stray(path) => write!(f, "{} does not belong here", path.display()),
            Finding::Unreadable(message) => write!(f, "cannot be read: {message}"),
            Finding::Database(message) => write!(f, "the database is damaged: {message}"),
        }
    }
}

/// How much was checked and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FsckSummary {
    /// Blobs hashed.
    pub blobs: usize,
    /// Layers hashed.
    pub layers: usize,
    /// Things found wrong.
    pub findings: usize,
    /// Of these, how many were repaired or taken out of use.
    pub repaired: usize,
}

impl Store {
    /// Check everything; with `repair`, take what is corrupt out of use and rebuild what is
    /// derived. Goes on after a finding; fails only when the store cannot be listed at all.
    pub fn fsck(
        &self,
        repair: Repair,
        report: &mut dyn FnMut(&Finding),
    ) -> Result<FsckSummary, StoreError> {
        let _one_at_a_time = self
            .maintenance()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut check = Check {
            store: self,
            repair,
            report,
            summary: FsckSummary::default(),
        };
        for message in self.facts().check()? {
            check.found(&Finding::Database(message), None);
        }
        for path in self.blobs().strays()? {
            let remove = || self.set_aside(&path);
            check.found(&Finding::Stray(path.clone()), Some(&remove));
        }
        for digest in self.blobs().list()? {
            check.summary.blobs += 1;
            check.blob(digest);
        }
        for diff_id in self.layers().list()? {
            check.summary.layers += 1;
            check.layer(diff_id);
        }
        Ok(check.summary)
    }

    /// Move a file that does not belong where it is into the quarantine.
    fn set_aside(&self, path: &std::path::Path) -> Result<(), StoreError> {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let mut aside = std::ffi::OsString::from("stray-");
        aside.push(name);
        std::fs::rename(path, self.quarantine().join(aside))
            .map_err(StoreError::io("quarantine", path))?;
        directory::sync(&self.quarantine())
    }
}

/// Whether to look only, or also to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Change nothing.
    No,
    /// Quarantine what is corrupt, rebuild what is derived.
    Yes,
}

struct Check<'a> {
    store: &'a Store,
    repair: Repair,
    report: &'a mut dyn FnMut(&Finding),
    summary: FsckSummary,
}

impl Check<'_> {
    fn blob(&mut self, digest: Digest) {
        match self.store.blobs().rehash(&digest) {
            Ok(actual) if actual == digest => {}
            // Collected meanwhile.
            Err(StoreError::NoSuchBlob(_)) => {}
            Ok(actual) => {
                let store = self.store;
                let quarantine = || store.blobs().quarantine(&digest, &store.quarantine());
                self.found(&Finding::CorruptBlob { digest, actual }, Some(&quarantine));
            }
            Err(error) => self.found(&Finding::Unreadable(error.to_string()), None),
        }
    }

    fn layer(&mut self, diff_id: DiffId) {
        let store = self.store;
        let state = match store.layers().check(&diff_id, self.repair) {
            Ok(state) => state,
            Err(StoreError::NoSuchLayer(_)) => return,
            Err(error) => return self.found(&Finding::Unreadable(error.to_string()), None),
        };
        match state {
            LayerState::Sound => {}
            LayerState::Unverifiable => self.found(&Finding::Unverifiable(diff_id), None),
            LayerState::IndexBroken(reason) => {
                self.found(&Finding::BrokenIndex { diff_id, reason }, None);
            }
            LayerState::IndexRepaired => {
                let reason = "built again from the layer".to_owned();
                self.found(&Finding::BrokenIndex { diff_id, reason }, Some(&|| Ok(())));
            }
            LayerState::Corrupt { actual } => {
                let quarantine = || store.layers().quarantine(&diff_id, &store.quarantine());
                self.found(
                    &Finding::CorruptLayer { diff_id, actual },
                    Some(&quarantine),
                );
            }
        }
    }

    fn found(&mut self, finding: &Finding, remedy: Option<&dyn Fn() -> Result<(), StoreError>>) {
        self.summary.findings += 1;
        (self.report)(finding);
        let Some(remedy) = remedy.filter(|_| self.repair == Repair::Yes) else {
            return;
        };
        match remedy() {
            Ok(()) => self.summary.repaired += 1,
            Err(error) => (self.report)(&Finding::Unreadable(error.to_string())),
        }
    }
}
