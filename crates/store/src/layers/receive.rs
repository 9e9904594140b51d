//! A layer's archive, taken in one pass.
//!
//! ```text
//!   caller's thread      "layer hash"        "layer tar"
//!   read + inflate ──▶   SHA-256     ──▶     write the tar, read its headers into a Tree,
//!        ▲                                   lay sparse files out into the side file
//!        └────────────── empty buffers ◀─────────┘
//! ```
//!
//! Inflating costs about as much as hashing and writing together, so two cores are kept busy.
//! Buffers go round; their number bounds the memory. Whoever fails lets go of its channels, the
//! others see that and end, and the first cause is reported: of a stream that cannot be read the
//! reading, of an archive that cannot be a layer the entry.
//!
//! The stream is hashed and kept to its very end, also what follows the end of the archive.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use wharf_sys::writeback;

use super::tree::{Source, Tree, TreeLimits};
use super::work::Work;
use super::{Limits, TRUSTED};
use crate::compression::Decoder;
use crate::digest::{Digest, Hasher};
use crate::error::StoreError;
use crate::tar::{Entry, Kind, Reader, TarError};

/// A buffer that goes round, and how many wait between two stages.
const CHUNK: usize = 256 * 1024;
const WAITING: usize = 3;

/// How much is written before the disk is asked to take it, so that little is left to do when
/// the file is made durable.
const WRITEBACK: u64 = 8 << 20;

/// What may come out of little, before the ratio of what goes in and out is looked at: headers
/// compress a hundredfold.
const RATIO_APPLIES_FROM: u64 = 64 << 20;

/// A piece of a sparse file takes at least this of a disk.
const DISK_BLOCK: u64 = 4096;

/// A layer that arrived; its bytes are in the [`Work`].
#[derive(Debug)]
pub(super) struct Received {
    pub(super) digest: Digest,
    pub(super) tar: File,
    pub(super) tar_bytes: u64,
    /// Sparse files, laid out; none if there were none.
    pub(super) side: Option<File>,
    pub(super) side_bytes: u64,
    /// Finished.
    pub(super) tree: Tree,
}

/// Why a stage ended early.
#[derive(Debug)]
enum Failure {
    /// Another stage ended before this one.
    Cut,
    Error(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Error(error)
    }
}

/// Take the archive that `source` holds, compressed or not.
pub(super) fn receive(
    source: &mut dyn Read,
    work: &Work,
    limits: &Limits,
) -> Result<Received, StoreError> {
    receive_from(Decoder::new(source).map_err(source_error)?, work, limits)
}

/// Take once more the tar of a layer that is there, whatever its first bytes look like.
pub(super) fn receive_again(tar: &File, work: &Work) -> Result<Received, StoreError> {
    let mut tar = tar;
    receive_from(Decoder::plain(&mut tar), work, &TRUSTED)
}

