//! A tree as a tar: what `cp` from a container and `export` send.
//!
//! The walk goes by handles, from a directory to what is in it by single names that are never
//! followed: whatever a running container swaps meanwhile, each entry is an object that was in
//! the directory it is shown in. What vanishes on the way is left out; a file that grows or
//! shrinks gets the length it had when it was looked at.
//!
//! As in dockerd's archives: entries in order of name, whole seconds, sockets left out, further
//! names of a file as hard links. The kernel's own file systems are empty directories
//! ([`crate::pseudo`]), and so is what is mounted on `/dev`.
//!
//! Memory is bounded by the names of the directories on one path down, and by the files that have
//! several names.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{OFlags, Stat};
use wharf_store::tar::{Entry, Kind, Writer};
use wharf_sys::rooted::{Handle, RootedError};

use crate::attributes;
use crate::pseudo::is_pseudo;

/// Directories in one another. Each takes a descriptor while it is walked; deeper trees are made
/// to exhaust something.
const MAX_DEPTH: usize = 512;

/// Writes `top`, and if it is a directory what is below it. Entries are called `name` and
/// `name/...`; with an empty name `/` and `/...`.
pub(crate) fn write<W: io::Write>(
    writer: &mut Writer<W>,
    top: Handle,
    name: Vec<u8>,
) -> io::Result<()> {
    let mut walk = Walk {
        writer,
        links: HashMap::new(),
    };
    if let Some(directory) = walk.object(top, name, None)? {
        walk.below(directory)?;
    }
    Ok(())
}

/// As [`write`], without an entry for the directory itself: its entries are called by their own
/// names.
pub(crate) fn write_content<W: io::Write>(writer: &mut Writer<W>, top: Handle) -> io::Result<()> {
    let stat = top.stat()?;
    let names = names(&top)?;
    let mut walk = Walk {
        writer,
        links: HashMap::new(),
    };
    walk.below(Directory {
        handle: top,
        prefix: Vec::new(),
        device: stat.st_dev,
        names,
    })
}

struct Walk<'a, W: io::Write> {
    writer: &'a mut Writer<W>,
    /// Name of the first entry of each file that has several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// A directory on the way down.
struct Directory {
    handle: Handle,
    /// Before the names of its entries, with its slash.
    prefix: Vec<u8>,
    device: u64,
    /// What is left to do, the last first.
    names: Vec<OsString>,
}

