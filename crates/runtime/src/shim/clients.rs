//! Clients come, type and leave.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::net::sockopt::socket_peercred;

use super::connection::{Connection, Frame, Mode};
use super::proto::{Kind, Reply, Streams};
use super::server::{Server, error};

/// Clients at once. One more is turned away.
const CONNECTIONS_MAX: usize = 256;

/// How long nobody is let in after there was no descriptor for one. They wait in the kernel's queue.
const DEAF: Duration = Duration::from_millis(100);

impl Server {
    /// Takes those who knock.
    pub(super) fn accept(&mut self) {
        loop {
            match self.listener.get().accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.deaf_until = Some(Instant::now() + DEAF);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        let own = rustix::process::geteuid();
        let theirs = socket_peercred(&stream).map(|peer| peer.uid);
        let admitted = theirs == Ok(own) && self.connections.len() < CONNECTIONS_MAX;
        if admitted && stream.set_nonblocking(true).is_ok() {
            let key = self.new_key();
            self.connections.push(Connection::new(key, stream));
        }
    }

    /// A client has sent something, can take something, or is gone.
    pub(super) fn connection_ready(&mut self, key: u32, flags: EventFlags) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        if flags.contains(EventFlags::OUT) {
            connection.flush();
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            connection.hang_up();
        }
        if flags.contains(EventFlags::IN) {
            connection.fill();
        }
        self.tend(key);
    }

    /// Does all that can be done for a client now.
    fn tend(&mut self, key: u32) {
        while let Some(connection) = self.connection(key) {
            if connection.has_hung_up() && !connection.is_heard() {
                return self.forget(key);
            }
            match connection.next() {
                Frame::Whole(kind, length) => {
                    if !self.take(key, kind, length) {
                        return;
                    }
                }
                Frame::Broken => return self.forget(key),
                Frame::Cut if connection.is_at_end() => return self.input_ended(key),
                // What it sent before it left.
                Frame::Cut if connection.has_hung_up() => connection.fill(),
                Frame::Cut => return,
            }
        }
    }

    /// A client has closed its side, and all that it sent was taken.
    fn input_ended(&mut self, key: u32) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        let gone = connection.has_hung_up();
        match connection.mode {
            // Half-closed: it still listens.
            Mode::Attached(..) if !gone => self.stop_listening_to(key),
            Mode::Requests if connection.backlog() > 0 => connection.mode = Mode::Finishing,
            Mode::Finishing if !gone => {}
            _ => self.forget(key),
        }
    }

    /// An attached client gives no more input.
    fn stop_listening_to(&mut self, key: u32) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        if let Mode::Attached(session, streams) = connection.mode
            && streams.stdin
        {
            let quiet = Streams {
                stdin: false,
                ..streams
            };
            connection.mode = Mode::Attached(session, quiet);
            if let Some(session) = self.session(session) {
                session.input_closed();
            }
        }
    }

    /// Lets a client go.
    pub(super) fn forget(&mut self, key: u32) {
        self.stop_listening_to(key);
        if let Some(connection) = self.connection(key) {
            // A child that is just being made has a copy, and may not come to close it soon.
            let _ = connection.stream.get().shutdown(Shutdown::Both);
        }
        self.connections.retain(|connection| connection.key != key);
    }

    /// Sees to the clients that do not come forward by themselves: those that take nothing, that
    /// left while something was sent to them, or that were sent all there was.
    pub(super) fn sweep(&mut self, now: Instant) {
        for at in (0..self.connections.len()).rev() {
            // Those behind it may have gone with it.
            let Some(connection) = self.connections.get_mut(at) else {
                continue;
            };
            let key = connection.key;
            if connection.has_stalled(now) {
                connection.hang_up();
            }
            if connection.has_hung_up() {
                self.tend(key);
            } else if connection.mode == Mode::Finishing && connection.backlog() == 0 {
                self.forget(key);
            }
        }
    }

    pub(super) fn connection(&mut self, key: u32) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.key == key)
    }

    /// A session's input has room again.
    pub(super) fn tend_typists(&mut self, session: u32) {
        let typists: Vec<u32> = self
            .connections
            .iter()
            .filter(|c| matches!(c.mode, Mode::Attached(key, _) if key == session))
            .map(|c| c.key)
            .collect();
        for key in typists {
            self.tend(key);
        }
    }

    /// Acts on a whole frame; false if it has to wait.
    fn take(&mut self, key: u32, kind: Kind, length: usize) -> bool {
        let Some(connection) = self.connections.iter_mut().find(|c| c.key == key) else {
            return false;
        };
        match (connection.mode, kind) {
            (Mode::Requests, Kind::Json) => {
                let request = serde_json::from_slice(connection.payload(length));
                connection.consume(length);
                match request {
                    Ok(request) => self.request(key, request),
                    // Of a newer daemon perhaps: it is told, and may go on.
                    Err(why) => self.reply(key, &error(&format!("bad request: {why}"), 125)),
                }
            }
            (Mode::Attached(session, streams), Kind::Stdin) => {
                let session = self.sessions.iter_mut().find(|s| s.key == session);
                if let Some(session) = session
                    && streams.stdin
                {
                    if !session.takes_input() {
                        return false;
                    }
                    session.give(connection.payload(length));
                }
                connection.consume(length);
            }
            (Mode::Attached(..), Kind::StdinEof) => {
                connection.consume(length);
                self.stop_listening_to(key);
            }
            // What it says does not matter any more.
            (Mode::Finishing, _) => return false,
            _ => {
                self.forget(key);
                return false;
            }
        }
        true
    }

    pub(super) fn reply(&mut self, key: u32, reply: &Reply) {
        if let Some(connection) = self.connection(key) {
            connection.reply(reply);
        }
    }
}
