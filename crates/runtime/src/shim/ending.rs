//! The end of an exec, and of the container.
//!
//! In this order, so that whoever looks at any moment, or comes back later, learns how it ended:
//! the record is written, then the socket goes, then everybody is told. Where there is neither a
//! socket nor a record, the shim was killed.

use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::connection::Mode;
use super::plan::{ExitRecord, socket_path};
use super::proto::{Event, Kind};
use super::server::{FIRST, Server};
use super::session::{Ended, Out};
use crate::log::Writer;

/// What an exec that is still there when the container ends has ended of.
const KILLED: Ended = Ended {
    code: 137,
    signal: Some(9),
};

/// Before the record is written again, if there was no room for it.
const RETRY: Duration = Duration::from_secs(1);

impl Server {
    /// An exec has ended and its output was read: watchers first, then its own client.
    pub(super) fn finish_exec(&mut self, key: u32) {
        self.take_last_words(key);
        let Some(at) = self.sessions.iter().position(|session| session.key == key) else {
            return;
        };
        let session = self.sessions.remove(at);
        let code = session.status.unwrap_or(KILLED).code;
        if let Some(id) = session.exec {
            self.announce(Event::ExecExited { id, code });
        }
        self.say_end(key, code);
    }

    /// The container has ended and its output was read.
    pub(super) fn finish_container(&mut self) {
        // Its execs have ended with it, and some may not have been looked at yet.
        self.reap();
        self.turn_away();
        for session in self.sessions.iter().map(|s| s.key).collect::<Vec<u32>>() {
            if session != FIRST {
                self.finish_exec(session);
            }
        }
        self.take_last_words(FIRST);
        // Whoever still holds the other end open after the deadline is not waited for.
        for out in [Out::Stdout, Out::Stderr] {
            self.close_output(FIRST, out);
        }
        let record = self.make_record();
        if let Some(cgroup) = &self.held.cgroup {
            // A process that cannot die keeps it; the daemon looks again when it removes.
            let _ = cgroup.delete();
        }
        if let Some(session) = self.session(FIRST) {
            session.deadline = None;
        }
        let code = record.code;
        self.record = Some(record);
        self.put_on_record();
        self.say_end(FIRST, code);
    }

    /// Writes the record and tells everybody.
    pub(super) fn put_on_record(&mut self) {
        let Some(record) = &mut self.record else {
            return;
        };
        let written = super::exit::write(&self.held.dir, record);
        if let Err(error) = &written {
            // Those who watch now can still be told, and that the record is missing, too.
            record.error = Some(format!("exit record: {error}"));
        }
        let record = record.clone();
        match written {
            Ok(()) => self.leave_directory(),
            // The directory is gone: nobody is ever going to look there.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => self.unwritten = Some(Instant::now() + RETRY),
        }
        if self.announce(Event::Exited(record)) && self.unwritten.take().is_some() {
            // Somebody knows, and will remember.
            self.leave_directory();
        }
    }

    /// Makes room for the next shim of this container.
    pub(super) fn leave_directory(&self) {
        let _ = fs::remove_file(socket_path(&self.held.dir));
        // Only now may another one bind its socket.
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
    }

    fn make_record(&mut self) -> ExitRecord {
        let cgroup = self.held.cgroup.as_ref();
        let oom_killed = cgroup.is_some_and(|c| c.oom_kills().is_ok_and(|kills| kills > 0));
        let (pid, ended) = self
            .session(FIRST)
            .map_or((0, KILLED), |s| (s.pid, s.status.unwrap_or(KILLED)));
        let trouble = self.held.log.as_ref().and_then(Writer::trouble);
        let (code, error) = match self.start_failed.take() {
            Some((message, code)) => (code, Some(message)),
            None => (ended.code, trouble),
        };
        ExitRecord {
            pid,
            code,
            signal: ended.signal,
            oom_killed,
            started_ns: self.started_ns,
            finished_ns: self.finished_ns,
            error,
        }
    }

    /// Tells those attached to a session that it has ended. They are left once they have read it.
    fn say_end(&mut self, key: u32, code: i32) {
        for connection in &mut self.connections {
            if matches!(connection.mode, Mode::Attached(session, _) if session == key) {
                connection.send(Kind::Eof, &code.to_le_bytes());
                connection.mode = Mode::Finishing;
            }
        }
    }
}
