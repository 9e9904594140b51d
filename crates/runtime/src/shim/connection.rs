//! A client of the shim: what it sent and was not looked at yet, what waits to be sent to it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use super::STALLED;
use super::proto::{self, HEADER, Kind, Reply, Streams};
use super::watched::Watched;

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

/// What was received begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// A frame with a payload of this length.
    Whole(Kind, usize),
    /// A part of one, or nothing.
    Cut,
    /// Something else. It does not keep to the protocol.
    Broken,
}

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) key: u32,
    pub(super) stream: Watched<UnixStream>,
    pub(super) mode: Mode,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    /// Since when bytes wait without any having been taken.
    pub(super) waiting_since: Option<Instant>,
    /// Nothing more comes from it.
    at_end: bool,
    /// It hears nothing more. What it sent before may still be there.
    hung_up: bool,
}

impl Connection {
    pub(super) fn new(key: u32, stream: UnixStream) -> Connection {
        Connection {
            key,
            stream: Watched::new(stream),
            mode: Mode::Requests,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            waiting_since: None,
            at_end: false,
            hung_up: false,
        }
    }

    /// What the loop is to wait for.
    pub(super) fn wants(&self) -> Option<EventFlags> {
        let mut flags = EventFlags::empty();
        // One whole frame is enough until it can be acted on.
        let reads = !self.at_end && self.is_heard() && self.next() == Frame::Cut;
        flags.set(EventFlags::IN, reads);
        flags.set(EventFlags::OUT, self.backlog() > 0);
        (!self.hung_up).then_some(flags)
    }

    /// Whether what it sends matters.
    pub(super) fn is_heard(&self) -> bool {
        match self.mode {
            Mode::Requests | Mode::Watching => true,
            Mode::Attached(_, streams) => streams.stdin,
            Mode::Finishing => false,
        }
    }

    /// Reads what it has sent.
    pub(super) fn fill(&mut self) {
        let length = self.input.len();
        self.input.resize(length + CHUNK, 0);
        let read = self.stream.get().read(&mut self.input[length..]);
        self.input.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => self.at_end = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Of one that hung up, nothing more can come.
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.at_end |= self.hung_up,
            Err(_) => {
                self.at_end = true;
                self.hang_up();
            }
        }
    }

    /// Nothing more will come from it.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// What it has sent begins with.
    pub(super) fn next(&self) -> Frame {
        match proto::parse(&self.input) {
            Ok(Some((kind, end))) => Frame::Whole(kind, end - HEADER),
            Ok(None) => Frame::Cut,
            Err(_) => Frame::Broken,
        }
    }

    /// The payload of a whole frame.
    pub(super) fn payload(&self, length: usize) -> &[u8] {
        &self.input[HEADER..HEADER + length]
    }

    /// Forgets the frame, whose payload had this length.
    pub(super) fn consume(&mut self, length: usize) {
        self.input.drain(..HEADER + length);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    /// Queues a frame and sends what can be sent.
    pub(super) fn send(&mut self, kind: Kind, payload: &[u8]) {
        self.queue(&[&proto::header(kind, payload.len()), payload]);
    }

    /// Queues a reply and sends what can be sent.
    pub(super) fn reply(&mut self, reply: &Reply) {
        match proto::json(reply) {
            // Someone who asks and asks, or watches, and takes nothing.
            Ok(_) if self.is_full() => self.hang_up(),
            Ok(frame) => self.queue(&[&frame]),
            // Replies are ours and always fit; were it otherwise, the client would wait in vain.
            Err(_) => self.hang_up(),
        }
    }

    fn queue(&mut self, parts: &[&[u8]]) {
        if !self.hung_up {
            for part in parts {
                self.output.extend_from_slice(part);
            }
            self.flush();
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) {
        while self.sent < self.output.len() {
            match self.stream.get().write(&self.output[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.waiting_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.waiting_since.get_or_insert_with(Instant::now);
                    // Taken in small sips, the part that was sent must not grow for ever.
                    if self.sent >= OUTPUT_MAX {
                        self.output.drain(..self.sent);
                        self.sent = 0;
                    }
                    return;
                }
                Err(_) => return self.hang_up(),
            }
        }
        self.output.clear();
        self.output.shrink_to(4096);
        self.sent = 0;
    }

    /// It is gone, or as good as: nothing more is sent to it.
    pub(super) fn hang_up(&mut self) {
        self.hung_up = true;
        self.output = Vec::new();
        self.sent = 0;
        self.waiting_since = None;
    }

    /// Output has waited for it too long.
    pub(super) fn has_stalled(&self, now: Instant) -> bool {
        let since = self.waiting_since;
        since.is_some_and(|since| now.saturating_duration_since(since) >= STALLED)
    }

    /// It hears nothing more.
    pub(super) fn has_hung_up(&self) -> bool {
        self.hung_up
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Connection::new(1, ours), theirs)
    }

    #[test]
    fn what_a_client_sent_before_it_left_is_still_read() {
        let (mut connection, mut client) = pair();
        client.write_all(&proto::header(Kind::Stdin, 2)).unwrap();
        client.write_all(b"ab").unwrap();
        connection.send(Kind::Stdout, b"never read");
        drop(client);
        connection.send(Kind::Stdout, b"x");
        assert!(connection.has_hung_up());
        connection.fill();
        assert_eq!(connection.next(), Frame::Whole(Kind::Stdin, 2));
        assert_eq!(connection.payload(2), b"ab");
        connection.consume(2);
        connection.fill();
        assert!(connection.is_at_end());
    }

    #[test]
    fn a_client_that_takes_nothing_is_full_and_has_been_waiting() {
        let (mut connection, client) = pair();
        while !connection.is_full() {
            connection.send(Kind::Stdout, &[0; 16 * 1024]);
        }
        assert!(connection.waiting_since.is_some());
        assert!(connection.wants().unwrap().contains(EventFlags::OUT));
        // Nor may replies pile up.
        connection.reply(&Reply::Ok);
        assert!(connection.has_hung_up() && connection.backlog() == 0);
        drop(client);
    }

    #[test]
    fn a_client_that_sips_has_not_stalled_and_one_that_takes_nothing_has_after_a_while() {
        let (mut connection, mut client) = pair();
        while !connection.is_full() {
            connection.send(Kind::Stdout, &[0; 16 * 1024]);
        }
        let began = connection.waiting_since.unwrap();
        assert!(!connection.has_stalled(began + STALLED / 2));
        assert!(connection.has_stalled(began + STALLED));
        client.read_exact(&mut [0; 150 * 1024][..]).unwrap();
        connection.flush();
        let since = connection.waiting_since;
        assert!(since.is_none_or(|since| since > began), "{since:?}");
    }

    #[test]
    fn of_one_that_waits_for_room_no_more_is_read_than_a_frame() {
        let (mut connection, mut client) = pair();
        let all = Streams {
            stdin: true,
            ..Streams::default()
        };
        connection.mode = Mode::Attached(0, all);
        client
            .write_all(&proto::header(Kind::Stdin, 60_000))
            .unwrap();
        client.write_all(&[0; 60_000]).unwrap();
        while connection.wants().unwrap().contains(EventFlags::IN) {
            connection.fill();
        }
        assert_eq!(connection.next(), Frame::Whole(Kind::Stdin, 60_000));
    }
}
