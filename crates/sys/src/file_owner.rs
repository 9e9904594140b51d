//! Making files as somebody else, for the length of a call.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits,
};

/// Run `act` while files that this thread makes belong to `user` and `group`, with every
/// capability kept: what the kernel makes for us on an idmapped mount must belong to somebody
/// whom that mount maps. Threads that `act` starts inherit it.
pub fn with_owner<T>(user: Uid, group: Gid, act: impl FnOnce() -> T) -> io::Result<T> {
    let bits = capabilities_secure_bits()?;
    // Or a file user other than 0 would cost the capabilities that concern files.
    set_capabilities_secure_bits(bits | CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
    let (user_before, group_before) = exchange(user.as_raw(), group.as_raw());
    let taken = exchange(user.as_raw(), group.as_raw()) == (user.as_raw(), group.as_raw());
    let result = taken.then(act);
    exchange(user_before, group_before);
    set_capabilities_secure_bits(bits)?;
    result.ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied))
}

/// Set the file user and group, and give those of before. These calls report no failure; asking
/// twice shows whether the first had any effect.
fn exchange(user: u32, group: u32) -> (u32, u32) {
    // SAFETY: the call concerns this thread's credentials alone and touches no memory.
    let group = unsafe { libc::setfsgid(group) };
    // SAFETY: as above.
    let user = unsafe { libc::setfsuid(user) };
    (user.cast_unsigned(), group.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn files_are_anothers_for_as_long_as_it_is_asked_for() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            let meta = std::fs::metadata(path).unwrap();
            (meta.uid(), meta.gid())
        };
        let inside = with_owner(Uid::from_raw(1234), Gid::from_raw(5678), || made("in"));
        assert_eq!(inside.unwrap(), (1234, 5678));
        assert_eq!(made("after"), (0, 0));
    }
}