impl<W: io::Write> Walk<'_, W> {
    fn below(&mut self, top: Directory) -> io::Result<()> {
        let mut stack = vec![top];
        while let Some(directory) = stack.last_mut() {
            let Some(name) = directory.names.pop() else {
                stack.pop();
                continue;
            };
            let child = match directory.handle.child(&name) {
                Err(error) if vanished(&error) => continue,
                child => child?,
            };
            let path = [directory.prefix.as_slice(), name.as_bytes()].concat();
            let device = directory.device;
            match self.object(child, path, Some(device)) {
                Ok(Some(_)) if stack.len() >= MAX_DEPTH => {
                    return Err(io::Error::other(format!(
                        "more than {MAX_DEPTH} directories in one another"
                    )));
                }
                Ok(Some(directory)) => stack.push(directory),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes one object. A directory that is to be gone into is given back.
    fn object(
        &mut self,
        object: Handle,
        path: Vec<u8>,
        parent_device: Option<u64>,
    ) -> io::Result<Option<Directory>> {
        let stat = object.stat()?;
        let mounted = parent_device.is_none_or(|device| device != stat.st_dev);
        let pseudo = mounted && is_pseudo(object.as_fd());
        let Some(mut entry) = Entry::of_stat(path, &stat) else {
            return Ok(None);
        };
        entry.mtime.nanoseconds = 0;
        if entry.kind != Kind::Directory {
            // What looks like a file there has no length and no end.
            if pseudo {
                return Ok(None);
            }
            if self.is_known(&mut entry, &stat) {
                self.writer.entry(&entry)?;
                return Ok(None);
            }
        }
        if entry.kind == Kind::Symlink {
            entry.link = object.readlink()?.into_vec();
        }
        entry.xattrs = attributes::of(&object)?
            .into_iter()
            .map(|(name, value)| (name.into_vec(), value))
            .collect();
        match entry.kind {
            Kind::File => {
                let mut file = object.open_regular(OFlags::RDONLY)?;
                self.writer.append(&entry, &mut file)?;
                Ok(None)
            }
            Kind::Directory => {
                self.writer.entry(&entry)?;
                let devices =
                    mounted && matches!(entry.path.as_slice(), b"/dev" | b"./dev" | b"dev");
                if pseudo || (devices && parent_device.is_some()) {
                    return Ok(None);
                }
                let names = match names(&object) {
                    Err(error) if vanished(&error) => return Ok(None),
                    names => names?,
                };
                let mut prefix = entry.path;
                prefix.push(b'/');
                Ok(Some(Directory {
                    handle: object,
                    prefix,
                    device: stat.st_dev,
                    names,
                }))
            }
            _ => {
                self.writer.entry(&entry)?;
                Ok(None)
            }
        }
    }

    /// A file that was written under another name becomes a link to that one.
    fn is_known(&mut self, entry: &mut Entry, stat: &Stat) -> bool {
        if stat.st_nlink < 2 {
            return false;
        }
        match self.links.get(&(stat.st_dev, stat.st_ino)) {
            Some(first) => {
                entry.kind = Kind::HardLink;
                entry.link.clone_from(first);
                entry.size = 0;
                true
            }
            None => {
                let key = (stat.st_dev, stat.st_ino);
                self.links.insert(key, entry.path.clone());
                false
            }
        }
    }
}

/// The names in a directory, the last first.
fn names(directory: &Handle) -> Result<Vec<OsString>, RootedError> {
    let mut names: Vec<OsString> = directory
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.name))
        .collect::<Result<_, _>>()?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn vanished(error: &RootedError) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Read};
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use wharf_store::tar::Reader;
    use wharf_sys::rooted::{NodeKind, Root};

    use super::*;

    fn read(archive: &[u8]) -> Vec<(String, Kind, String)> {
        let mut reader = Reader::new(Cursor::new(archive));
        let mut all = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let mut content = String::new();
            reader.content(&entry).read_to_string(&mut content).unwrap();
            if matches!(entry.kind, Kind::Symlink | Kind::HardLink) {
                content = String::from_utf8(entry.link.clone()).unwrap();
            }
            let name = String::from_utf8(entry.path.clone()).unwrap();
            assert_eq!(entry.mtime.nanoseconds, 0, "{name}");
            all.push((name, entry.kind, content));
        }
        all
    }

    fn packed(root: &Path, path: &str, name: &str) -> Vec<(String, Kind, String)> {
        let mut writer = Writer::new(Vec::new());
        let top = Root::open(root).unwrap().resolve_nofollow(path).unwrap();
        write(&mut writer, top, name.into()).unwrap();
        read(&writer.finish().unwrap())
    }

    fn line(name: &str, kind: Kind, content: &str) -> (String, Kind, String) {
        (name.to_owned(), kind, content.to_owned())
    }

    #[test]
    fn a_tree_is_written_in_order_under_the_name_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("d/sub")).unwrap();
        fs::write(dir.path().join("d/sub/file"), "text").unwrap();
        fs::hard_link(dir.path().join("d/sub/file"), dir.path().join("d/z")).unwrap();
        symlink("/etc/passwd", dir.path().join("d/link")).unwrap();
        root.mknod("d/pipe", NodeKind::Fifo, 0o600.into()).unwrap();
        root.mknod("d/socket", NodeKind::Socket, 0o600.into())
            .unwrap();
        assert_eq!(
            packed(dir.path(), "d", "new"),
            [
                line("new/", Kind::Directory, ""),
                line("new/link", Kind::Symlink, "/etc/passwd"),
                line("new/pipe", Kind::Fifo, ""),
                line("new/sub/", Kind::Directory, ""),
                line("new/sub/file", Kind::File, "text"),
                line("new/z", Kind::HardLink, "new/sub/file"),
            ]
        );
        assert_eq!(
            packed(dir.path(), "d/link", "link"),
            [line("link", Kind::Symlink, "/etc/passwd")]
        );
        let names = |list: Vec<(String, Kind, String)>| -> Vec<String> {
            list.into_iter().map(|(name, ..)| name).collect()
        };
        assert_eq!(names(packed(dir.path(), "d/sub", ".")), ["./", "./file"]);
        assert_eq!(names(packed(dir.path(), "d/sub", "")), ["/", "/file"]);
        let mut writer = Writer::new(Vec::new());
        write_content(&mut writer, root.resolve("d/sub").unwrap()).unwrap();
        assert_eq!(names(read(&writer.finish().unwrap())), ["file"]);
    }

    #[test]
    fn a_trap_of_directories_in_one_another_is_an_error_and_not_an_end_of_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let deep = vec!["d"; MAX_DEPTH + 9].join("/");
        root.mkdir_all(&deep, 0o755.into(), None).unwrap();
        let top = root.resolve("d").unwrap();
        let mut writer = Writer::new(Vec::new());
        let error = write(&mut writer, top, b"d".to_vec()).unwrap_err();
        assert!(error.to_string().contains("512"), "{error}");
    }

    #[test]
    fn the_kernels_file_systems_are_empty() {
        let listed = packed(Path::new("/"), "proc", "proc");
        assert_eq!(listed, [line("proc/", Kind::Directory, "")]);
    }

    #[test]
    fn a_swapped_directory_shows_itself_and_nothing_from_elsewhere() {
        const WALKS: usize = 300;
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::write(tree.join("a/own"), "own").unwrap();
        fs::create_dir(dir.path().join("secret")).unwrap();
        fs::write(dir.path().join("secret/canary"), "canary").unwrap();
        symlink(dir.path().join("secret"), tree.join("b")).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = rustix::fs::renameat_with(
                        rustix::fs::CWD,
                        tree.join("a"),
                        rustix::fs::CWD,
                        tree.join("b"),
                        rustix::fs::RenameFlags::EXCHANGE,
                    );
                }
            });
            for _ in 0..WALKS {
                for (name, _, content) in packed(&tree, ".", "t") {
                    assert_ne!(content, "canary", "{name}");
                }
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::metadata(dir.path().join("secret")).unwrap().nlink(), 2);
    }
}
