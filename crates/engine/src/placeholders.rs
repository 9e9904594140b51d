//! What a start leaves in a container's writable layer, as opposed to what the container did.
//!
//! The runtime needs somewhere to mount `/proc`, `/dev`, the files in `/etc`. Where the image has
//! no such place it makes one, in the upper directory. dockerd keeps these in a layer of their
//! own; here they are known again, so that `diff` does not show them and `commit` does not take
//! them: an empty thing of the right kind, at one of a few paths, that the image does not have,
//! and directories in which nothing else has changed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use wharf_sys::rooted::{Root, RootedError};

use crate::archive::evaluate;

/// Where the engine mounts something in every container. Directories and files.
const POINTS: [(&str, FileType); 7] = [
    ("/dev", FileType::Directory),
    ("/proc", FileType::Directory),
    ("/sys", FileType::Directory),
    ("/etc/hostname", FileType::RegularFile),
    ("/etc/hosts", FileType::RegularFile),
    ("/etc/resolv.conf", FileType::RegularFile),
    ("/sbin/docker-init", FileType::RegularFile),
];

/// Paths of an upper directory, relative to it, that are of the engine's making.
#[derive(Debug, Default)]
pub(crate) struct Placeholders(BTreeSet<PathBuf>);

impl Placeholders {
    /// Finds them. `lower` is the image's tree.
    pub(crate) fn find(upper: &Root, lower: &Root) -> Result<Placeholders, RootedError> {
        let mut found = Placeholders::default();
        for (point, kind) in POINTS {
            // Where the image's own links lead it.
            let path = evaluate(lower, Path::new(point))?;
            let relative = path.strip_prefix("/").unwrap_or(&path);
            if is_empty(upper, relative, kind)? && look(lower, relative)?.is_none() {
                found.0.insert(relative.to_path_buf());
            }
        }
        let points: Vec<PathBuf> = found.0.iter().cloned().collect();
        for point in points {
            for directory in point.ancestors().skip(1) {
                if directory.as_os_str().is_empty()
                    || !found.covers(upper, directory)?
                    || !is_as_before(upper, lower, directory)?
                {
                    break;
                }
                found.0.insert(directory.to_path_buf());
            }
        }
        Ok(found)
    }

    /// Whether a path, relative to the upper directory, is one of them.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.0.contains(path)
    }

    /// Whether one of them is directly in a directory, so that its time of change tells nothing.
    pub(crate) fn are_in(&self, directory: &Path) -> bool {
        self.0.iter().any(|path| path.parent() == Some(directory))
    }

    /// Whether a directory has nothing else in it.
    fn covers(&self, upper: &Root, directory: &Path) -> Result<bool, RootedError> {
        for entry in upper.read_dir(directory)? {
            if !self.contains(&directory.join(entry?.name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn look(root: &Root, path: &Path) -> Result<Option<Stat>, RootedError> {
    match root.lstat(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_empty(root: &Root, path: &Path, kind: FileType) -> Result<bool, RootedError> {
    let Some(stat) = look(root, path)? else {
        return Ok(false);
    };
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Ok(false);
    }
    match kind {
        FileType::Directory => Ok(root.read_dir(path)?.next().transpose()?.is_none()),
        _ => Ok(stat.st_size == 0),
    }
}

/// Made on the way, or the image's with its owner and mode.
fn is_as_before(upper: &Root, lower: &Root, directory: &Path) -> Result<bool, RootedError> {
    let (Some(now), Some(before)) = (look(upper, directory)?, look(lower, directory)?) else {
        return Ok(true);
    };
    Ok((now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid))
}
