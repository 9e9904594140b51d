//! Layers, by diff ID: each kept as its own tar, and shown as a directory.
//!
//! ```text
//!   layers/<hex>.tar    the uncompressed tar, byte for byte; its SHA-256 is the diff ID
//!   layers/<hex>.idx    an EROFS index of it (`erofs`): what makes the layer be there
//!   layers/<hex>.side   only if the tar holds sparse files: those, laid out
//!   layers/<hex>/       instead, where the kernel cannot mount an index: the directory form
//!   layers/empty{,-too}/  empty directories, where an overlay needs some
//!   layers/work/        what is not finished, or condemned (`work`)
//! ```
//!
//! An import reads its stream once (`receive`): inflate, hash, write the tar, and from the same
//! bytes build the index. Files are made durable, then renamed, the index last; so a layer is
//! there whole or not at all, and imports of any layers, the same ones too, run side by side.
//! What the archive means is settled in memory (`tree`) before any name is made, for both forms.
//!
//! Nothing in a layer is ever executed, followed or opened as a path of the host: the kernel
//! shows it through a mount that is attached nowhere.
//!
//! This module does not know images, nor which layers are in use: `gc` decides that.

mod erofs;
mod mounts;
mod path;
mod receive;
mod skeleton;
mod tree;
mod unpack;
mod upper;
mod verify;
mod work;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_sys::mount::{self, ErofsReads, MountAttrFlags, Overlay, Upper};
use wharf_sys::rooted::Root;

use self::erofs::Notes;
use self::mounts::{Indexed, Mounts};
use self::receive::Received;
use self::unpack::{Marks, Unpack};
use self::work::{Work, Works};
use crate::digest::DiffId;
use crate::directory;
use crate::error::StoreError;
use crate::lease::Lease;

pub use self::upper::write_tar_of_upper;
pub use self::verify::LayerState;

/// The form in which layers are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LayerForm {
    /// Indexed where this host can mount an index, else unpacked.
    #[default]
    Auto,
    /// The tar and an index of it.
    Index,
    /// Unpacked into a directory.
    Directory,
}

/// What a layer may be. Beyond it an import fails and leaves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed tar.
    pub bytes: u64,
    /// Names in it. While it is read each takes about 150 bytes of memory.
    pub entries: u64,
    /// Bytes of names, link texts and extended attributes.
    pub metadata: u64,
    /// How many times the tar may be what it was compressed to. gzip cannot exceed 1032.
    pub ratio: u64,
}

impl Default for Limits {
    /// One tebibyte, two million names of 256 MiB altogether, and what a compressed file of
    /// zeros reaches with zstd.
    fn default() -> Limits {
        Limits {
            bytes: 1 << 40,
            entries: 1 << 21,
            metadata: 256 << 20,
            ratio: 35_000,
        }
    }
}

/// For a tar that has been let in before.
const TRUSTED: Limits = Limits {
    bytes: i64::MAX as u64,
    entries: u64::MAX,
    metadata: u64::MAX,
    ratio: u64::MAX,
};

/// A layer that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The SHA-256 of its tar.
    pub diff_id: DiffId,
    /// Length of its tar.
    pub tar_bytes: u64,
    /// What its files and link texts take, each counted once: what Docker calls its size.
    pub content_bytes: u64,
    /// How many objects it holds.
    pub entries: u64,
}

/// A writable layer: both directories on one file system, `work` empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayUpper {
    /// Where changes are.
    pub upper: PathBuf,
    /// The overlay's scratch directory.
    pub work: PathBuf,
}

/// The layers of a store.
#[derive(Debug)]
pub struct Layers {
    directory: PathBuf,
    works: Works,
    form: Form,
    marks: Marks,
    mounts: Mounts,
    /// Bytes on disk.
    total: AtomicU64,
    /// Held while names in `directory` change.
    names: Mutex<()>,
}

/// Directories with nothing in them, among the layers.
const EMPTY: [&str; 2] = ["empty", "empty-too"];

