//! The names of layers on disk: finding, renaming, counting.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::erofs::Notes;
use super::mounts::{self, Indexed};
use super::work::Work;
use super::{Layers, skeleton};
use crate::digest::{DiffId, Digest};
use crate::directory;
use crate::error::StoreError;

/// A part of a layer on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Tar,
    Index,
    Side,
    Unpacked,
}

impl Part {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Part::Tar => ".tar",
            Part::Index => ".idx",
            Part::Side => ".side",
            Part::Unpacked => "",
        }
    }
}

/// Which part of which layer a path in the directory is.
pub(super) fn part_of(path: &Path) -> Option<(DiffId, Part)> {
    let name = path.file_name()?.to_str()?;
    let parts = [Part::Tar, Part::Index, Part::Side, Part::Unpacked];
    parts.into_iter().find_map(|part| {
        let hex = name.strip_suffix(part.suffix())?;
        let digest = Digest::from_hex(hex).ok()?;
        Some((DiffId(digest), part))
    })
}

/// The notes at the beginning of an index or skeleton; `None` if there is none of ours.
pub(super) fn read_notes(path: &Path) -> Result<Option<Notes>, StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    match skeleton::notes(&mut file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map_err(StoreError::io("read", path)),
    }
}

/// The forms in which a layer can be found on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Index(Notes),
    Directory(Notes),
}

impl Found {
    pub(super) fn notes(&self) -> &Notes {
        match self {
            Found::Index(notes) | Found::Directory(notes) => notes,
        }
    }
}

impl Layers {
    /// Look for a layer, in either form.
    pub(super) fn find(&self, diff_id: &DiffId) -> Result<Option<Found>, StoreError> {
        let skeleton = self.part(diff_id, Part::Unpacked).join("skeleton");
        if let Some(notes) = read_notes(&skeleton)? {
            return Ok(Some(Found::Directory(notes)));
        }
        let index = self.part(diff_id, Part::Index);
        Ok(read_notes(&index)?.map(Found::Index))
    }

    pub(super) fn indexed(&self, diff_id: &DiffId, notes: &Notes) -> Indexed {
        Indexed {
            index: self.part(diff_id, Part::Index),
            tar: self.part(diff_id, Part::Tar),
            side: (notes.side_bytes > 0).then(|| self.part(diff_id, Part::Side)),
        }
    }

    pub(super) fn open_unpacked(&self, diff_id: &DiffId) -> Result<OwnedFd, StoreError> {
        mounts::open_directory(&self.part(diff_id, Part::Unpacked).join("fs"))
    }

    pub(super) fn open_part(&self, diff_id: &DiffId, part: Part) -> Result<File, StoreError> {
        let path = self.part(diff_id, part);
        File::open(&path).map_err(StoreError::io("open", path))
    }

    pub(super) fn part(&self, diff_id: &DiffId, part: Part) -> PathBuf {
        self.directory
            .join(format!("{}{}", diff_id.hex(), part.suffix()))
    }

    /// After a crash: remove parts that belong to no layer. Then count.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        let mut total = 0;
        for path in directory::list(&self.directory)? {
            let Some((diff_id, part)) = part_of(&path) else {
                continue;
            };
            match part {
                Part::Tar | Part::Side if !self.part(&diff_id, Part::Index).exists() => {
                    remove_if_there(&path)?;
                }
                Part::Tar | Part::Side | Part::Index => total += bytes_of_file(&path)?,
                Part::Unpacked => {
                    total +=
                        read_notes(&path.join("skeleton"))?.map_or(0, |notes| notes.content_bytes);
                }
            }
        }
        self.total.store(total, Ordering::Relaxed);
        self.mounts
            .settle(|diff_id| self.part(diff_id, Part::Index).exists())
    }

    /// What a layer takes on disk. For a directory its content is counted, not walked.
    pub(super) fn bytes_of(&self, diff_id: &DiffId) -> Result<u64, StoreError> {
        match self.find(diff_id)? {
            None => Ok(0),
            Some(Found::Directory(notes)) => Ok(notes.content_bytes),
            Some(Found::Index(notes)) => {
                let mut bytes = bytes_of_file(&self.part(diff_id, Part::Index))?;
                bytes += bytes_of_file(&self.part(diff_id, Part::Tar))?;
                if notes.side_bytes > 0 {
                    bytes += bytes_of_file(&self.part(diff_id, Part::Side))?;
                }
                Ok(bytes)
            }
        }
    }

    pub(super) fn rename_in(
        &self,
        work: &Work,
        name: &str,
        diff_id: &DiffId,
        part: Part,
    ) -> Result<(), StoreError> {
        let to = self.part(diff_id, part);
        fs::rename(work.path(name), &to).map_err(StoreError::io("rename", to))
    }
}

/// What a file takes on disk: holes take nothing.
pub(super) fn bytes_of_file(path: &Path) -> Result<u64, StoreError> {
    let metadata = fs::symlink_metadata(path).map_err(StoreError::io("stat", path))?;
    Ok(metadata.blocks() * 512)
}

/// What the parts of a layer in a directory take on disk.
pub(super) fn bytes_in(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for path in directory::list(path)? {
        bytes += match part_of(&path) {
            Some((_, Part::Unpacked)) => {
                read_notes(&path.join("skeleton"))?.map_or(0, |notes| notes.content_bytes)
            }
            _ => bytes_of_file(&path)?,
        };
    }
    Ok(bytes)
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(StoreError::io("remove", path)),
    }
}
