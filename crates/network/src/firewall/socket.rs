//! The netlink socket to a netfilter subsystem: requests, dumps, and batches that happen whole.
//!
//! The kernel handles a request inside `sendmsg`: when that returns, the batch is done or undone
//! and the answers lie in our receive buffer. Only the last message asks for an acknowledgement,
//! so a batch of 65,000 elements is answered by one; failures are answered without being asked.

use std::io;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg, sockopt};

use super::batch::Batch;
use super::error::{Error, Result};
use super::wire::{self, Attributes, Message, Writer, messages};

/// The kernel sends dumps in parts of at most this size.
const PART: usize = 64 * 1024;
/// Room for the errors of a batch: beyond it the kernel says `ENOBUFS`, and we know that it
/// failed but not of what.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// Bytes of the two messages around a batch.
const FRAME: usize = 2 * 20 + 8;
/// How often a request that a signal or another writer broke is repeated.
const ATTEMPTS: usize = 16;
/// The kernel answers at once; longer means that it never will.
const PATIENCE: Duration = Duration::from_secs(10);

const SUBSYSTEM_NONE: u8 = 0;
const BATCH_BEGIN: u8 = 16;
const BATCH_END: u8 = 17;
const BATCH_GENERATION: u16 = 1;
const NFTABLES: u16 = 10;

const ERROR_MESSAGE: u16 = 1;

/// Flags of an answer: the request is not repeated in it; attributes follow.
const CAPPED: u16 = 0x100;
const HAS_ATTRIBUTES: u16 = 0x200;

/// A socket to the netfilter of the namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct NetfilterSocket {
    socket: Socket,
    port: u32,
    /// The largest message that the send buffer takes.
    capacity: usize,
    /// Whether a part of a batch was done whose rest was refused.
    torn: bool,
    buffer: Vec<u8>,
}

/// A message of a batch that the kernel refused.
struct Refusal {
    sequence: u32,
    errno: i32,
    note: Option<String>,
}

impl NetfilterSocket {
    pub(crate) fn open() -> Result<Self> {
        Self::open_protocol(NETLINK_NETFILTER)
    }

