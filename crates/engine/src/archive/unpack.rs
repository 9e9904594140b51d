//! A tar into a tree.
//!
//! dockerd's rules: a name is cleaned as text and must stay below the extraction point; parents
//! that are missing are made; what is in the way is replaced, but a directory by a directory is
//! merged. Owners are those of the archive, always: that is what dockerd does without
//! `copyUIDGID`, and what its documentation says of it.
//!
//! Each entry is made in a directory that is held: its path is resolved inside the root, looked
//! at, and from then on only single names are used, created exclusively and never followed. Links
//! that the archive or a racing container puts in the way therefore lead to places inside the
//! container at most, and never into the kernel's file systems, which are not written to.
//!
//! Memory is bounded: one entry, a buffer, and the times of at most [`MAX_TIMES`] directories.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    FileType, Gid, Mode, SeekFrom, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;
use wharf_store::compression::Decoder;
use wharf_store::tar::{Entry, Kind, Reader, TarError, Time};
use wharf_sys::rooted::{Handle, NodeKind, Root};

use super::failure::Failure;
use crate::attributes;
use crate::model::PutOptions;
use crate::pseudo::is_pseudo;

/// Directories whose times are set at the end. Of further ones they are set at once, and changed
/// again by what is unpacked there.
const MAX_TIMES: usize = 65_536;

/// Of directories that the archive does not mention.
const IMPLIED: u32 = 0o755;

/// Unpacks `source` below `target`, a directory of the tree by its real path.
pub(super) fn unpack(
    root: &Root,
    target: &Path,
    source: impl Read,
    options: PutOptions,
) -> Result<(), Failure> {
    let decoder = Decoder::new(source).map_err(TarError::Io)?;
    let mut reader = Reader::new(BufReader::new(decoder));
    let mut unpacking = Unpacking {
        root,
        target,
        options,
        parent: None,
        times: Vec::new(),
    };
    while let Some(entry) = reader.next_entry()? {
        unpacking.entry(&entry, &mut reader)?;
    }
    unpacking.finish()?;
    // A client that is still sending padding is heard out, and not told that its pipe broke.
    match io::copy(&mut reader.into_inner(), &mut io::sink()) {
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "after an archive"),
    }
    Ok(())
}

struct Unpacking<'a> {
    root: &'a Root,
    target: &'a Path,
    options: PutOptions,
    /// The directory of the last entry: archives are in the order of their directories.
    parent: Option<(PathBuf, Root)>,
    times: Vec<(PathBuf, Time)>,
}

/// Where an entry goes.
struct Place<'a> {
    /// The directory.
    parent: &'a Root,
    /// Its name there.
    name: &'a OsStr,
    /// The whole path, for messages.
    path: &'a Path,
}

