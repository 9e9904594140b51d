//! Execs, from the request until they run.
//!
//! ```text
//!   Request::Exec ──▶ Newcomer ──executes──▶ Session, Reply::Exec, Event::ExecStarted
//!                        └──────fails──────▶ Reply::Error
//! ```
//! A process is made at once and heard of later. Its first words may come together with the news
//! of its end: it is always heard before it is taken for ended.

use std::os::fd::AsFd;

use rustix::process::Pid;

use super::birth::pipes;
use super::connection::Mode;
use super::proto::{Event, ExecRequest, Reply, Streams};
use super::requests::KILL;
use super::server::{FIRST, Server, error};
use super::session::{Ends, Process, Session, StdinRule};
use super::watched::Watched;
use crate::cgroup::Cgroup;
use crate::launch::{ExecTarget, Execed, Io, Joining, WindowSize};

/// Execs at once in one container.
const EXECS_MAX: usize = 1024;

/// An exec that does not run yet.
pub(super) struct Newcomer {
    /// As of the session that it becomes.
    pub(super) key: u32,
    pub(super) process: Watched<Joining>,
    /// Who asked for it.
    client: u32,
    id: String,
    pid: Pid,
    streams: Streams,
    ends: Ends,
}

/// Why there is no exec, and the exit code that goes with it.
type Refusal = (String, i32);

impl Server {
    pub(super) fn exec(&mut self, client: u32, request: &ExecRequest) {
        if self.has_ended() || self.start.is_some() {
            return self.not_running(client);
        }
        if self.sessions.len() + self.joining.len() > EXECS_MAX {
            return self.refuse(client, "too many processes were put into this container");
        }
        let id = &request.id;
        if self.session_of(Some(id)).is_some() || self.joining.iter().any(|n| n.id == *id) {
            return self.refuse(client, &format!("exec {id} runs already"));
        }
        // Whoever pauses it right now holds the process up, and nothing else.
        let frozen = self.held.cgroup.as_ref().map(Cgroup::is_frozen);
        if let Some(Ok(true)) = frozen {
            return self.refuse(client, "the container is paused");
        }
        match self.send_in(client, request) {
            Ok(newcomer) => {
                let key = newcomer.key;
                self.joining.push(newcomer);
                self.hear(key);
            }
            Err((message, code)) => self.reply(client, &error(&message, code)),
        }
        // The request was large for a process that is to stay small.
        wharf_sys::heap::give_back();
    }

    fn send_in(&mut self, client: u32, request: &ExecRequest) -> Result<Newcomer, Refusal> {
        let streams = request.streams;
        let (io, ends) = match request.terminal {
            Some(size) => {
                let size = WindowSize {
                    rows: size.rows,
                    columns: size.columns,
                };
                (Io::Terminal(size), Ends::default())
            }
            None => pipes(streams.stdin, streams.stdout, streams.stderr)
                .map_err(|why| (format!("exec: {why}"), 125))?,
        };
        let key = self.new_key();
        let Some(first) = self.sessions.iter().find(|session| session.key == FIRST) else {
            return Err(("the container is not running".to_owned(), 125));
        };
        let target = ExecTarget {
            pidfd: first.pidfd.as_fd(),
            cgroup: self.held.cgroup.as_ref(),
            namespaces: self.held.namespaces,
            seccomp: self.held.seccomp.as_ref(),
            preserve_fds: 0,
        };
        let joining = Joining::begin(&target, &request.process, io);
        let (joining, pid) = joining
            .and_then(|joining| joining.pid().map(|pid| (joining, pid)))
            .map_err(|why| (why.to_string(), why.exit_code()))?;
        Ok(Newcomer {
            key,
            process: Watched::new(joining),
            client,
            id: request.id.clone(),
            pid,
            streams,
            ends,
        })
    }

    /// A newcomer may have something to say.
    pub(super) fn hear(&mut self, key: u32) {
        let Some(at) = self.joining.iter().position(|n| n.key == key) else {
            return;
        };
        match self.joining[at].process.get_mut().hear() {
            Ok(None) => {}
            Ok(Some(execed)) => {
                let newcomer = self.joining.swap_remove(at);
                self.receive(newcomer, execed);
            }
            Err(why) => {
                let client = self.joining.swap_remove(at).client;
                self.reply(client, &error(&why.to_string(), why.exit_code()));
            }
        }
    }

    /// A child has ended: if it was a newcomer, all that it had to say is there.
    pub(super) fn hear_last(&mut self, pid: Pid) {
        if let Some(newcomer) = self.joining.iter().find(|n| n.pid == pid) {
            self.hear(newcomer.key);
        }
    }

    /// It runs.
    fn receive(&mut self, newcomer: Newcomer, execed: Execed) {
        let Newcomer {
            key,
            client,
            id,
            streams,
            ends,
            ..
        } = newcomer;
        let warnings = execed.warnings.iter().map(ToString::to_string).collect();
        let pid = execed.pid.as_raw_nonzero().get();
        let rule = if streams.stdin {
            StdinRule::Once
        } else {
            StdinRule::Never
        };
        let session = Session::new(
            key,
            Process {
                exec: Some(id.clone()),
                pid,
                pidfd: execed.pidfd,
                terminal: execed.terminal,
                ends,
                rule,
            },
        );
        if let Err(why) = session.prepare() {
            // Nobody would read its output. It is reaped as an orphan.
            let _ = wharf_sys::pidfd::send_signal(session.pidfd.as_fd(), KILL);
            return self.refuse(client, &format!("exec: {why}"));
        }
        self.sessions.push(session);
        if streams.any()
            && let Some(connection) = self.connection(client)
        {
            connection.mode = Mode::Attached(key, streams);
        }
        self.reply(client, &Reply::Exec { pid, warnings });
        self.announce(Event::ExecStarted { id, pid });
    }

    /// The container has ended: nobody comes any more.
    pub(super) fn turn_away(&mut self) {
        for mut newcomer in std::mem::take(&mut self.joining) {
            newcomer.process.get_mut().abandon();
            self.not_running(newcomer.client);
        }
    }
}
