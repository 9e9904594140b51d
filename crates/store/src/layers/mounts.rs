//! Which form this host can use, and the mounts of layers.
//!
//! Whether the kernel can is not told by its version: file-backed EROFS may be configured out,
//! the file system below may not allow it (overlayfs, some network file systems), we may lack the
//! privilege. So at the first start a layer of one file is made, mounted, put under an overlay
//! and read; what works is used.
//!
//! Each layer is mounted once and the mount is held here, so that everything that uses the layer
//! shares one superblock and its page cache. Who wants it gets a descriptor of that same mount;
//! overlays and ID-mapped clones made of it keep the superblock alive on their own. After a
//! restart the engine hands back the descriptors that shims kept ([`Mounts::adopt`]).
//!
//! On kernels that take no detached mount into an overlay each is also attached ([`places`]).
//!
//! At most [`MAX_HELD`] mounts are held. Beyond that the one unused for longest is let go of:
//! whatever uses it goes on, and who asks for it next gets a superblock of its own.

mod places;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Advice, Mode, OFlags, StatxFlags};
use wharf_sys::mount::{self, ErofsReads, MountAttrFlags, MountError, Overlay};
use wharf_sys::rooted::Root;

use self::places::Places;
use super::erofs;
use super::tree::{Source, Tree, TreeLimits};
use super::work::Work;
use crate::digest::{DiffId, Digest};
use crate::error::StoreError;
use crate::tar::{Entry, Kind};

/// The most mounts that are held.
const MAX_HELD: usize = 1024;

/// What `statfs` says of an EROFS.
const EROFS_MAGIC: rustix::fs::FsWord = 0xe0f5_e1e2;

/// How indexed layers are used on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// How a mounted index reads its tar.
    pub(super) reads: ErofsReads,
    /// What an overlay takes.
    pub(super) layers: Attachment,
}

/// Where a mount must be to become a layer of an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attachment {
    /// Nowhere.
    Detached,
    /// In the mount namespace of whoever mounts the overlay (before Linux 6.15).
    Attached,
}

/// The mounts of layers.
#[derive(Debug)]
pub(super) struct Mounts {
    held: Mutex<Held>,
    /// Where they are attached, if they must be.
    places: Option<Places>,
}

#[derive(Debug, Default)]
struct Held {
    mounts: HashMap<DiffId, Mount>,
    /// Counts uses, to know which mount was not used for longest.
    clock: u64,
}

#[derive(Debug)]
struct Mount {
    fd: OwnedFd,
    used: u64,
}

impl Mounts {
    /// For the layers in a directory.
    pub(super) fn new(layers: &Path, attachment: Attachment) -> Result<Mounts, StoreError> {
        Ok(Mounts {
            held: Mutex::default(),
            places: match attachment {
                Attachment::Detached => None,
                Attachment::Attached => Some(Places::open(layers)?),
            },
        })
    }

    /// Let go of what an earlier process attached for layers that are gone.
    pub(super) fn settle(&self, exists: impl Fn(&DiffId) -> bool) -> Result<(), StoreError> {
        self.places
            .as_ref()
            .map_or(Ok(()), |places| places.settle(exists))
    }

    /// The mount of a layer: the one that is held, or a new one.
    ///
    /// Mounting is a matter of microseconds and happens under the lock, so that no layer is
    /// mounted twice.
    pub(super) fn get(
        &self,
        diff_id: &DiffId,
        mount: impl FnOnce() -> Result<OwnedFd, StoreError>,
    ) -> Result<OwnedFd, StoreError> {
        let mut held = self.lock();
        held.clock += 1;
        let now = held.clock;
        if let Some(mount) = held.mounts.get_mut(diff_id) {
            mount.used = now;
            return duplicate(&mount.fd);
        }
        let fd = match &self.places {
            None => mount()?,
            Some(places) => match places.find(diff_id)? {
                Some(attached) => attached,
                None => self.attach(places, diff_id, mount()?)?,
            },
        };
        let copy = duplicate(&fd)?;
        self.hold(&mut held, *diff_id, fd);
        Ok(copy)
    }

    /// Attach a new mount; a directory of an unpacked layer is in the namespace already.
    fn attach(
        &self,
        places: &Places,
        diff_id: &DiffId,
        fd: OwnedFd,
    ) -> Result<OwnedFd, StoreError> {
        let path = Path::new("a layer");
        let stat = rustix::fs::fstatfs(&fd).map_err(StoreError::io("stat", path))?;
        if stat.f_type == EROFS_MAGIC {
            places.attach(diff_id, &fd)
        } else {
            Ok(fd)
        }
    }

    /// Hold a mount; if there are too many, not the one that was not used for longest.
    fn hold(&self, held: &mut Held, diff_id: DiffId, fd: OwnedFd) {
        if held.mounts.len() >= MAX_HELD
            && let Some((&oldest, _)) = held.mounts.iter().min_by_key(|(_, mount)| mount.used)
        {
            held.mounts.remove(&oldest);
            if let Some(places) = &self.places {
                places.detach(&oldest);
            }
        }
        held.clock += 1;
        let used = held.clock;
        held.mounts.insert(diff_id, Mount { fd, used });
    }

