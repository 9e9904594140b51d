//! The shim's loop: one `epoll`, everything on it, nothing that blocks.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions};

use super::STALLED;
use super::birth::Nest;
use super::connection::Connection;
use super::joining::Newcomer;
use super::plan::ExitRecord;
use super::proto::{self, Phase, Reply, State};
use super::session::{Ended, Out, Session};
use super::watched::{Token, Watched};
use crate::cgroup::Cgroup;
use crate::launch::{Namespaces, StartHandle};
use crate::log::Writer;
use crate::seccomp::Filter;

/// How long after the end of a process its output is waited for, where somebody else still holds
/// its other end open.
const DRAIN: Duration = Duration::from_secs(1);

/// Before something is tried again that the kernel or the disk had no room for.
const RETRY: Duration = Duration::from_secs(1);

/// Events taken at once.
const EVENTS: usize = 32;

/// The key of the container's first process among the sessions.
pub(super) const FIRST: u32 = 0;

/// A running shim.
pub(super) struct Server {
    pub(super) held: Held,
    /// The first process and the execs. The first is always there.
    pub(super) sessions: Vec<Session>,
    pub(super) connections: Vec<Connection>,
    /// Execs that do not run yet.
    pub(super) joining: Vec<Newcomer>,
    pub(super) start: Option<StartHandle>,
    pub(super) started_ns: i64,
    /// Why the program could not be started, and the exit code that goes with it.
    pub(super) start_failed: Option<(String, i32)>,
    pub(super) finished_ns: i64,
    /// How the container ended.
    pub(super) record: Option<ExitRecord>,
    /// When to try again to write the record, which there was no room for.
    pub(super) unwritten: Option<Instant>,
    /// No client is let in before.
    pub(super) deaf_until: Option<Instant>,
    pub(super) listener: Watched<UnixListener>,
    /// Says that this shim, and no other, listens in its directory.
    pub(super) lock: OwnedFd,
    epoll: Rc<OwnedFd>,
    signals: Watched<OwnedFd>,
    /// When to try again to wait for a stream.
    unaligned: Option<Instant>,
    next_key: u32,
    /// For output; there is none before the first: many containers never say a word.
    pub(super) buffer: Vec<u8>,
}

/// What stays the same.
pub(super) struct Held {
    pub(super) dir: PathBuf,
    pub(super) log: Option<Writer>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) namespaces: Namespaces,
    pub(super) seccomp: Option<Filter>,
    pub(super) layers: Vec<String>,
    pub(super) mounts: Vec<OwnedFd>,
    pub(super) warnings: Vec<String>,
}

impl Server {
    pub(super) fn new(nest: Nest, held: Held, first: Session, start: StartHandle) -> Server {
        Server {
            held,
            sessions: vec![first],
            connections: Vec::new(),
            joining: Vec::new(),
            start: Some(start),
            started_ns: 0,
            start_failed: None,
            finished_ns: 0,
            record: None,
            unwritten: None,
            deaf_until: None,
            listener: Watched::new(nest.listener),
            lock: nest.lock,
            epoll: Rc::new(nest.epoll),
            signals: Watched::new(nest.signals),
            unaligned: None,
            next_key: FIRST + 1,
            buffer: Vec::new(),
        }
    }

    /// What can fail before the container may be said to be there.
    pub(super) fn prepare(&mut self) -> io::Result<()> {
        self.sessions.iter().try_for_each(Session::prepare)?;
        let readable = Some(epoll::EventFlags::IN);
        self.signals
            .wait_for(&self.epoll, Token::Signals, readable)?;
        self.try_align()
    }

    /// Serves until the container has ended and everybody has been told.
    pub(super) fn serve(mut self) {
        // The specification and what its parsing took are freed: a container may run for years.
        wharf_sys::stack::give_back();
        wharf_sys::heap::give_back();
        // The child may have ended before anybody looked.
        self.reap();
        self.tidy();
        loop {
            match self.turn() {
                Ok(happened) if self.is_done() && !happened => return,
                Ok(_) => {}
                // Without the loop a container cannot be held, and one that nobody holds must
                // not run on.
                Err(error) => return self.give_up(&error),
            }
        }
    }

