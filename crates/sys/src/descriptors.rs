//! Ranges of file descriptors: closing them, and marking them to be closed by `execve`.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use rustix::io::Errno;

/// Make every descriptor from `first` on close when the process executes a program.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let first_bits = first.unsigned_abs();
    // SAFETY: with this flag the call changes only a flag of descriptors, whoever owns them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first_bits,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        return Ok(());
    }
    match last_errno() {
        // Before Linux 5.11 (5.9 without the flag).
        Errno::NOSYS | Errno::INVAL | Errno::PERM => each_open(first, None, |fd| {
            // SAFETY: only a flag of the descriptor changes.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }),
        error => Err(error.into()),
    }
}

/// Close the descriptors from `first` to `last`, or all from `first` on. The caller sees to it
/// that no value in the process owns one of them and goes on using it; see
/// [`InChild::close_from`](crate::clone::InChild::close_from), the only user.
pub(crate) fn close_range(first: RawFd, last: Option<RawFd>) -> io::Result<()> {
    let to = last.map_or(u32::MAX, RawFd::unsigned_abs);
    // SAFETY: closing touches no memory; whose descriptors they are is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first.unsigned_abs(), to, 0) };
    if result == 0 {
        return Ok(());
    }
    match last_errno() {
        Errno::NOSYS | Errno::PERM => each_open(first, last, |fd| {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }),
        error => Err(error.into()),
    }
}

/// For kernels without `close_range`: the descriptors that are open, from the kernel's list.
fn each_open(first: RawFd, last: Option<RawFd>, act: impl Fn(RawFd)) -> io::Result<()> {
    // The whole list first: the listing itself has a descriptor, gone by the time we act.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open {
        if fd >= first && last.is_none_or(|last| fd <= last) {
            act(fd);
        }
    }
    Ok(())
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_list_for_old_kernels_names_what_is_open() {
        let file = File::open("/dev/null").unwrap();
        let seen = std::cell::RefCell::new(Vec::new());
        each_open(3, None, |fd| seen.borrow_mut().push(fd)).unwrap();
        assert!(seen.borrow().contains(&file.as_raw_fd()));
        let after = std::cell::RefCell::new(Vec::new());
        each_open(3, Some(file.as_raw_fd() - 1), |fd| {
            after.borrow_mut().push(fd);
        })
        .unwrap();
        assert!(!after.borrow().contains(&file.as_raw_fd()));
    }
}