    /// Hold a mount that outlived the process that made it.
    pub(super) fn adopt(&self, diff_id: &DiffId, fd: OwnedFd) {
        let mut held = self.lock();
        if !held.mounts.contains_key(diff_id) {
            self.hold(&mut held, *diff_id, fd);
        }
    }

    /// Let go of the mount of a layer that is removed.
    pub(super) fn forget(&self, diff_id: &DiffId) {
        let mut held = self.lock();
        held.mounts.remove(diff_id);
        if let Some(places) = &self.places {
            places.detach(diff_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, StoreError> {
    fd.try_clone()
        .map_err(StoreError::io("duplicate", "a mount"))
}

/// Files of an indexed layer.
pub(super) struct Indexed {
    pub(super) index: PathBuf,
    pub(super) tar: PathBuf,
    pub(super) side: Option<PathBuf>,
}

impl Indexed {
    /// Mount them.
    pub(super) fn mount(&self, reads: ErofsReads) -> Result<OwnedFd, StoreError> {
        let open = |path: &Path| File::open(path).map_err(StoreError::io("open", path));
        let index = open(&self.index)?;
        // What is looked up first would otherwise be read page by page.
        let _ = rustix::fs::fadvise(&index, 0, None, Advice::WillNeed);
        let tar = open(&self.tar)?;
        let side = self.side.as_deref().map(open).transpose()?;
        let mut devices = vec![tar.as_fd()];
        devices.extend(side.as_ref().map(AsFd::as_fd));
        mount::erofs(index.as_fd(), &devices, reads).map_err(mount_error(&self.index))
    }
}

/// A failed mount, as an error about a path.
pub(super) fn mount_error(path: &Path) -> impl FnOnce(MountError) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Io {
        action: "mount",
        path,
        source: std::io::Error::new(error.source.kind(), error),
    }
}

/// How indexed layers can be used here, or why they cannot.
pub(super) fn probe(work: &Work) -> Result<Usage, StoreError> {
    let content = [0x5a; 512];
    let tar = work.path("tar");
    std::fs::write(&tar, content).map_err(StoreError::io("write", &tar))?;
    let mut tree = Tree::new(TreeLimits {
        entries: 9,
        metadata: 999,
    });
    let mut entry = Entry::new("file", Kind::File);
    entry.size = content.len() as u64;
    let unusable = |what: String| StoreError::Unsupported(format!("indexed layers: {what}"));
    tree.apply(&entry, Source::Tar(0))
        .map_err(|refusal| unusable(refusal.to_string()))?;
    let mut index = work.create("index")?;
    let parts = erofs::Parts {
        tree: &tree,
        diff_id: &DiffId(Digest::of(&content)),
        tar_bytes: content.len() as u64,
        side_bytes: 0,
    };
    erofs::write(&parts, &mut index).map_err(|error| unusable(error.to_string()))?;
    let indexed = Indexed {
        index: work.path("index"),
        tar,
        side: None,
    };
    let mut reads = vec![ErofsReads::Buffered];
    if takes_direct_reads(&indexed.tar) {
        reads.insert(0, ErofsReads::Direct);
    }
    let mut failed = None;
    for reads in reads {
        for layers in [Attachment::Detached, Attachment::Attached] {
            let usage = Usage { reads, layers };
            match try_usage(&indexed, work, usage, &content) {
                Ok(()) => return Ok(usage),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
    }
    Err(failed.unwrap_or_else(|| unusable("no way was found".to_owned())))
}

/// Mount, overlay, read.
fn try_usage(
    indexed: &Indexed,
    work: &Work,
    usage: Usage,
    content: &[u8],
) -> Result<(), StoreError> {
    let mounts = Mounts::new(work.directory(), usage.layers)?;
    let diff_id = DiffId(Digest::of(content));
    let layer = mounts.get(&diff_id, || indexed.mount(usage.reads))?;
    let read = read_through_overlay(&layer, work, content);
    drop(layer);
    mounts.forget(&diff_id);
    if read? == content {
        Ok(())
    } else {
        let what = "indexed layers: wrong content".to_owned();
        Err(StoreError::Unsupported(what))
    }
}

fn read_through_overlay(
    layer: &OwnedFd,
    work: &Work,
    content: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let beside = open_directory(work.directory())?;
    let merged = mount::overlay(&Overlay {
        lower: &[layer.as_fd(), beside.as_fd()],
        upper: None,
        user_xattr: false,
        attributes: MountAttrFlags::empty(),
    })
    .map_err(mount_error(work.directory()))?;
    Root::from_fd(merged)
        .read_bounded("file", content.len() as u64)
        .map_err(StoreError::io("read", work.directory()))
}

/// Whether a file takes direct reads of 512 bytes: not so on disks with larger sectors, where
/// the first mount would work and reads would fail.
fn takes_direct_reads(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let flags = rustix::fs::AtFlags::EMPTY_PATH;
    rustix::fs::statx(&file, "", flags, StatxFlags::DIOALIGN).is_ok_and(|stat| {
        let known = stat.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
        known && (1..=512).contains(&stat.stx_dio_offset_align) && stat.stx_dio_mem_align <= 512
    })
}

/// A handle on a directory of the store.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(StoreError::io("open", path))
}
