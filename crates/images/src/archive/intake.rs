//! One pass over an archive: every member goes where it belongs while the stream is read.
//!
//! The reading thread sniffs a member's first bytes. A layer gets an importer thread of its own,
//! fed through [`chunks`](super::chunks); the reader goes on with the next member while that one
//! is still hashed, indexed and synced. A member whose name claims the digest of a layer that is
//! here already is only hashed.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};

use wharf_store::compression::{Compression, Decoder};
use wharf_store::tar::{BLOCK, Entry, Kind, Reader, TarError};
use wharf_store::{DiffId, Digest, Hasher, Layer, Lease, Limits, Store, StoreError};

use super::chunks::{CHUNK, Chunk, Feed, MemberReader, Pool, member};
use super::members::{Content, LoadedLayer, Members, claimed_digest, link_target, normalise};
use crate::config::MAX_CONFIG;
use crate::error::ImageError;
use crate::progress::Progress;

/// Members in one archive. A legitimate one has a few per layer.
const MAX_MEMBERS: usize = 100_000;
/// A member longer than this is not kept in memory ...
const MAX_DOCUMENT: u64 = MAX_CONFIG;
/// ... and no member is once so much is.
const MAX_DOCUMENTS: u64 = 32 * 1024 * 1024;
/// Layers in work at the same time: enough to fill the processors while some wait for the disk.
const MAX_IMPORTERS: usize = 8;
/// Progress is reported about this often, in bytes.
const REPORT_EVERY: u64 = 1024 * 1024;

/// Where an archive is read into.
pub(super) struct Intake<'a> {
    pub(super) store: &'a Store,
    pub(super) lease: &'a Lease,
    /// Layers that are here, by the digest of the compressed form in which they once came.
    pub(super) known_wire: HashMap<Digest, DiffId>,
}

/// What an importer has to say in the end: the member's name, and what it was.
type Outcome = (String, Result<Content, ImageError>);

type Archive<'a> = Reader<BufReader<Decoder<&'a mut dyn Read>>>;

impl Intake<'_> {
    /// Read the whole archive.
    pub(super) fn read(
        &self,
        source: &mut dyn Read,
        progress: &mut dyn Progress,
    ) -> Result<Members, ImageError> {
        let decoder = Decoder::new(source).map_err(unreadable)?;
        let mut archive = Reader::new(BufReader::with_capacity(CHUNK, decoder));
        thread::scope(|scope| {
            let mut reading = Reading {
                intake: self,
                scope,
                pool: Arc::default(),
                members: Members::default(),
                in_memory: 0,
                importers: Importers::new(),
                progress,
            };
            while let Some(entry) = archive.next_entry().map_err(malformed)? {
                reading.member(&mut archive, &entry)?;
            }
            // To the last byte: a checksum at the end of the stream is still to be compared, and
            // a client that is not listened to any more would see its connection break.
            io::copy(archive.inner_mut(), &mut io::sink()).map_err(unreadable)?;
            while !reading.importers.running.is_empty() {
                reading.await_importer()?;
            }
            Ok(reading.members)
        })
    }

    /// Import or recognise one layer. Runs on an importer's thread.
    fn import(
        &self,
        reader: MemberReader,
        compressed: bool,
        claimed: Option<Digest>,
    ) -> Result<LoadedLayer, StoreError> {
        let mut reader = Hashing {
            inner: reader,
            hasher: Hasher::new(),
            bytes: 0,
            on: true,
        };
        if let Some((claimed, layer)) = claimed.and_then(|claimed| self.known(claimed)) {
            let actual = reader.rest().map_err(truncated)?;
            if actual.0 != claimed {
                return Err(StoreError::WrongDigest {
                    expected: claimed,
                    actual: actual.0,
                });
            }
            return Ok(LoadedLayer {
                layer,
                member: actual,
            });
        }
        // What is not compressed is hashed by the layer store already.
        reader.on = compressed;
        let limits = Limits::default();
        let layer = self
            .store
            .layers()
            .import(self.lease, &mut reader, None, &limits)?;
        let (digest, bytes) = reader.rest().map_err(truncated)?;
        let digest = if compressed { digest } else { layer.diff_id.0 };
        Ok(LoadedLayer {
            layer,
            member: (digest, bytes),
        })
    }

    /// The layer in the store whose tar, or whose compressed form, has this digest.
    fn known(&self, claimed: Digest) -> Option<(Digest, Layer)> {
        let diff_id = self
            .known_wire
            .get(&claimed)
            .copied()
            .unwrap_or(DiffId(claimed));
        self.lease.hold_layer(diff_id);
        let layer = self.store.layers().get(&diff_id).ok().flatten()?;
        Some((claimed, layer))
    }
}