    /// A socket of another netlink protocol that answers in the same manner.
    pub(crate) fn open_protocol(protocol: isize) -> Result<Self> {
        let making = |source| Error::Socket {
            doing: "opening a netlink socket",
            source,
        };
        let mut socket = Socket::new(protocol).map_err(making)?;
        let address = socket.bind_auto().map_err(making)?;
        socket.set_cap_ack(true).map_err(making)?;
        // What the kernel says beside the number is a help, not a need.
        let _ = socket.set_ext_ack(true);
        let fd = socket.as_fd();
        if sockopt::set_socket_recv_buffer_size_force(fd, RECEIVE_BUFFER).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(fd, RECEIVE_BUFFER);
        }
        let receive = sockopt::Timeout::Recv;
        sockopt::set_socket_timeout(fd, receive, Some(PATIENCE)).map_err(|e| making(e.into()))?;
        let capacity = sockopt::socket_send_buffer_size(fd).map_err(|e| making(e.into()))?;
        Ok(Self {
            socket,
            port: address.port_number(),
            capacity,
            torn: false,
            buffer: vec![0; PART],
        })
    }

    /// Our name among the namespace's netlink sockets: what notifications of our changes carry.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Ask for a dump and give each message of it to `each`. A dump that was disturbed by a
    /// change is asked for again, after `restart`.
    pub(crate) fn dump<T>(
        &mut self,
        doing: &'static str,
        request: &[u8],
        mut each: impl FnMut(&mut T, &Message<'_>),
    ) -> Result<T>
    where
        T: Default,
    {
        let failed = |source: io::Error| Error::Socket { doing, source };
        for _ in 0..ATTEMPTS {
            self.drain();
            rustix::net::send(&self.socket, request, SendFlags::empty())
                .map_err(|e| failed(e.into()))?;
            let mut found = T::default();
            match self.read_dump(|message| each(&mut found, message)) {
                Ok(()) => return Ok(found),
                Err(error) if error == Errno::INTR || error == Errno::NOBUFS => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Err(failed(Errno::INTR.into()))
    }

    /// Reads to the end of a dump; `INTR` if something changed meanwhile.
    fn read_dump(&mut self, mut each: impl FnMut(&Message<'_>)) -> Result<(), Errno> {
        const DUMP_INTERRUPTED: u16 = 0x10;
        let mut interrupted = false;
        loop {
            let length = self.receive(RecvFlags::empty())?;
            for message in messages(&self.buffer[..length]) {
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    wire::DONE | wire::ERROR => {
                        let error = errno(message.body);
                        return match (error, interrupted) {
                            (0, false) => Ok(()),
                            (0, true) => Err(Errno::INTR),
                            (error, _) => Err(Errno::from_raw_os_error(error)),
                        };
                    }
                    _ => each(&message),
                }
            }
        }
    }

    /// The number of the ruleset's last change, asked for by `request`.
    pub(crate) fn generation(&mut self, request: &[u8]) -> Result<u32> {
        const GENERATION: u16 = 1;
        let failed = |error: Errno| Error::Socket {
            doing: "reading the ruleset's generation",
            source: error.into(),
        };
        self.drain();
        rustix::net::send(&self.socket, request, SendFlags::empty()).map_err(failed)?;
        let length = self.receive(RecvFlags::empty()).map_err(failed)?;
        messages(&self.buffer[..length])
            .next()
            .and_then(|answer| answer.attributes().number(GENERATION))
            .ok_or(Error::Malformed("generation of the ruleset"))
    }

    /// Send one request that is no batch, and wait for its acknowledgement.
    pub(crate) fn request(&mut self, request: &[u8]) -> Result<(), Errno> {
        self.drain();
        rustix::net::send(&self.socket, request, SendFlags::empty())?;
        let length = self.receive(RecvFlags::empty())?;
        let answer = messages(&self.buffer[..length]).next();
        match answer.map(|a| errno(a.body)) {
            Some(0) => Ok(()),
            Some(error) => Err(Errno::from_raw_os_error(error)),
            None => Err(Errno::BADMSG),
        }
    }

    /// Carry out `batch` whole or not at all; with a `generation`, only if nothing has changed
    /// since. Where the kernel does not allow a send buffer as large as the batch (outside the
    /// first user namespace), it is done in parts, each whole.
    pub(crate) fn commit(&mut self, batch: &mut Batch, generation: Option<u32>) -> Result<()> {
        self.make_room(batch.len() + FRAME);
        let mut first = 0;
        while first < batch.count() {
            let last = batch.part_end(first, self.capacity.saturating_sub(FRAME + 64));
            // A later part follows our own change, which is another generation.
            let generation = generation.filter(|_| first == 0);
            let done = self.commit_part(batch, first, last, generation);
            self.torn |= first > 0 && done.is_err();
            done?;
            first = last;
        }
        Ok(())
    }

    /// Whether, since this was asked last, a batch was done in part.
    pub(crate) fn take_torn(&mut self) -> bool {
        std::mem::take(&mut self.torn)
    }

    fn commit_part(
        &mut self,
        batch: &mut Batch,
        first: usize,
        last: usize,
        generation: Option<u32>,
    ) -> Result<()> {
        batch.ask_for_answer(last - 1);
        let mut begin = Writer::default();
        let mut end = Writer::default();
        begin.netfilter(edge(BATCH_BEGIN), 0, 0, (0, NFTABLES), |w| {
            if let Some(generation) = generation {
                w.number(BATCH_GENERATION, generation);
            }
        });
        let after = u32::try_from(batch.count() + 1).unwrap_or(u32::MAX);
        end.netfilter(edge(BATCH_END), 0, after, (0, NFTABLES), |_| {});
        for _ in 0..ATTEMPTS {
            self.drain();
            let parts = [
                IoSlice::new(begin.bytes()),
                IoSlice::new(batch.bytes(first, last)),
                IoSlice::new(end.bytes()),
            ];
            let mut control = SendAncillaryBuffer::default();
            sendmsg(&self.socket, &parts, &mut control, SendFlags::empty()).map_err(|error| {
                Error::Socket {
                    doing: "sending a batch",
                    source: error.into(),
                }
            })?;
            let Some(refusal) = self.verdict()? else {
                return Ok(());
            };
            // A signal reached us inside the kernel, which has undone everything.
            if refusal.errno == Errno::INTR.raw_os_error() {
                continue;
            }
            return Err(Error::Refused {
                what: batch.label(refusal.sequence),
                note: refusal.note,
                source: io::Error::from_raw_os_error(refusal.errno),
            });
        }
        Err(Error::Socket {
            doing: "sending a batch",
            source: Errno::INTR.into(),
        })
    }

    /// Reads all answers to a batch: the first refusal, if there is one.
    fn verdict(&mut self) -> Result<Option<Refusal>> {
        let mut refusal = None;
        let mut answered = false;
        loop {
            let length = match self.receive(RecvFlags::DONTWAIT) {
                Ok(length) => length,
                Err(Errno::AGAIN) => break,
                // More refusals than the buffer holds: those that fit are read on.
                Err(Errno::NOBUFS) => {
                    answered = true;
                    refusal.get_or_insert(Refusal {
                        sequence: 0,
                        errno: Errno::NOBUFS.raw_os_error(),
                        note: None,
                    });
                    continue;
                }
                Err(error) => {
                    return Err(Error::Socket {
                        doing: "reading the answer to a batch",
                        source: error.into(),
                    });
                }
            };
            for message in messages(&self.buffer[..length]) {
                if message.kind != wire::ERROR {
                    continue;
                }
                answered = true;
                let errno = errno(message.body);
                if errno != 0 && refusal.is_none() {
                    refusal = Some(Refusal {
                        sequence: wire::number_at(message.body, 12).unwrap_or_default(),
                        errno,
                        note: note(&message),
                    });
                }
            }
        }
        if !answered {
            return Err(Error::Malformed("batch without an answer"));
        }
        Ok(refusal)
    }

    /// Make the send buffer take `size` bytes, as far as we may.
    fn make_room(&mut self, size: usize) {
        const SLACK: usize = 4096;
        let wanted = size + SLACK;
        if wanted <= self.capacity {
            return;
        }
        let fd = self.socket.as_fd();
        if sockopt::set_socket_send_buffer_size_force(fd, wanted).is_err() {
            let _ = sockopt::set_socket_send_buffer_size(fd, wanted);
        }
        if let Ok(capacity) = sockopt::socket_send_buffer_size(fd) {
            self.capacity = capacity;
        }
    }

    /// Throw away answers that a failure before left unread.
    fn drain(&mut self) {
        while let Ok(_) | Err(Errno::NOBUFS) = self.receive(RecvFlags::DONTWAIT) {}
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<usize, Errno> {
        loop {
            match recv(&self.socket, &mut self.buffer[..], flags) {
                Ok((length, _)) => return Ok(length.min(self.buffer.len())),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn edge(message: u8) -> u16 {
    wire::kind(SUBSYSTEM_NONE, message)
}

/// The positive error number of an answer, 0 for an acknowledgement.
fn errno(body: &[u8]) -> i32 {
    wire::number_at(body, 0).map_or(0, |n| n.cast_signed().saturating_neg())
}

/// The kernel's words in an answer.
fn note(message: &Message<'_>) -> Option<String> {
    if message.flags & HAS_ATTRIBUTES == 0 || message.flags & CAPPED == 0 {
        return None;
    }
    let attributes = Attributes(message.body.get(4 + wire::HEADER..)?);
    attributes.text(ERROR_MESSAGE).map(str::to_owned)
}
