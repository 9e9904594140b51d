//! An overlay whose layers are descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::thread::UnshareFlags;

use super::{FileSystem, MountError};

const KIND: &str = "overlay";

/// The longest value `fsconfig` takes for a string.
const STRING_MAX: usize = 255;

/// The writable layer of an overlay. Both directories are on one file system, and both
/// descriptors were opened in the mount namespace of the caller.
#[derive(Debug, Clone, Copy)]
pub struct Upper<'a> {
    /// Where changes go.
    pub upper: BorrowedFd<'a>,
    /// The overlay's own scratch directory, empty.
    pub work: BorrowedFd<'a>,
}

/// An overlay to mount.
#[derive(Debug)]
pub struct Overlay<'a> {
    /// The read-only layers, top first; at least one, and two if there is no upper.
    pub lower: &'a [BorrowedFd<'a>],
    /// The writable layer; without it the overlay is read-only.
    pub upper: Option<Upper<'a>>,
    /// Keep the overlay's own marks in `user.overlay.*`, where a process that is not privileged
    /// may write them, rather than in `trusted.overlay.*`.
    pub user_xattr: bool,
    /// Attributes of the mount.
    pub attributes: MountAttrFlags,
}

/// Options every overlay here gets. The first three keep an upper layer readable without its
/// lower ones (a directory that is renamed is copied, a file whose mode changes is copied), which
/// is what commit and diff read; `nofollow` also keeps marks that a hostile image smuggled into a
/// layer from leading anywhere.
const FIXED: [(&str, &str); 3] = [
    ("index", "off"),
    ("metacopy", "off"),
    ("redirect_dir", "nofollow"),
];

/// Mount an overlay, attached nowhere.
pub fn overlay(overlay: &Overlay<'_>) -> Result<OwnedFd, MountError> {
    match by_context(overlay) {
        Err(Unable::Layers) => by_option_string(overlay),
        Err(Unable::Failed(error)) => Err(error),
        Ok(mounted) => Ok(mounted),
    }
}

/// Why the new calls did not do.
enum Unable {
    /// This kernel does not take layers one by one (before 6.8).
    Layers,
    /// It does not work at all.
    Failed(MountError),
}

impl From<MountError> for Unable {
    fn from(error: MountError) -> Unable {
        Unable::Failed(error)
    }
}

fn by_context(overlay: &Overlay<'_>) -> Result<OwnedFd, Unable> {
    let context = FileSystem::open(KIND)?;
    context.string("source", KIND)?;
    for (at, layer) in overlay.lower.iter().enumerate() {
        match directory(&context, "lowerdir+", *layer) {
            Err(error) if at == 0 && error.is(Errno::INVAL) => return Err(Unable::Layers),
            set => set?,
        }
    }
    if let Some(upper) = overlay.upper {
        directory(&context, "upperdir", upper.upper)?;
        directory(&context, "workdir", upper.work)?;
    }
    Ok(finish(&context, overlay)?)
}

/// Give a directory by descriptor (6.13; by one that is `O_PATH`, 6.15), else by a path to it.
fn directory(context: &FileSystem, key: &str, fd: BorrowedFd<'_>) -> Result<(), MountError> {
    match context.descriptor(key, fd) {
        Err(error) if error.is(Errno::INVAL) || error.is(Errno::BADF) => context.path_of(key, fd),
        set => set,
    }
}

/// Options that only switch a feature off may be unknown to a kernel that lacks the feature.
fn optional(set: Result<(), MountError>) -> Result<(), MountError> {
    match set {
        Err(error) if error.is(Errno::INVAL) => Ok(()),
        set => set,
    }
}

/// For kernels before 6.8: all layers in one string, which `fsconfig` limits to 255 bytes. So the
/// layers are named as briefly as can be, by their numbers, from inside `/proc/self/fd`: about
/// sixty fit. A thread of its own goes there, since a working directory is the whole process's.
pub(super) fn by_option_string(overlay: &Overlay<'_>) -> Result<OwnedFd, MountError> {
    let fail = |step: &str, error: io::Error| MountError::new(KIND, step, error);
    let names: Vec<String> = overlay
        .lower
        .iter()
        .map(|layer| layer.as_raw_fd().to_string())
        .collect();
    let lower = names.join(":");
    if lower.len() > STRING_MAX {
        let error = io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{} layers are more than this kernel takes", names.len()),
        );
        return Err(fail("lowerdir", error));
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("overlay".to_owned())
            .spawn_scoped(scope, || {
                enter_descriptors()?;
                let context = FileSystem::open(KIND)?;
                context.string("source", KIND)?;
                context.string("lowerdir", &lower)?;
                if let Some(upper) = overlay.upper {
                    context.string("upperdir", upper.upper.as_raw_fd().to_string())?;
                    context.string("workdir", upper.work.as_raw_fd().to_string())?;
                }
                finish(&context, overlay)
            })
            .map_err(|error| fail("start a thread", error))?
            .join()
            .unwrap_or_else(|_| Err(fail("mount", Errno::IO.into())))
    })
}

/// Make the directory of this process's descriptors the working directory of this thread alone.
fn enter_descriptors() -> Result<(), MountError> {
    let fail = |step: &'static str| move |error| MountError::new(KIND, step, error);
    // SAFETY: the flags do not include FILES, so descriptors of other threads stay valid here.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }.map_err(fail("unshare"))?;
    rustix::process::chdir("/proc/self/fd").map_err(fail("enter /proc/self/fd"))
}

/// The options that are the same on every kernel, and the mount.
fn finish(context: &FileSystem, overlay: &Overlay<'_>) -> Result<OwnedFd, MountError> {
    for (key, value) in FIXED {
        optional(context.string(key, value))?;
    }
    if overlay.user_xattr {
        context.flag("userxattr")?;
    }
    context.create()?;
    context.mount(overlay.attributes)
}