impl Unpacking<'_> {
    fn entry<R: io::BufRead>(
        &mut self,
        entry: &Entry,
        reader: &mut Reader<R>,
    ) -> Result<(), Failure> {
        let Some(relative) = below(&entry.path) else {
            return Err(Failure::Refused(format!(
                "{:?} is outside of {:?}",
                String::from_utf8_lossy(&entry.path),
                self.target.display().to_string()
            )));
        };
        let path = self.target.join(&relative);
        let (Some(directory), Some(name)) = (path.parent(), relative.file_name()) else {
            // The extraction point itself: it is there, and stays as it is.
            return Ok(());
        };
        self.enter(directory)?;
        let Some((_, parent)) = &self.parent else {
            return Ok(());
        };
        let place = Place {
            parent,
            name,
            path: &path,
        };
        let merged = place.make_room(entry, self.options, self.target)?;
        let made = match entry.kind {
            Kind::File => return place.file(entry, reader),
            Kind::Directory => {
                if !merged {
                    place.parent.mkdir(name, Mode::from_raw_mode(0o700))?;
                }
                place.made(FileType::Directory)?
            }
            Kind::Symlink => {
                place.parent.symlink(OsStr::from_bytes(&entry.link), name)?;
                place.made(FileType::Symlink)?
            }
            Kind::HardLink => return self.hard_link(entry, &path),
            Kind::CharacterDevice { major, minor } => {
                let device = rustix::fs::makedev(major, minor);
                place.node(NodeKind::Character(device), FileType::CharacterDevice)?
            }
            Kind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(major, minor);
                place.node(NodeKind::Block(device), FileType::BlockDevice)?
            }
            Kind::Fifo => place.node(NodeKind::Fifo, FileType::Fifo)?,
        };
        made.chown(entry.uid, entry.gid)?;
        made.chmod(Mode::from_raw_mode(entry.mode & 0o7777))?;
        attributes::set(&made, borrowed(entry))?;
        set_times(&made, entry.mtime)?;
        if entry.kind == Kind::Directory && self.times.len() < MAX_TIMES {
            self.times.push((path, entry.mtime));
        }
        Ok(())
    }

    /// Holds a directory, made if it is missing.
    fn enter(&mut self, directory: &Path) -> Result<(), Failure> {
        if self
            .parent
            .as_ref()
            .is_some_and(|(path, _)| path == directory)
        {
            return Ok(());
        }
        let held = match self.root.resolve(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mode = Mode::from_raw_mode(IMPLIED);
                self.root.mkdir_all(directory, mode, Some((0, 0)))?;
                self.root.resolve(directory)?
            }
            found => found?,
        };
        if is_pseudo(held.as_fd()) {
            return Err(Failure::Refused(format!(
                "{} is no place for files",
                directory.display()
            )));
        }
        if held.kind()? != FileType::Directory {
            return Err(Failure::Refused(format!(
                "mkdir {}: not a directory",
                directory.display()
            )));
        }
        let held = Root::from_fd(held.into());
        self.parent = Some((directory.to_path_buf(), held));
        Ok(())
    }

    fn hard_link(&self, entry: &Entry, path: &Path) -> Result<(), Failure> {
        let Some(existing) = below(&entry.link) else {
            return Err(Failure::Refused(format!(
                "invalid hardlink {:?} -> {:?}",
                path.display().to_string(),
                String::from_utf8_lossy(&entry.link)
            )));
        };
        self.root.hardlink(self.target.join(existing), path)?;
        Ok(())
    }

    /// Times of directories last: filling them changes them.
    fn finish(self) -> Result<(), Failure> {
        for (path, time) in self.times.into_iter().rev() {
            match self.root.resolve_nofollow(&path) {
                Ok(directory) if directory.kind()? == FileType::Directory => {
                    set_times(&directory, time)?;
                }
                // Replaced by a later entry, or by somebody in the container.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Place<'_> {
    /// Removes what is in the way; says whether there is a directory to be merged with.
    fn make_room(
        &self,
        entry: &Entry,
        options: PutOptions,
        target: &Path,
    ) -> Result<bool, Failure> {
        let there = match self.parent.resolve_nofollow(self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?.kind()? == FileType::Directory,
        };
        let wanted = entry.kind == Kind::Directory;
        if there && wanted {
            return Ok(true);
        }
        if options.no_overwrite_dir_non_dir && there != wanted {
            let (old, new) = if there {
                ("directory", "non-directory")
            } else {
                ("non-directory", "directory")
            };
            return Err(Failure::Refused(format!(
                "cannot overwrite {old} {:?} with {new} {:?}",
                self.path.display().to_string(),
                target.display().to_string()
            )));
        }
        self.parent.remove_all(self.name)?;
        Ok(false)
    }

    /// What was made, held. Somebody may have put another thing in its place meanwhile.
    fn made(&self, kind: FileType) -> Result<Handle, Failure> {
        let made = self.parent.resolve_nofollow(self.name)?;
        if made.kind()? == kind {
            return Ok(made);
        }
        Err(Failure::Refused(format!(
            "{} was replaced while it was being made",
            self.path.display()
        )))
    }

    fn node(&self, node: NodeKind, kind: FileType) -> Result<Handle, Failure> {
        let private = Mode::from_raw_mode(0o600);
        self.parent.mknod(self.name, node, private)?;
        self.made(kind)
    }

    /// A file is written, owned and dated by the one descriptor that made it.
    fn file<R: io::BufRead>(&self, entry: &Entry, reader: &mut Reader<R>) -> Result<(), Failure> {
        let private = Mode::from_raw_mode(0o600);
        let mut file = self.parent.create_file(self.name, private)?;
        // The archive's failures are told apart from the disk's.
        write_content(&mut file, entry, reader)
            .and_then(|()| dress(&file, entry).map_err(Written::Disk))
            .map_err(|failed| match failed {
                Written::Archive(error) => Failure::Archive(TarError::Io(error)),
                Written::Disk(source) => Failure::Content {
                    path: self.path.display().to_string(),
                    source,
                },
            })
    }
}

/// Which side failed.
enum Written {
    Archive(io::Error),
    Disk(io::Error),
}

/// The content, in its segments when the archive has it so: what is between them stays a hole.
fn write_content<R: io::BufRead>(
    file: &mut File,
    entry: &Entry,
    reader: &mut Reader<R>,
) -> Result<(), Written> {
    let mut buffer = vec![0; 64 * 1024];
    let whole = [wharf_store::tar::Segment {
        offset: 0,
        length: entry.size,
    }];
    for segment in entry.sparse.as_deref().unwrap_or(&whole) {
        rustix::fs::seek(&*file, SeekFrom::Start(segment.offset))
            .map_err(|error| Written::Disk(error.into()))?;
        let mut left = segment.length;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let got = reader
                .read_data(&mut buffer[..wanted])
                .map_err(Written::Archive)?;
            if got == 0 {
                return Err(Written::Archive(io::ErrorKind::UnexpectedEof.into()));
            }
            io::Write::write_all(file, &buffer[..got]).map_err(Written::Disk)?;
            left -= got as u64;
        }
    }
    if entry.sparse.is_some() {
        file.set_len(entry.size).map_err(Written::Disk)?;
    }
    Ok(())
}

/// Owner, mode, attributes, time. In this order: a change of owner takes the setuid bit and
/// capabilities away.
fn dress(file: &File, entry: &Entry) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode & 0o7777))?;
    for (name, value) in borrowed(entry) {
        if attributes::travels(name) {
            set_attribute(file.as_fd(), name, value)?;
        }
    }
    rustix::fs::futimens(file, &times(entry.mtime))?;
    Ok(())
}

fn set_attribute(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = OsStr::from_bytes(name);
    match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
        // Not known here; Docker and tar leave it out, too.
        Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        set => Ok(set?),
    }
}

fn borrowed(entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
    entry
        .xattrs
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
}

fn set_times(object: &Handle, time: Time) -> Result<(), Failure> {
    let times = times(time);
    object.set_times(times.last_access, times.last_modification)?;
    Ok(())
}

fn times(time: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanoseconds.into(),
        },
    }
}

/// A name of the archive as a path below the extraction point: cleaned as text, with a leading
/// slash ignored. `None` when it leads above.
fn below(name: &[u8]) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(clean)
}
