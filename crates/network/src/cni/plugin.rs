//! One run of one plugin.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

use super::error::{CniError, PluginFailure, Result};

/// What a plugin may write, on its output and on its error output, each.
const OUTPUT: usize = 1 << 20;

/// Longest part of a plugin's words that goes into a message.
const MESSAGE: usize = 2048;

/// Where a plugin finds programs (`iptables`, `nft`). The daemon's own environment is not its
/// business: it may hold what plugins should not see.
const PROGRAMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a file is waited for that somebody is just writing: an upgrade of the plugin.
const BUSY: (u32, Duration) = (50, Duration::from_millis(20));

/// A plugin that is to run.
pub(super) struct Run<'a> {
    pub(super) plugin: &'a str,
    pub(super) command: &'static str,
    pub(super) program: &'a Path,
    pub(super) environment: &'a [(&'static str, String)],
    pub(super) input: &'a [u8],
    pub(super) limit: Duration,
}

/// The file of a plugin, in the first directory that has it.
pub(super) fn find(plugin: &str, path: &[PathBuf]) -> Result<PathBuf> {
    let is_program = |file: &PathBuf| {
        std::fs::metadata(file)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    path.iter()
        .map(|directory| directory.join(plugin))
        .find(is_program)
        .ok_or_else(|| CniError::NoPlugin {
            plugin: plugin.to_owned(),
            path: path.to_vec(),
        })
}

impl Run<'_> {
    /// Runs it to its end; what it wrote on its output.
    pub(super) fn output(&self) -> Result<Vec<u8>> {
        let mut child = self.spawn().map_err(|source| self.failed(source))?;
        match self.follow(&mut child) {
            Ok((status, output, _)) if status.success() => Ok(output),
            Ok((status, output, errors)) => Err(CniError::Failed {
                plugin: self.plugin.to_owned(),
                command: self.command,
                failure: failure(status, &output, &errors),
            }),
            Err(error) => {
                kill(&mut child);
                Err(error)
            }
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let (mut tries, pause) = BUSY;
        loop {
            #[allow(
                clippy::disallowed_methods,
                reason = "CNI is other people's programs, by its definition"
            )]
            let mut command = Command::new(self.program);
            let spawned = command
                .env_clear()
                .env("PATH", PROGRAMS)
                .envs(self.environment.iter().map(|(key, value)| (key, value)))
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                // A group of its own: at the time limit its children go along.
                .process_group(0)
                .spawn();
            match spawned {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries > 0 => {
                    tries -= 1;
                    wait(&mut [], pause)?;
                }
                spawned => return spawned,
            }
        }
    }

    /// Feeds it and reads it until it ends. Children that it leaves behind with its output open are
    /// not waited for.
    fn follow(&self, child: &mut Child) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        let deadline = Instant::now() + self.limit;
        let run = |source| self.failed(source);
        let ended = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())
            .map_err(|error| run(error.into()))?;
        let mut input = pipe(child.stdin.take().map(OwnedFd::from)).map_err(run)?;
        let mut streams = [
            Stream::new(child.stdout.take().map(OwnedFd::from)).map_err(run)?,
            Stream::new(child.stderr.take().map(OwnedFd::from)).map_err(run)?,
        ];
        let mut left = self.input;
        loop {
            if left.is_empty() {
                // Its input ends.
                input = None;
            }
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Err(CniError::TooSlow {
                    plugin: self.plugin.to_owned(),
                    command: self.command,
                    limit: self.limit,
                });
            }
            let mut waiting = vec![PollFd::new(&ended, PollFlags::IN)];
            waiting.extend(input.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
            let open = streams.iter().filter_map(|stream| stream.pipe.as_ref());
            waiting.extend(open.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            wait(&mut waiting, patience).map_err(run)?;
            let is_over = !waiting[0].revents().is_empty();
            drop(waiting);
            if let Some(pipe) = &mut input {
                match pipe.write(left) {
                    Ok(written) => left = &left[written..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // It need not read what it is told.
                    Err(_) => left = &[],
                }
            }
            for stream in &mut streams {
                stream.read().map_err(run)?;
                if stream.content.len() > OUTPUT {
                    return Err(CniError::TooMuch {
                        plugin: self.plugin.to_owned(),
                        command: self.command,
                        limit: OUTPUT,
                    });
                }
            }
            if is_over {
                let status = child.wait().map_err(run)?;
                let [output, errors] = streams;
                return Ok((status, output.content, errors.content));
            }
        }
    }

    fn failed(&self, source: io::Error) -> CniError {
        CniError::Run {
            plugin: self.plugin.to_owned(),
            command: self.command,
            source,
        }
    }
}

/// The end of a pipe that a plugin writes to.
struct Stream {
    pipe: Option<File>,
    content: Vec<u8>,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> io::Result<Stream> {
        Ok(Stream {
            pipe: pipe(fd)?,
            content: Vec::new(),
        })
    }

    /// What is there now, and a little more than is allowed at most.
    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut buffer = [0; 8192];
        while self.content.len() <= OUTPUT {
            match pipe.read(&mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    return Ok(());
                }
                Ok(read) => self.content.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn pipe(fd: Option<OwnedFd>) -> io::Result<Option<File>> {
    let Some(fd) = fd else { return Ok(None) };
    let flags = rustix::fs::fcntl_getfl(fd.as_fd())?;
    rustix::fs::fcntl_setfl(fd.as_fd(), flags | OFlags::NONBLOCK)?;
    Ok(Some(File::from(fd)))
}

fn wait(fds: &mut [PollFd<'_>], patience: Duration) -> io::Result<()> {
    let limit = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// It has not been waited for, so the number is still its own.
fn kill(child: &mut Child) {
    let group = Pid::from_child(child);
    if let Err(error) = rustix::process::kill_process_group(group, Signal::KILL) {
        tracing::warn!(pid = child.id(), %error, "kill a plugin");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(pid = child.id(), %error, "wait for a plugin");
    }
}

/// A plugin says why on its output, in JSON; a bad one on its error output, or not at all.
fn failure(status: ExitStatus, output: &[u8], errors: &[u8]) -> PluginFailure {
    let said: Option<Value> = serde_json::from_slice(output).ok();
    let field = |key| said.as_ref().and_then(|said| said.get(key));
    let text = |key| field(key).and_then(Value::as_str).map(cut);
    if let Some(message) = text("msg").filter(|message| !message.is_empty()) {
        return PluginFailure {
            code: field("code").and_then(Value::as_u64),
            message,
            details: text("details").unwrap_or_default(),
        };
    }
    let loudest = if errors.trim_ascii().is_empty() {
        output
    } else {
        errors
    };
    let words = cut(String::from_utf8_lossy(loudest).trim());
    PluginFailure {
        code: field("code").and_then(Value::as_u64),
        message: if words.is_empty() {
            format!("netplugin failed with no error message: {status}")
        } else {
            words
        },
        details: String::new(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}
