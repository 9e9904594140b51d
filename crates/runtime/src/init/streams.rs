//! Descriptors 0, 1 and 2.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{FileType, Uid, fchown, fstat, makedev};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::launch::Stdio;
use crate::launch::error::{Failure, Step};

/// Make these the standard streams, owned by `uid`, so that a program of that user can open
/// `/dev/stdout` again.
pub(super) fn put_in_place(stdio: Stdio, uid: u32) -> Result<(), Failure> {
    for stream in [&stdio.stdin, &stdio.stdout, &stdio.stderr] {
        give_to(stream.as_fd(), uid).map_err(Failure::at(Step::Streams, "owner"))?;
    }
    duplicate(
        stdio.stdin.as_fd(),
        stdio.stdout.as_fd(),
        stdio.stderr.as_fd(),
    )?;
    // Descriptors that already were 0, 1 or 2 must survive their owner.
    for stream in [stdio.stdin, stdio.stdout, stdio.stderr] {
        if stream.as_raw_fd() <= 2 {
            std::mem::forget(stream);
        }
    }
    Ok(())
}

/// Duplicate three descriptors onto 0, 1 and 2, whatever their numbers are.
pub(super) fn duplicate(
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let step = |error: Errno| Failure::at(Step::Streams, "")(error);
    // Out of the way first, so that none is overwritten before it was used.
    let stdin = fcntl_dupfd_cloexec(stdin, 3).map_err(step)?;
    let stdout = fcntl_dupfd_cloexec(stdout, 3).map_err(step)?;
    let stderr = fcntl_dupfd_cloexec(stderr, 3).map_err(step)?;
    dup2_stdin(&stdin).map_err(step)?;
    dup2_stdout(&stdout).map_err(step)?;
    dup2_stderr(&stderr).map_err(step)
}

/// Give a stream to a user; the group stays. The null device belongs to everybody, and where the
/// owner cannot be changed the program has to do with what it inherits.
pub(super) fn give_to(stream: BorrowedFd<'_>, uid: u32) -> Result<(), Errno> {
    let stat = fstat(stream)?;
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if stat.st_uid == uid || (device && stat.st_rdev == makedev(1, 3)) {
        return Ok(());
    }
    match fchown(stream, Some(Uid::from_raw(uid)), None) {
        Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => Ok(()),
        changed => changed,
    }
}
