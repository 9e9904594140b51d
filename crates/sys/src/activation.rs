//! Sockets that systemd opened for this process and passed on (`sd_listen_fds(3)`).
//!
//! They are descriptors 3 and up, as many as `LISTEN_FDS` says, meant for the process that
//! `LISTEN_PID` names. Nothing else says that they exist, so nothing but this may take them.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;

/// More than anybody passes; a bound on what a broken environment can make us look at.
const MOST: RawFd = 64;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the sockets, once: a second call gives none. They are not passed on to other programs.
///
/// Must be called before this process opens sockets that might stand where a passed one is
/// missing; a descriptor that is none is an error and nothing is taken.
pub fn sockets() -> io::Result<Vec<OwnedFd>> {
    let count = count(
        std::env::var("LISTEN_PID").ok().as_deref(),
        std::env::var("LISTEN_FDS").ok().as_deref(),
        std::process::id(),
    );
    if count == 0 || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    (FIRST..FIRST + count).map(take).collect()
}

fn count(pid: Option<&str>, fds: Option<&str>, own: u32) -> RawFd {
    let ours = pid.and_then(|pid| pid.parse().ok()) == Some(own);
    let count = fds.and_then(|fds| fds.parse().ok()).unwrap_or(0);
    if ours { count.clamp(0, MOST) } else { 0 }
}

fn take(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: by systemd's protocol the descriptor was opened for this process, and `TAKEN` lets
    // this run once, so nobody else owns it. If the environment lied and there is no such
    // descriptor, the next call fails with EBADF and the value is forgotten, not closed.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    if let Err(error) = fcntl_setfd(&fd, FdFlags::CLOEXEC) {
        std::mem::forget(fd);
        return Err(io::Error::other(format!(
            "descriptor {raw} was not passed: {error}"
        )));
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_this_process_is_counted() {
        assert_eq!(count(Some("7"), Some("2"), 7), 2);
        assert_eq!(count(Some("8"), Some("2"), 7), 0);
        assert_eq!(count(None, Some("2"), 7), 0);
        assert_eq!(count(Some("7"), Some("-1"), 7), 0);
        assert_eq!(count(Some("7"), Some("many"), 7), 0);
        assert_eq!(count(Some("7"), Some("1000000"), 7), MOST);
    }
}
