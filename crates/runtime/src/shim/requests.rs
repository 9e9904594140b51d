//! Clients come, ask, type and leave.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::epoll;
use rustix::net::sockopt::socket_peercred;

use super::birth::pipes;
use super::connection::{Connection, Mode};
use super::proto::{self, Event, ExecRequest, Kind, Reply, Request, Streams};
use super::server::{FIRST, Server, Token, add, now_ns};
use super::session::{Ends, Session, StdinRule};
use super::spawn::{DESCRIPTORS, send_with};
use crate::launch::{ExecTarget, Io, WindowSize, exec};

/// Clients at once. One more is turned away.
const CONNECTIONS_MAX: usize = 256;

/// Execs at once in one container.
const EXECS_MAX: usize = 1024;

impl Server {
    /// Takes those who knock.
    pub(super) fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.parts.listener.accept() {
                Ok((stream, _)) => self.admit(stream)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody more, or no descriptor for them: they wait in the kernel's queue.
                Err(_) => return Ok(()),
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) -> io::Result<()> {
        let own = rustix::process::geteuid();
        let theirs = socket_peercred(&stream).map(|peer| peer.uid);
        if theirs != Ok(own) || self.connections.len() >= CONNECTIONS_MAX {
            return Ok(());
        }
        stream.set_nonblocking(true)?;
        let key = self.new_key();
        let mut connection = Connection::new(key, stream);
        add(
            &self.epoll,
            &connection.stream,
            &Token::Connection(key),
            epoll::EventFlags::IN,
        )?;
        connection.interest = (true, false);
        self.connections.push(connection);
        Ok(())
    }

