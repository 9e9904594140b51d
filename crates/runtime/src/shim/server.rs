//! The shim's loop: one `epoll`, everything on it, nothing that blocks.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::process::{Pid, Signal, WaitOptions};

use super::STALLED;
use super::connection::{Connection, Mode};
use super::plan::ExitRecord;
use super::proto::{Phase, State};
use super::session::{Ended, Out, Session};
use crate::cgroup::Cgroup;
use crate::launch::{Namespaces, StartHandle};
use crate::log::Writer;
use crate::seccomp::Filter;

/// How long after the end of a process its output is waited for, where somebody else still holds
/// its other end open.
const DRAIN: Duration = Duration::from_secs(1);

/// Read from a process at once.
const CHUNK: usize = 32 * 1024;

/// What a shim is made of.
pub(super) struct Parts {
    pub(super) dir: PathBuf,
    pub(super) listener: UnixListener,
    pub(super) log: Option<Writer>,
    pub(super) session: Session,
    pub(super) start: StartHandle,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) namespaces: Namespaces,
    pub(super) seccomp: Option<Filter>,
    pub(super) layers: Vec<String>,
    pub(super) mounts: Vec<OwnedFd>,
    pub(super) warnings: Vec<String>,
}

/// The key of the container's first process among the sessions.
pub(super) const FIRST: u32 = 0;

/// A running shim.
pub(super) struct Server {
    pub(super) parts: Held,
    /// The first process and the execs, by key. The first is always there.
    pub(super) sessions: Vec<(u32, Session, Option<Instant>)>,
    pub(super) connections: Vec<Connection>,
    pub(super) start: Option<StartHandle>,
    pub(super) started_ns: i64,
    /// Why the program could not be started, and the exit code that goes with it.
    pub(super) start_failed: Option<(String, i32)>,
    pub(super) finished_ns: i64,
    pub(super) record: Option<ExitRecord>,
    pub(super) epoll: OwnedFd,
    signals: OwnedFd,
    next_key: u32,
    pub(super) buffer: Vec<u8>,
}

/// What stays the same.
pub(super) struct Held {
    pub(super) dir: PathBuf,
    pub(super) listener: UnixListener,
    pub(super) log: Option<Writer>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) namespaces: Namespaces,
    pub(super) seccomp: Option<Filter>,
    pub(super) layers: Vec<String>,
    pub(super) mounts: Vec<OwnedFd>,
    warnings: Vec<String>,
}

/// What a wake-up is about.
pub(super) enum Token {
    Signals,
    Listener,
    Output(u32, Out),
    Input(u32),
    Connection(u32),
}

impl Token {
    pub(super) fn encode(&self) -> epoll::EventData {
        let (kind, key) = match self {
            Token::Signals => (0, 0),
            Token::Listener => (1, 0),
            Token::Output(key, Out::Stdout) => (2, *key),
            Token::Output(key, Out::Stderr) => (3, *key),
            Token::Input(key) => (4, *key),
            Token::Connection(key) => (5, *key),
        };
        epoll::EventData::new_u64(kind << 32 | u64::from(key))
    }

    fn decode(data: epoll::EventData) -> Token {
        let data = data.u64();
        let key = u32::try_from(data & 0xffff_ffff).unwrap_or(0);
        match data >> 32 {
            0 => Token::Signals,
            1 => Token::Listener,
            2 => Token::Output(key, Out::Stdout),
            3 => Token::Output(key, Out::Stderr),
            4 => Token::Input(key),
            _ => Token::Connection(key),
        }
    }
}