    /// Waits for events and acts on them; whether there were any.
    fn turn(&mut self) -> io::Result<bool> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let timeout = self.timeout().map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let events = match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        for event in events.iter() {
            // A copy: the kernel's structure is packed.
            let (token, flags) = (Token::decode(event.data), event.flags);
            self.act(token, flags)?;
        }
        self.tidy();
        Ok(!events.is_empty())
    }

    fn act(&mut self, token: Token, flags: epoll::EventFlags) -> io::Result<()> {
        let given = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        match token {
            Token::Signals => {
                wharf_sys::signal_fd::drain(self.signals.get().as_fd())?;
                self.reap();
            }
            Token::Listener => self.accept(),
            Token::Stdin(key) => self.pump(key),
            Token::Stdout(key) => {
                if flags.contains(epoll::EventFlags::OUT) {
                    self.pump(key);
                }
                if flags.intersects(given) {
                    self.output(key, Out::Stdout);
                }
            }
            Token::Stderr(key) => {
                self.output(key, Out::Stderr);
            }
            Token::Connection(key) => self.connection_ready(key, flags),
            Token::Joining(key) => self.hear(key),
        }
        Ok(())
    }

    fn pump(&mut self, key: u32) {
        if let Some(session) = self.session(key) {
            session.pump();
        }
        // Whoever types into it may go on.
        self.tend_typists(key);
    }

    pub(super) fn session(&mut self, key: u32) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.key == key)
    }

    pub(super) fn new_key(&mut self) -> u32 {
        self.next_key += 1;
        self.next_key
    }

    /// The container's first process has ended.
    pub(super) fn has_ended(&self) -> bool {
        let first = self.sessions.iter().find(|session| session.key == FIRST);
        first.is_none_or(|session| session.status.is_some())
    }

    pub(super) fn state(&self) -> State {
        let first = self.sessions.iter().find(|session| session.key == FIRST);
        State {
            version: proto::VERSION,
            phase: match (&self.record, &self.start) {
                (Some(record), _) => Phase::Exited(record.clone()),
                (None, Some(_)) => Phase::Created,
                (None, None) => Phase::Running,
            },
            pid: first.map_or(0, |session| session.pid),
            started_ns: self.started_ns,
            warnings: self.held.warnings.clone(),
            execs: self
                .sessions
                .iter()
                .filter_map(|session| Some((session.exec.clone()?, session.pid)))
                .collect(),
        }
    }

    /// Takes every child that has ended: processes of sessions, and orphans nobody asks about.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let signal = status.terminating_signal();
            let code = status.exit_status().or(signal.map(|signal| 128 + signal));
            if let Some(code) = code {
                self.ended(pid, Ended { code, signal });
            }
        }
    }

    fn ended(&mut self, pid: Pid, ended: Ended) {
        self.hear_last(pid);
        let pid = pid.as_raw_nonzero().get();
        let found = self
            .sessions
            .iter_mut()
            .find(|session| session.pid == pid && session.status.is_none());
        let Some(session) = found else {
            return;
        };
        session.status = Some(ended);
        session.deadline = Some(Instant::now() + DRAIN);
        let key = session.key;
        if key == FIRST {
            self.finished_ns = now_ns();
            // Init's end is the container's: whatever else is in it ends too. In a process
            // namespace of its own the kernel has seen to that already.
            if let Some(cgroup) = &self.held.cgroup {
                let _ = cgroup.kill_all();
            }
        }
        self.take_last_words(key);
    }

    /// The container has ended, its record is on disk or somebody knows it, and nobody is still to
    /// be sent anything.
    fn is_done(&self) -> bool {
        let told = self.connections.iter().all(|c| c.backlog() == 0);
        self.record.is_some() && self.unwritten.is_none() && told
    }

    fn timeout(&self) -> Option<Duration> {
        if self.is_done() {
            // Who asked just now is answered still.
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let drains = self.sessions.iter().filter_map(|session| session.deadline);
        let stalls = self
            .connections
            .iter()
            .filter_map(|c| Some(c.waiting_since? + STALLED));
        drains
            .chain(stalls)
            .chain(self.unwritten)
            .chain(self.deaf_until)
            .chain(self.unaligned)
            .min()
            .map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Does what is due: stalled clients go, ended processes are finished, and what the loop waits
    /// for is brought into line with what there is to do.
    fn tidy(&mut self) {
        let now = Instant::now();
        let past = |time: &mut Instant| now >= *time;
        self.deaf_until.take_if(past);
        self.sweep(now);
        while let Some(key) = self.due(now) {
            if key == FIRST {
                self.finish_container();
            } else {
                self.finish_exec(key);
            }
        }
        if self.unwritten.take_if(past).is_some() {
            self.put_on_record();
        }
        self.sweep(now);
        self.unaligned = self.try_align().is_err().then(|| now + RETRY);
    }

    /// A session that has ended and of which nothing more is to come.
    fn due(&self, now: Instant) -> Option<u32> {
        let ended = |session: &&Session| {
            session.status.is_some()
                && (session.is_drained() || session.deadline.is_some_and(|end| now >= end))
        };
        let due = self.sessions.iter().find(ended)?.key;
        (due != FIRST || self.record.is_none()).then_some(due)
    }

    /// Tells `epoll` what is of interest now. It may be out of memory or of its share of watches:
    /// what is missing then is tried again.
    fn try_align(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for at in 0..self.sessions.len() {
            let held_back = self.is_held_back(self.sessions[at].key);
            result = result.and(self.sessions[at].align(&self.epoll, held_back));
        }
        for connection in &mut self.connections {
            let token = Token::Connection(connection.key);
            let wants = connection.wants();
            result = result.and(connection.stream.wait_for(&self.epoll, token, wants));
        }
        for newcomer in &mut self.joining {
            let token = Token::Joining(newcomer.key);
            let readable = Some(epoll::EventFlags::IN);
            result = result.and(newcomer.process.wait_for(&self.epoll, token, readable));
        }
        let hears = self.deaf_until.is_none().then_some(epoll::EventFlags::IN);
        result.and(self.listener.wait_for(&self.epoll, Token::Listener, hears))
    }

    /// Ends the container, and says why in its record.
    fn give_up(mut self, error: &io::Error) {
        self.kill_first();
        self.reap();
        let error = format!("the shim's event loop: {error}");
        self.start_failed.get_or_insert((error, 137));
        if self.record.is_none() {
            self.finish_container();
        }
    }

    /// Takes back a container that nobody knows of yet: no process, no cgroup, no socket, no
    /// record is left.
    pub(super) fn undo(mut self) {
        self.kill_first();
        self.reap();
        if let Some(cgroup) = &self.held.cgroup {
            let _ = cgroup.kill_all();
            let _ = cgroup.delete();
        }
        self.leave_directory();
    }

    fn kill_first(&mut self) {
        self.start = None;
        if let Some(first) = self.session(FIRST) {
            let kill = rustix::process::Signal::KILL.as_raw();
            let _ = wharf_sys::pidfd::send_signal(first.pidfd.as_fd(), kill);
            // Left to be reaped.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = rustix::process::waitid(WaitId::PidFd(first.pidfd.as_fd()), options);
        }
    }
}

/// A refusal.
pub(super) fn error(message: &str, exit_code: i32) -> Reply {
    Reply::Error {
        message: message.to_owned(),
        exit_code,
        not_running: false,
    }
}

/// Nanoseconds since 1970.
pub(super) fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}
