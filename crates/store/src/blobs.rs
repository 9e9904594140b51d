//! Blobs: bytes under the name of their digest, as they crossed the wire.
//!
//! ```text
//! <root>/blobs/sha256/<64 hex>   complete and verified, or not there
//! <root>/blobs/ingest/<number>   being written; emptied when the store is opened
//! ```
//!
//! A blob becomes visible by one link of a file that was fsynced before, so a crash leaves either
//! nothing or the whole blob. Manifests and configurations live here; layers do not (they are
//! kept uncompressed, by diff ID, in `layers`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::{Digest, Hasher};
use crate::directory;
use crate::error::StoreError;
use crate::lease::Lease;

/// The blobs of one store.
#[derive(Debug)]
pub struct Blobs {
    directory: PathBuf,
    ingest: PathBuf,
    next: AtomicU64,
    /// Bytes of all blobs, kept right by every commit and removal.
    total: AtomicU64,
}

/// A blob that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Blobs {
    /// Open `directory` (which exists), removing what interrupted writers left.
    pub(crate) fn at(directory: &Path) -> Result<Blobs, StoreError> {
        let ingest = directory.join("ingest");
        let blobs = directory.join("sha256");
        for path in [&blobs, &ingest] {
            directory::make_private(path)?;
        }
        for entry in directory::list(&ingest)? {
            fs::remove_file(&entry).map_err(StoreError::io("remove", &entry))?;
        }
        let blobs = Blobs {
            directory: blobs,
            ingest,
            next: AtomicU64::new(0),
            total: AtomicU64::new(0),
        };
        let total = blobs
            .list()?
            .iter()
            .filter_map(|digest| blobs.size(digest).transpose())
            .sum::<Result<u64, _>>()?;
        blobs.total.store(total, Ordering::Relaxed);
        Ok(blobs)
    }

    /// Start writing a blob; nothing is visible until [`BlobWriter::commit`].
    pub fn writer<'a>(&'a self, lease: &'a Lease) -> Result<BlobWriter<'a>, StoreError> {
        let path = self.temporary();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        Ok(BlobWriter {
            blobs: self,
            lease,
            file,
            temporary: Temporary(path),
            hasher: Hasher::new(),
            size: 0,
        })
    }

    /// Write a whole blob that is in memory.
    pub fn put(&self, lease: &Lease, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        lease.hold_blob(digest);
        if self.size(&digest)?.is_some() {
            // Its other writer may not have come to this yet, and our caller will rely on it.
            directory::sync(&self.directory)?;
            return Ok(digest);
        }
        let mut writer = self.writer(lease)?;
        writer
            .write_all(bytes)
            .map_err(StoreError::io("write", &writer.temporary.0))?;
        Ok(writer.commit(Some(&digest))?.digest)
    }

    /// Open a blob for reading, unverified: whoever streams it out hashes it on the way.
    pub fn open(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NoSuchBlob(*digest),
            _ => StoreError::Io {
                action: "open",
                path,
                source,
            },
        })
    }

    /// The whole of a small blob, verified. Refuses one longer than `max` bytes.
    pub fn read(&self, digest: &Digest, max: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.open(digest)?
            .take(max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(StoreError::io("read", self.path(digest)))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
            return Err(StoreError::TooLarge {
                what: format!("blob {digest}"),
                limit: max,
            });
        }
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(StoreError::WrongDigest {
                expected: *digest,
                actual,
            });
        }
        Ok(bytes)
    }

    /// The length of a blob, if there is one.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io {
                action: "stat",
                path,
                source,
            }),
        }
    }

    /// Every blob, in no order.
    pub fn list(&self) -> Result<Vec<Digest>, StoreError> {
        Ok(directory::list(&self.directory)?
            .iter()
            .filter_map(|path| name_of(path))
            .collect())
    }

    /// Bytes of all blobs; maintained, never walked.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Files among the blobs whose names are not digests.
    pub(crate) fn strays(&self) -> Result<Vec<PathBuf>, StoreError> {
        Ok(directory::list(&self.directory)?
            .into_iter()
            .filter(|path| name_of(path).is_none())
            .collect())
    }

    /// Take a blob out of sight at once; [`Hidden::delete`] then does the slow part. `None` when
    /// there is no such blob.
    pub(crate) fn hide(&self, digest: &Digest) -> Result<Option<Hidden>, StoreError> {
        let Some(size) = self.size(digest)? else {
            return Ok(None);
        };
        let hidden = self.temporary();
        let path = self.path(digest);
        fs::rename(&path, &hidden).map_err(StoreError::io("remove", &path))?;
        self.total.fetch_sub(size, Ordering::Relaxed);
        Ok(Some(Hidden { path: hidden, size }))
    }

    /// The digest of the bytes that are really in the file.
    pub(crate) fn rehash(&self, digest: &Digest) -> Result<Digest, StoreError> {
        let mut hasher = Hasher::new();
        let mut file = self.open(digest)?;
        io::copy(&mut file, &mut hasher).map_err(StoreError::io("read", self.path(digest)))?;
        Ok(hasher.finish())
    }

    /// Move a blob out of use, into the directory `into`.
    pub(crate) fn quarantine(&self, digest: &Digest, into: &Path) -> Result<(), StoreError> {
        let Some(size) = self.size(digest)? else {
            return Ok(());
        };
        let path = self.path(digest);
        fs::rename(&path, into.join(format!("blob-{}", digest.hex())))
            .map_err(StoreError::io("quarantine", &path))?;
        self.total.fetch_sub(size, Ordering::Relaxed);
        directory::sync(&self.directory)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }

    fn temporary(&self) -> PathBuf {
        self.ingest
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

/// A blob being written. Dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter<'a> {
    blobs: &'a Blobs,
    lease: &'a Lease,
    file: File,
    temporary: Temporary,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter<'_> {
    /// Verify, make durable and make visible. With `expected`, other bytes are an error.
    pub fn commit(self, expected: Option<&Digest>) -> Result<Blob, StoreError> {
        let digest = self.hasher.finish();
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(StoreError::WrongDigest {
                expected: *expected,
                actual: digest,
            });
        }
        self.lease.hold_blob(digest);
        let blob = Blob {
            digest,
            size: self.size,
        };
        let path = self.blobs.path(&digest);
        let temporary = &self.temporary.0;
        self.file
            .sync_all()
            .map_err(StoreError::io("sync", temporary))?;
        // A link and not a rename: of two writers of one digest exactly one is counted.
        match fs::hard_link(temporary, &path) {
            Ok(()) => {
                self.blobs.total.fetch_add(blob.size, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => {
                return Err(StoreError::Io {
                    action: "link",
                    path,
                    source,
                });
            }
        }
        directory::sync(&self.blobs.directory)?;
        Ok(blob)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is removed when it is no longer needed.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the store is next opened.
        let _ = fs::remove_file(&self.0);
    }
}

/// A blob that nobody can open any more, with its bytes still on disk.
#[derive(Debug)]
pub(crate) struct Hidden {
    path: PathBuf,
    size: u64,
}

impl Hidden {
    /// Free the space. Returns how many bytes.
    pub(crate) fn delete(self) -> Result<u64, StoreError> {
        fs::remove_file(&self.path).map_err(StoreError::io("remove", &self.path))?;
        Ok(self.size)
    }
}

fn name_of(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::lease::LeaseTable;
    use std::sync::Arc;

    fn open(root: &tempfile::TempDir) -> (Blobs, Arc<LeaseTable>) {
        (Blobs::at(root.path()).unwrap(), Arc::default())
    }

    #[test]
    fn a_blob_is_found_by_its_digest_and_counted_once() {
        let root = tempfile::tempdir().unwrap();
        let (blobs, leases) = open(&root);
        let lease = leases.lease();
        let digest = blobs.put(&lease, b"hello").unwrap();
        assert_eq!(digest, blobs.put(&lease, b"hello").unwrap());
        let mut writer = blobs.writer(&lease).unwrap();
        writer.write_all(b"hello").unwrap();
        assert_eq!(writer.commit(None).unwrap(), Blob { digest, size: 5 });
        assert_eq!(blobs.read(&digest, 5).unwrap(), b"hello");
        assert_eq!(blobs.list().unwrap(), [digest]);
        assert_eq!(blobs.total_bytes(), 5);
        assert_eq!(directory::list(&blobs.ingest).unwrap().len(), 0);
    }

    #[test]
    fn bytes_other_than_announced_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (blobs, leases) = open(&root);
        let lease = leases.lease();
        let mut writer = blobs.writer(&lease).unwrap();
        writer.write_all(b"evil").unwrap();
        let error = writer.commit(Some(&Digest::of(b"good"))).unwrap_err();
        assert!(matches!(error, StoreError::WrongDigest { .. }));
        assert!(blobs.list().unwrap().is_empty());
        assert_eq!(directory::list(&blobs.ingest).unwrap().len(), 0);
    }

    #[test]
    fn opening_counts_what_is_there_and_removes_what_was_interrupted() {
        let root = tempfile::tempdir().unwrap();
        {
            let (blobs, leases) = open(&root);
            blobs.put(&leases.lease(), b"12345678").unwrap();
        }
        fs::write(root.path().join("ingest/7"), b"half").unwrap();
        let (blobs, _) = open(&root);
        assert_eq!(blobs.total_bytes(), 8);
        assert_eq!(directory::list(&blobs.ingest).unwrap().len(), 0);
    }

    #[test]
    fn a_blob_changed_on_disk_is_not_served_as_if_it_were_right() {
        let root = tempfile::tempdir().unwrap();
        let (blobs, leases) = open(&root);
        let digest = blobs.put(&leases.lease(), b"hello").unwrap();
        fs::write(blobs.path(&digest), b"jello").unwrap();
        assert!(matches!(
            blobs.read(&digest, 5),
            Err(StoreError::WrongDigest { .. })
        ));
        assert!(matches!(
            blobs.read(&digest, 4),
            Err(StoreError::TooLarge { limit: 4, .. })
        ));
        assert!(matches!(
            blobs.read(&Digest::of(b"?"), 4),
            Err(StoreError::NoSuchBlob(_))
        ));
    }

    #[test]
    fn a_hidden_blob_is_gone_before_its_bytes_are() {
        let root = tempfile::tempdir().unwrap();
        let (blobs, leases) = open(&root);
        let digest = blobs.put(&leases.lease(), b"hello").unwrap();
        let hidden = blobs.hide(&digest).unwrap().unwrap();
        assert_eq!(blobs.size(&digest).unwrap(), None);
        assert_eq!(blobs.total_bytes(), 0);
        assert_eq!(hidden.delete().unwrap(), 5);
        assert!(blobs.hide(&digest).unwrap().is_none());
    }
}
