//! What a path of a request means.
//!
//! dockerd's rules: a path is cleaned as text first (`/a/link/..` is `/a`), is not followed in its
//! last component, unless it ends in `/` or `/.`; what is packed is named after its last component
//! as it was given.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Stat};
use wharf_sys::rooted::{Handle, Root, RootedError};

use super::failure::Failure;
use super::view::Tree;
use crate::containers::record::Record;
use crate::model::PathStat;
use crate::mounts::clean;
use crate::pseudo::{is_mount_point, is_pseudo};

/// Links followed in one path before it is a loop; dockerd's number.
const MAX_LINKS: usize = 255;

/// Something found at a path.
#[derive(Debug)]
pub(super) struct Located {
    /// It.
    pub(super) handle: Handle,
    /// What an archive calls it. Empty for the root, so that entries are `/bin`.
    pub(super) archive_name: Vec<u8>,
    /// Its path, cleaned.
    path: String,
    /// The last component, as given.
    name: String,
}

impl Located {
    /// Finds what is at a path.
    pub(super) fn find(tree: &Tree, given: &str) -> Result<Located, Failure> {
        let path = clean(given);
        let must_be_directory = ends_as_directory(given);
        let handle = if must_be_directory || path == "/" {
            tree.root.resolve(&path)
        } else {
            tree.root.resolve_nofollow(&path)
        }
        .map_err(missing)?;
        if is_pseudo(handle.as_fd()) && !is_mount_point(handle.as_fd()) {
            return Err(Failure::Missing);
        }
        if must_be_directory && handle.kind()? != FileType::Directory {
            return Err(Failure::Refused(format!("lstat {given}: not a directory")));
        }
        let archive_name = if given.ends_with("/.") || given == "." {
            b".".to_vec()
        } else {
            last(&path).as_bytes().to_vec()
        };
        Ok(Located {
            handle,
            archive_name,
            name: base(given),
            path,
        })
    }

    /// What there is to know of it.
    pub(super) fn stat(&self, tree: &Tree) -> Result<PathStat, Failure> {
        let stat = self.handle.stat()?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let link_target = if is_link {
            evaluate(&tree.root, Path::new(&self.path))?
                .to_string_lossy()
                .into_owned()
        } else {
            String::new()
        };
        Ok(PathStat {
            name: self.name.clone(),
            size: stat.st_size,
            mode: go_mode(&stat),
            mtime: stat
                .st_mtime
                .saturating_mul(1_000_000_000)
                .saturating_add(stat.st_mtime_nsec.cast_signed()),
            link_target,
        })
    }
}

/// Nothing there, or nothing could be there.
fn missing(error: RootedError) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Missing,
        _ => Failure::Object(error),
    }
}

fn ends_as_directory(given: &str) -> bool {
    given.ends_with('/') || given.ends_with("/.") || given == "."
}

/// The last component of a clean path; empty for the root.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Go's `path.Base`.
fn base(given: &str) -> String {
    let trimmed = given.trim_end_matches('/');
    match (given, trimmed) {
        ("", _) => ".".to_owned(),
        (_, "") => "/".to_owned(),
        (_, trimmed) => last(trimmed).to_owned(),
    }
}

/// Where a path leads when every link in it is followed, as text, inside the root. What is not
/// there is taken as it stands. To be shown, or to be made: what is done with the answer is done by
/// handles again.
pub(crate) fn evaluate(root: &Root, path: &Path) -> Result<PathBuf, RootedError> {
    let mut todo: Vec<OsString> = parts(path).collect();
    let mut done = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        let target = match root.resolve_nofollow(&next) {
            Ok(handle) if handle.kind()? == FileType::Symlink => handle.readlink()?,
            Ok(_) => {
                done = next;
                continue;
            }
            Err(error) if is_missing(&error) => {
                done = next;
                continue;
            }
            Err(error) => return Err(error),
        };
        links += 1;
        if links > MAX_LINKS {
            // The kernel's own words for a loop.
            root.resolve(&next)?;
        }
        if target.as_bytes().starts_with(b"/") {
            done = PathBuf::from("/");
        }
        todo.extend(parts(Path::new(&target)));
    }
    Ok(done)
}

fn is_missing(error: &RootedError) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The components that lead somewhere, the last one first.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Go's `os.FileMode`: permission bits as they are, the rest in bits of its own.
fn go_mode(stat: &Stat) -> u32 {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::RegularFile => 0,
        FileType::Unknown => 1 << 19,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)]
        .into_iter()
        .filter(|(bit, _)| stat.st_mode & bit != 0)
        .fold(0, |bits, (_, go)| bits | go);
    (stat.st_mode & 0o777) | kind | special
}

/// The directory that an archive is to be unpacked in, by its real path.
pub(super) fn extraction_point(tree: &Tree, given: &str) -> Result<PathBuf, Failure> {
    let handle = tree.root.resolve(clean(given)).map_err(missing)?;
    if is_pseudo(handle.as_fd()) {
        return Err(Failure::Missing);
    }
    if handle.kind()? != FileType::Directory {
        return Err(Failure::Refused(
            "extraction point is not a directory".to_owned(),
        ));
    }
    Ok(evaluate(&tree.root, Path::new(&clean(given)))?)
}

/// dockerd's rule, by the configuration: the kernel's own refusal comes on top of it.
pub(super) fn check_writable(record: &Record, target: &Path) -> Result<(), Failure> {
    let mounts = record
        .mounts
        .iter()
        .filter(|mount| target.starts_with(&mount.point.destination));
    // The innermost decides.
    match mounts.max_by_key(|mount| mount.point.destination.len()) {
        Some(mount) if mount.point.rw => Ok(()),
        Some(_) => Err(Failure::ReadOnly("mounted volume is marked read-only")),
        None if record.spec.host.readonly_rootfs => {
            Err(Failure::ReadOnly("container rootfs is marked read-only"))
        }
        None => Ok(()),
    }
}
