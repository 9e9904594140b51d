//! `clone3`: a child process that is born in its namespaces and its cgroup, with a pidfd.
//!
//! The child is a copy of the caller (copy on write) and runs ordinary Rust. That is sound only
//! while the caller has a single thread: a lock that another thread held, the allocator's for
//! one, would stay locked in the child for ever. [`spawn`] asks the kernel and refuses.

use std::convert::Infallible;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::Pid;

/// Born in the cgroup given (`libc` has it in a type it does not fit).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Exit status of a child whose code panicked.
const EXIT_PANIC: i32 = 70;

/// How a child is made.
#[derive(Debug, Default)]
pub struct Clone<'a> {
    /// Namespaces that are new for the child (`CLONE_NEW…`).
    pub namespaces: Namespaces,
    /// The cgroup (version 2) it is born in, a directory. Linux 5.7.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A set of kinds of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces(u64);

impl Namespaces {
    /// Mounts.
    pub const MOUNT: Namespaces = Namespaces(libc::CLONE_NEWNS as u64);
    /// Host and domain name.
    pub const UTS: Namespaces = Namespaces(libc::CLONE_NEWUTS as u64);
    /// System V IPC and POSIX message queues.
    pub const IPC: Namespaces = Namespaces(libc::CLONE_NEWIPC as u64);
    /// Users and groups.
    pub const USER: Namespaces = Namespaces(libc::CLONE_NEWUSER as u64);
    /// Process numbers.
    pub const PID: Namespaces = Namespaces(libc::CLONE_NEWPID as u64);
    /// Network.
    pub const NETWORK: Namespaces = Namespaces(libc::CLONE_NEWNET as u64);
    /// The root of the cgroup hierarchies.
    pub const CGROUP: Namespaces = Namespaces(libc::CLONE_NEWCGROUP as u64);
    /// Monotonic and boot time.
    pub const TIME: Namespaces = Namespaces(0x80);

    /// None.
    #[must_use]
    pub const fn empty() -> Namespaces {
        Namespaces(0)
    }

    /// The kernel's bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Namespaces {
        Namespaces(bits)
    }

    /// Whether all of `other` are in it.
    #[must_use]
    pub const fn contains(self, other: Namespaces) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 & !other.0)
    }
}

