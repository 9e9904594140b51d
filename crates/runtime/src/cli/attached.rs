//! Waiting for a process in the foreground: signals go to it, and its terminal to ours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use wharf_sys::{pidfd, signal_fd};

use super::CliError;

/// `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGUSR1`, `SIGUSR2`, `SIGTERM`, `SIGCONT`, `SIGWINCH`: those
/// a caller sends to the container by way of us.
const FORWARDED: [i32; 8] = [1, 2, 3, 10, 12, 15, 18, 28];
const SIGWINCH: i32 = 28;

/// `struct signalfd_siginfo`, of which the number comes first.
const SIGNAL_INFO: usize = 128;

/// Signals that will be forwarded, from now on: to be made before there is a process, so that
/// none that comes early is lost.
pub(super) struct Signals(OwnedFd);

impl Signals {
    pub(super) fn watch() -> Result<Signals, CliError> {
        Ok(Signals(signal_fd::block_and_watch(&FORWARDED)?))
    }

    fn next(&self) -> Option<i32> {
        let mut info = [0u8; SIGNAL_INFO];
        match read(&self.0, &mut info[..]) {
            Ok(SIGNAL_INFO) => {
                let (number, _) = info.split_first_chunk::<4>()?;
                i32::try_from(u32::from_ne_bytes(*number)).ok()
            }
            _ => None,
        }
    }
}

/// Our terminal, left as it was when this goes.
struct Raw {
    before: Option<Termios>,
}

impl Raw {
    fn enter() -> Raw {
        let stdin = std::io::stdin();
        if !isatty(&stdin) {
            return Raw { before: None };
        }
        let Ok(before) = tcgetattr(&stdin) else {
            return Raw { before: None };
        };
        let mut raw = before.clone();
        raw.make_raw();
        let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        Raw {
            before: Some(before),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Wait for the end of a process, a child of ours. Gives its status, 128 and the signal's number
/// for one that was killed.
pub(super) fn wait(
    process: &OwnedFd,
    terminal: Option<&OwnedFd>,
    signals: &Signals,
) -> Result<u8, CliError> {
    let _raw = terminal.map(|_| Raw::enter());
    let stdin = std::io::stdin();
    let mut input_open = terminal.is_some();
    loop {
        let mut watched = vec![
            PollFd::new(process, PollFlags::IN),
            PollFd::new(&signals.0, PollFlags::IN),
        ];
        if let Some(terminal) = terminal {
            watched.push(PollFd::new(terminal, PollFlags::IN));
            if input_open {
                watched.push(PollFd::new(&stdin, PollFlags::IN));
            }
        }
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let is_ready = |at: usize| ready.get(at).copied().unwrap_or(false);
        if is_ready(1)
            && let Some(signal) = signals.next()
        {
            match terminal {
                Some(terminal) if signal == SIGWINCH => resize(terminal),
                _ => {
                    let _ = pidfd::send_signal(process.as_fd(), signal);
                }
            }
        }
        if let Some(terminal) = terminal {
            if is_ready(2) {
                copy(terminal.as_fd(), std::io::stdout().as_fd());
            }
            if is_ready(3) {
                input_open = copy(stdin.as_fd(), terminal.as_fd());
            }
        }
        if is_ready(0) {
            if let Some(terminal) = terminal {
                while copy(terminal.as_fd(), std::io::stdout().as_fd()) {}
            }
            return reap(process.as_fd());
        }
    }
}

fn resize(terminal: &OwnedFd) {
    if let Ok(size) = tcgetwinsize(std::io::stdin()) {
        let _ = tcsetwinsize(terminal, size);
    }
}

/// Copy what there is; false at the end, or when nothing can be written any more.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0u8; 4096];
    let Ok(length @ 1..) = retry_on_intr(|| read(from, &mut buffer[..])) else {
        return false;
    };
    let mut rest = buffer.get(..length).unwrap_or_default();
    while !rest.is_empty() {
        match retry_on_intr(|| write(to, rest)) {
            Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

fn reap(process: BorrowedFd<'_>) -> Result<u8, CliError> {
    let ended = retry_on_intr(|| waitid(WaitId::PidFd(process), WaitIdOptions::EXITED))?;
    let Some(ended) = ended else {
        return Ok(255);
    };
    let status = match (ended.exit_status(), ended.terminating_signal()) {
        (Some(status), _) => status,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    Ok(u8::try_from(status & 0xff).unwrap_or(255))
}
