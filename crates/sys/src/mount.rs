//! Mounts held by descriptor, attached nowhere until somebody says where.
//!
//! The calls here are `fsopen`/`fsconfig`/`fsmount`, `open_tree`, `move_mount` and
//! `mount_setattr`. A mount made with them belongs to whoever holds its descriptor and is gone
//! when the last one is closed: no path, no entry in the host's mount table, nothing to clean up
//! after a crash. [`erofs`] mounts a file system image out of plain files, [`overlay`] mounts
//! layers given as descriptors; [`attach`] puts a mount somewhere.
//!
//! ```text
//!   FileSystem::open ──set──▶ create ──▶ mount ──▶ OwnedFd ──attach──▶ visible in a namespace
//!                                           open_tree (clone_tree) ──▶ OwnedFd
//! ```
//!
//! What older kernels cannot do, and what happens then:
//! - 5.2 to 6.11: no file-backed EROFS. [`erofs`] fails with `ENOTBLK`.
//! - up to 6.14: a mount that is attached nowhere can be neither cloned nor be a layer of an
//!   overlay (`EINVAL`). Attach it first; descriptors of directories that are in the caller's
//!   mount namespace always work.
//! - up to 6.7: [`overlay`] passes all layers in one option string, which holds about sixty.
//!
//! Nothing here knows what a layer or a container is.

mod attributes;
mod overlay;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_fd,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use rustix::thread::UnshareFlags;

pub use attributes::{Attributes, Depth, set_attributes};
pub use overlay::{Overlay, Upper, overlay};
pub use rustix::mount::{MountAttrFlags, MountPropagationFlags};

/// Longest message taken from the kernel's log of a mount.
const LOG_MAX: usize = 1024;

/// A step of a mount that failed.
#[derive(Debug, thiserror::Error)]
#[error("mount {file_system}: {step}: {source}{}", explain(.log))]
pub struct MountError {
    /// The kind of file system.
    pub file_system: String,
    /// The call and its argument.
    pub step: String,
    /// What the kernel said.
    pub source: io::Error,
    /// What it wrote into the context's log, if anything.
    pub log: String,
}

fn explain(log: &str) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!(" ({log})")
    }
}

impl MountError {
    fn new(file_system: &str, step: impl Into<String>, source: impl Into<io::Error>) -> MountError {
        MountError {
            file_system: file_system.to_owned(),
            step: step.into(),
            source: source.into(),
            log: String::new(),
        }
    }

    /// The kernel's error number.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    fn is(&self, errno: Errno) -> bool {
        self.raw_os_error() == Some(errno.raw_os_error())
    }
}

/// A file system being configured.
#[derive(Debug)]
pub struct FileSystem {
    context: OwnedFd,
    kind: String,
}

impl FileSystem {
    /// Begin with a file system of this kind ("overlay", "tmpfs" …).
    pub fn open(kind: &str) -> Result<FileSystem, MountError> {
        match fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(context) => Ok(FileSystem {
                context,
                kind: kind.to_owned(),
            }),
            Err(error) => Err(MountError::new(kind, "fsopen", error)),
        }
    }

    /// Set an option that has no value.
    pub fn flag(&self, key: &str) -> Result<(), MountError> {
        fsconfig_set_flag(&self.context, key).map_err(|error| self.fail(key, error))
    }

    /// Set an option to a text of at most 255 bytes.
    pub fn string(&self, key: &str, value: impl AsRef<OsStr>) -> Result<(), MountError> {
        fsconfig_set_string(&self.context, key, value.as_ref())
            .map_err(|error| self.fail(&format!("{key}={}", value.as_ref().display()), error))
    }

    /// Set an option to a path that leads to this descriptor.
    pub fn path_of(&self, key: &str, fd: BorrowedFd<'_>) -> Result<(), MountError> {
        self.string(key, proc_path(fd))
    }

    /// Set an option to a descriptor.
    pub fn descriptor(&self, key: &str, fd: BorrowedFd<'_>) -> Result<(), MountError> {
        fsconfig_set_fd(&self.context, key, fd).map_err(|error| self.fail(key, error))
    }

    /// Make (or find) the superblock.
    pub fn create(&self) -> Result<(), MountError> {
        fsconfig_create(&self.context).map_err(|error| self.fail("create", error))
    }

    /// A mount of the created superblock, attached nowhere.
    pub fn mount(&self, attributes: MountAttrFlags) -> Result<OwnedFd, MountError> {
        fsmount(&self.context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|error| self.fail("fsmount", error))
    }

    fn fail(&self, step: &str, error: Errno) -> MountError {
        let mut failed = MountError::new(&self.kind, step, error);
        failed.log = self.log();
        failed
    }

    /// What the kernel wrote about this context since it was last asked.
    fn log(&self) -> String {
        let mut log = Vec::new();
        let mut message = [0u8; 256];
        while let Ok(length @ 1..) = rustix::io::read(&self.context, &mut message[..]) {
            if !log.is_empty() {
                log.extend_from_slice(b"; ");
            }
            log.extend_from_slice(message[..length].trim_ascii_end());
            if log.len() >= LOG_MAX {
                break;
            }
        }
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// How an EROFS mount reads its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErofsReads {
    /// Through the page cache of the file, then copied into that of the mount.
    Buffered,
    /// Past the page cache of the file, so that content is cached once. Only right when the file
    /// system below takes direct reads of 512 bytes; refused (`EINVAL`) by kernels before 6.14.
    Direct,
}

/// Mount an EROFS image that is a plain file (Linux 6.12), with its extra devices, read-only.
pub fn erofs(
    image: BorrowedFd<'_>,
    devices: &[BorrowedFd<'_>],
    reads: ErofsReads,
) -> Result<OwnedFd, MountError> {
    let context = FileSystem::open("erofs")?;
    context.path_of("source", image)?;
    for device in devices {
        context.path_of("device", *device)?;
    }
    if reads == ErofsReads::Direct {
        context.flag("directio")?;
    }
    context.create()?;
    context.mount(
        MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
}

/// A detached copy of the mount that `directory` is on, with `directory` as its top.
pub fn clone_tree(directory: BorrowedFd<'_>, depth: Depth) -> Result<OwnedFd, MountError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(directory, "", flags).map_err(|error| MountError::new("clone", "open_tree", error))
}

/// Attach `tree` on `target`, a directory (or for a bind mount of a file, a file) held open.
/// Nothing is resolved by name.
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), MountError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags)
        .map_err(|error| MountError::new("attach", "move_mount", error))
}

/// Give the calling thread a mount namespace of its own, to and from which no mount propagates.
/// Only for a thread that was started for this: it also stops sharing its working directory.
pub fn enter_private_namespace() -> Result<(), MountError> {
    let fail = |step: &'static str| move |error| MountError::new("namespace", step, error);
    // SAFETY: the flags do not include FILES, so descriptors of other threads stay valid here.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }
        .map_err(fail("unshare"))?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(fail("make private"))
}

/// A path to exactly what a descriptor refers to, for calls that take only paths.
fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests;
