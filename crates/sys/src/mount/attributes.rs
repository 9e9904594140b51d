//! `mount_setattr`: flags, propagation and ID mapping of a mount that exists.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags};

use super::MountError;

/// How far down an operation reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// This mount alone.
    One,
    /// This mount and those below it.
    Recursive,
}

/// What to change on a mount.
#[derive(Debug)]
pub struct Attributes<'a> {
    /// Attributes to set.
    pub set: MountAttrFlags,
    /// Attributes to clear. For an access-time attribute that is set, `MOUNT_ATTR__ATIME`.
    pub clear: MountAttrFlags,
    /// How mounts propagate to and from it, if that is to change.
    pub propagation: Option<MountPropagationFlags>,
    /// Show owners as this user namespace maps them: an idmapped mount. Needs a mount that was
    /// never attached, and a file system that allows it.
    pub user_namespace: Option<BorrowedFd<'a>>,
}

impl Default for Attributes<'_> {
    fn default() -> Self {
        Attributes {
            set: MountAttrFlags::empty(),
            clear: MountAttrFlags::empty(),
            propagation: None,
            user_namespace: None,
        }
    }
}

/// Change a mount (Linux 5.12).
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: &Attributes<'_>,
    depth: Depth,
) -> Result<(), MountError> {
    let mut attr = libc::mount_attr {
        attr_set: u64::from(attributes.set.bits()),
        attr_clr: u64::from(attributes.clear.bits()),
        propagation: attributes
            .propagation
            .map_or(0, |propagation| u64::from(propagation.bits())),
        userns_fd: 0,
    };
    if let Some(namespace) = attributes.user_namespace {
        attr.attr_set |= u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits());
        // A descriptor is never negative, so nothing is lost.
        attr.userns_fd = namespace.as_raw_fd().unsigned_abs().into();
    }
    let mut flags = libc::AT_EMPTY_PATH;
    if depth == Depth::Recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a C string that lives as long as the program, `attr` outlives the call
    // and its size is the one passed, and the descriptor is borrowed for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
    Err(MountError::new("attributes", "mount_setattr", errno))
}