    /// A client has sent something, can take something, or is gone.
    pub(super) fn connection_ready(&mut self, key: u32) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        let reads = connection.interest.0;
        if !connection.flush() || (reads && !connection.fill()) {
            return self.drop_connection(key);
        }
        self.take_frames(key);
        let Some(connection) = self.connection(key) else {
            return;
        };
        if connection.ended {
            match connection.mode {
                // Half-closed: no more input from it, but it still listens.
                Mode::Attached(session, streams) => {
                    connection.mode = Mode::Attached(
                        session,
                        Streams {
                            stdin: false,
                            ..streams
                        },
                    );
                    connection.ended = false;
                    if streams.stdin {
                        self.typist_left(session);
                    }
                    // Without this a closed socket would be reported as readable for ever.
                    self.hang_up_if_gone(key);
                }
                Mode::Requests | Mode::Watching => self.drop_connection(key),
                Mode::Finishing => {}
            }
        }
    }

    /// A peer that closed both ways has nothing more to hear.
    fn hang_up_if_gone(&mut self, key: u32) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        let mut fds = [rustix::event::PollFd::new(
            &connection.stream,
            rustix::event::PollFlags::empty(),
        )];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let polled = rustix::event::poll(&mut fds, Some(&now));
        let gone = polled.is_ok() && fds[0].revents().contains(rustix::event::PollFlags::HUP);
        connection.mode = match connection.mode {
            Mode::Attached(..) if gone => Mode::Finishing,
            mode => mode,
        };
        if gone {
            self.drop_connection(key);
        }
    }

    pub(super) fn drop_connection(&mut self, key: u32) {
        let Some(at) = self.connections.iter().position(|c| c.key == key) else {
            return;
        };
        let connection = self.connections.swap_remove(at);
        if let Mode::Attached(session, Streams { stdin: true, .. }) = connection.mode {
            self.typist_left(session);
        }
    }

    fn connection(&mut self, key: u32) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.key == key)
    }

    /// Whether a connection is to be read from now: not while the process does not take what was
    /// typed before.
    pub(super) fn takes_input(&self, connection: &Connection) -> bool {
        match connection.mode {
            Mode::Requests | Mode::Watching => !connection.ended,
            Mode::Attached(key, streams) => {
                streams.stdin
                    && self
                        .sessions
                        .iter()
                        .any(|(known, session, _)| *known == key && session.room() > 0)
            }
            Mode::Finishing => false,
        }
    }

    /// A session's input has room again.
    pub(super) fn serve_typists(&mut self, session: u32) {
        let keys: Vec<u32> = self
            .connections
            .iter()
            .filter(|c| matches!(c.mode, Mode::Attached(key, _) if key == session))
            .map(|c| c.key)
            .collect();
        for key in keys {
            self.take_frames(key);
        }
    }

    fn typist_left(&mut self, session: u32) {
        if let Some(session) = self.session(session) {
            session.input_closed();
        }
    }

    /// Looks at whole frames as long as there are some and there is room for what they bring.
    fn take_frames(&mut self, key: u32) {
        loop {
            let Some(connection) = self.connections.iter().find(|c| c.key == key) else {
                return;
            };
            let mode = connection.mode;
            let (kind, payload) = match connection.frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(_) => return self.drop_connection(key),
            };
            let length = payload.len();
            match (mode, kind) {
                (Mode::Requests, Kind::Json) => {
                    let request = serde_json::from_slice(payload);
                    self.consume(key, length);
                    match request {
                        Ok(request) => self.request(key, request),
                        Err(error) => self.refuse(key, &format!("bad request: {error}")),
                    }
                }
                (Mode::Attached(session, streams), Kind::Stdin) if streams.stdin => {
                    let payload = payload.to_vec();
                    let Some(session) = self.session(session) else {
                        return self.consume(key, length);
                    };
                    if session.room() < length {
                        return;
                    }
                    session.give(&payload);
                    self.consume(key, length);
                }
                (Mode::Attached(session, streams), Kind::StdinEof) => {
                    self.consume(key, length);
                    if streams.stdin {
                        let quiet = Streams {
                            stdin: false,
                            ..streams
                        };
                        if let Some(connection) = self.connection(key) {
                            connection.mode = Mode::Attached(session, quiet);
                        }
                        self.typist_left(session);
                    }
                }
                _ => return self.drop_connection(key),
            }
        }
    }

    fn consume(&mut self, key: u32, length: usize) {
        if let Some(connection) = self.connection(key) {
            connection.consume(length);
        }
    }

    fn reply(&mut self, key: u32, reply: &Reply) {
        if let Some(connection) = self.connection(key)
            && !connection.reply(reply)
        {
            self.drop_connection(key);
        }
    }

    fn refuse(&mut self, key: u32, message: &str) {
        self.reply(key, &error(message, 125, false));
    }

    fn not_running(&mut self, key: u32) {
        self.reply(key, &error("the container is not running", 125, true));
    }

    fn request(&mut self, key: u32, request: Request) {
        match request {
            Request::Start => self.start(key),
            Request::State => {
                let state = self.state();
                self.reply(key, &Reply::State(state));
            }
            Request::Signal { signal, all, exec } => self.signal(key, signal, all, exec.as_deref()),
            Request::Resize { exec, size } => {
                let session = exec.map_or(Some(FIRST), |id| self.exec_key(&id));
                match session.and_then(|session| self.session(session)) {
                    None => self.not_running(key),
                    Some(session) => match session.resize(size) {
                        Ok(()) => self.reply(key, &Reply::Ok),
                        Err(error) => self.refuse(key, &format!("resize: {error}")),
                    },
                }
            }
            Request::Attach(streams) => {
                if self.has_ended() {
                    return self.not_running(key);
                }
                if let Some(connection) = self.connection(key) {
                    connection.mode = Mode::Attached(FIRST, streams);
                }
                self.reply(key, &Reply::Ok);
            }
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

    fn start(&mut self, key: u32) {
        let Some(start) = self.start.take() else {
            return self.refuse(key, "the container was started already");
        };
        match start.start() {
            Ok(()) => {
                self.started_ns = now_ns();
                let started_ns = self.started_ns;
                self.reply(key, &Reply::Ok);
                self.announce(&Event::Started { started_ns });
            }
            Err(failure) => {
                let (message, code) = (failure.to_string(), failure.exit_code());
                self.start_failed = Some((message.clone(), code));
                self.reply(key, &error(&message, code, false));
            }
        }
    }

    fn signal(&mut self, key: u32, signal: i32, all: bool, exec: Option<&str>) {
        let session = exec.map_or(Some(FIRST), |id| self.exec_key(id));
        let Some(session) = session.and_then(|session| self.session(session)) else {
            return self.not_running(key);
        };
        if session.status.is_some() {
            return self.not_running(key);
        }
        let sent = wharf_sys::pidfd::send_signal(session.pidfd.as_fd(), signal);
        if all && let Some(cgroup) = &self.parts.cgroup {
            for pid in cgroup.processes().unwrap_or_default() {
                // By number: the list is a moment old, as anybody's would be. One that has ended
                // and whose number went to another process outside is not to be hit, so that its
                // handle is taken first and its being in the cgroup is what the list said.
                if let Ok(pidfd) =
                    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
                {
                    let _ = wharf_sys::pidfd::send_signal(pidfd.as_fd(), signal);
                }
            }
        }
        // A container that was never started waits for its start and hears nothing else.
        if signal == KILL && exec.is_none() {
            self.start = None;
        }
        match sent {
            Ok(()) => self.reply(key, &Reply::Ok),
            Err(error) => self.refuse(key, &format!("signal {signal}: {error}")),
        }
    }

    fn exec(&mut self, key: u32, request: ExecRequest) {
        if self.has_ended() || self.start.is_some() {
            return self.not_running(key);
        }
        if self.sessions.len() > EXECS_MAX {
            return self.refuse(key, "too many processes were put into this container");
        }
        let streams = request.streams;
        match self.run(&request) {
            Ok((session, warnings)) => {
                let pid = session.pid;
                let session_key = self.new_key();
                self.sessions.push((session_key, session, None));
                if streams.any()
                    && let Some(connection) = self.connection(key)
                {
                    connection.mode = Mode::Attached(session_key, streams);
                }
                self.reply(key, &Reply::Exec { pid, warnings });
                self.announce(&Event::ExecStarted {
                    id: request.id,
                    pid,
                });
            }
            Err((message, code)) => self.reply(key, &error(&message, code, false)),
        }
    }

    fn run(&mut self, request: &ExecRequest) -> Result<(Session, Vec<String>), (String, i32)> {
        let failed = |error: io::Error| (format!("exec: {error}"), 125);
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
        let held = &self.parts;
        let Some((_, first, _)) = self.sessions.iter().find(|(known, ..)| *known == FIRST) else {
            return Err(("the container is not running".to_owned(), 125));
        };
        let target = ExecTarget {
            pidfd: first.pidfd.as_fd(),
            cgroup: held.cgroup.as_ref(),
            namespaces: held.namespaces,
            seccomp: held.seccomp.as_ref(),
            preserve_fds: 0,
        };
        let made = exec(&target, &request.process, io)
            .map_err(|error| (error.to_string(), error.exit_code()))?;
        let rule = if streams.stdin {
            StdinRule::Once
        } else {
            StdinRule::Never
        };
        let pid = made.pid.as_raw_nonzero().get();
        let session = Session::new(
            Some(request.id.clone()),
            pid,
            made.pidfd,
            made.terminal,
            ends,
            rule,
        )
        .map_err(failed)?;
        let warnings = made.warnings.iter().map(ToString::to_string).collect();
        Ok((session, warnings))
    }

    /// The mounts go beside the reply, and beside marks behind it where they are many.
    fn layer_mounts(&mut self, key: u32) {
        let Ok(mut bytes) = proto::json(&Reply::Layers(self.parts.layers.clone())) else {
            return self.refuse(key, "layers");
        };
        let Some(at) = self.connections.iter().position(|c| c.key == key) else {
            return;
        };
        let connection = &self.connections[at];
        let mut sent = true;
        for batch in self.parts.mounts.chunks(DESCRIPTORS) {
            let fds: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
            // A request was answered before this one was read: the socket has room.
            let length = send_with(connection.stream.as_fd(), &bytes, &fds);
            sent &= length.is_ok_and(|length| length == bytes.len());
            bytes = proto::header(Kind::StdinEof, 0).to_vec();
        }
        if self.parts.mounts.is_empty() {
            self.reply(key, &Reply::Layers(Vec::new()));
        } else if !sent {
            self.drop_connection(key);
        }
    }
}

const KILL: i32 = rustix::process::Signal::KILL.as_raw();

fn error(message: &str, exit_code: i32, not_running: bool) -> Reply {
    Reply::Error {
        message: message.to_owned(),
        exit_code,
        not_running,
    }
}
