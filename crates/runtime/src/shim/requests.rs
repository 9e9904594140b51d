//! What clients ask for.

use std::os::fd::AsFd;

use super::connection::Mode;
use super::proto::{self, Event, Kind, Reply, Request, Streams};
use super::server::{FIRST, Server, error, now_ns};
use super::session::Session;
use super::spawn::{DESCRIPTORS, send_with};
use crate::log::{Stream, Writer};

pub(super) const KILL: i32 = rustix::process::Signal::KILL.as_raw();

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
            Request::AttachAfterLog(streams) => self.attach_after_log(key, streams),
            Request::Exec(request) => self.exec(key, &request),
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
    pub(super) fn session_of(&mut self, exec: Option<&str>) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| session.exec.as_deref() == exec)
    }

    pub(super) fn refuse(&mut self, key: u32, message: &str) {
        self.reply(key, &error(message, 125));
    }

    pub(super) fn not_running(&mut self, key: u32) {
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

    fn attach_after_log(&mut self, key: u32, streams: Streams) {
        if self.has_ended() {
            return self.not_running(key);
        }
        let log = self.held.log.as_ref();
        let log_end = log.and_then(Writer::position);
        let open = |stream| log.map_or(&[][..], |log| log.open_line(stream)).to_vec();
        let (stdout, stderr) = (open(Stream::Stdout), open(Stream::Stderr));
        let Some(connection) = self.connection(key) else {
            return;
        };
        connection.mode = Mode::Attached(FIRST, streams);
        connection.reply(&Reply::Attached { log_end });
        for (wanted, kind, line) in [
            (streams.stdout, Kind::Stdout, stdout),
            (streams.stderr, Kind::Stderr, stderr),
        ] {
            if wanted && !line.is_empty() {
                connection.send(kind, &line);
            }
        }
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
