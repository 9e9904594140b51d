//! A client of the shim: what it sent and was not looked at yet, what waits to be sent to it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::proto::{self, HEADER, JSON_MAX, Kind, Reply, Streams};

/// Output that waits for a client. Beyond it, nothing more is read for it.
const OUTPUT_MAX: usize = 256 * 1024;

/// Read from a client at once.
const CHUNK: usize = 16 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Requests, one after the other.
    Requests,
    /// The streams of a session, by its key.
    Attached(u32, Streams),
    /// Events.
    Watching,
    /// Nothing more but to send what waits.
    Finishing,
}

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) key: u32,
    pub(super) stream: UnixStream,
    pub(super) mode: Mode,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    /// Since when bytes wait without any having been taken.
    pub(super) waiting_since: Option<Instant>,
    /// It has closed its side.
    pub(super) ended: bool,
    /// What the loop waits for: readable, writable.
    pub(super) interest: (bool, bool),
}

impl Connection {
    pub(super) fn new(key: u32, stream: UnixStream) -> Connection {
        Connection {
            key,
            stream,
            mode: Mode::Requests,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            waiting_since: None,
            ended: false,
            interest: (false, false),
        }
    }

    /// Reads what it has sent; false if it is gone.
    pub(super) fn fill(&mut self) -> bool {
        if self.input.len() > JSON_MAX + HEADER {
            // More than the longest frame, and none was taken: it does not keep to the protocol.
            return false;
        }
        let length = self.input.len();
        self.input.resize(length + CHUNK, 0);
        let read = self.stream.read(&mut self.input[length..]);
        self.input.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                self.ended = true;
                true
            }
            Ok(_) => true,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// The next whole frame, if there is one.
    pub(super) fn frame(&self) -> Result<Option<(Kind, &[u8])>, proto::ProtoError> {
        Ok(proto::parse(&self.input)?.map(|(kind, end)| (kind, &self.input[HEADER..end])))
    }

    /// Forgets the frame that [`Self::frame`] gave, whose payload had this length.
    pub(super) fn consume(&mut self, payload: usize) {
        self.input.drain(..HEADER + payload);
        if self.input.is_empty() {
            self.input.shrink_to(0);
        }
    }

    /// Queues a frame and sends what can be sent; false if it is gone.
    pub(super) fn send(&mut self, kind: Kind, payload: &[u8]) -> bool {
        self.output
            .extend_from_slice(&proto::header(kind, payload.len()));
        self.output.extend_from_slice(payload);
        self.flush()
    }

    /// Queues a reply; false if it is gone.
    pub(super) fn reply(&mut self, reply: &Reply) -> bool {
        // Replies are ours and always fit; were it otherwise, the client would wait in vain.
        let Ok(frame) = proto::json(reply) else {
            return false;
        };
        self.output.extend_from_slice(&frame);
        self.flush()
    }

    /// Sends what waits; false if it is gone.
    pub(super) fn flush(&mut self) -> bool {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.waiting_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.waiting_since.get_or_insert_with(Instant::now);
                    return true;
                }
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.output.shrink_to(4096);
        self.sent = 0;
        true
    }

    /// Bytes that wait to be sent.
    pub(super) fn backlog(&self) -> usize {
        self.output.len() - self.sent
    }

    /// It is slow: nothing more should be read on its behalf.
    pub(super) fn is_full(&self) -> bool {
        self.backlog() >= OUTPUT_MAX
    }
}
