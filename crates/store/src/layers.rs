//! Layers, by diff ID: each kept as its own tar, and shown as a directory.
//!
//! ```text
//!   layers/<hex>.tar    the uncompressed tar, byte for byte; its SHA-256 is the diff ID
//!   layers/<hex>.idx    an EROFS index of it (`erofs`): what makes the layer be there
//!   layers/<hex>.side   only if the tar holds sparse files: those, laid out
//!   layers/<hex>/       instead, where the kernel cannot mount an index: the directory form
//!   layers/empty{,-too}/  empty directories, where an overlay needs some
//!   layers/mounts/      only where layers must be attached (`mounts::places`)
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

mod disk;
mod erofs;
mod mounts;
mod path;
mod publish;
mod receive;
mod removal;
mod skeleton;
mod tree;
mod unpack;
mod upper;
mod verify;
mod work;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_sys::mount::{self, MountAttrFlags, Overlay, Upper};
use wharf_sys::rooted::Root;

use self::disk::{Found, Part, part_of};
use self::mounts::{Attachment, Mounts, Usage};
use self::unpack::Marks;
use self::work::Works;
use crate::digest::DiffId;
use crate::directory;
use crate::error::StoreError;
use crate::lease::Lease;

pub(crate) use self::removal::Hidden;
pub use self::upper::{write_tar_of_upper, write_tar_of_upper_without};
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
    /// Held while a layer changes its form.
    converting: Mutex<()>,
}

/// Directories with nothing in them, among the layers.
const EMPTY: [&str; 2] = ["empty", "empty-too"];

/// What [`LayerForm`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Index(Usage),
    Directory,
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
                Ok(usage) => Form::Index(usage),
                Err(error) => {
                    tracing::info!(%error, "layers are unpacked into directories");
                    Form::Directory
                }
            },
        };
        Layers::with_form(directory, works, form)
    }

    fn with_form(directory: &Path, works: Works, form: Form) -> Result<Layers, StoreError> {
        let marks = unpack::probe_marks(&works.begin()?)?;
        let attachment = match form {
            Form::Index(usage) => usage.layers,
            Form::Directory => Attachment::Detached,
        };
        let layers = Layers {
            directory: directory.to_path_buf(),
            works,
            form,
            marks,
            mounts: Mounts::new(directory, attachment)?,
            total: AtomicU64::new(0),
            names: Mutex::new(()),
            converting: Mutex::new(()),
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
        if self.form == Form::Directory {
            self.convert_if_indexed(diff_id)?;
        }
        self.mounts
            .get(diff_id, || match (self.find(diff_id)?, self.form) {
                (Some(Found::Directory(_)), _) => self.open_unpacked(diff_id),
                (Some(Found::Index(notes)), Form::Index(usage)) => {
                    self.indexed(diff_id, &notes).mount(usage.reads)
                }
                (Some(Found::Index(_)) | None, _) => Err(StoreError::NoSuchLayer(*diff_id)),
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

    fn lock_names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
