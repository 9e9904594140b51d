//! The upper directory of an overlay, as the tar of a layer: what `commit` makes.
//!
//! Overlayfs's own marks become those of the OCI image specification: a character device 0:0 or
//! a file with the `whiteout` attribute becomes `.wh.<name>`, an opaque directory gets
//! `.wh..wh..opq`. The order is that of names, so the same tree gives the same tar.
//!
//! Not in the tar: sockets, which no archive holds; attributes that belong to overlayfs or to
//! this host (security labels); and files that are themselves called `.wh.…`, which a layer
//! cannot say.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat};
use wharf_sys::rooted::{Handle, Root, RootedError};

use crate::error::StoreError;
use crate::tar::{Entry, Kind, Writer};

/// Prefixes of the attributes that overlayfs keeps its marks in.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Write the tar of the changes in `upper`, which nobody should change meanwhile. A file that
/// vanishes all the same is left out.
pub fn write_tar_of_upper(upper: &Path, out: &mut dyn Write) -> Result<(), StoreError> {
    write_tar_of_upper_without(upper, &|_| false, out)
}

/// As [`write_tar_of_upper`], without the paths (relative to `upper`) that are to be left out, and
/// what is below them.
pub fn write_tar_of_upper_without(
    upper: &Path,
    left_out: &dyn Fn(&Path) -> bool,
    out: &mut dyn Write,
) -> Result<(), StoreError> {
    let mut walk = Walk {
        upper,
        root: Root::open(upper).map_err(|error| rooted(upper, error))?,
        tar: Writer::new(out),
        links: HashMap::new(),
    };
    let mut todo = walk.children(Path::new(""))?;
    while let Some(path) = todo.pop() {
        if left_out(&path) {
            continue;
        }
        if walk.object(&path)? == Entered::Directory {
            todo.extend(walk.children(&path)?);
        }
    }
    walk.tar
        .finish()
        .map_err(StoreError::io("write a tar of", upper))?;
    Ok(())
}

struct Walk<'a> {
    upper: &'a Path,
    root: Root,
    tar: Writer<&'a mut dyn Write>,
    /// The first name of each file that has several, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entered {
    Directory,
    Other,
}

impl Walk<'_> {
    /// What is in a directory, the last name first: the order in which they are popped.
    fn children(&self, directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let names = self
            .root
            .read_dir(directory)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut names: Vec<OsString> = match names {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(rooted(self.upper, error)),
            Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
        };
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names.into_iter().map(|name| directory.join(name)).collect())
    }

    /// Write what a path names.
    fn object(&mut self, path: &Path) -> Result<Entered, StoreError> {
        let name = path.file_name().unwrap_or(OsStr::new(""));
        if name.as_bytes().starts_with(b".wh.") {
            tracing::warn!(path = %path.display(), "a layer cannot hold a file of this name");
            return Ok(Entered::Other);
        }
        let object = match self.root.resolve_nofollow(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entered::Other),
            object => object.map_err(|error| rooted(self.upper, error))?,
        };
        let stat = object.stat().map_err(|error| rooted(self.upper, error))?;
        let attributes = attributes(&object).map_err(|error| rooted(self.upper, error))?;
        if is_whiteout(&stat, &attributes) {
            self.mark(path, name)?;
            return Ok(Entered::Other);
        }
        let Some(mut entry) = Entry::of_stat(path.as_os_str().as_bytes(), &stat) else {
            return Ok(Entered::Other);
        };
        if entry.kind != Kind::Directory && stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let mut link = Entry::new(entry.path, Kind::HardLink);
                link.link = first.as_os_str().as_bytes().to_vec();
                (link.mode, link.uid, link.gid) = (entry.mode, entry.uid, entry.gid);
                link.mtime = entry.mtime;
                self.put(path, &link)?;
                return Ok(Entered::Other);
            }
            self.links.insert(key, path.to_path_buf());
        }
        let opaque = is_opaque(&attributes);
        entry.xattrs = attributes;
        entry.xattrs.retain(|(name, _)| belongs_to_the_layer(name));
        match entry.kind {
            Kind::Symlink => {
                let text = object
                    .readlink()
                    .map_err(|error| rooted(self.upper, error))?;
                entry.link = text.as_bytes().to_vec();
                self.put(path, &entry)?;
            }
            Kind::File => {
                let mut file = object
                    .open_regular(OFlags::RDONLY)
                    .map_err(|error| rooted(self.upper, error))?;
                self.tar
                    .append(&entry, &mut file)
                    .map_err(StoreError::io("write a tar of", self.upper.join(path)))?;
            }
            Kind::Directory => {
                self.put(path, &entry)?;
                if opaque {
                    self.mark(&path.join("x"), OsStr::new(".wh..opq"))?;
                }
                return Ok(Entered::Directory);
            }
            _ => self.put(path, &entry)?,
        }
        Ok(Entered::Other)
    }

    /// Write an empty file `.wh.<name>` beside `path`.
    fn mark(&mut self, path: &Path, name: &OsStr) -> Result<(), StoreError> {
        let mut marked = OsString::from(".wh.");
        marked.push(name);
        let marked = path.with_file_name(marked);
        let entry = Entry::new(marked.as_os_str().as_bytes(), Kind::File);
        self.put(path, &entry)
    }

    fn put(&mut self, path: &Path, entry: &Entry) -> Result<(), StoreError> {
        self.tar
            .entry(entry)
            .map_err(StoreError::io("write a tar of", self.upper.join(path)))
    }
}

type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// All attributes of an object, in order of name.
fn attributes(object: &Handle) -> Result<Attributes, RootedError> {
    let mut attributes = Vec::new();
    for name in object.list_xattrs()? {
        if let Some(value) = object.get_xattr(&name)? {
            attributes.push((name.as_bytes().to_vec(), value));
        }
    }
    Ok(attributes)
}

/// A mark of overlayfs.
fn overlay_mark<'a>(attributes: &'a Attributes, mark: &[u8]) -> Option<&'a [u8]> {
    attributes.iter().find_map(|(name, value)| {
        let suffix = OVERLAY.iter().find_map(|prefix| name.strip_prefix(*prefix));
        (suffix == Some(mark)).then_some(value.as_slice())
    })
}

fn is_whiteout(stat: &Stat, attributes: &Attributes) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => stat.st_rdev == 0,
        FileType::RegularFile => {
            stat.st_size == 0 && overlay_mark(attributes, b"whiteout").is_some()
        }
        _ => false,
    }
}

/// "x" instead says that there are whiteouts in attributes, and hides nothing.
fn is_opaque(attributes: &Attributes) -> bool {
    overlay_mark(attributes, b"opaque") == Some(b"y")
}

/// Capabilities travel with an image; labels and measurements are of the host that made them.
fn belongs_to_the_layer(name: &[u8]) -> bool {
    if OVERLAY.iter().any(|prefix| name.starts_with(prefix)) {
        return false;
    }
    !name.starts_with(b"security.") || name == b"security.capability"
}

fn rooted(upper: &Path, error: RootedError) -> StoreError {
    StoreError::Io {
        action: error.operation,
        path: upper.join(&error.path),
        source: error.source,
    }
}
