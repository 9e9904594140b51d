//! Calls on namespaces that rustix lacks or marks unsafe, and small per-process switches.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::clone::Namespaces;

/// Make new namespaces of these kinds for the calling process, which has one thread.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let flags =
        i32::try_from(namespaces.bits()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: namespace flags never include CLONE_FILES, so no descriptor changes its meaning.
    check(unsafe { libc::unshare(flags) })
}

/// Join the namespace that `fd` is, or, if it is a pidfd, that process's namespaces of these
/// kinds (Linux 5.8).
pub fn join(fd: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    let flags =
        i32::try_from(namespaces.bits()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the descriptor is borrowed for the call; no memory is touched.
    check(unsafe { libc::setns(fd.as_raw_fd(), flags) })
}

/// Leave the caller's session keyring for a new one.
pub fn join_new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    check(i32::from(result < 0).wrapping_neg())
}

const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;

/// Set the execution domain.
pub fn set_personality(persona: u32) -> io::Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { libc::personality(persona.into()) }.min(0))
}

/// Set the I/O scheduling class and priority of this process.
pub fn set_io_priority(class: u8, priority: u16) -> io::Result<()> {
    let value = (u32::from(class) << IOPRIO_CLASS_SHIFT) | u32::from(priority);
    // SAFETY: no memory is touched.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) };
    check(i32::from(result < 0).wrapping_neg())
}

const IOPRIO_WHO_PROCESS: i32 = 1;
const IOPRIO_CLASS_SHIFT: u32 = 13;

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