/// What [`LayerForm`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Index(ErofsReads),
    Directory,
}

/// The forms in which a layer can be found on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Index(Notes),
    Directory(Notes),
}

impl Found {
    fn notes(&self) -> &Notes {
        match self {
            Found::Index(notes) | Found::Directory(notes) => notes,
        }
    }
}

impl Layers {
    /// The layers in `directory`, which exists; what was interrupted is removed.
    pub(crate) fn open(directory: &Path, form: LayerForm) -> Result<Layers, StoreError> {
        let works = Works::open(directory)?;
        for empty in EMPTY {
            directory::make_private(&directory.join(empty))?;
        }
        let form = match form {
            LayerForm::Directory => Form::Directory,
            LayerForm::Index => Form::Index(mounts::probe(&works.begin()?)?),
            LayerForm::Auto => match mounts::probe(&works.begin()?) {
                Ok(reads) => Form::Index(reads),
                Err(error) => {
                    tracing::info!(%error, "layers are unpacked into directories");
                    Form::Directory
                }
            },
        };
        let marks = unpack::probe_marks(&works.begin()?)?;
        let layers = Layers {
            directory: directory.to_path_buf(),
            works,
            form,
            marks,
            mounts: Mounts::default(),
            total: AtomicU64::new(0),
            names: Mutex::new(()),
        };
        layers.settle()?;
        Ok(layers)
    }

    /// The form new layers get.
    #[must_use]
    pub fn form(&self) -> LayerForm {
        match self.form {
            Form::Index(_) => LayerForm::Index,
            Form::Directory => LayerForm::Directory,
        }
    }

    /// Whether an overlay over these layers must be mounted with `userxattr`.
    #[must_use]
    pub fn needs_user_xattr(&self) -> bool {
        self.form == Form::Directory && self.marks == Marks::User
    }

    /// Bytes that all layers take on disk.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Take a layer from a stream: a tar, as it is or compressed by gzip or zstd.
    ///
    /// If the layer that is expected is there already, `source` is not read. A stream that
    /// breaks off, is damaged, is not the one expected, goes beyond `limits` or holds what no
    /// layer may hold is an error, and nothing is left of it.
    pub fn import(
        &self,
        lease: &Lease,
        source: &mut dyn Read,
        expect: Option<&DiffId>,
        limits: &Limits,
    ) -> Result<Layer, StoreError> {
        if let Some(expected) = expect {
            lease.hold_layer(*expected);
            if let Some(layer) = self.get(expected)? {
                return Ok(layer);
            }
        }
        let work = self.works.begin()?;
        let received = receive::receive(source, &work, limits)?;
        let diff_id = DiffId(received.digest);
        if let Some(expected) = expect
            && *expected != diff_id
        {
            return Err(StoreError::WrongDigest {
                expected: expected.0,
                actual: diff_id.0,
            });
        }
        lease.hold_layer(diff_id);
        if self.get(&diff_id)?.is_none() {
            match self.form {
                Form::Index(_) => self.publish_indexed(&diff_id, &work, received)?,
                Form::Directory => self.publish_unpacked(&diff_id, &work, &received)?,
            }
        }
        self.get(&diff_id)?.ok_or(StoreError::NoSuchLayer(diff_id))
    }

    /// A layer, if it is there.
    pub fn get(&self, diff_id: &DiffId) -> Result<Option<Layer>, StoreError> {
        Ok(self.find(diff_id)?.map(|found| Layer {
            diff_id: *diff_id,
            tar_bytes: found.notes().tar_bytes,
            content_bytes: found.notes().content_bytes,
            entries: found.notes().entries,
        }))
    }

    /// All layers, in order.
    pub fn list(&self) -> Result<Vec<DiffId>, StoreError> {
        let mut list = Vec::new();
        for path in directory::list(&self.directory)? {
            if let Some((diff_id, Part::Index | Part::Unpacked)) = part_of(&path) {
                list.push(diff_id);
            }
        }
        list.sort_unstable();
        list.dedup();
        Ok(list)
    }

