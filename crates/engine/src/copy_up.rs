//! What an image has at a path, copied into the empty volume that covers it.
//!
//! Both sides are handles: the path is resolved inside the image (`VOLUME ../../etc` and links
//! lead nowhere else: CVE-2022-23648), and the volume, which another container may be writing to,
//! is written to through a root of its own.
//!
//! A volume with something in it is left alone. A mark beside the data says that filling it has
//! begun and not ended: a volume that the daemon died over is filled again, not taken for one
//! that somebody else has filled.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat, Timespec};
use rustix::io::Errno;
use wharf_sys::rooted::{Handle, NodeKind, Root, RootedError};

use crate::{Error, Result, attributes};

/// Copies what `image` has at `path` into a volume, if that is empty. The volume's directory itself
/// takes over owner and mode, also when there is nothing in it. `mark` is where the mark goes.
/// Blocks.
pub(crate) fn copy_up(image: &Root, path: &str, target: &Root, mark: &Path) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::Internal(format!(
            "copy {path} of the image into the volume {}: {error}",
            mark.with_file_name("_data").display()
        ))
    };
    let half_filled = fs::symlink_metadata(mark).is_ok();
    if !half_filled && !is_empty(target).map_err(|error| failed(&error))? {
        return Ok(());
    }
    let source = match image.resolve(path) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    if source.kind().map_err(|error| failed(&error))? != FileType::Directory {
        return Err(Error::InvalidArgument(format!(
            "cannot mount a volume over {path}: it is not a directory in the image"
        )));
    }
    File::create(mark).map_err(|error| failed(&error))?;
    let copied = copy(&source, target, half_filled);
    if let Err(error) = copied {
        // Back to empty, so that the next container finds it as this one did.
        if let Err(error) = target.remove_content(".") {
            tracing::warn!(mark = %mark.display(), %error, "a half-filled volume was not emptied");
        }
        return Err(failed(&error));
    }
    fs::remove_file(mark).map_err(|error| failed(&error))
}

fn is_empty(root: &Root) -> std::result::Result<bool, RootedError> {
    Ok(root.read_dir(".")?.next().transpose()?.is_none())
}

fn copy(source: &Handle, target: &Root, replace: bool) -> io::Result<()> {
    let mut copier = Copier {
        source: Root::from_fd(rustix::io::fcntl_dupfd_cloexec(source, 0)?),
        target,
        replace,
        links: HashMap::new(),
        directories: Vec::new(),
    };
    let mut todo = copier.children(Path::new(""))?;
    while let Some(path) = todo.pop() {
        if copier.object(&path)? == FileType::Directory {
            todo.extend(copier.children(&path)?);
        }
    }
    // Times of directories last: filling them changes them. The top is the last of all.
    while let Some((path, stat)) = copier.directories.pop() {
        set_times(&target.resolve_nofollow(&path)?, &stat)?;
    }
    take_over(source, &target.resolve(".")?)
}

struct Copier<'a> {
    source: Root,
    target: &'a Root,
    /// What is there already goes.
    replace: bool,
    /// First name of each file that has several, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    /// Directories made, with the times they are to have.
    directories: Vec<(PathBuf, Stat)>,
}

impl Copier<'_> {
    fn children(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.source
            .read_dir(if directory.as_os_str().is_empty() {
                Path::new(".")
            } else {
                directory
            })?
            .map(|entry| Ok(directory.join(entry?.name)))
            .collect()
    }

    /// Copies one object; says what it is.
    fn object(&mut self, path: &Path) -> io::Result<FileType> {
        let from = self.source.resolve_nofollow(path)?;
        let stat = from.stat()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && self.replace {
            self.target.remove_all(path)?;
        }
        let key = (stat.st_dev, stat.st_ino);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&key) {
                self.target.hardlink(first, path)?;
                return Ok(kind);
            }
            self.links.insert(key, path.to_path_buf());
        }
        let private = Mode::from_raw_mode(0o600);
        let node = match kind {
            FileType::RegularFile => {
                let mut to = self.target.create_file(path, private)?;
                copy_content(&mut from.open_regular(OFlags::RDONLY)?, &mut to, &stat)?;
                None
            }
            FileType::Directory => {
                match self.target.mkdir(path, Mode::from_raw_mode(0o700)) {
                    Err(error) if self.replace && error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                self.directories.push((path.to_path_buf(), stat));
                None
            }
            FileType::Symlink => {
                self.target.symlink(from.readlink()?, path)?;
                None
            }
            FileType::Fifo => Some(NodeKind::Fifo),
            FileType::CharacterDevice => Some(NodeKind::Character(stat.st_rdev)),
            FileType::BlockDevice => Some(NodeKind::Block(stat.st_rdev)),
            // A socket without its listener is nothing.
            FileType::Socket | FileType::Unknown => return Ok(kind),
        };
        if let Some(node) = node {
            self.target.mknod(path, node, private)?;
        }
        take_over(&from, &self.target.resolve_nofollow(path)?)?;
        Ok(kind)
    }
}

/// Owner, attributes, mode and times. In this order: a change of owner takes capabilities and
/// the setuid bit away.
fn take_over(from: &Handle, to: &Handle) -> io::Result<()> {
    let stat = from.stat()?;
    to.chown(stat.st_uid, stat.st_gid)?;
    to.chmod(Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let kept = attributes::of(from)?;
    attributes::set(
        to,
        kept.iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice())),
    )?;
    set_times(to, &stat)
}

fn set_times(to: &Handle, stat: &Stat) -> io::Result<()> {
    let time = |seconds: i64, nanoseconds: i64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    to.set_times(
        time(stat.st_atime, stat.st_atime_nsec.cast_signed()),
        time(stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
    )?;
    Ok(())
}

/// Content without its holes, which stay holes.
fn copy_content(from: &mut File, to: &mut File, stat: &Stat) -> io::Result<()> {
    let size = stat.st_size.cast_unsigned();
    let mut at = 0;
    while at < size {
        let begin = match rustix::fs::seek(&*from, SeekFrom::Data(at)) {
            Ok(begin) => begin,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            // No holes known here: all of it is data.
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&*from, SeekFrom::Hole(begin)).unwrap_or(size);
        rustix::fs::seek(&*from, SeekFrom::Start(begin))?;
        rustix::fs::seek(&*to, SeekFrom::Start(begin))?;
        io::copy(&mut io::Read::take(&mut *from, end - begin), to)?;
        at = end;
    }
    to.set_len(size)
}

#[cfg(test)]
mod tests;