fn receive_from(
    source: Decoder<&mut dyn Read>,
    work: &Work,
    limits: &Limits,
) -> Result<Received, StoreError> {
    let tar = work.create("tar")?;
    let (to_hash, hash_from) = sync_channel::<Vec<u8>>(WAITING);
    let (to_write, write_from) = sync_channel::<Vec<u8>>(WAITING);
    let (to_reuse, reuse_from) = sync_channel::<Vec<u8>>(2 * WAITING + 3);
    thread::scope(|scope| {
        let hash = spawn(scope, "layer hash", move || hash(&hash_from, &to_write))?;
        let write = spawn(scope, "layer tar", move || {
            Intake {
                tar,
                tar_bytes: 0,
                side: None,
                side_bytes: 0,
                on_disk: 0,
                work,
                limits,
            }
            .run(write_from, to_reuse)
        })?;
        let inflated = inflate(source, limits, &to_hash, &reuse_from);
        // That the stream ended, and not the reading of it, is said by an empty buffer.
        let ended = match inflated {
            Ok(()) => to_hash.send(Vec::new()).map_err(|_| Failure::Cut),
            failed => failed,
        };
        drop(to_hash);
        let hashed = joined(hash.join());
        let written = joined(write.join());
        // The cause is what is no consequence of another's end.
        match (ended, hashed, written) {
            (Err(Failure::Error(error)), _, _)
            | (_, _, Err(Failure::Error(error)))
            | (_, Err(Failure::Error(error)), _) => Err(error),
            (Ok(()), Ok(digest), Ok(intake)) => Ok(intake.received(digest)),
            _ => Err(interrupted("a stage of the import ended early")),
        }
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    stage: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, StoreError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, stage)
        .map_err(|source| StoreError::Source {
            what: "start a thread".to_owned(),
            source,
        })
}

fn joined<T>(result: thread::Result<Result<T, Failure>>) -> Result<T, Failure> {
    result.unwrap_or_else(|_| {
        Err(Failure::Error(interrupted(
            "a stage of the import panicked",
        )))
    })
}

fn interrupted(what: &str) -> StoreError {
    source_error(io::Error::other(what.to_owned()))
}

fn source_error(source: io::Error) -> StoreError {
    StoreError::Source {
        what: "layer".to_owned(),
        source,
    }
}

/// Read and inflate, until the end.
fn inflate(
    mut decoder: Decoder<&mut dyn Read>,
    limits: &Limits,
    to_hash: &SyncSender<Vec<u8>>,
    reuse: &Receiver<Vec<u8>>,
) -> Result<(), Failure> {
    let mut total = 0u64;
    loop {
        let mut buffer = reuse.try_recv().unwrap_or_default();
        buffer.resize(CHUNK, 0);
        let length = fill(&mut decoder, &mut buffer).map_err(source_error)?;
        if length == 0 {
            return Ok(());
        }
        total += length as u64;
        if total > limits.bytes {
            return Err(StoreError::TooLarge {
                what: "layer".to_owned(),
                limit: limits.bytes,
            }
            .into());
        }
        let taken = decoder.bytes_taken();
        if total > RATIO_APPLIES_FROM && total / limits.ratio.max(1) > taken {
            let message = format!("{total} bytes came out of {taken} compressed ones");
            return Err(StoreError::BadLayer(message).into());
        }
        buffer.truncate(length);
        to_hash.send(buffer).map_err(|_| Failure::Cut)?;
    }
}

/// Read until the buffer is full or the stream has ended.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Hash all that passes.
fn hash(from: &Receiver<Vec<u8>>, to_write: &SyncSender<Vec<u8>>) -> Result<Digest, Failure> {
    let mut hasher = Hasher::new();
    loop {
        let buffer = from.recv().map_err(|_| Failure::Cut)?;
        let ended = buffer.is_empty();
        hasher.update(&buffer);
        to_write.send(buffer).map_err(|_| Failure::Cut)?;
        if ended {
            return Ok(hasher.finish());
        }
    }
}

/// The last stage: what becomes files, and the tree.
struct Intake<'a> {
    tar: File,
    tar_bytes: u64,
    side: Option<File>,
    side_bytes: u64,
    /// What the pieces in the side file take of the disk.
    on_disk: u64,
    work: &'a Work,
    limits: &'a Limits,
}

/// What the last stage leaves.
struct Taken {
    tar: File,
    tar_bytes: u64,
    side: Option<File>,
    side_bytes: u64,
    tree: Tree,
}

impl Taken {
    fn received(self, digest: Digest) -> Received {
        Received {
            digest,
            tar: self.tar,
            tar_bytes: self.tar_bytes,
            side: self.side,
            side_bytes: self.side_bytes,
            tree: self.tree,
        }
    }
}

