//! What clients ask for.

use std::io;
use std::os::fd::AsFd;

use super::birth::pipes;
use super::connection::Mode;
use super::proto::{self, Event, ExecRequest, Kind, Reply, Request, Streams};
use super::server::{FIRST, Server, error, now_ns};
use super::session::{Ends, Process, Session, StdinRule};
use super::spawn::{DESCRIPTORS, send_with};
use crate::launch::{ExecTarget, Execed, Io, WindowSize, exec};

/// Execs at once in one container.
const EXECS_MAX: usize = 1024;

const KILL: i32 = rustix::process::Signal::KILL.as_raw();

impl Server {
    pub(super) fn request(&mut self, key: u32, request: Request) {
        match request {
            Request::Start => self.start(key),
            Request::State => {
                let state = self.state();
                self.reply(key, &Reply::State(state));
            }
            Request::Signal { signal, all, exec } => self.signal(key, signal, all, exec.as_deref()),
            Request::Resize { exec, size } => match self.session_of(exec.as_deref()) {
                None => self.not_running(key),
                Some(session) => match session.resize(size) {
                    Ok(()) => self.reply(key, &Reply::Ok),
                    Err(why) => self.refuse(key, &format!("resize: {why}")),
                },
            },
            Request::Attach(streams) => self.attach(key, streams),
            Request::Exec(request) => self.exec(key, *request),
            Request::Watch => {
                if let Some(connection) = self.connection(key) {
                    connection.mode = Mode::Watching;
                }
                let state = self.state();
                self.reply(key, &Reply::State(state));
            }
            Request::LayerMounts => self.layer_mounts(key),
        }
    }

