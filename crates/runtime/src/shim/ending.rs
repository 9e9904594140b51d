//! The end of an exec, and of the container.

use std::fs;

use super::connection::Mode;
use super::plan::{ExitRecord, socket_path};
use super::proto::{Event, Kind};
use super::server::{FIRST, Server, now_ns};
use super::session::{Ended, Out};
use crate::log::Stream;

/// What an exec that is still there when the container ends has ended of.
const KILLED: Ended = Ended {
    code: 137,
    signal: Some(9),
};

impl Server {
    /// An exec has ended and its output was read: watchers first, then its own client.
    pub(super) fn finish_exec(&mut self, key: u32) {
        let Some(at) = self.sessions.iter().position(|(known, ..)| *known == key) else {
            return;
        };
        let (_, session, _) = self.sessions.remove(at);
        let ended = session.status.unwrap_or(KILLED);
        if let Some(id) = session.exec {
            self.announce(&Event::ExecExited {
                id,
                code: ended.code,
            });
        }
        self.say_end(key, ended.code);
    }

    /// The container has ended and its output was read. Record first, then everybody is told.
    pub(super) fn finish_container(&mut self) {
        for out in [Out::Stdout, Out::Stderr] {
            self.take_what_is_left(out);
        }
        let execs: Vec<u32> = self.sessions.iter().map(|(key, ..)| *key).collect();
        for key in execs.into_iter().filter(|key| *key != FIRST) {
            self.finish_exec(key);
        }
        let record = self.make_record();
        if let Some(cgroup) = &self.parts.cgroup {
            // A process that cannot die keeps it; the daemon looks again when it removes.
            let _ = cgroup.delete();
        }
        // The socket goes before anybody hears: whoever starts the container again makes its own.
        let _ = fs::remove_file(socket_path(&self.parts.dir));
        let written = super::exit::write(&self.parts.dir, &record);
        let record = match written {
            Ok(()) => record,
            // Those who watch now can still be told, and that the record is missing, too.
            Err(error) => ExitRecord {
                error: Some(format!("exit record: {error}")),
                ..record
            },
        };
        let code = record.code;
        self.record = Some(record.clone());
        self.announce(&Event::Exited(record));
        self.say_end(FIRST, code);
    }

    /// Whoever still holds the other end open after the deadline is not waited for.
    fn take_what_is_left(&mut self, out: Out) {
        let Some(session) = self.session(FIRST) else {
            return;
        };
        if session.source(out).take().is_some()
            && let Some(log) = &mut self.parts.log
        {
            let stream = match out {
                Out::Stdout => Stream::Stdout,
                Out::Stderr => Stream::Stderr,
            };
            log.finish(stream, now_ns());
        }
    }

    fn make_record(&mut self) -> ExitRecord {
        let oom_killed = self
            .parts
            .cgroup
            .as_ref()
            .is_some_and(|cgroup| cgroup.oom_kills().is_ok_and(|kills| kills > 0));
        let (pid, ended) = self
            .session(FIRST)
            .map_or((0, KILLED), |s| (s.pid, s.status.unwrap_or(KILLED)));
        let trouble = self
            .parts
            .log
            .as_ref()
            .and_then(crate::log::Writer::trouble);
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
                if !connection.send(Kind::Eof, &code.to_le_bytes()) {
                    connection.ended = true;
                }
                connection.mode = Mode::Finishing;
            }
        }
    }
}