fn truncated(source: io::Error) -> StoreError {
    StoreError::Source {
        what: "layer".to_owned(),
        source,
    }
}

/// The reading thread's state.
struct Reading<'scope, 'env, 'a> {
    intake: &'env Intake<'a>,
    scope: &'scope Scope<'scope, 'env>,
    pool: Arc<Pool>,
    members: Members,
    in_memory: u64,
    importers: Importers,
    progress: &'a mut dyn Progress,
}

struct Importers {
    /// The members in work.
    running: Vec<String>,
    limit: usize,
    sender: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
}

impl Importers {
    fn new() -> Importers {
        let (sender, outcomes) = channel();
        let processors = thread::available_parallelism().map_or(2, usize::from);
        Importers {
            running: Vec::new(),
            limit: (processors + 2).min(MAX_IMPORTERS),
            sender,
            outcomes,
        }
    }
}

impl Reading<'_, '_, '_> {
    fn member(&mut self, archive: &mut Archive<'_>, entry: &Entry) -> Result<(), ImageError> {
        let name = normalise(&entry.path)?;
        if self.members.len() >= MAX_MEMBERS {
            return Err(ImageError::archive(format!(
                "the archive has more than {MAX_MEMBERS} members"
            )));
        }
        match entry.kind {
            Kind::File => self.file(archive, entry, name),
            Kind::HardLink => self.members.insert_link(name, normalise(&entry.link)?),
            Kind::Symlink => {
                let target = link_target(&name, &entry.link)?;
                self.members.insert_link(name, target)
            }
            // Nothing that a document could mean.
            Kind::Directory
            | Kind::CharacterDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Fifo => Ok(()),
        }
    }

    fn file(
        &mut self,
        archive: &mut Archive<'_>,
        entry: &Entry,
        name: String,
    ) -> Result<(), ImageError> {
        if entry.sparse.is_some() {
            return Err(ImageError::archive(format!(
                "{name}: sparse members are not supported"
            )));
        }
        if self.members.contains(&name) || self.importers_have(&name) {
            return Err(ImageError::archive(format!(
                "the archive has two members named {name:?}"
            )));
        }
        let mut first = self.pool.take();
        first
            .fill(|buffer| archive.read_data(buffer))
            .map_err(unreadable)?;
        let compression = Compression::detect(first.bytes());
        if compression != Compression::None || is_tar(first.bytes()) {
            let compressed = compression != Compression::None;
            return self.layer(archive, entry.size, &name, first, compressed);
        }
        if entry.size <= MAX_DOCUMENT && self.in_memory + entry.size <= MAX_DOCUMENTS {
            let mut bytes = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
            bytes.extend_from_slice(first.bytes());
            drop(first);
            let mut rest = Data(archive);
            rest.read_to_end(&mut bytes).map_err(unreadable)?;
            self.in_memory += entry.size;
            return self.members.insert(name, Content::Document(bytes));
        }
        let mut writer = self.intake.store.blobs().writer(self.intake.lease)?;
        let write = |source| ImageError::Write {
            what: name.clone(),
            source,
        };
        writer.write_all(first.bytes()).map_err(write)?;
        drop(first);
        io::copy(&mut Data(archive), &mut writer).map_err(unreadable)?;
        let blob = writer.commit(claimed_digest(&name).as_ref())?;
        self.members.insert(name, Content::Blob(blob.digest))
    }

    fn layer(
        &mut self,
        archive: &mut Archive<'_>,
        size: u64,
        name: &str,
        first: Chunk,
        compressed: bool,
    ) -> Result<(), ImageError> {
        while self.importers.running.len() >= self.importers.limit {
            self.await_importer()?;
        }
        let feed = self.start_importer(name.to_owned(), compressed);
        let id = short_name(name);
        let mut sent = first.bytes().len() as u64;
        let mut reported = 0;
        self.progress.report(&id, "Loading layer", sent, size);
        let mut chunk = first;
        loop {
            if feed.send(chunk).is_err() {
                // It has failed. The loop over its outcome decides whether that ends the load;
                // if not, the rest of the member is skipped.
                return self.await_importer();
            }
            if sent == size {
                break;
            }
            chunk = self.pool.take();
            chunk
                .fill(|buffer| archive.read_data(buffer))
                .map_err(unreadable)?;
            sent += chunk.bytes().len() as u64;
            if sent - reported >= REPORT_EVERY || sent == size {
                reported = sent;
                self.progress.report(&id, "Loading layer", sent, size);
            }
        }
        feed.end();
        Ok(())
    }

    fn start_importer(&mut self, name: String, compressed: bool) -> Feed {
        let (feed, reader) = member();
        let intake = self.intake;
        let sender = self.importers.sender.clone();
        self.importers.running.push(name.clone());
        self.scope.spawn(move || {
            let outcome = match intake.import(reader, compressed, claimed_digest(&name)) {
                Ok(layer) => Ok(Content::Layer(layer)),
                Err(
                    error @ (StoreError::BadLayer(_)
                    | StoreError::Source { .. }
                    | StoreError::TooLarge { .. }),
                ) if !error.is_no_space() => Ok(Content::Broken(error.to_string())),
                Err(error) => Err(ImageError::Store(error)),
            };
            // The reader is gone when it has failed itself.
            let _ = sender.send((name, outcome));
        });
        feed
    }

    fn importers_have(&self, name: &str) -> bool {
        self.importers.running.iter().any(|running| running == name)
    }

    /// Wait for one importer to finish.
    fn await_importer(&mut self) -> Result<(), ImageError> {
        let Ok((name, outcome)) = self.importers.outcomes.recv() else {
            // Cannot be: this side holds a sender as well.
            return Err(ImageError::archive("an importer vanished"));
        };
        self.importers.running.retain(|running| *running != name);
        self.members.insert(name, outcome?)
    }
}