    /// The tar of a layer, byte for byte.
    pub fn open_tar(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>, StoreError> {
        match self.find(diff_id)? {
            None => Err(StoreError::NoSuchLayer(*diff_id)),
            Some(Found::Index(_)) => Ok(Box::new(self.open_part(diff_id, Part::Tar)?)),
            Some(Found::Directory(_)) => {
                let path = self.part(diff_id, Part::Unpacked);
                let skeleton = path.join("skeleton");
                let file = File::open(&skeleton).map_err(StoreError::io("open", &skeleton))?;
                let files = Root::open(path.join("fs")).map_err(StoreError::io("open", &path))?;
                let rebuilt = skeleton::Rebuilt::new(file, files)
                    .map_err(StoreError::io("read", &skeleton))?;
                Ok(Box::new(rebuilt))
            }
        }
    }

    /// The top directory of a layer, as a descriptor: a lower layer for an overlay, or what
    /// [`Root::from_fd`] takes. Read-only in the indexed form.
    ///
    /// All descriptors of an indexed layer are of one mount, attached nowhere.
    pub fn mount(&self, diff_id: &DiffId) -> Result<OwnedFd, StoreError> {
        self.mounts.get(diff_id, || match self.find(diff_id)? {
            None => Err(StoreError::NoSuchLayer(*diff_id)),
            Some(Found::Directory(_)) => self.open_unpacked(diff_id),
            Some(Found::Index(notes)) => match self.form {
                Form::Index(reads) => self.indexed(diff_id, &notes).mount(reads),
                Form::Directory => {
                    // Imported when this kernel, or another, could mount it.
                    self.convert(diff_id)?;
                    self.open_unpacked(diff_id)
                }
            },
        })
    }

    /// Hold a mount of a layer that was made before this process was: from then on
    /// [`Layers::mount`] gives it out, and what was cached for it stays of use.
    pub fn adopt(&self, diff_id: &DiffId, mount: OwnedFd) {
        self.mounts.adopt(diff_id, mount);
    }

    /// The mounts of layers as an overlay takes them, the highest first, given the lowest first.
    ///
    /// A layer that an image has twice (the empty one, as a rule) is given once, where it stands
    /// highest: overlayfs refuses the second, and it could show nothing that the first does not.
    pub fn lower(&self, layers: &[DiffId]) -> Result<Vec<(DiffId, OwnedFd)>, StoreError> {
        let mut lower: Vec<(DiffId, OwnedFd)> = Vec::with_capacity(layers.len());
        for diff_id in layers.iter().rev() {
            if lower.iter().all(|(present, _)| present != diff_id) {
                lower.push((*diff_id, self.mount(diff_id)?));
            }
        }
        Ok(lower)
    }

    /// An overlay of layers, the lowest first, attached nowhere; with an upper it is writable.
    pub fn overlay(
        &self,
        layers: &[DiffId],
        upper: Option<&OverlayUpper>,
    ) -> Result<OwnedFd, StoreError> {
        let lower = self.lower(layers)?;
        let mut mounts: Vec<OwnedFd> = lower.into_iter().map(|(_, mount)| mount).collect();
        // An overlay wants a lower directory, and two of them if it has no upper: empty ones
        // stand in for what is missing.
        let wanted: usize = if upper.is_some() { 1 } else { 2 };
        for empty in EMPTY.iter().take(wanted.saturating_sub(mounts.len())) {
            mounts.push(mounts::open_directory(&self.directory.join(empty))?);
        }
        let lower: Vec<BorrowedFd<'_>> = mounts.iter().map(AsFd::as_fd).collect();
        let directories = upper
            .map(|upper| {
                let work = mounts::open_directory(&upper.work)?;
                Ok::<_, StoreError>((mounts::open_directory(&upper.upper)?, work))
            })
            .transpose()?;
        mount::overlay(&Overlay {
            lower: &lower,
            upper: directories.as_ref().map(|(upper, work)| Upper {
                upper: upper.as_fd(),
                work: work.as_fd(),
            }),
            user_xattr: self.needs_user_xattr(),
            attributes: MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
        })
        .map_err(mounts::mount_error(&self.directory))
    }

    /// Take a layer out of sight: at once, whole. What is mounted goes on being used.
    pub(crate) fn hide(&self, diff_id: &DiffId) -> Result<Option<Hidden>, StoreError> {
        let work = self.works.begin()?;
        let _names = self.lock_names();
        if !self.move_parts(diff_id, work.directory())? {
            return Ok(None);
        }
        self.mounts.forget(diff_id);
        let bytes = bytes_in(work.directory())?;
        self.total
            .fetch_sub(bytes.min(self.total_bytes()), Ordering::Relaxed);
        Ok(Some(Hidden { work, bytes }))
    }

    /// Move a layer to where nobody uses it.
    pub(crate) fn quarantine(&self, diff_id: &DiffId, into: &Path) -> Result<(), StoreError> {
        let _names = self.lock_names();
        let before = self.bytes_of(diff_id)?;
        if !self.move_parts(diff_id, into)? {
            return Err(StoreError::NoSuchLayer(*diff_id));
        }
        self.mounts.forget(diff_id);
        self.total
            .fetch_sub(before.min(self.total_bytes()), Ordering::Relaxed);
        directory::sync(into)?;
        directory::sync(&self.directory)
    }

    /// Rename all parts of a layer into a directory, the index first: without it the layer is
    /// not there. False if it was not.
    fn move_parts(&self, diff_id: &DiffId, into: &Path) -> Result<bool, StoreError> {
        let mut any = false;
        for part in [Part::Index, Part::Unpacked, Part::Tar, Part::Side] {
            let path = self.part(diff_id, part);
            let Some(name) = path.file_name() else {
                continue;
            };
            match fs::rename(&path, into.join(name)) {
                Ok(()) => any = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("rename", &path)(error)),
            }
        }
        Ok(any)
    }