impl std::ops::BitOr for Namespaces {
    type Output = Namespaces;
    fn bitor(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Namespaces {
    fn bitor_assign(&mut self, other: Namespaces) {
        self.0 |= other.0;
    }
}

/// A child, as its parent sees it.
#[derive(Debug)]
pub struct Child {
    /// Its number in the parent's namespace.
    pub pid: Pid,
    /// A handle on it.
    pub pidfd: OwnedFd,
}

/// Proof of being the code of a child made by [`spawn`]: alone in its process, which does
/// nothing but this code.
#[derive(Debug)]
pub struct InChild {
    born_in_cgroup: bool,
}

impl InChild {
    /// Whether it was born in the cgroup that was asked for; kernels before 5.7 cannot do that.
    #[must_use]
    pub fn born_in_cgroup(&self) -> bool {
        self.born_in_cgroup
    }

    /// Close one inherited descriptor. Its owner in this copy of the parent's memory never acts.
    pub fn close(&self, inherited: BorrowedFd<'_>) -> io::Result<()> {
        let number = inherited.as_raw_fd();
        crate::descriptors::close_range(number, Some(number))
    }

    /// Close every descriptor from `first` on but those in `keep`. What this process inherited
    /// belongs to values of the parent's that are not going to act here; values of its own that
    /// are not in `keep` must not be used again.
    pub fn close_from(&self, first: RawFd, keep: &[RawFd]) -> io::Result<()> {
        let mut keep: Vec<RawFd> = keep.iter().copied().filter(|&fd| fd >= first).collect();
        keep.sort_unstable();
        let mut from = first;
        for fd in keep {
            if fd > from {
                crate::descriptors::close_range(from, Some(fd - 1))?;
            }
            from = fd + 1;
        }
        crate::descriptors::close_range(from, None)
    }

    /// End this process without running anything that the parent registered for its own end.
    pub fn exit(&self, status: i32) -> ! {
        // SAFETY: `_exit` ends the process and touches no memory.
        unsafe { libc::_exit(status) }
    }
}

/// Whether the calling process has a single thread.
#[must_use]
pub fn single_threaded() -> bool {
    // The kernel takes this flag only as a question: there is nothing to unshare.
    // SAFETY: CLONE_THREAD changes nothing; the call succeeds or says EINVAL.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } == 0 {
        return true;
    }
    // A filter around us (we are a container's init, say) forbids the call as such.
    let forbidden = io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied;
    forbidden && std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Start a child that runs `code`. A single-threaded caller is required (`EDEADLK` otherwise).
pub fn spawn(
    clone: &Clone<'_>,
    code: impl FnOnce(&InChild) -> Result<Infallible, i32>,
) -> io::Result<Child> {
    if !single_threaded() {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: clone.namespaces.bits() | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    let mut born_in_cgroup = false;
    if let Some(fd) = clone.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(fd.as_raw_fd().unsigned_abs());
        born_in_cgroup = true;
    }
    let mut pid = clone3(&args);
    if pid < 0 && born_in_cgroup {
        let error = io::Error::last_os_error();
        if matches!(
            error.raw_os_error(),
            Some(libc::E2BIG | libc::EINVAL | libc::ENOSYS)
        ) {
            args.flags &= !CLONE_INTO_CGROUP;
            args.cgroup = 0;
            born_in_cgroup = false;
            pid = clone3(&args);
        }
    }
    if pid == 0 {
        let child = InChild { born_in_cgroup };
        // Nothing may unwind into the frames copied from the parent.
        match catch_unwind(AssertUnwindSafe(|| code(&child))) {
            Ok(Err(status)) => child.exit(status),
            Ok(Ok(never)) => match never {},
            Err(_) => child.exit(EXIT_PANIC),
        }
    }
    let Some(pid) = i32::try_from(pid)
        .ok()
        .filter(|&pid| pid > 0)
        .and_then(Pid::from_raw)
    else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: on success the kernel put a new descriptor here, which nothing else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, pidfd })
}

/// `clone3`, or `clone` where a filter hides it or the kernel is older than 5.3, as far as that can
/// do the same.
fn clone3(args: &libc::clone_args) -> libc::c_long {
    // SAFETY: the arguments outlive the call; without CLONE_VM the child gets a copy of this
    // memory and its own stack pointer into it; `spawn`, the only caller, made sure that this
    // process has one thread, so that no lock is held by a thread that the copy lacks.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(args),
            size_of::<libc::clone_args>(),
        )
    };
    let hidden = pid < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
    if !hidden || args.cgroup != 0 {
        return pid;
    }
    // SAFETY: as above; without a stack the child goes on with a copy of ours, and the pidfd is
    // put where the third argument points, which is valid in both copies.
    unsafe {
        libc::syscall(
            libc::SYS_clone,
            args.flags | args.exit_signal,
            0_u64,
            args.pidfd,
            0_u64,
            0_u64,
        )
    }
}

/// Fixed by the ABI: version 2 of the structure, with the cgroup.
const _: () = assert!(size_of::<libc::clone_args>() == 88);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_with_several_threads_is_refused() {
        std::thread::spawn(|| {
            assert!(!single_threaded());
            let error = spawn(&Clone::default(), |_| Err(0)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EDEADLK));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn sets_of_namespaces_add_and_subtract() {
        let both = Namespaces::MOUNT | Namespaces::PID;
        assert!(both.contains(Namespaces::PID));
        assert!(!both.contains(Namespaces::USER));
        assert_eq!(both.without(Namespaces::PID), Namespaces::MOUNT);
    }
}
