//! Output of processes: read, logged, handed to whoever is attached.

use super::connection::Mode;
use super::proto::{Event, Kind, Reply};
use super::server::{FIRST, Server, now_ns};
use super::session::{Out, Read};
use crate::log::Stream;

impl Server {
    /// A process has written, or will never again.
    pub(super) fn output(&mut self, key: u32, out: Out) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self
            .session(key)
            .and_then(|session| session.read(out, &mut buffer));
        match read {
            Some(Read::Bytes(length)) => self.hand_out(key, out, &buffer[..length]),
            Some(Read::NothingNow) => {}
            None => self.output_ended(key, out),
        }
        self.buffer = buffer;
    }

    fn hand_out(&mut self, key: u32, out: Out, bytes: &[u8]) {
        if key == FIRST
            && let Some(log) = &mut self.parts.log
        {
            log.output(stream(out), now_ns(), bytes);
        }
        let kind = match out {
            Out::Stdout => Kind::Stdout,
            Out::Stderr => Kind::Stderr,
        };
        for connection in &mut self.connections {
            let Mode::Attached(session, streams) = connection.mode else {
                continue;
            };
            let wanted = match out {
                Out::Stdout => streams.stdout,
                Out::Stderr => streams.stderr,
            };
            if session == key && wanted && !connection.send(kind, bytes) {
                connection.ended = true;
            }
        }
        self.sweep();
    }

    fn output_ended(&mut self, key: u32, out: Out) {
        if let Some(session) = self.session(key) {
            // Closed, and with it out of `epoll`.
            *session.source(out) = None;
        }
        if key == FIRST
            && let Some(log) = &mut self.parts.log
        {
            log.finish(stream(out), now_ns());
        }
    }

    /// Somebody attached to this session is slow: it is not to be read from for the moment.
    pub(super) fn is_held_back(&self, key: u32) -> bool {
        self.connections.iter().any(|connection| {
            matches!(connection.mode, Mode::Attached(session, _) if session == key)
                && connection.is_full()
        })
    }

    /// Tells every watcher.
    pub(super) fn announce(&mut self, event: &Event) {
        for connection in &mut self.connections {
            if connection.mode == Mode::Watching && !connection.reply(&Reply::Event(event.clone()))
            {
                connection.ended = true;
            }
        }
        self.sweep();
    }

    /// Forgets clients that went away while something was sent to them.
    pub(super) fn sweep(&mut self) {
        while let Some(key) = self
            .connections
            .iter()
            .find(|connection| connection.ended && connection.mode != Mode::Finishing)
            .map(|connection| connection.key)
        {
            self.drop_connection(key);
        }
    }
}

fn stream(out: Out) -> Stream {
    match out {
        Out::Stdout => Stream::Stdout,
        Out::Stderr => Stream::Stderr,
    }
}
