//! A container's tar stream into a directory of this machine.
//!
//! What is in a container is not trusted: names and links in its archives must not lead out of
//! the directory the user named. Every path is resolved by the kernel with that directory as
//! its root (openat2, `RESOLVE_IN_ROOT`), and the last component is never followed. Owners are
//! not restored, as with docker: the files belong to whoever copies.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, mkdirat, mknodat, openat2,
    statat, symlinkat, unlinkat, utimensat,
};
use tar::{Archive, Entry, EntryType};

use crate::failure::{Failure, file_error};

use super::paths::Rename;

/// Unpacks into `directory`, names changed by `renames` in turn.
pub(super) fn extract(
    source: &mut dyn Read,
    directory: &Path,
    renames: &[Rename],
) -> Result<(), Failure> {
    let shown = directory.display().to_string();
    let root = rustix::fs::open(
        directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| file_error("open", &shown, &errno.into()))?;
    let extractor = Extractor { root, renames };
    let mut times = Vec::new();
    let mut archive = Archive::new(source);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = extractor.renamed(&entry.path_bytes());
        let fault = |error: io::Error| {
            file_error(
                "extract",
                &format!("{shown}/{}", String::from_utf8_lossy(&name)),
                &error,
            )
        };
        extractor.entry(&mut entry, &name).map_err(fault)?;
        if entry.header().entry_type() == EntryType::Directory {
            times.push((name, modified(&entry)));
        }
    }
    // Directories last: what is put into them changes their times.
    for (name, time) in times.into_iter().rev() {
        extractor.set_time(&name, time).map_err(|error| {
            file_error(
                "chtimes",
                &format!("{shown}/{}", String::from_utf8_lossy(&name)),
                &error,
            )
        })?;
    }
    Ok(())
}

struct Extractor<'r> {
    root: OwnedFd,
    renames: &'r [Rename],
}

fn modified<R: Read>(entry: &Entry<'_, R>) -> u64 {
    entry.header().mtime().unwrap_or(0)
}

impl Extractor<'_> {
    fn renamed(&self, name: &[u8]) -> Vec<u8> {
        let mut name = name.to_vec();
        while name.last() == Some(&b'/') && name.len() > 1 {
            name.pop();
        }
        for rename in self.renames {
            name = rename.apply(&name);
        }
        name
    }

    /// Opens a path inside the root; links are resolved inside it too.
    fn open(&self, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.is_empty() {
            b".".as_slice()
        } else {
            path
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(
            &self.root,
            OsStr::from_bytes(path),
            flags | OFlags::CLOEXEC,
            mode,
            resolve,
        ) {
            Ok(fd) => Ok(fd),
            // Before Linux 5.6: component by component, through no link at all.
            Err(rustix::io::Errno::NOSYS) => self.open_slowly(path, flags, mode),
            Err(errno) => Err(errno.into()),
        }
    }

    fn open_slowly(&self, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let parts: Vec<&[u8]> = path
            .split(|&b| b == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .collect();
        let Some((last, parents)) = parts.split_last() else {
            return Ok(rustix::fs::openat(
                &self.root,
                ".",
                flags | OFlags::CLOEXEC,
                mode,
            )?);
        };
        let mut at = rustix::io::dup(&self.root)?;
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for part in parents {
            at = rustix::fs::openat(&at, OsStr::from_bytes(part), step, Mode::empty())?;
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(
            &at,
            OsStr::from_bytes(last),
            flags,
            mode,
        )?)
    }

    /// The directory a name is in, made if need be, and the name's last component.
    fn parent<'n>(&self, name: &'n [u8]) -> io::Result<(OwnedFd, &'n [u8])> {
        if name.split(|&b| b == b'/').any(|part| part == b"..") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name leads out of the destination",
            ));
        }
        let (directory, last) = match name.iter().rposition(|&b| b == b'/') {
            Some(at) => (&name[..at], &name[at + 1..]),
            None => (b"".as_slice(), name),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = match self.open(directory, flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (above, entry) = self.parent(directory)?;
                mkdirat(&above, OsStr::from_bytes(entry), Mode::from_raw_mode(0o755))?;
                self.open(directory, flags, Mode::empty())?
            }
            other => other?,
        };
        Ok((parent, last))
    }

    fn entry<R: Read>(&self, entry: &mut Entry<'_, R>, name: &[u8]) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
        let (parent, last) = self.parent(name)?;
        if kind == EntryType::Directory {
            return make_directory(&parent, last, mode);
        }
        if last.is_empty() || last == b"." {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a file in place of the destination",
            ));
        }
        let last = OsStr::from_bytes(last);
        make_room(&parent, last)?;
        match kind {
            EntryType::Symlink => {
                let target = link_name(entry)?;
                symlinkat(OsStr::from_bytes(&target), &parent, last)?;
            }
            EntryType::Link => {
                let target = self.renamed(&link_name(entry)?);
                let (from, first) = self.parent(&target)?;
                rustix::fs::linkat(
                    &from,
                    OsStr::from_bytes(first),
                    &parent,
                    last,
                    AtFlags::empty(),
                )?;
                return Ok(());
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let header = entry.header();
                let device = rustix::fs::makedev(
                    header.device_major()?.unwrap_or(0),
                    header.device_minor()?.unwrap_or(0),
                );
                let kind = match kind {
                    EntryType::Char => FileType::CharacterDevice,
                    EntryType::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                mknodat(&parent, last, kind, mode, device)?;
            }
            _ => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(&parent, last, flags, Mode::from_raw_mode(0o600))?;
                let mut file = std::fs::File::from(fd);
                io::copy(entry, &mut file)?;
                // After the content: writing clears set-user-id bits.
                rustix::fs::fchmod(&file, mode)?;
            }
        }
        set_time_at(&parent, last, modified(entry))
    }

    fn set_time(&self, name: &[u8], time: u64) -> io::Result<()> {
        let (parent, last) = self.parent(name)?;
        let last = if last.is_empty() {
            b".".as_slice()
        } else {
            last
        };
        set_time_at(&parent, OsStr::from_bytes(last), time)
    }
}

