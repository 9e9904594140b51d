//! Attachments on the disk: what was made, and with which configuration.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::driver::Attachment;
use super::error::{CniError, Result};

/// Longest record.
const LONGEST: u64 = 8 << 20;

/// Ends the name of a record; the other letters of it can have no colon.
const ENDING: &str = ".json";

/// An attachment, as it was asked for and as it came to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) attachment: Attachment,
    pub(super) network: String,
    /// The conflist then.
    pub(super) config: Value,
    /// The last plugin's answer; none while the plugins run, and after a crash amidst them.
    pub(super) result: Option<Value>,
}

/// A directory of records.
#[derive(Debug, Clone)]
pub(super) struct Cache(pub(super) PathBuf);

impl Cache {
    fn path(&self, network: &str, attachment: &Attachment) -> PathBuf {
        // No colon can be in the first two: no two attachments have the same.
        let (container, interface) = (&attachment.container, &attachment.interface);
        self.0
            .join(format!("{network}:{container}:{interface}{ENDING}"))
    }

    pub(super) fn get(&self, network: &str, attachment: &Attachment) -> Result<Option<Record>> {
        read(&self.path(network, attachment))
    }

    /// Written whole or not at all, and on the disk when this returns.
    pub(super) fn put(&self, record: &Record) -> Result<()> {
        let path = self.path(&record.network, &record.attachment);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.0)?;
            let partial = path.with_extension("partial");
            let mut file = File::create(&partial)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| failed(&path, source))
    }

    pub(super) fn remove(&self, network: &str, attachment: &Attachment) -> Result<()> {
        let path = self.path(network, attachment);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| failed(&path, source)),
        }
    }

    /// The records of a network.
    pub(super) fn of(&self, network: &str) -> Result<Vec<Record>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(&self.0, source)),
        };
        let prefix = format!("{network}:");
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| failed(&self.0, source))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(&prefix) && name.ends_with(ENDING) {
                records.extend(read(&entry.path())?);
            }
        }
        Ok(records)
    }
}

fn read(path: &Path) -> Result<Option<Record>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(|source| failed(path, source))?;
    let record = serde_json::from_slice(&bytes).map_err(|error| failed(path, error.into()))?;
    Ok(Some(record))
}

fn failed(path: &Path, source: io::Error) -> CniError {
    CniError::File {
        path: path.to_owned(),
        source,
    }
}
