//! The record of an end, on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::plan::{ExitRecord, exit_path};

/// Writes the record: whole or not at all, and on the disk when this returns.
pub(super) fn write(dir: &Path, record: &ExitRecord) -> io::Result<()> {
    let path = exit_path(dir);
    let new = path.with_extension("new");
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()
}