fn link_name<R: Read>(entry: &Entry<'_, R>) -> io::Result<Vec<u8>> {
    match entry.link_name_bytes() {
        Some(name) => Ok(name.into_owned()),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a link without a target",
        )),
    }
}

fn make_directory(parent: &impl AsFd, last: &[u8], mode: Mode) -> io::Result<()> {
    if last.is_empty() || last == b"." {
        return Ok(());
    }
    let last = OsStr::from_bytes(last);
    match mkdirat(parent, last, mode) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => {
            let stat = statat(parent, last, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {}
                // A directory is never put in the place of something else.
                _ => {
                    return Err(io::Error::other(
                        "cannot overwrite non-directory with directory",
                    ));
                }
            }
        }
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, last, flags, Mode::empty())?;
    // mkdir is subject to the umask, the archive is not.
    rustix::fs::fchmod(fd, mode)?;
    Ok(())
}

/// Takes away what a file replaces; a directory is never replaced by one.
fn make_room(parent: &impl AsFd, last: &OsStr) -> io::Result<()> {
    match unlinkat(parent, last, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => Err(io::Error::other(
            "cannot overwrite directory with non-directory",
        )),
        Err(errno) => Err(errno.into()),
    }
}

fn set_time_at(parent: &impl AsFd, last: &OsStr, time: u64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: i64::try_from(time).unwrap_or(0),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(parent, last, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tar::{Builder, Header};

    enum Item<'i> {
        Dir(&'i str),
        File(&'i str, &'i str),
        Symlink(&'i str, &'i str),
        Link(&'i str, &'i str),
    }

    /// A tar whose names are written as they are: the library would refuse some of them.
    fn archive(items: &[Item<'_>]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for item in items {
            let (name, kind, link, body) = match item {
                Item::Dir(name) => (name, EntryType::Directory, "", ""),
                Item::File(name, body) => (name, EntryType::Regular, "", *body),
                Item::Symlink(name, target) => (name, EntryType::Symlink, *target, ""),
                Item::Link(name, target) => (name, EntryType::Link, *target, ""),
            };
            let mut header = Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(0o640);
            if kind == EntryType::Directory {
                header.set_mode(0o750);
            }
            header.set_mtime(1_000_000);
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, body.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn run(into: &Path, items: &[Item<'_>]) -> Result<(), Failure> {
        extract(&mut archive(items).as_slice(), into, &[])
    }

    #[test]
    fn a_tree_arrives_with_modes_times_and_links() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let items = [
            Item::Dir("t/"),
            Item::File("t/a", "one"),
            Item::Symlink("t/s", "a"),
            Item::Link("t/h", "t/a"),
        ];
        run(root, &items).unwrap();
        assert_eq!(fs::read_to_string(root.join("t/s")).unwrap(), "one");
        let metadata = fs::metadata(root.join("t/a")).unwrap();
        assert_eq!(
            (metadata.mode() & 0o777, metadata.mtime(), metadata.nlink()),
            (0o640, 1_000_000, 2)
        );
        assert_eq!(fs::metadata(root.join("t")).unwrap().mtime(), 1_000_000);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("in");
        fs::create_dir(&root).unwrap();
        assert!(run(&root, &[Item::File("../out", "x")]).is_err());
        assert!(run(&root, &[Item::File("a/../../out", "x")]).is_err());
        assert!(!directory.path().join("out").exists());
    }

    #[test]
    fn a_link_in_the_archive_does_not_lead_out() {
        let directory = tempfile::tempdir().unwrap();
        let (root, outside) = (
            directory.path().join("in"),
            directory.path().join("outside"),
        );
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        let absolute = outside.display().to_string();
        let through_absolute = [Item::Symlink("l", &absolute), Item::File("l/x", "x")];
        let _ = run(&root, &through_absolute);
        let through_relative = [Item::Symlink("m", "../outside"), Item::File("m/x", "x")];
        let _ = run(&root, &through_relative);
        let replaced = [Item::Symlink("f", "../outside/y"), Item::File("f", "x")];
        run(&root, &replaced).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(fs::symlink_metadata(root.join("f")).unwrap().is_file());
    }

    #[test]
    fn a_hard_link_cannot_reach_a_file_outside() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("in");
        fs::create_dir(&root).unwrap();
        fs::write(directory.path().join("secret"), "s").unwrap();
        assert!(run(&root, &[Item::Link("l", "../secret")]).is_err());
        assert!(!root.join("l").exists());
    }

    #[test]
    fn a_file_does_not_replace_a_directory_nor_the_other_way() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("f"), "").unwrap();
        assert!(run(root, &[Item::File("d", "x")]).is_err());
        assert!(run(root, &[Item::Dir("f")]).is_err());
    }

    #[test]
    fn names_are_changed_on_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let rename = Rename {
            old: "a".into(),
            new: "b".into(),
        };
        let bytes = archive(&[
            Item::Dir("a/"),
            Item::File("a/x", "1"),
            Item::Link("a/y", "a/x"),
        ]);
        extract(&mut bytes.as_slice(), directory.path(), &[rename]).unwrap();
        assert_eq!(
            fs::read_to_string(directory.path().join("b/y")).unwrap(),
            "1"
        );
    }
}
