//! The terminal: is there one, how large is it, raw mode.

use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{self, OptionalActions, Termios};

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

pub(crate) fn is_terminal(fd: &impl AsFd) -> bool {
    termios::isatty(fd)
}

/// The size, when `fd` is a terminal that knows its own.
pub(crate) fn size(fd: &impl AsFd) -> Option<Size> {
    let size = termios::tcgetwinsize(fd).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(Size {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Keys go through one by one and unchanged until this is dropped.
pub(crate) struct RawMode {
    fd: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Raw input and output, when `fd` is a terminal.
    pub(crate) fn enter(fd: &impl AsFd) -> Option<RawMode> {
        let before = termios::tcgetattr(fd).ok()?;
        let fd = fd.as_fd().try_clone_to_owned().ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&fd, OptionalActions::Now, &raw).ok()?;
        Some(RawMode { fd, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may have gone away; then there is nothing to restore.
        let _ = termios::tcsetattr(&self.fd, OptionalActions::Now, &self.before);
    }
}
