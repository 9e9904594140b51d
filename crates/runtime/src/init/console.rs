//! A pseudo-terminal out of the container's own devpts.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fcntl_setfl, fstat, fstatfs, makedev};
use rustix::io::Errno;
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use wharf_sys::rooted::Root;

use super::{Caller, Fatal, streams};
use crate::launch::WindowSize;
use crate::launch::channel::Message;
use crate::launch::error::{Failure, Step};

/// `f_type` of devpts.
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Both ends of a terminal.
pub(super) struct Terminal {
    master: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// Open a terminal that belongs to `uid`.
///
/// The multiplexer is taken only if it is one, on a devpts: the container may have put anything
/// under that name. The other end comes from the kernel (`TIOCGPTPEER`), not from `/dev/pts/<n>`.
pub(super) fn make(root: &Root, size: WindowSize, uid: u32) -> Result<Terminal, Failure> {
    let fail = |error: Errno| Failure::at(Step::Console, "/dev/pts/ptmx")(error);
    let multiplexer = root
        .resolve_nofollow("/dev/pts/ptmx")
        .map_err(Failure::at(Step::Console, "/dev/pts/ptmx"))?;
    let stat = multiplexer
        .stat()
        .map_err(Failure::at(Step::Console, "/dev/pts/ptmx"))?;
    let on = fstatfs(&multiplexer).map_err(fail)?;
    if on.f_type as i64 != DEVPTS_SUPER_MAGIC || stat.st_rdev != makedev(5, 2) {
        return Err(fail(Errno::NXIO));
    }
    // Not to wait, should it have become a pipe in between; then it is not the same object.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let master = root
        .open_file("/dev/pts/ptmx", flags, Mode::empty())
        .map_err(Failure::at(Step::Console, "/dev/pts/ptmx"))?;
    let opened = fstat(&master).map_err(fail)?;
    if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(fail(Errno::NXIO));
    }
    let master = OwnedFd::from(master);
    fcntl_setfl(&master, OFlags::RDWR).map_err(fail)?;
    unlockpt(&master).map_err(fail)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).map_err(fail)?;
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).map_err(fail)?;
    streams::give_to(slave.as_fd(), uid).map_err(fail)?;
    Ok(Terminal { master, slave })
}

impl Terminal {
    /// Make it this session's terminal and the three streams; its master goes to the caller.
    pub(super) fn attach(self, caller: &Caller<'_>) -> Result<(), Fatal> {
        ioctl_tiocsctty(&self.slave).map_err(Failure::at(Step::Console, "TIOCSCTTY"))?;
        streams::duplicate(self.slave.as_fd(), self.slave.as_fd(), self.slave.as_fd())?;
        caller.say(&Message::Descriptor(self.master))
    }
}
