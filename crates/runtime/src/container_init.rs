//! The first process of a container that was asked for one (`--init`).
//!
//! A program that does not expect to be process 1 neither reaps the orphans it inherits nor is
//! ended by signals it does not handle. This stands in its place: it starts the program in a
//! process group of its own, hands every signal on to it, reaps whatever ends, and leaves with
//! the program's status. It is called as `docker-init -- program arguments`, the name that the
//! inside of containers knows.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, WaitOptions, setpgid, wait};
use rustix::termios::{isatty, tcsetpgrp};
use wharf_sys::program::Program;
use wharf_sys::{clone, signal_fd, signals};

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
    let child = match start(program, arguments) {
        Ok(child) => child,
        Err(error) => {
            say(&format!("start: {error}"));
            return ExitCode::from(NOT_EXECUTABLE);
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

/// Start the program as a child, in a process group of its own and with no signal blocked. That
/// it cannot be executed shows in the child's status.
fn start(program: OsString, arguments: impl Iterator<Item = OsString>) -> io::Result<Pid> {
    let string = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::from);
    let program = string(program)?;
    let arguments = std::iter::once(Ok(program.clone()))
        .chain(arguments.map(string))
        .collect::<io::Result<Vec<_>>>()?;
    let environment = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            string(name)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let image = Program::new(arguments, environment);
    let child = clone::spawn(&clone::Clone::default(), |_| {
        let _ = setpgid(None, None);
        signals::reset();
        let error = execute(&image, &program, &path);
        say(&format!(
            "exec {} failed: {error}",
            program.to_string_lossy()
        ));
        Err(if error == Errno::NOENT {
            NOT_FOUND.into()
        } else {
            NOT_EXECUTABLE.into()
        })
    })?;
    // Here too: whoever is first, it is so before the terminal is given to that group.
    let _ = setpgid(Some(child.pid), Some(child.pid));
    Ok(child.pid)
}

/// By its path, or as the first of that name in `PATH` that can be executed.
fn execute(image: &Program, program: &CStr, path: &OsStr) -> Errno {
    if program.to_bytes().contains(&b'/') {
        return image.execute(program);
    }
    let mut result = Errno::NOENT;
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        let candidate = [directory, b"/", program.to_bytes()].concat();
        if let Ok(candidate) = CString::new(candidate) {
            match image.execute(&candidate) {
                Errno::NOENT | Errno::NOTDIR => {}
                error => result = error,
            }
        }
    }
    result
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
