//! Whether a layer on disk is still what it was.
//!
//! The tar is hashed again. An index is a function of its tar, so it is made again beside the
//! old one and compared byte by byte; with repair the new one takes its place.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::disk::{Found, Part};
use super::publish::write_index;
use super::{Layers, receive};
use crate::digest::{DiffId, Digest, Hasher};
use crate::directory;
use crate::error::StoreError;
use crate::fsck::Repair;

/// What [`Layers::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerState {
    /// All is as it was.
    Sound,
    /// The tar is right, the index was not and has been made anew.
    IndexRepaired,
    /// The tar is right, the index is not.
    IndexBroken(String),
    /// The tar is not what its name says.
    Corrupt {
        /// Its digest.
        actual: Digest,
    },
    /// An unpacked layer whose tar cannot be put together again.
    Unverifiable,
}

impl Layers {
    /// Check one layer.
    pub(crate) fn check(&self, diff_id: &DiffId, repair: Repair) -> Result<LayerState, StoreError> {
        match self.find(diff_id)? {
            Some(Found::Directory(_)) => self.check_unpacked(diff_id),
            Some(Found::Index(_)) => self.check_indexed(diff_id, repair),
            None if self.part(diff_id, Part::Index).exists() => self.check_indexed(diff_id, repair),
            None if self.part(diff_id, Part::Unpacked).exists() => Ok(LayerState::Unverifiable),
            None => Err(StoreError::NoSuchLayer(*diff_id)),
        }
    }

    fn check_unpacked(&self, diff_id: &DiffId) -> Result<LayerState, StoreError> {
        let mut tar = self.open_tar(diff_id)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0u8; 1 << 18];
        loop {
            match tar.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => hasher.update(&buffer[..got]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A file that is gone or cut: hash what there is, it will not match.
                Err(_) => break,
            }
        }
        let actual = hasher.finish();
        if actual == diff_id.0 {
            Ok(LayerState::Sound)
        } else {
            Ok(LayerState::Corrupt { actual })
        }
    }

    fn check_indexed(&self, diff_id: &DiffId, repair: Repair) -> Result<LayerState, StoreError> {
        let work = self.works.begin()?;
        let tar = self.open_part(diff_id, Part::Tar)?;
        let received = match receive::receive_again(&tar, &work) {
            Ok(received) if received.digest == diff_id.0 => received,
            Ok(received) => {
                return Ok(LayerState::Corrupt {
                    actual: received.digest,
                });
            }
            // Damaged so that it is no archive any more, unless it is the reading that fails.
            Err(StoreError::BadLayer(_)) => {
                let path = self.part(diff_id, Part::Tar);
                let tar = self.open_part(diff_id, Part::Tar)?;
                let actual = hash(&tar).map_err(StoreError::io("read", path))?;
                return Ok(LayerState::Corrupt { actual });
            }
            Err(error) => return Err(error),
        };
        let index = write_index(diff_id, &work, &received)?;
        let difference = self.difference(diff_id, &index, received.side.as_ref())?;
        let Some(reason) = difference else {
            return Ok(LayerState::Sound);
        };
        if repair == Repair::No {
            return Ok(LayerState::IndexBroken(reason));
        }
        index
            .sync_data()
            .map_err(|error| work.error("sync", "index", error))?;
        let _names = self.lock_names();
        if let Some(side) = &received.side {
            side.sync_data()
                .map_err(|error| work.error("sync", "side", error))?;
            self.rename_in(&work, "side", diff_id, Part::Side)?;
        }
        self.rename_in(&work, "index", diff_id, Part::Index)?;
        directory::sync(&self.directory)?;
        // Whoever mounts it from now on gets the right one.
        self.mounts.forget(diff_id);
        Ok(LayerState::IndexRepaired)
    }

    /// How the index and side file on disk differ from those just made.
    fn difference(
        &self,
        diff_id: &DiffId,
        index: &File,
        side: Option<&File>,
    ) -> Result<Option<String>, StoreError> {
        let differs = |part, fresh: &File| -> Result<bool, StoreError> {
            let path = self.part(diff_id, part);
            same_content(&path, fresh)
                .map(|same| !same)
                .map_err(StoreError::io("read", path))
        };
        if differs(Part::Index, index)? {
            return Ok(Some("the index is not that of the tar".to_owned()));
        }
        if let Some(side) = side
            && differs(Part::Side, side)?
        {
            return Ok(Some("the sparse files are not those of the tar".to_owned()));
        }
        Ok(None)
    }
}

fn hash(mut file: &File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0u8; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            got => hasher.update(&buffer[..got]),
        }
    }
}

/// Whether two files are equal; where both are hole nothing is read. A missing one differs.
fn same_content(path: &Path, fresh: &File) -> io::Result<bool> {
    let old = match File::open(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let length = fresh.metadata()?.len();
    if old.metadata()?.len() != length {
        return Ok(false);
    }
    let mut at = 0;
    let (mut one, mut other) = (vec![0u8; 1 << 17], vec![0u8; 1 << 17]);
    while at < length {
        let data = next_data(fresh, at, length)?.min(next_data(&old, at, length)?);
        if data >= length {
            break;
        }
        let wanted = one
            .len()
            .min(usize::try_from(length - data).unwrap_or(usize::MAX));
        fresh.read_exact_at(&mut one[..wanted], data)?;
        old.read_exact_at(&mut other[..wanted], data)?;
        if one[..wanted] != other[..wanted] {
            return Ok(false);
        }
        at = data + wanted as u64;
    }
    Ok(true)
}

/// Where the next data of a file is, or its end.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(data),
        Err(Errno::NXIO) => Ok(length),
        // Not every file system knows its holes.
        Err(Errno::INVAL) => Ok(at),
        Err(error) => Err(error.into()),
    }
}