impl Server {
    pub(super) fn new(parts: Parts) -> io::Result<Server> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Those that ask a daemon to end are taken and do nothing: a shim ends with its container.
        let signals = wharf_sys::signal_fd::block_and_watch(&[
            Signal::CHILD.as_raw(),
            Signal::TERM.as_raw(),
            Signal::INT.as_raw(),
            Signal::HUP.as_raw(),
            Signal::QUIT.as_raw(),
        ])?;
        add(&epoll, &signals, &Token::Signals, epoll::EventFlags::IN)?;
        add(
            &epoll,
            &parts.listener,
            &Token::Listener,
            epoll::EventFlags::IN,
        )?;
        let mut server = Server {
            parts: Held {
                dir: parts.dir,
                listener: parts.listener,
                log: parts.log,
                cgroup: parts.cgroup,
                namespaces: parts.namespaces,
                seccomp: parts.seccomp,
                layers: parts.layers,
                mounts: parts.mounts,
                warnings: parts.warnings,
            },
            sessions: vec![(FIRST, parts.session, None)],
            connections: Vec::new(),
            start: Some(parts.start),
            started_ns: 0,
            start_failed: None,
            finished_ns: 0,
            record: None,
            epoll,
            signals,
            next_key: FIRST + 1,
            buffer: vec![0; CHUNK],
        };
        server.align()?;
        Ok(server)
    }

    /// Serves until the container has ended and everybody has been told.
    pub(super) fn serve(mut self) {
        // The specification and what its parsing took are freed: a container may run for years.
        wharf_sys::heap::give_back();
        // The child may have ended before the signal was blocked.
        self.reap();
        if self.deadlines().is_err() {
            return;
        }
        while self.record.is_none() || self.connections.iter().any(|c| c.backlog() > 0) {
            if self.turn().is_err() {
                // Only a programming error or a kernel without memory gets here.
                break;
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 32];
        let timeout = self.timeout().map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let events = match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events.iter() {
            match Token::decode(event.data) {
                Token::Signals => {
                    wharf_sys::signal_fd::drain(self.signals.as_fd())?;
                    self.reap();
                }
                Token::Listener => self.accept()?,
                Token::Output(key, out) => self.output(key, out),
                Token::Input(key) => {
                    if let Some(session) = self.session(key) {
                        session.pump();
                    }
                    // Whoever types into it may go on.
                    self.serve_typists(key);
                }
                Token::Connection(key) => self.connection_ready(key),
            }
        }
        self.deadlines()
    }

    pub(super) fn session(&mut self, key: u32) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find_map(|(known, session, _)| (*known == key).then_some(session))
    }

    pub(super) fn exec_key(&self, id: &str) -> Option<u32> {
        self.sessions
            .iter()
            .find(|(_, session, _)| session.exec.as_deref() == Some(id))
            .map(|(key, _, _)| *key)
    }

    pub(super) fn new_key(&mut self) -> u32 {
        self.next_key += 1;
        self.next_key
    }

    /// The container's first process has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.record.is_some()
            || self
                .sessions
                .iter()
                .any(|(key, session, _)| *key == FIRST && session.status.is_some())
    }

    pub(super) fn state(&self) -> State {
        let pid = self.sessions.iter().find(|(key, ..)| *key == FIRST);
        State {
            phase: match (&self.record, &self.start) {
                (Some(record), _) => Phase::Exited(record.clone()),
                (None, Some(_)) => Phase::Created,
                (None, None) => Phase::Running,
            },
            pid: pid.map_or(0, |(_, session, _)| session.pid),
            started_ns: self.started_ns,
            warnings: self.parts.warnings.clone(),
            execs: self
                .sessions
                .iter()
                .filter_map(|(_, session, _)| Some((session.exec.clone()?, session.pid)))
                .collect(),
        }
    }

    /// Takes every child that has ended: processes of sessions, and orphans nobody asks about.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let signal = status.terminating_signal();
            let code = status.exit_status().or(signal.map(|signal| 128 + signal));
            if let Some(code) = code {
                self.ended(pid, Ended { code, signal });
            }
        }
    }

    fn ended(&mut self, pid: Pid, ended: Ended) {
        let pid = pid.as_raw_nonzero().get();
        let found = self
            .sessions
            .iter_mut()
            .find(|(_, session, _)| session.pid == pid && session.status.is_none());
        let Some((key, session, deadline)) = found else {
            return;
        };
        session.status = Some(ended);
        *deadline = Some(Instant::now() + DRAIN);
        if *key == FIRST {
            self.finished_ns = now_ns();
            // Init's end is the container's: whatever else is in it ends too. In a process
            // namespace of its own the kernel has seen to that already.
            if let Some(cgroup) = &self.parts.cgroup {
                let _ = cgroup.kill_all();
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let drains = self
            .sessions
            .iter()
            .filter_map(|(_, _, deadline)| *deadline);
        let stalls = self
            .connections
            .iter()
            .filter_map(|c| Some(c.waiting_since? + STALLED));
        drains
            .chain(stalls)
            .min()
            .map(|deadline| deadline.saturating_duration_since(now))
    }

    /// What is due: stalled clients go, ended processes are finished, and what the loop waits for
    /// is brought into line with what there is to do.
    fn deadlines(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let gone: Vec<u32> = self
            .connections
            .iter()
            .filter(|c| {
                c.waiting_since.is_some_and(|since| now - since >= STALLED)
                    || (c.mode == Mode::Finishing && c.backlog() == 0)
            })
            .map(|c| c.key)
            .collect();
        for key in gone {
            self.drop_connection(key);
        }
        while let Some(key) = self.due(now) {
            if key == FIRST {
                self.finish_container();
                break;
            }
            self.finish_exec(key);
        }
        self.align()
    }

    /// A session that has ended and of which nothing more is to come.
    fn due(&self, now: Instant) -> Option<u32> {
        self.sessions
            .iter()
            .find(|(key, session, deadline)| {
                session.status.is_some()
                    && (*key != FIRST || self.record.is_none())
                    && (session.is_drained() || deadline.is_some_and(|deadline| now >= deadline))
            })
            .map(|(key, ..)| *key)
    }

    /// Tells `epoll` what is of interest now.
    fn align(&mut self) -> io::Result<()> {
        for at in 0..self.sessions.len() {
            let key = self.sessions[at].0;
            let ended = self.sessions[at].1.status.is_some();
            // After the end the pipes are emptied whatever clients do: what is left is small.
            let wanted = ended || !self.is_held_back(key);
            let (_, session, _) = &mut self.sessions[at];
            for out in [Out::Stdout, Out::Stderr] {
                if let Some(source) = session.source(out)
                    && source.waits != wanted
                {
                    if wanted {
                        let token = Token::Output(key, out);
                        add(&self.epoll, &source.fd, &token, epoll::EventFlags::IN)?;
                    } else {
                        // Not merely no interest: a hang-up would be reported for ever.
                        epoll::delete(&self.epoll, &source.fd)?;
                    }
                    source.waits = wanted;
                }
            }
            let wants = session.unpumped().is_some();
            if wants != session.stdin_waits {
                if let Some(stdin) = session.unpumped() {
                    let token = Token::Input(key);
                    // A terminal's one descriptor is in twice, as two descriptors of it.
                    add(&self.epoll, stdin, &token, epoll::EventFlags::OUT)?;
                } else if let Some(stdin) = session.stdin() {
                    epoll::delete(&self.epoll, stdin)?;
                }
                session.stdin_waits = wants;
            }
        }
        for at in 0..self.connections.len() {
            let reads = self.takes_input(&self.connections[at]);
            let connection = &mut self.connections[at];
            let interest = (reads, connection.backlog() > 0);
            if interest != connection.interest {
                let mut flags = epoll::EventFlags::empty();
                flags.set(epoll::EventFlags::IN, interest.0);
                flags.set(epoll::EventFlags::OUT, interest.1);
                let token = Token::Connection(connection.key);
                epoll::modify(&self.epoll, &connection.stream, token.encode(), flags)?;
                connection.interest = interest;
            }
        }
        Ok(())
    }
}

/// Nanoseconds since 1970.
pub(super) fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}

pub(super) fn add(
    epoll: &OwnedFd,
    fd: impl AsFd,
    token: &Token,
    flags: epoll::EventFlags,
) -> io::Result<()> {
    Ok(epoll::add(epoll, fd, token.encode(), flags)?)
}
