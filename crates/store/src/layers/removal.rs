//! Taking layers away.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::Layers;
use super::disk::{Part, bytes_in};
use super::work::Work;
use crate::digest::DiffId;
use crate::directory;
use crate::error::StoreError;

impl Layers {
    /// Take a layer out of sight: at once, whole. What is mounted goes on being used.
    pub(crate) fn hide(&self, diff_id: &DiffId) -> Result<Option<Hidden>, StoreError> {
        let work = self.works.begin()?;
        let _names = self.lock_names();
        if !self.move_parts(diff_id, work.directory())? {
            return Ok(None);
        }
        self.mounts.forget(diff_id);
        let bytes = bytes_in(work.directory())?;
        self.total
            .fetch_sub(bytes.min(self.total_bytes()), Ordering::Relaxed);
        Ok(Some(Hidden { work, bytes }))
    }

    /// Move a layer to where nobody uses it.
    pub(crate) fn quarantine(&self, diff_id: &DiffId, into: &Path) -> Result<(), StoreError> {
        let _names = self.lock_names();
        let before = self.bytes_of(diff_id)?;
        if !self.move_parts(diff_id, into)? {
            return Err(StoreError::NoSuchLayer(*diff_id));
        }
        self.mounts.forget(diff_id);
        self.total
            .fetch_sub(before.min(self.total_bytes()), Ordering::Relaxed);
        directory::sync(into)?;
        directory::sync(&self.directory)
    }

    /// Rename all parts of a layer into a directory, the index first: without it the layer is
    /// not there. False if it was not.
    fn move_parts(&self, diff_id: &DiffId, into: &Path) -> Result<bool, StoreError> {
        let mut any = false;
        for part in [Part::Index, Part::Unpacked, Part::Tar, Part::Side] {
            let path = self.part(diff_id, part);
            let Some(name) = path.file_name() else {
                continue;
            };
            match fs::rename(&path, into.join(name)) {
                Ok(()) => any = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("rename", &path)(error)),
            }
        }
        Ok(any)
    }
}

/// A layer that is out of sight and not yet removed. Dropped, it is removed as well.
#[derive(Debug)]
pub(crate) struct Hidden {
    work: Work,
    bytes: u64,
}

impl Hidden {
    /// Free the space. Returns how many bytes.
    pub(crate) fn delete(self) -> Result<u64, StoreError> {
        self.work.remove()?;
        Ok(self.bytes)
    }
}
