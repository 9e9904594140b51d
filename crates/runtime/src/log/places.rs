//! Where the files of a log are just now.
//!
//! Files are told by their inode numbers, not by names, which move while one looks. They only ever
//! move from one number to the next higher, the highest first. So one look from 0 upwards meets
//! every file that there was when it began, in order, some of them twice; and at most one number
//! at a time has no file.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::files::numbered;

/// Numbers in a row without a file that end the look for files: more than rotations in quick
/// succession leave empty.
const GAP: u32 = 4;

/// A file, and the number it had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) inode: u64,
    number: u32,
}

/// The files that there are, newest first.
pub(super) fn list(path: &Path) -> io::Result<Vec<Place>> {
    list_down_to(path, None)
}

/// As [`list`], but none that is older than the one with this inode number.
pub(super) fn list_down_to(path: &Path, oldest: Option<u64>) -> io::Result<Vec<Place>> {
    let mut files: Vec<Place> = Vec::new();
    let (mut number, mut missing) = (0, 0);
    while missing < GAP {
        match inode(&numbered(path, number))? {
            None => missing += 1,
            Some(inode) => {
                missing = 0;
                if files.last().is_none_or(|last| last.inode != inode) {
                    files.push(Place { inode, number });
                }
                if oldest == Some(inode) {
                    break;
                }
            }
        }
        number += 1;
    }
    Ok(files)
}

/// Opens the oldest, if there is one.
pub(super) fn open_oldest(path: &Path) -> io::Result<Option<File>> {
    loop {
        let Some(place) = list(path)?.pop() else {
            return Ok(None);
        };
        if let Some(file) = place.open(path)? {
            return Ok(Some(file));
        }
    }
}

/// The inode number of the newest file.
pub(super) fn newest(path: &Path) -> io::Result<Option<u64>> {
    inode(path)
}

impl Place {
    /// Opens it where it was seen, or where it has moved to since; none if it is gone.
    pub(super) fn open(self, path: &Path) -> io::Result<Option<File>> {
        for number in self.number..self.number + GAP {
            if let Some(file) = open(&numbered(path, number))?
                && file.metadata()?.ino() == self.inode
            {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

fn inode(path: &Path) -> io::Result<Option<u64>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
