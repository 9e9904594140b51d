//! Streams and terminals between the command line and a container.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Process;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};
use rustix::termios::{isatty, tcgetwinsize};

use super::CliError;
use crate::launch::{Io, Stdio, WindowSize};

/// The streams for a process: a terminal if it wants one, else ours.
pub(super) fn for_process(process: &Process) -> Result<Io, CliError> {
    if process.terminal() == Some(true) {
        return Ok(Io::Terminal(window_size(process)));
    }
    let copy = |fd: BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, 3);
    Ok(Io::Streams(Stdio {
        stdin: copy(std::io::stdin().as_fd())?,
        stdout: copy(std::io::stdout().as_fd())?,
        stderr: copy(std::io::stderr().as_fd())?,
    }))
}

/// The size the specification asks for, else that of our own terminal.
fn window_size(process: &Process) -> WindowSize {
    let short = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    if let Some(size) = process.console_size() {
        return WindowSize {
            rows: short(size.height()),
            columns: short(size.width()),
        };
    }
    let own = std::io::stdin();
    match tcgetwinsize(&own) {
        Ok(size) if isatty(&own) => WindowSize {
            rows: size.ws_row,
            columns: size.ws_col,
        },
        _ => WindowSize::default(),
    }
}

/// Hand a terminal's master end to whoever listens at `path`, as runc does.
pub(super) fn send_terminal(path: &Path, terminal: &OwnedFd) -> Result<(), CliError> {
    let send = || -> rustix::io::Result<()> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        let fds = [terminal.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let name = IoSlice::new(b"/dev/ptmx");
        sendmsg(&socket, &[name], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    send().map_err(|error| CliError::at("send the terminal to", path)(error.into()))
}
