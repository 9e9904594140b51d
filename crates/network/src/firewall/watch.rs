//! Notices of changes that other programs make to our table.
//!
//! The kernel tells every change of the ruleset to the group `NFNLGRP_NFTABLES`, ours too: a
//! publish of 65,000 ports is 65,000 notices. A filter on the socket drops in the kernel what
//! comes from our own port, so we neither wake nor overflow from what we did ourselves. Where the
//! queue overflows by others' changes, we cannot know what they were and take it for one of ours.
//!
//! A change is told after a short rest, so that a reload in several steps is told once. If
//! another program goes on and on undoing us, it is told twice a second.
//!
//! Rejected: the table flag `owner`, with which the kernel refuses others' changes to our table. It
//! would refuse the administrator's to the chain `user`, and before Linux 6.9 the table would go
//! with the daemon.

use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};
use wharf_sys::seccomp::Instruction;
use wharf_sys::socket_filter;

use super::batch::INET;
use super::error::{Error, Result};
use super::schema;
use super::wire::{Message, messages};

const GROUP: u32 = 7;
const NFTABLES: u16 = 10;
const BUFFER: usize = 64 * 1024;
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// How long nothing must change before a change is told.
const REST: Duration = Duration::from_millis(50);
/// How long a change waits at most while others follow it.
const LIMIT: Duration = Duration::from_millis(400);
/// The shortest time between two calls.
const PACE: Duration = Duration::from_millis(500);

/// The watch over the table; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Watch `table` in the calling thread's namespace, but for what the socket `own` does to it.
pub(super) fn start(
    table: &str,
    own: u32,
    changed: impl FnMut() + Send + 'static,
) -> Result<Watch> {
    let failed = |source| Error::Socket {
        doing: "watching for changes",
        source,
    };
    let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed)?;
    socket.bind(&SocketAddr::new(0, 0)).map_err(failed)?;
    let fd = socket.as_fd();
    socket_filter::attach(fd, &not_from(own)).map_err(failed)?;
    if sockopt::set_socket_recv_buffer_size_force(fd, RECEIVE_BUFFER).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(fd, RECEIVE_BUFFER);
    }
    socket.add_membership(GROUP).map_err(failed)?;
    let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
    let watcher = Watcher {
        stop: stop.try_clone().map_err(failed)?,
        socket,
        table: table.to_owned(),
        changed,
    };
    let thread = std::thread::Builder::new()
        .name("nftables-watch".to_owned())
        .spawn(move || watcher.run())
        .map_err(failed)?;
    Ok(Watch {
        stop,
        thread: Some(thread),
    })
}

/// Refuse messages whose first header carries `port`: the kernel puts only one request's notices
/// into one datagram.
fn not_from(port: u32) -> [Instruction; 4] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const PORT_OFFSET: u32 = 12;
    let instruction = |code, jump_true, operand| Instruction {
        code,
        jump_true,
        jump_false: 0,
        operand,
    };
    [
        instruction(LOAD_WORD, 0, PORT_OFFSET),
        // Loads are in network order, the header in the machine's.
        instruction(JUMP_IF_EQUAL, 1, u32::from_be_bytes(port.to_ne_bytes())),
        instruction(RETURN, 0, u32::MAX),
        instruction(RETURN, 0, 0),
    ]
}

struct Watcher<F> {
    socket: Socket,
    stop: OwnedFd,
    table: String,
    changed: F,
}

/// What a wait ended with.
enum Woken {
    Stopped,
    Changed,
    Quiet,
}

impl<F: FnMut()> Watcher<F> {
    fn run(mut self) {
        loop {
            match self.wait(None) {
                Woken::Stopped => return,
                Woken::Quiet => continue,
                Woken::Changed => {}
            }
            let limit = Instant::now() + LIMIT;
            while Instant::now() < limit {
                match self.wait(Some(REST)) {
                    Woken::Stopped => return,
                    Woken::Changed => {}
                    Woken::Quiet => break,
                }
            }
            let told = Instant::now();
            (self.changed)();
            // What comes in this time is told after it, together.
            let rest = PACE.saturating_sub(told.elapsed());
            if self.stopped_within(rest) {
                return;
            }
        }
    }

    /// Wait for a change of the table, as long as `patience` allows.
    fn wait(&self, patience: Option<Duration>) -> Woken {
        let timeout = patience.and_then(|p| Timespec::try_from(p).ok());
        let mut fds = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&self.stop, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(_) => return Woken::Quiet,
            Ok(_) => {}
        }
        if !fds[1].revents().is_empty() {
            return Woken::Stopped;
        }
        if self.read() {
            Woken::Changed
        } else {
            // Another table's: begin to wait anew.
            match patience {
                Some(_) => Woken::Changed,
                None => Woken::Quiet,
            }
        }
    }

    fn stopped_within(&self, time: Duration) -> bool {
        let timeout = Timespec::try_from(time).ok();
        let mut fds = [PollFd::new(&self.stop, PollFlags::IN)];
        matches!(poll(&mut fds, timeout.as_ref()), Ok(1..))
    }

    /// Read all notices that are there: whether one of them is about something of ours.
    fn read(&self) -> bool {
        let mut buffer = vec![0; BUFFER];
        let mut ours = false;
        loop {
            match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let length = length.min(buffer.len());
                    ours |= messages(&buffer[..length]).any(|m| is_about(&m, &self.table));
                }
                Err(Errno::NOBUFS) => ours = true,
                Err(Errno::INTR) => {}
                Err(_) => return ours,
            }
        }
    }
}

/// Whether a notice is about our part of `table`.
fn is_about(message: &Message<'_>, table: &str) -> bool {
    const TABLE: u16 = 1;
    let attributes = message.attributes();
    if message.kind >> 8 != NFTABLES
        || message.family() != INET
        || attributes.text(TABLE) != Some(table)
    {
        return false;
    }
    let name = match message.kind & 0xff {
        0 | 2 => return true,
        3 | 5 => attributes.text(3),
        // Rules, sets and elements.
        6 | 8 | 9 | 11 | 12 | 14 => attributes.text(2),
        _ => None,
    };
    name.is_some_and(schema::is_ours)
}
