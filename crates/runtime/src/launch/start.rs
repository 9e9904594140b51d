//! Letting a created container go.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::channel::{self, Message};
use super::error::{Failure, LaunchError, Step};

/// The right to start a created container. Dropped, the container ends.
#[derive(Debug)]
pub struct StartHandle {
    socket: OwnedFd,
}

impl StartHandle {
    pub(super) fn new(socket: OwnedFd) -> StartHandle {
        StartHandle { socket }
    }

    /// The handle on a container that was created with [`Start::Socket`](super::Start), by the
    /// path its socket was bound to.
    pub fn connect(path: &Path) -> io::Result<StartHandle> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(StartHandle { socket })
    }

    /// Bind the socket for [`Start::Socket`](super::Start) at `path`.
    pub fn listen(path: &Path) -> io::Result<OwnedFd> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, 1)?;
        Ok(socket)
    }

    /// Let init execute the program; returns once it does.
    pub fn start(self) -> Result<(), LaunchError> {
        let talk = |error| Failure::at::<io::Error>(Step::Channel, "")(error);
        channel::send(self.socket.as_fd(), &Message::Start).map_err(talk)?;
        until_executed(&self.socket)
    }
}

/// Wait for the socket to close, which says that the program runs, or for what went wrong.
fn until_executed(socket: &OwnedFd) -> Result<(), LaunchError> {
    loop {
        let message = channel::receive(socket.as_fd()).map_err(Failure::at(Step::Channel, ""))?;
        match message {
            None => return Ok(()),
            Some(Message::Failed(failure)) => return Err(failure.into()),
            Some(Message::ExecFailed(error)) => return Err(error.into()),
            Some(_) => {}
        }
    }
}