/// The data of the archive's current member.
struct Data<'a, 'b>(&'a mut Archive<'b>);

impl Read for Data<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_data(buffer)
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
    bytes: u64,
    on: bool,
}

impl<R: Read> Hashing<R> {
    /// Read what is left. Digest and length of everything.
    fn rest(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hasher.finish(), self.bytes))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        if self.on {
            self.hasher.update(&buffer[..got]);
        }
        self.bytes += got as u64;
        Ok(got)
    }
}

/// Whether bytes begin like a tar archive: with a header whose checksum is right, or with the
/// zero block of an empty one.
fn is_tar(start: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let Some(header) = start.get(..BLOCK) else {
        return false;
    };
    if header.iter().all(|byte| *byte == 0) {
        return true;
    }
    let digits = header[CHECKSUM].iter().skip_while(|byte| **byte == b' ');
    let stated = digits
        .take_while(|byte| (b'0'..=b'7').contains(*byte))
        .fold(0u32, |sum, byte| {
            sum.wrapping_mul(8) + u32::from(*byte - b'0')
        });
    let actual: u32 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if CHECKSUM.contains(&at) {
                u32::from(b' ')
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    stated == actual
}

/// What a layer is called while it is loaded: the first twelve digits of what names it.
fn short_name(name: &str) -> String {
    let name = name.strip_prefix("blobs/sha256/").unwrap_or(name);
    let name = name.strip_suffix("/layer.tar").unwrap_or(name);
    name.chars().take(12).collect()
}

fn malformed(error: TarError) -> ImageError {
    match error {
        TarError::Io(source) => unreadable(source),
        error => ImageError::archive(format!("invalid archive: {error}")),
    }
}

fn unreadable(source: io::Error) -> ImageError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof, Unsupported};
    match source.kind() {
        InvalidData | InvalidInput | UnexpectedEof | Unsupported => {
            ImageError::archive(format!("invalid archive: {source}"))
        }
        _ => ImageError::Read {
            what: "read the archive".to_owned(),
            source,
        },
    }
}
