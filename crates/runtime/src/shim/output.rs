//! Output of processes: read, logged, handed to whoever is attached.

use super::connection::Mode;
use super::proto::{Event, Kind, Reply};
use super::server::{FIRST, Server, now_ns};
use super::session::{Out, Read};
use crate::log::Stream;

/// Read from a process at once.
const CHUNK: usize = 16 * 1024;

/// Read at the end of a process without regard to clients: what its pipes can hold, as an
/// unprivileged process can make them. What somebody else writes after that is not waited for.
const LAST_MAX: usize = 1024 * 1024;

impl Server {
    /// A process has written, or will never again.
    pub(super) fn output(&mut self, key: u32, out: Out) -> Read {
        let Some(session) = self.sessions.iter().find(|session| session.key == key) else {
            return Read::End;
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK, 0);
        let read = session.read(out, &mut buffer);
        match read {
            Read::Bytes(length) => self.hand_out(key, out, &buffer[..length]),
            Read::NothingNow => {}
            Read::End => self.close_output(key, out),
        }
        self.buffer = buffer;
        read
    }

    /// A process has ended: what it wrote before is in its pipes still, and taken now.
    pub(super) fn take_last_words(&mut self, key: u32) {
        for out in [Out::Stdout, Out::Stderr] {
            let mut taken = 0;
            while taken < LAST_MAX
                && let Read::Bytes(length) = self.output(key, out)
            {
                taken += length;
            }
        }
    }

    fn hand_out(&mut self, key: u32, out: Out, bytes: &[u8]) {
        if key == FIRST
            && let Some(log) = &mut self.held.log
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
            if session == key && wanted {
                connection.send(kind, bytes);
            }
        }
    }

    /// Nothing more is read there.
    pub(super) fn close_output(&mut self, key: u32, out: Out) {
        let open = self.session(key).is_some_and(|session| session.close(out));
        if open
            && key == FIRST
            && let Some(log) = &mut self.held.log
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

    /// Tells every watcher; whether there was one.
    pub(super) fn announce(&mut self, event: Event) -> bool {
        let reply = Reply::Event(event);
        let mut heard = false;
        for connection in &mut self.connections {
            if connection.mode == Mode::Watching {
                connection.reply(&reply);
                heard |= !connection.has_hung_up();
            }
        }
        heard
    }
}

fn stream(out: Out) -> Stream {
    match out {
        Out::Stdout => Stream::Stdout,
        Out::Stderr => Stream::Stderr,
    }
}