impl Intake<'_> {
    fn run(
        mut self,
        from: Receiver<Vec<u8>>,
        reuse: SyncSender<Vec<u8>>,
    ) -> Result<Taken, Failure> {
        let feed = Feed {
            from,
            reuse,
            tar: self
                .tar
                .try_clone()
                .map_err(|e| self.work.error("open", "tar", e))?,
            written: 0,
            asked: 0,
            buffer: Vec::new(),
            at: 0,
            ended: false,
            cut: false,
            failed: None,
        };
        let mut reader = Reader::new(feed);
        let read = self.read(&mut reader);
        let mut feed = reader.into_inner();
        let tree = match read {
            Err(Failure::Error(error)) if !feed.cut && feed.failed.is_none() => {
                return Err(Failure::Error(error));
            }
            _ if feed.cut => return Err(Failure::Cut),
            Err(_) => return Err(self.write_error(feed.failed).into()),
            Ok(tree) => tree,
        };
        if feed.drain().is_err() {
            if feed.cut {
                return Err(Failure::Cut);
            }
            return Err(self.write_error(feed.failed).into());
        }
        self.tar_bytes = feed.written;
        if let Some(side) = &self.side {
            side.set_len(self.side_bytes)
                .map_err(|error| self.work.error("grow", "side", error))?;
        }
        Ok(Taken {
            tar: self.tar,
            tar_bytes: self.tar_bytes,
            side: self.side,
            side_bytes: self.side_bytes,
            tree,
        })
    }

    /// Read the archive to its end.
    fn read(&mut self, reader: &mut Reader<Feed>) -> Result<Tree, Failure> {
        let mut tree = Tree::new(TreeLimits {
            entries: self.limits.entries,
            metadata: self.limits.metadata,
        });
        while let Some(entry) = reader.next_entry().map_err(archive_error)? {
            let source = if entry.kind == Kind::File && entry.sparse.is_some() {
                Source::Side(self.lay_out(reader, &entry)?)
            } else {
                Source::Tar(entry.data_offset)
            };
            tree.apply(&entry, source).map_err(|refusal| {
                let path = String::from_utf8_lossy(&entry.path);
                StoreError::BadLayer(format!("{path}: {refusal}"))
            })?;
        }
        tree.finish();
        Ok(tree)
    }

    /// Write a sparse file into the side file, holes as holes. Returns where it begins there.
    fn lay_out(&mut self, reader: &mut Reader<Feed>, entry: &Entry) -> Result<u64, Failure> {
        let start = self.side_bytes;
        let end = start
            .checked_add(entry.size)
            .and_then(|end| end.checked_next_multiple_of(DISK_BLOCK))
            .filter(|&end| end <= i64::MAX as u64)
            .ok_or_else(|| self.too_large())?;
        if self.side.is_none() {
            self.side = Some(self.work.create("side")?);
        }
        let Some(side) = &self.side else {
            return Err(Failure::Cut);
        };
        let mut buffer = vec![0u8; CHUNK];
        for segment in entry.sparse.iter().flatten() {
            let blocks = segment.length.div_ceil(DISK_BLOCK) + 1;
            self.on_disk = self.on_disk.saturating_add(blocks * DISK_BLOCK);
            if self.on_disk > self.limits.bytes {
                return Err(self.too_large().into());
            }
            let mut at = start + segment.offset;
            let mut left = segment.length;
            while left > 0 {
                let wanted = buffer
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                let got = reader
                    .read_data(&mut buffer[..wanted])
                    .map_err(|error| archive_error(error.into()))?;
                side.write_all_at(&buffer[..got], at)
                    .map_err(|error| self.work.error("write", "side", error))?;
                at += got as u64;
                left -= got as u64;
            }
        }
        self.side_bytes = end;
        Ok(start)
    }

    fn too_large(&self) -> StoreError {
        StoreError::TooLarge {
            what: "layer".to_owned(),
            limit: self.limits.bytes,
        }
    }

    fn write_error(&self, failed: Option<io::Error>) -> StoreError {
        let error = failed.unwrap_or_else(|| io::Error::other("the archive could not be read"));
        self.work.error("write", "tar", error)
    }
}

/// What is wrong with an archive, or with the reading of it.
fn archive_error(error: TarError) -> StoreError {
    match error {
        TarError::Io(error) => source_error(error),
        other => StoreError::BadLayer(other.to_string()),
    }
}

/// The stream as the last stage sees it. What is taken from it has been written to the tar.
struct Feed {
    from: Receiver<Vec<u8>>,
    reuse: SyncSender<Vec<u8>>,
    tar: File,
    written: u64,
    /// How much of it the disk has been asked to take.
    asked: u64,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    /// Another stage ended before the stream did.
    cut: bool,
    /// Why the tar could not be written.
    failed: Option<io::Error>,
}

impl Feed {
    /// Take the rest of the stream.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
        }
    }

    fn next_buffer(&mut self) -> io::Result<()> {
        // Nobody may be there to take it back: then it is freed.
        let _ = self.reuse.try_send(std::mem::take(&mut self.buffer));
        self.at = 0;
        let Ok(buffer) = self.from.recv() else {
            self.cut = true;
            return Err(io::Error::other("the stream was cut"));
        };
        if buffer.is_empty() {
            self.ended = true;
        }
        if let Err(error) = self.tar.write_all(&buffer) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        self.written += buffer.len() as u64;
        if self.written - self.asked >= WRITEBACK {
            writeback::begin(&self.tar, self.asked, self.written - self.asked);
            self.asked = self.written;
        }
        self.buffer = buffer;
        Ok(())
    }
}

impl Read for Feed {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(target)?;
        self.consume(got);
        Ok(got)
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() && !self.ended {
            self.next_buffer()?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}