    /// Make the received layer durable and visible, as tar and index.
    fn publish_indexed(
        &self,
        diff_id: &DiffId,
        work: &Work,
        received: Received,
    ) -> Result<(), StoreError> {
        let index = write_index(diff_id, work, &received)?;
        for (file, name) in [
            (Some(&received.tar), "tar"),
            (received.side.as_ref(), "side"),
            (Some(&index), "index"),
        ] {
            if let Some(file) = file {
                file.sync_data()
                    .map_err(|error| work.error("sync", name, error))?;
            }
        }
        let has_side = received.side.is_some();
        // The tree of a large layer is large: it goes before the lock is taken.
        drop(received);
        let _names = self.lock_names();
        if self.find(diff_id)?.is_some() {
            return Ok(());
        }
        self.rename_in(work, "tar", diff_id, Part::Tar)?;
        if has_side {
            self.rename_in(work, "side", diff_id, Part::Side)?;
        }
        self.rename_in(work, "index", diff_id, Part::Index)?;
        self.total
            .fetch_add(self.bytes_of(diff_id)?, Ordering::Relaxed);
        directory::sync(&self.directory)
    }

    /// Make the received layer durable and visible, unpacked.
    fn publish_unpacked(
        &self,
        diff_id: &DiffId,
        work: &Work,
        received: &Received,
    ) -> Result<(), StoreError> {
        let layer = work.path("layer");
        directory::make_private(&layer)?;
        let files = layer.join("fs");
        directory::make_private(&files)?;
        let paths = Unpack {
            tree: &received.tree,
            tar: &received.tar,
            side: received.side.as_ref(),
            marks: self.marks,
        }
        .make_in(&files)?;
        // The index is not kept, but what it would note is.
        let notes = erofs::write(&parts(diff_id, received), &mut io::sink())
            .map_err(|error| bad_index(work, error))?;
        let skeleton = work.create("layer/skeleton")?;
        let skeleton = skeleton::write(skeleton, &notes, &received.tar, &received.tree, &paths)
            .map_err(|error| work.error("write", "layer/skeleton", error))?;
        // Thousands of files are made durable by one call.
        rustix::fs::syncfs(&skeleton).map_err(|error| work.error("sync", "layer", error.into()))?;
        let _names = self.lock_names();
        if matches!(self.find(diff_id)?, Some(Found::Directory(_))) {
            return Ok(());
        }
        self.rename_in(work, "layer", diff_id, Part::Unpacked)?;
        self.total
            .fetch_add(self.bytes_of(diff_id)?, Ordering::Relaxed);
        directory::sync(&self.directory)
    }

