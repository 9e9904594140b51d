//! Loading a system call filter (`seccomp(2)`) into the calling thread.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One instruction of a classic BPF program, as the kernel takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip if it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());

/// Flags of a filter, the kernel's `SECCOMP_FILTER_FLAG_*` bits.
pub mod flags {
    /// Apply to all threads.
    pub const TSYNC: u32 = 1;
    /// Log every action but allowing.
    pub const LOG: u32 = 2;
    /// Leave speculative store bypass alone.
    pub const SPEC_ALLOW: u32 = 4;
    /// Return a descriptor on which a supervisor answers.
    pub const NEW_LISTENER: u32 = 8;
    /// A supervisor's wait can only be interrupted by a fatal signal.
    pub const WAIT_KILLABLE: u32 = 32;
}

/// Filter the system calls of this thread and of all it becomes and starts, from now on. Needs
/// `no_new_privs` or `CAP_SYS_ADMIN`. Gives a descriptor if a listener was asked for.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    let Ok(length) = u16::try_from(program.len()) else {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    };
    let description = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the description and the program outlive the call, which copies them and writes
    // nothing; the layouts agree (checked above), and the kernel verifies the program.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const description,
        )
    };
    match i32::try_from(result) {
        Ok(fd) if fd > 0 && flags & self::flags::NEW_LISTENER != 0 => {
            // SAFETY: with this flag the kernel returns a new descriptor, which is ours.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
        }
        Ok(0) => Ok(None),
        // With TSYNC the number of a thread that could not follow.
        Ok(1..) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether this kernel knows a flag.
#[must_use]
pub fn knows(flag: u32) -> bool {
    // SAFETY: with a null program the call can only fail: EFAULT if the flag is known, EINVAL if
    // it is not.
    unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flag,
            std::ptr::null::<u8>(),
        )
    };
    io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}
