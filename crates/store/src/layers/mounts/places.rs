//! Where mounts are attached on kernels that want that: Linux 6.12 to 6.14.
//!
//! Those mount an index, but take a layer into an overlay only if it is attached somewhere in the
//! caller's mount namespace. So on them, and only on them, each layer that is in use is attached
//! at `layers/mounts/<diff id>`, below a directory that only we may enter. The mount stays when
//! we end, and is found there again.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::mount::UnmountFlags;
use wharf_sys::mount;

use super::{mount_error, open_directory};
use crate::digest::{DiffId, Digest};
use crate::directory;
use crate::error::StoreError;

/// The directory that holds the places.
#[derive(Debug)]
pub(in crate::layers) struct Places(PathBuf);

impl Places {
    /// In the directory of layers.
    pub(super) fn open(layers: &Path) -> Result<Places, StoreError> {
        let directory = layers.join("mounts");
        directory::make_private(&directory)?;
        Ok(Places(directory))
    }

    /// The mount of a layer, if an earlier process attached it.
    pub(super) fn find(&self, diff_id: &DiffId) -> Result<Option<OwnedFd>, StoreError> {
        let path = self.path(diff_id);
        if is_mount(&path) {
            open_directory(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Attach a mount. The descriptor that comes back is of it where it is now.
    pub(super) fn attach(
        &self,
        diff_id: &DiffId,
        detached: &OwnedFd,
    ) -> Result<OwnedFd, StoreError> {
        let path = self.path(diff_id);
        directory::make_private(&path)?;
        let place = open_directory(&path)?;
        mount::attach(detached.as_fd(), place.as_fd()).map_err(mount_error(&path))?;
        open_directory(&path)
    }

    /// Take a layer's mount away from its place. What uses it goes on.
    pub(super) fn detach(&self, diff_id: &DiffId) {
        let path = self.path(diff_id);
        // Attached several times over if two processes were at work; each is taken away.
        while is_mount(&path) {
            if let Err(error) = rustix::mount::unmount(&path, UnmountFlags::DETACH) {
                tracing::warn!(%error, path = %path.display(), "cannot unmount a layer");
                return;
            }
        }
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "cannot remove a mount point");
            }
            _ => {}
        }
    }

    /// Take away what belongs to no layer.
    pub(super) fn settle(&self, exists: impl Fn(&DiffId) -> bool) -> Result<(), StoreError> {
        for path in directory::list(&self.0)? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            match Digest::from_hex(name).map(DiffId) {
                Ok(diff_id) if exists(&diff_id) => {}
                Ok(diff_id) => self.detach(&diff_id),
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn path(&self, diff_id: &DiffId) -> PathBuf {
        self.0.join(diff_id.hex())
    }
}

/// Whether something is mounted on exactly this directory.
fn is_mount(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statx(rustix::fs::CWD, path, flags, StatxFlags::BASIC_STATS)
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
