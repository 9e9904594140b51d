//! A tree on this machine as a tar stream.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use crate::failure::{Failure, file_error};

use super::paths::{Rename, Source};

type Chunks = mpsc::Sender<io::Result<Bytes>>;

const CHUNK: usize = 64 * 1024;

/// Writes into a channel; a reader that has gone ends the writing.
struct ChunkWriter<'p> {
    chunks: Chunks,
    buffer: Vec<u8>,
    counter: &'p AtomicU64,
}

impl ChunkWriter<'_> {
    fn pass_on(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.counter
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.chunks
            .blocking_send(Ok(chunk.into()))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for ChunkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

/// Passes a tar from stdin on.
#[allow(
    clippy::needless_pass_by_value,
    reason = "dropping the sender ends the stream"
)]
pub(super) fn copy_stdin(chunks: Chunks) -> Result<(), Failure> {
    let mut stdin = io::stdin().lock();
    loop {
        let mut chunk = vec![0; CHUNK];
        let count = stdin.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        chunk.truncate(count);
        // The daemon refused; its answer says why.
        if chunks.blocking_send(Ok(chunk.into())).is_err() {
            return Ok(());
        }
    }
}

/// Packs a source, its first name component renamed.
#[allow(
    clippy::needless_pass_by_value,
    reason = "dropping the sender ends the stream"
)]
pub(super) fn pack(
    source: &Source,
    rename: Option<&Rename>,
    chunks: Chunks,
    counter: &AtomicU64,
) -> Result<(), Failure> {
    let writer = ChunkWriter {
        chunks: chunks.clone(),
        buffer: Vec::with_capacity(CHUNK),
        counter,
    };
    let mut packer = Packer {
        builder: Builder::new(writer),
        rename,
        rebase: source.rebase.as_ref().map(|new| Rename {
            old: source.base(),
            new: new.clone(),
        }),
        linked: HashMap::new(),
    };
    let (directory, entry) = source.split();
    let outcome = packer.add(Path::new(&directory), &entry).and_then(|()| {
        packer
            .builder
            .into_inner()
            .and_then(|mut writer| writer.flush())
            .map_err(Failure::from)
    });
    match outcome {
        // The daemon stopped reading: its own answer is the reason.
        Err(Failure::Code(_)) => Ok(()),
        Err(failure) => {
            // Without this the daemon would take what it has for the whole.
            let _ = chunks.blocking_send(Err(io::Error::other("reading the source failed")));
            Err(failure)
        }
        Ok(()) => Ok(()),
    }
}

