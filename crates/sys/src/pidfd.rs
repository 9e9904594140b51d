//! Acting on a process by its handle.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends a signal by its number, real-time signals included (which `rustix`'s type leaves out).
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed, and no memory is passed otherwise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0_u32,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
