//! The first process of a container that was asked for one (`--init`).
//!
//! A program that does not expect to be process 1 neither reaps the orphans it inherits nor is
//! ended by signals it does not handle. This stands in its place: it starts the program in a
//! process group of its own, hands every signal on to it, reaps whatever ends, and leaves with
//! the program's status. It is called as `docker-init -- program arguments`, the name that the
//! inside of containers knows.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::termios::{isatty, tcsetpgrp};
use wharf_sys::signal_fd;

/// The name by which this program knows that it is to be this.
pub const NAME: &str = "docker-init";

const SIGCHLD: i32 = 17;
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// `struct signalfd_siginfo`, of which the number comes first.
const SIGNAL_INFO: usize = 128;

/// Be the first process; `arguments` begin with our own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().skip(1).peekable();
    arguments.next_if(|word| word == "--");
    let Some(program) = arguments.next() else {
        say("no program given");
        return ExitCode::from(NOT_FOUND);
    };
    // All that can be handed on: not those that cannot be caught, nor those of our own faults.
    let signals: Vec<i32> = (1..=64)
        .filter(|signal| ![4, 5, 6, 7, 8, 9, 11, 19, 31, 32, 33].contains(signal))
        .collect();
    let signals = match signal_fd::block_and_watch(&signals) {
        Ok(signals) => signals,
        Err(error) => {
            say(&format!("signals: {error}"));
            return ExitCode::from(NOT_EXECUTABLE);
        }
    };
    #[allow(
        clippy::disallowed_methods,
        reason = "this process exists to start the program it was given"
    )]
    let started = Command::new(&program)
        .args(arguments)
        .process_group(0)
        .spawn();
    let child = match started {
        Ok(child) => Pid::from_child(&child),
        Err(error) => {
            say(&format!("exec {} failed: {error}", program.display()));
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return ExitCode::from(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let terminal = std::io::stdin();
    if isatty(&terminal) {
        // Its group gets what is typed. Not ours to give where the terminal is another session's.
        let _ = tcsetpgrp(&terminal, child);
    }
    loop {
        let fds = &mut [PollFd::new(&signals, PollFlags::IN)];
        if retry_on_intr(|| poll(fds, None)).is_err() {
            return ExitCode::from(NOT_EXECUTABLE);
        }
        let mut info = [0u8; SIGNAL_INFO];
        while let Ok(SIGNAL_INFO) = read(&signals, &mut info[..]) {
            let number = info
                .first_chunk::<4>()
                .map(|bytes| u32::from_ne_bytes(*bytes));
            match number.and_then(|number| i32::try_from(number).ok()) {
                Some(SIGCHLD) | None => {}
                Some(signal) => hand_on(child, signal),
            }
        }
        if let Some(status) = reap(child) {
            return ExitCode::from(status);
        }
    }
}

fn hand_on(child: Pid, signal: i32) {
    use rustix::process::{PidfdFlags, pidfd_open};
    use std::os::fd::AsFd;
    if let Ok(process) = pidfd_open(child, PidfdFlags::empty()) {
        let _ = wharf_sys::pidfd::send_signal(process.as_fd(), signal);
    }
}

/// Reap everything that has ended; gives the program's status if it was among it.
fn reap(child: Pid) -> Option<u8> {
    let mut status = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, ended))) if pid == child => {
                let code = ended
                    .exit_status()
                    .or_else(|| ended.terminating_signal().map(|signal| 128 + signal));
                status = Some(u8::try_from(code.unwrap_or(255) & 0xff).unwrap_or(255));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return status,
        }
    }
}

fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "[FATAL {NAME}] {message}");
}
