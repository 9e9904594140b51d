//! A process of the container and its streams: the first one, or an exec.
//!
//! Its streams are pipes or a terminal. Of a terminal the shim holds both ends: were only the
//! container's processes to hold the far end, each moment in which none of them has it open (an
//! init that closes and reopens its console) would look like the end of all output.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{Winsize, tcsetwinsize};

use super::birth::never_block;
use super::plan::Size;
use super::watched::{Token, Watched};

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

/// Where input goes.
#[derive(Debug)]
enum Stdin {
    /// Nowhere, from the beginning or since it was closed.
    Closed,
    Pipe(Watched<OwnedFd>),
    /// Into the terminal that output comes from.
    Terminal,
}

/// A process and its streams.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: u32,
    /// The exec's id; none for the container's first process.
    pub(super) exec: Option<String>,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) status: Option<Ended>,
    /// When it is finished with, whoever still holds its streams open.
    pub(super) deadline: Option<Instant>,
    terminal: bool,
    /// The far end of the terminal.
    _far_end: Option<OwnedFd>,
    /// Present while more may come.
    stdout: Option<Watched<OwnedFd>>,
    stderr: Option<Watched<OwnedFd>>,
    stdin: Stdin,
    rule: StdinRule,
    /// The rest of what was given and not taken yet: of one frame.
    input: Vec<u8>,
    closing: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

/// What reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(usize),
    NothingNow,
    End,
}

/// A process as it was made.
pub(super) struct Process {
    pub(super) exec: Option<String>,
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) terminal: Option<OwnedFd>,
    pub(super) ends: Ends,
    pub(super) rule: StdinRule,
}

impl Session {
    pub(super) fn new(key: u32, process: Process) -> Session {
        let terminal = process.terminal.is_some();
        let far_end = process.terminal.as_ref().and_then(|near| {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            // Before Linux 4.13 the output of such an init ends early.
            ioctl_tiocgptpeer(near, flags).ok()
        });
        let (stdin, stdout, stderr) = match process.terminal {
            Some(near) => {
                let stdin = match process.rule {
                    StdinRule::Never => Stdin::Closed,
                    _ => Stdin::Terminal,
                };
                (stdin, Some(near), None)
            }
            None => {
                let stdin = process.ends.stdin.map(Watched::new);
                let stdin = stdin.map_or(Stdin::Closed, Stdin::Pipe);
                (stdin, process.ends.stdout, process.ends.stderr)
            }
        };
        Session {
            key,
            exec: process.exec,
            pid: process.pid,
            pidfd: process.pidfd,
            status: None,
            deadline: None,
            terminal,
            _far_end: far_end,
            stdout: stdout.map(Watched::new),
            stderr: stderr.map(Watched::new),
            stdin,
            rule: process.rule,
            input: Vec::new(),
            closing: false,
        }
    }

    /// None of its streams ever blocks the shim. To be called before any is used.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let stdin = match &self.stdin {
            Stdin::Pipe(pipe) => Some(pipe),
            Stdin::Closed | Stdin::Terminal => None,
        };
        let streams = [stdin, self.stdout.as_ref(), self.stderr.as_ref()];
        streams
            .into_iter()
            .flatten()
            .try_for_each(|stream| never_block(stream.get()))
    }

    /// Tells the loop what is of interest. `held_back`: a client has to take output first.
    pub(super) fn align(&mut self, epoll: &Rc<OwnedFd>, held_back: bool) -> io::Result<()> {
        let key = self.key;
        let when = |wanted: bool, flags: EventFlags| wanted.then_some(flags);
        let unwritten = !self.input.is_empty();
        // A stream without interest is taken out: its hang-up would be reported for ever.
        let read = when(!held_back, EventFlags::IN);
        if let Some(stderr) = &mut self.stderr {
            stderr.wait_for(epoll, Token::Stderr(key), read)?;
        }
        if let Some(stdout) = &mut self.stdout {
            let write = when(unwritten && self.terminal, EventFlags::OUT);
            let flags = match (read, write) {
                (Some(read), Some(write)) => Some(read | write),
                (read, write) => read.or(write),
            };
            stdout.wait_for(epoll, Token::Stdout(key), flags)?;
        }
        if let Stdin::Pipe(stdin) = &mut self.stdin {
            let write = when(unwritten, EventFlags::OUT);
            stdin.wait_for(epoll, Token::Stdin(key), write)?;
        }
        Ok(())
    }

    fn source(&self, out: Out) -> Option<&Watched<OwnedFd>> {
        match out {
            Out::Stdout => self.stdout.as_ref(),
            Out::Stderr => self.stderr.as_ref(),
        }
    }

    /// Nothing more is to be read there; false if that was known.
    pub(super) fn close(&mut self, out: Out) -> bool {
        let source = match out {
            Out::Stdout => &mut self.stdout,
            Out::Stderr => &mut self.stderr,
        };
        source.take().is_some()
    }

    /// Everything it wrote has been read.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Reads output.
    pub(super) fn read(&self, out: Out, buffer: &mut [u8]) -> Read {
        let Some(source) = self.source(out) else {
            return Read::NothingNow;
        };
        match rustix::io::read(source.get(), buffer) {
            Ok(0) => Read::End,
            Ok(length) => Read::Bytes(length),
            // The kernel hands over all that was written to a terminal before it says this, and
            // who writes to it after the end of the process is not waited for.
            Err(Errno::AGAIN) if self.terminal && self.status.is_some() => Read::End,
            Err(Errno::AGAIN | Errno::INTR) => Read::NothingNow,
            // EIO: nobody has the far end of the terminal open.
            Err(_) => Read::End,
        }
    }

    /// Whether it takes a frame of input now.
    pub(super) fn takes_input(&self) -> bool {
        self.input.is_empty()
    }

    /// Gives it input, if [`Self::takes_input`]. Without a standard input it goes nowhere, as a
    /// closed pipe's would.
    pub(super) fn give(&mut self, bytes: &[u8]) {
        if !self.closing {
            let left = self.write(bytes);
            self.input.extend_from_slice(left);
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

    /// Writes what waits, as much as it takes. Closes it behind the last byte if that was asked
    /// for.
    pub(super) fn pump(&mut self) {
        let input = std::mem::take(&mut self.input);
        let left = self.write(&input);
        self.input = left.to_vec();
        if self.closing && self.input.is_empty() {
            self.stdin = Stdin::Closed;
        }
    }

    /// Writes; gives what was not taken.
    fn write<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while !bytes.is_empty() {
            let ((Stdin::Pipe(stdin), _) | (Stdin::Terminal, Some(stdin))) =
                (&self.stdin, &self.stdout)
            else {
                return &[];
            };
            match rustix::io::write(stdin.get(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return bytes,
                // It has closed its end, or ended: its input is of no use to anybody.
                Err(_) => {
                    self.stdin = Stdin::Closed;
                    return &[];
                }
            }
        }
        bytes
    }

    /// Changes the size of its terminal.
    pub(super) fn resize(&self, size: Size) -> io::Result<()> {
        let Some(near) = self.stdout.as_ref().filter(|_| self.terminal) else {
            return Err(io::Error::other("there is no terminal"));
        };
        tcsetwinsize(
            near.get().as_fd(),
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
