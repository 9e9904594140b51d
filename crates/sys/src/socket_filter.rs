//! A classic BPF program that decides which messages a socket receives.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::seccomp::Instruction;

/// Let `socket` receive only messages for which `program` returns another number than 0.
pub fn attach(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let Ok(length) = u16::try_from(program.len()) else {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    };
    let description = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the size of a two-word struct"
    )]
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the description and the program outlive the call, which copies both and writes
    // nothing; `Instruction` has the layout of `sock_filter` (checked beside it), and the kernel
    // verifies the program.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const description).cast(),
            size,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