    /// Unpack a layer that is indexed.
    fn convert(&self, diff_id: &DiffId) -> Result<(), StoreError> {
        tracing::info!(%diff_id, "this kernel cannot mount the layer's index: unpacking it");
        let work = self.works.begin()?;
        let tar = self.open_part(diff_id, Part::Tar)?;
        // Taken anew, so that what is unpacked is again what the digest says.
        let received = receive::receive_again(&tar, &work)?;
        if received.digest != diff_id.0 {
            return Err(StoreError::WrongDigest {
                expected: diff_id.0,
                actual: received.digest,
            });
        }
        let before = self.bytes_of(diff_id)?;
        self.publish_unpacked(diff_id, &work, &received)?;
        let _names = self.lock_names();
        for part in [Part::Index, Part::Tar, Part::Side] {
            remove_if_there(&self.part(diff_id, part))?;
        }
        self.total
            .fetch_sub(before.min(self.total_bytes()), Ordering::Relaxed);
        Ok(())
    }

    fn rename_in(
        &self,
        work: &Work,
        name: &str,
        diff_id: &DiffId,
        part: Part,
    ) -> Result<(), StoreError> {
        let to = self.part(diff_id, part);
        fs::rename(work.path(name), &to).map_err(StoreError::io("rename", to))
    }

    /// Look for a layer, in either form.
    fn find(&self, diff_id: &DiffId) -> Result<Option<Found>, StoreError> {
        let skeleton = self.part(diff_id, Part::Unpacked).join("skeleton");
        if let Some(notes) = read_notes(&skeleton)? {
            return Ok(Some(Found::Directory(notes)));
        }
        let index = self.part(diff_id, Part::Index);
        Ok(read_notes(&index)?.map(Found::Index))
    }

    fn indexed(&self, diff_id: &DiffId, notes: &Notes) -> Indexed {
        Indexed {
            index: self.part(diff_id, Part::Index),
            tar: self.part(diff_id, Part::Tar),
            side: (notes.side_bytes > 0).then(|| self.part(diff_id, Part::Side)),
        }
    }

    fn open_unpacked(&self, diff_id: &DiffId) -> Result<OwnedFd, StoreError> {
        mounts::open_directory(&self.part(diff_id, Part::Unpacked).join("fs"))
    }

    fn open_part(&self, diff_id: &DiffId, part: Part) -> Result<File, StoreError> {
        let path = self.part(diff_id, part);
        File::open(&path).map_err(StoreError::io("open", path))
    }

    fn part(&self, diff_id: &DiffId, part: Part) -> PathBuf {
        self.directory
            .join(format!("{}{}", diff_id.hex(), part.suffix()))
    }

    /// After a crash: remove parts that belong to no layer. Then count.
    fn settle(&self) -> Result<(), StoreError> {
        let mut total = 0;
        for path in directory::list(&self.directory)? {
            let Some((diff_id, part)) = part_of(&path) else {
                continue;
            };
            match part {
                Part::Tar | Part::Side if !self.part(&diff_id, Part::Index).exists() => {
                    remove_if_there(&path)?;
                }
                Part::Tar | Part::Side | Part::Index => total += bytes_of_file(&path)?,
                Part::Unpacked => {
                    total +=
                        read_notes(&path.join("skeleton"))?.map_or(0, |notes| notes.content_bytes);
                }
            }
        }
        self.total.store(total, Ordering::Relaxed);
        Ok(())
    }

