//! A process of the container and its streams: the first one, or an exec.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};

use super::birth::never_block;
use super::plan::Size;
use super::proto::DATA_MAX;

/// Input that waits for the process to take it.
const INPUT_MAX: usize = DATA_MAX;

/// What closing standard input by a client means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StdinRule {
    /// There is none.
    Never,
    /// It stays open for the next client.
    Kept,
    /// It is closed for good.
    Once,
}

/// The shim's ends of a process's pipes.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// An output of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    Stdout,
    Stderr,
}

/// A process and its streams.
#[derive(Debug)]
pub(super) struct Session {
    /// The exec's id; none for the container's first process.
    pub(super) exec: Option<String>,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Present while it has not ended or may still be written.
    pub(super) stdout: Option<Source>,
    pub(super) stderr: Option<Source>,
    pub(super) status: Option<Ended>,
    pub(super) terminal: bool,
    stdin: Option<OwnedFd>,
    rule: StdinRule,
    input: Vec<u8>,
    closing: bool,
    /// The loop waits for standard input to take more.
    pub(super) stdin_waits: bool,
}

/// An output that is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) fd: OwnedFd,
    /// The loop waits for it; not so while a client is slow.
    pub(super) waits: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

impl Session {
    pub(super) fn new(
        exec: Option<String>,
        pid: i32,
        pidfd: OwnedFd,
        terminal: Option<OwnedFd>,
        ends: Ends,
        rule: StdinRule,
    ) -> io::Result<Session> {
        let has_terminal = terminal.is_some();
        let ends = match terminal {
            Some(master) => Ends {
                stdin: (rule != StdinRule::Never)
                    .then(|| master.try_clone())
                    .transpose()?,
                stdout: Some(master),
                stderr: None,
            },
            None => ends,
        };
        for fd in [&ends.stdin, &ends.stdout, &ends.stderr]
            .into_iter()
            .flatten()
        {
            never_block(fd)?;
        }
        let source = |fd: Option<OwnedFd>| fd.map(|fd| Source { fd, waits: false });
        Ok(Session {
            exec,
            pid,
            pidfd,
            stdout: source(ends.stdout),
            stderr: source(ends.stderr),
            status: None,
            terminal: has_terminal,
            stdin: ends.stdin,
            rule,
            input: Vec::new(),
            closing: false,
            stdin_waits: false,
        })
    }

    pub(super) fn source(&mut self, out: Out) -> &mut Option<Source> {
        match out {
            Out::Stdout => &mut self.stdout,
            Out::Stderr => &mut self.stderr,
        }
    }

    /// Everything it wrote has been read.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// How much input it takes now.
    pub(super) fn room(&self) -> usize {
        INPUT_MAX.saturating_sub(self.input.len())
    }

    /// Gives it input. What is beyond [`Self::room`] must not be given. Without a standard input
    /// it goes nowhere, as a closed pipe's would.
    pub(super) fn give(&mut self, bytes: &[u8]) {
        if self.stdin.is_some() && !self.closing {
            self.input.extend_from_slice(bytes);
            self.pump();
        }
    }

    /// A client that was attached to its input has closed it, or left.
    pub(super) fn input_closed(&mut self) {
        // A terminal's end is a character, which the client's terminal sent if it was meant.
        if self.rule == StdinRule::Once && !self.terminal {
            self.closing = true;
            self.pump();
        }
    }

    /// Writes as much input as it takes. Closes it behind the last byte if that was asked for.
    pub(super) fn pump(&mut self) {
        let Some(stdin) = &self.stdin else {
            return;
        };
        let mut done = 0;
        while done < self.input.len() {
            match rustix::io::write(stdin, &self.input[done..]) {
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // It has closed its end, or ended: its input is of no use to anybody.
                Err(_) => {
                    self.input = Vec::new();
                    self.stdin = None;
                    return;
                }
            }
        }
        self.input.drain(..done);
        if self.input.is_empty() {
            self.input.shrink_to(4096);
            if self.closing {
                self.stdin = None;
            }
        }
    }

    /// Standard input.
    pub(super) fn stdin(&self) -> Option<&OwnedFd> {
        self.stdin.as_ref()
    }

    /// Standard input, if bytes wait for it.
    pub(super) fn unpumped(&self) -> Option<&OwnedFd> {
        self.stdin.as_ref().filter(|_| !self.input.is_empty())
    }

    /// Reads output; none at its end.
    pub(super) fn read(&mut self, out: Out, buffer: &mut [u8]) -> Option<Read> {
        let source = self.source(out).as_ref()?;
        match rustix::io::read(&source.fd, buffer) {
            Ok(0) => None,
            Ok(length) => Some(Read::Bytes(length)),
            Err(Errno::AGAIN | Errno::INTR) => Some(Read::NothingNow),
            // EIO: the last one who had the terminal open has closed it.
            Err(_) => None,
        }
    }

    /// Changes the size of its terminal.
    pub(super) fn resize(&self, size: Size) -> io::Result<()> {
        let Some(source) = self.stdout.as_ref().filter(|_| self.terminal) else {
            return Err(io::Error::other("there is no terminal"));
        };
        tcsetwinsize(
            source.fd.as_fd(),
            Winsize {
                ws_row: size.rows,
                ws_col: size.columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        Ok(())
    }
}

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(usize),
    NothingNow,
}
