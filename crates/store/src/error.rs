//! What can go wrong in the store, with the thing it went wrong for.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{DiffId, Digest, DigestError};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call on a path failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done ("write", "rename" ...).
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The bytes that came in could not be read to their end.
    #[error("read {what}: {source}")]
    Source {
        /// What was being read.
        what: String,
        /// Why it ended early.
        source: io::Error,
    },
    /// The bytes are not those that were announced.
    #[error("wrong digest: expected {expected}, got {actual}")]
    WrongDigest {
        /// What was announced.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Text that is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// No blob of that digest.
    #[error("no such blob: {0}")]
    NoSuchBlob(Digest),
    /// No layer of that diff ID.
    #[error("no such layer: {0}")]
    NoSuchLayer(DiffId),
    /// More bytes than the caller allowed.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A layer archive that is broken or that asks for what no layer may hold.
    #[error("invalid layer archive: {0}")]
    BadLayer(String),
    /// Something this kernel cannot do, and for which there is no other way.
    #[error("not supported by this host: {0}")]
    Unsupported(String),
    /// Another process has this store open.
    #[error("the store in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The database was written by a newer version, whose schema is unknown here.
    #[error("{}: database schema {found} is newer than this version of wharf knows ({known})", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The database refused.
    #[error("database: {action}: {source}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A document in the database is not what its reader expects.
    #[error("database: {kind} {key}: {source}")]
    Document {
        /// The kind of document.
        kind: String,
        /// Its key.
        key: String,
        /// What the parser said.
        source: serde_json::Error,
    },
}

impl StoreError {
    /// For `map_err` after a call on `path`.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> StoreError {
        let path = path.as_ref().to_path_buf();
        move |source| StoreError::Io {
            action,
            path,
            source: source.into(),
        }
    }

    /// Whether the disk (or the quota) is full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(
            self,
            StoreError::Io { source, .. } | StoreError::Source { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        )
    }
}