struct Packer<'p> {
    builder: Builder<ChunkWriter<'p>>,
    rename: Option<&'p Rename>,
    rebase: Option<Rename>,
    /// Files with several names, by device and inode: the second is a link to the first.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Packer<'_> {
    fn add(&mut self, directory: &Path, entry: &str) -> Result<(), Failure> {
        // Depth first, names sorted: the same tree gives the same archive.
        let mut waiting: Vec<(PathBuf, Vec<u8>)> = vec![(
            directory.join(entry.trim_start_matches('/')),
            entry.as_bytes().to_vec(),
        )];
        while let Some((path, name)) = waiting.pop() {
            let fault = |error: io::Error| file_error("lstat", &path.display().to_string(), &error);
            let metadata = fs::symlink_metadata(&path).map_err(fault)?;
            self.entry(&path, &name, &metadata)?;
            if metadata.is_dir() {
                let mut names = fs::read_dir(&path)
                    .and_then(|entries| {
                        entries
                            .map(|e| e.map(|e| e.file_name()))
                            .collect::<io::Result<Vec<_>>>()
                    })
                    .map_err(|error| file_error("open", &path.display().to_string(), &error))?;
                names.sort_unstable_by(|a, b| b.cmp(a));
                waiting.extend(names.into_iter().map(|child| {
                    let mut full = name.clone();
                    if full.last() != Some(&b'/') {
                        full.push(b'/');
                    }
                    full.extend_from_slice(child.as_bytes());
                    (path.join(child), full)
                }));
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &[u8], metadata: &Metadata) -> Result<(), Failure> {
        let fault = |error: io::Error| -> Failure {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return error.into();
            }
            file_error("open", &path.display().to_string(), &error)
        };
        let kind = metadata.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        let name = self.renamed(name);
        let mut header = Header::new_gnu();
        header.set_metadata(metadata);
        if !kind.is_dir() && metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            if let Some(first) = self.linked.get(&key) {
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                let first = first.clone();
                return self
                    .builder
                    .append_link(
                        &mut header,
                        OsStr::from_bytes(&name),
                        OsStr::from_bytes(&first),
                    )
                    .map_err(fault);
            }
            self.linked.insert(key, name.clone());
        }
        let path_in_archive = OsStr::from_bytes(&name);
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(fault)?;
            header.set_size(0);
            return self
                .builder
                .append_link(&mut header, path_in_archive, target)
                .map_err(fault);
        }
        if kind.is_file() {
            let file = fs::File::open(path).map_err(fault)?;
            // A file that grows meanwhile is cut, one that shrinks is filled up: the header has
            // said how long it is.
            let size = metadata.len();
            let body = file.take(size).chain(io::repeat(0)).take(size);
            return self
                .builder
                .append_data(&mut header, path_in_archive, body)
                .map_err(fault);
        }
        if kind.is_char_device() || kind.is_block_device() {
            let device = metadata.rdev();
            header
                .set_device_major(rustix::fs::major(device))
                .map_err(fault)?;
            header
                .set_device_minor(rustix::fs::minor(device))
                .map_err(fault)?;
        }
        header.set_size(0);
        self.builder
            .append_data(&mut header, path_in_archive, io::empty())
            .map_err(fault)
    }

    fn renamed(&self, name: &[u8]) -> Vec<u8> {
        let mut name = name.to_vec();
        for rename in self.rebase.iter().chain(self.rename) {
            name = rename.apply(&name);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(source: &Source, rename: Option<Rename>) -> Vec<(String, EntryType, Vec<u8>)> {
        let (send, mut receive) = mpsc::channel(4);
        let source = source.clone();
        let packing = std::thread::spawn(move || {
            pack(&source, rename.as_ref(), send, &AtomicU64::new(0)).map_err(|f| format!("{f:?}"))
        });
        let mut bytes = Vec::new();
        while let Some(chunk) = receive.blocking_recv() {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        packing.join().unwrap().unwrap();
        tar::Archive::new(bytes.as_slice())
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                let kind = entry.header().entry_type();
                let mut body = Vec::new();
                entry.read_to_end(&mut body).unwrap();
                (name, kind, body)
            })
            .collect()
    }

    #[test]
    fn a_tree_is_packed_with_links_and_under_its_new_name() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("tree");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("a"), "one").unwrap();
        fs::hard_link(root.join("a"), root.join("b")).unwrap();
        std::os::unix::fs::symlink("a", root.join("sub/link")).unwrap();
        let source = Source {
            path: root.display().to_string(),
            is_dir: true,
            rebase: None,
        };
        let rename = Rename {
            old: "tree".into(),
            new: "x".into(),
        };
        let entries = packed(&source, Some(rename));
        let names: Vec<(&str, EntryType)> = entries
            .iter()
            .map(|(name, kind, _)| (name.trim_end_matches('/'), *kind))
            .collect();
        assert_eq!(
            names,
            [
                ("x", EntryType::Directory),
                ("x/a", EntryType::Regular),
                ("x/b", EntryType::Link),
                ("x/sub", EntryType::Directory),
                ("x/sub/link", EntryType::Symlink),
            ]
        );
        assert_eq!(entries[1].2, b"one");
    }

    #[test]
    fn the_contents_alone_are_packed_below_a_dot() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "").unwrap();
        let source = Source {
            path: format!("{}/.", directory.path().display()),
            is_dir: true,
            rebase: None,
        };
        let names: Vec<String> = packed(&source, None)
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(
            names
                .iter()
                .map(|n| n.trim_start_matches("./"))
                .collect::<Vec<_>>()
                .last(),
            Some(&"a")
        );
        assert_eq!(names.len(), 2);
    }
}