    /// The session of an exec, or of the container's first process.
    fn session_of(&mut self, exec: Option<&str>) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| session.exec.as_deref() == exec)
    }

    fn refuse(&mut self, key: u32, message: &str) {
        self.reply(key, &error(message, 125));
    }

    fn not_running(&mut self, key: u32) {
        let reply = Reply::Error {
            message: "the container is not running".to_owned(),
            exit_code: 125,
            not_running: true,
        };
        self.reply(key, &reply);
    }

    fn start(&mut self, key: u32) {
        if self.has_ended() {
            return self.not_running(key);
        }
        let Some(start) = self.start.take() else {
            return self.refuse(key, "the container was started already");
        };
        match start.start() {
            Ok(()) => {
                self.started_ns = now_ns();
                let started_ns = self.started_ns;
                self.reply(key, &Reply::Ok);
                self.announce(Event::Started { started_ns });
            }
            Err(failure) => {
                let (message, code) = (failure.to_string(), failure.exit_code());
                self.reply(key, &error(&message, code));
                self.start_failed = Some((message, code));
            }
        }
    }

    fn signal(&mut self, key: u32, signal: i32, all: bool, exec: Option<&str>) {
        let living = self.session_of(exec).filter(|s| s.status.is_none());
        let Some(session) = living else {
            return self.not_running(key);
        };
        let sent = wharf_sys::pidfd::send_signal(session.pidfd.as_fd(), signal);
        if all {
            self.signal_all(signal);
        }
        // A container that was never started waits for its start and hears nothing else.
        if signal == KILL && exec.is_none() {
            self.start = None;
        }
        match sent {
            Ok(()) => self.reply(key, &Reply::Ok),
            Err(why) => self.refuse(key, &format!("signal {signal}: {why}")),
        }
    }

    fn signal_all(&self, signal: i32) {
        let Some(cgroup) = &self.held.cgroup else {
            return;
        };
        for pid in cgroup.processes().unwrap_or_default() {
            // The list is a moment old, as anybody's would be: by its handle a process is at
            // least the one that has the number now, and not one that gets it in between.
            let flags = rustix::process::PidfdFlags::empty();
            if let Ok(pidfd) = rustix::process::pidfd_open(pid, flags) {
                let _ = wharf_sys::pidfd::send_signal(pidfd.as_fd(), signal);
            }
        }
    }

    fn attach(&mut self, key: u32, streams: Streams) {
        if self.has_ended() {
            return self.not_running(key);
        }
        if let Some(connection) = self.connection(key) {
            connection.mode = Mode::Attached(FIRST, streams);
            // Registered: nothing from now on is lost.
            connection.reply(&Reply::Ok);
        }
    }

    fn exec(&mut self, key: u32, request: ExecRequest) {
        if self.has_ended() || self.start.is_some() {
            return self.not_running(key);
        }
        if self.sessions.len() > EXECS_MAX {
            return self.refuse(key, "too many processes were put into this container");
        }
        if self.session_of(Some(&request.id)).is_some() {
            return self.refuse(key, &format!("exec {} runs already", request.id));
        }
        let streams = request.streams;
        let session_key = self.new_key();
        match self.run(session_key, &request) {
            Ok((session, warnings)) => {
                let pid = session.pid;
                self.sessions.push(session);
                if streams.any()
                    && let Some(connection) = self.connection(key)
                {
                    connection.mode = Mode::Attached(session_key, streams);
                }
                self.reply(key, &Reply::Exec { pid, warnings });
                let id = request.id;
                self.announce(Event::ExecStarted { id, pid });
            }
            Err((message, code)) => self.reply(key, &error(&message, code)),
        }
        // The request was large for a process that is to stay small.
        wharf_sys::heap::give_back();
    }

    fn run(&self, key: u32, request: &ExecRequest) -> Result<(Session, Vec<String>), Refusal> {
        let failed = |why: io::Error| (format!("exec: {why}"), 125);
        let streams = request.streams;
        let (io, ends) = match request.terminal {
            Some(size) => {
                let size = WindowSize {
                    rows: size.rows,
                    columns: size.columns,
                };
                (Io::Terminal(size), Ends::default())
            }
            None => pipes(streams.stdin, streams.stdout, streams.stderr).map_err(failed)?,
        };
        let made = self.put_in(request, io)?;
        let warnings = made.warnings.iter().map(ToString::to_string).collect();
        let rule = if streams.stdin {
            StdinRule::Once
        } else {
            StdinRule::Never
        };
        let process = Process {
            exec: Some(request.id.clone()),
            pid: made.pid.as_raw_nonzero().get(),
            pidfd: made.pidfd,
            terminal: made.terminal,
            ends,
            rule,
        };
        let session = Session::new(key, process);
        match session.prepare() {
            Ok(()) => Ok((session, warnings)),
            Err(why) => {
                // Nobody would read its output. It is reaped as an orphan.
                let _ = wharf_sys::pidfd::send_signal(session.pidfd.as_fd(), KILL);
                Err(failed(why))
            }
        }
    }

    fn put_in(&self, request: &ExecRequest, io: Io) -> Result<Execed, Refusal> {
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
        exec(&target, &request.process, io).map_err(|why| (why.to_string(), why.exit_code()))
    }

    /// The mounts go beside the reply, and beside marks behind it where they are many.
    fn layer_mounts(&mut self, key: u32) {
        let Ok(mut bytes) = proto::json(&Reply::Layers(self.held.layers.clone())) else {
            return self.refuse(key, "too many layers to name");
        };
        let Some(connection) = self.connections.iter_mut().find(|c| c.key == key) else {
            return;
        };
        if self.held.mounts.is_empty() {
            return connection.reply(&Reply::Layers(Vec::new()));
        }
        for batch in self.held.mounts.chunks(DESCRIPTORS) {
            let fds: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
            // What it asked before was answered before it asked this: the socket has room.
            let sent = send_with(connection.stream.get().as_fd(), &bytes, &fds);
            if !sent.is_ok_and(|length| length == bytes.len()) {
                return connection.hang_up();
            }
            bytes = proto::header(Kind::StdinEof, 0).to_vec();
        }
    }
}

/// Why there is no exec, and the exit code that goes with it.
type Refusal = (String, i32);
