//! Extended attributes that belong to a file, as opposed to the host it happens to be on.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use wharf_sys::rooted::{Handle, RootedError};

/// Prefixes of attributes that travel: a program's own, and access lists.
const TRAVEL: [&[u8]; 2] = [b"user.", b"system.posix_acl_"];

/// Overlayfs's own marks, where it may not use trusted ones.
const OVERLAY: &[u8] = b"user.overlay.";

/// File capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// Whether an attribute goes along with a copy. Labels, measurements and marks of overlayfs are
/// of the host, and an archive must not be able to set them.
pub(crate) fn travels(name: &[u8]) -> bool {
    (TRAVEL.iter().any(|prefix| name.starts_with(prefix)) && !name.starts_with(OVERLAY))
        || name == CAPABILITY
}

/// The attributes of an object that go along with a copy, in order of name.
pub(crate) fn of(object: &Handle) -> Result<Vec<(OsString, Vec<u8>)>, RootedError> {
    let mut attributes = Vec::new();
    for name in object.list_xattrs()? {
        if travels(name.as_bytes())
            && let Some(value) = object.get_xattr(&name)?
        {
            attributes.push((name, value));
        }
    }
    Ok(attributes)
}

/// Sets attributes that travel. Those that the file system does not have are left out, as Docker
/// and tar do.
pub(crate) fn set<'a>(
    object: &Handle,
    attributes: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), RootedError> {
    for (name, value) in attributes {
        if !travels(name) {
            continue;
        }
        match object.set_xattr(std::ffi::OsStr::from_bytes(name), value) {
            Err(error) if left_out(&error) => {
                tracing::debug!(%error, "an attribute was left out");
            }
            set => set?,
        }
    }
    Ok(())
}

/// Not supported here, or not on an object of this kind.
fn left_out(error: &RootedError) -> bool {
    [Errno::OPNOTSUPP, Errno::PERM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_and_user_attributes_travel_and_marks_of_the_host_do_not() {
        for name in ["user.x", "security.capability", "system.posix_acl_access"] {
            assert!(travels(name.as_bytes()), "{name}");
        }
        for name in [
            "user.overlay.whiteout",
            "trusted.overlay.opaque",
            "security.selinux",
            "security.ima",
            "trusted.x",
        ] {
            assert!(!travels(name.as_bytes()), "{name}");
        }
    }
}
