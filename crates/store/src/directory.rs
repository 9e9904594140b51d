//! The store's own directories: made private, listed, made durable.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Make a directory that only its owner may enter, unless it exists.
pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    make(path, 0o700)
}

/// Make a directory with `mode`, unless it exists.
pub(crate) fn make(path: &Path, mode: u32) -> Result<(), StoreError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result.map_err(StoreError::io("create", path)),
    }
}

/// The paths of everything in a directory.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, StoreError> {
    fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .map_err(StoreError::io("list", path))
}

/// Make the names in a directory durable.
pub(crate) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::io("sync", path))
}
