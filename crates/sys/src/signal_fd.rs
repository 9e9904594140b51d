//! Signals as something to be read, for a loop that waits on descriptors alone.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Blocks these signals for the calling thread and gives a descriptor (close-on-exec, not
/// blocking) that is readable while one of them is pending. Threads and processes that are started
/// from now on inherit the mask.
pub fn block_and_watch(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: an all-zero sigset_t is a valid value, filled below.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: the set outlives the call; a number that is no signal says EINVAL.
        if unsafe { libc::sigaddset(&raw mut set, *signal) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: the set outlives the call, and no old set is asked for.
    if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the set outlives the call.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: signalfd gave a new descriptor, which is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Blocks every signal that can be blocked, for a process that must not be ended by any of them.
/// Faults of its own (`SIGSEGV`) end it all the same.
pub fn block_all() -> io::Result<()> {
    // SAFETY: an all-zero sigset_t is a valid value, filled below.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call.
    unsafe { libc::sigfillset(&raw mut set) };
    // SAFETY: the set outlives the call, and no old set is asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes the pending signals off the descriptor. Several of one kind may have become one.
pub fn drain(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
    loop {
        // SAFETY: the buffer outlives the call and has the length that is given.
        let read = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), info.len()) };
        if read >= 0 {
            continue;
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(()),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}