    /// What a layer takes on disk. For a directory its content is counted, not walked.
    fn bytes_of(&self, diff_id: &DiffId) -> Result<u64, StoreError> {
        match self.find(diff_id)? {
            None => Ok(0),
            Some(Found::Directory(notes)) => Ok(notes.content_bytes),
            Some(Found::Index(notes)) => {
                let mut bytes = bytes_of_file(&self.part(diff_id, Part::Index))?;
                bytes += bytes_of_file(&self.part(diff_id, Part::Tar))?;
                if notes.side_bytes > 0 {
                    bytes += bytes_of_file(&self.part(diff_id, Part::Side))?;
                }
                Ok(bytes)
            }
        }
    }

    fn lock_names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A layer that is out of sight and not yet removed. Dropped, it is removed as well.
#[derive(Debug)]
pub(crate) struct Hidden {
    work: Work,
    bytes: u64,
}

impl Hidden {
    /// Free the space. Returns how many bytes.
    pub(crate) fn delete(self) -> Result<u64, StoreError> {
        self.work.remove()?;
        Ok(self.bytes)
    }
}

/// A part of a layer on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Tar,
    Index,
    Side,
    Unpacked,
}

impl Part {
    fn suffix(self) -> &'static str {
        match self {
            Part::Tar => ".tar",
            Part::Index => ".idx",
            Part::Side => ".side",
            Part::Unpacked => "",
        }
    }
}

/// Which part of which layer a path in the directory is.
fn part_of(path: &Path) -> Option<(DiffId, Part)> {
    let name = path.file_name()?.to_str()?;
    let parts = [Part::Tar, Part::Index, Part::Side, Part::Unpacked];
    parts.into_iter().find_map(|part| {
        let hex = name.strip_suffix(part.suffix())?;
        let digest = crate::digest::Digest::from_hex(hex).ok()?;
        Some((DiffId(digest), part))
    })
}

/// The notes at the beginning of an index or skeleton; `None` if there is none of ours.
fn read_notes(path: &Path) -> Result<Option<Notes>, StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    match skeleton::notes(&mut file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map_err(StoreError::io("read", path)),
    }
}

fn parts<'a>(diff_id: &'a DiffId, received: &'a Received) -> erofs::Parts<'a> {
    erofs::Parts {
        tree: &received.tree,
        diff_id,
        tar_bytes: received.tar_bytes,
        side_bytes: received.side_bytes,
    }
}

/// Write the index of a received layer.
fn write_index(diff_id: &DiffId, work: &Work, received: &Received) -> Result<File, StoreError> {
    let mut output = BufWriter::with_capacity(1 << 17, work.create("index")?);
    erofs::write(&parts(diff_id, received), &mut output).map_err(|error| bad_index(work, error))?;
    output
        .into_inner()
        .map_err(|error| work.error("write", "index", error.into_error()))
}

fn bad_index(work: &Work, error: erofs::WriteError) -> StoreError {
    match error {
        erofs::WriteError::Io(error) => work.error("write", "index", error),
        erofs::WriteError::Unfit(unfit) => StoreError::BadLayer(unfit.to_string()),
    }
}

/// What a file takes on disk: holes take nothing.
fn bytes_of_file(path: &Path) -> Result<u64, StoreError> {
    let metadata = fs::symlink_metadata(path).map_err(StoreError::io("stat", path))?;
    Ok(metadata.blocks() * 512)
}

/// What the parts of a layer in a directory take on disk.
fn bytes_in(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for path in directory::list(path)? {
        bytes += match part_of(&path) {
            Some((_, Part::Unpacked)) => {
                read_notes(&path.join("skeleton"))?.map_or(0, |notes| notes.content_bytes)
            }
            _ => bytes_of_file(&path)?,
        };
    }
    Ok(bytes)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(StoreError::io("remove", path)),
    }
}

#[cfg(test)]
mod tests;
