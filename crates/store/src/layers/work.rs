//! Where things are made before they are there, and put before they are gone.
//!
//! Everything under `layers/work/` is unfinished or condemned: it is emptied when the store is
//! opened. What is finished is renamed out of it, what is to be removed is renamed into it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use wharf_sys::rooted::Root;

use crate::directory;
use crate::error::StoreError;

/// Makes names in `layers/work/`.
#[derive(Debug)]
pub(super) struct Works {
    directory: PathBuf,
    next: AtomicU64,
}

impl Works {
    /// In `layers`, with all that was left there removed.
    pub(super) fn open(layers: &Path) -> Result<Works, StoreError> {
        let directory = layers.join("work");
        directory::make_private(&directory)?;
        Root::open(&directory)
            .and_then(|root| root.remove_content("."))
            .map_err(StoreError::io("empty", &directory))?;
        Ok(Works {
            directory,
            next: AtomicU64::new(0),
        })
    }

    /// A new empty directory, removed with all it holds when it is dropped.
    pub(super) fn begin(&self) -> Result<Work, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let directory = self.directory.join(number.to_string());
        directory::make_private(&directory)?;
        Ok(Work { directory })
    }
}

/// A directory of one import, conversion or removal.
#[derive(Debug)]
pub(super) struct Work {
    directory: PathBuf,
}

impl Work {
    /// The directory itself.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of something in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A new file in it, for reading and writing.
    pub(super) fn create(&self, name: &str) -> Result<File, StoreError> {
        let path = self.path(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("create", path))
    }

    /// What failed on something in it.
    pub(super) fn error(&self, action: &'static str, name: &str, source: io::Error) -> StoreError {
        StoreError::io(action, self.path(name))(source)
    }

    /// Remove it now, and say what went wrong.
    pub(super) fn remove(self) -> Result<(), StoreError> {
        self.remove_all()
    }

    fn remove_all(&self) -> Result<(), StoreError> {
        let (Some(parent), Some(name)) = (self.directory.parent(), self.directory.file_name())
        else {
            return Ok(());
        };
        Root::open(parent)
            .and_then(|root| root.remove_all(name))
            .map_err(StoreError::io("remove", &self.directory))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = self.remove_all() {
            tracing::warn!(%error, "left for the next start");
        }
    }
}
