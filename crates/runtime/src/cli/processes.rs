//! `exec`, `kill`, `ps` and `delete`.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::str::FromStr;

use oci_spec::runtime::{Capability, Process, User};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::args::{Exec, Kill, ListFormat, Ps};
use super::attached::{self, Signals};
use super::launching::write_pid;
use super::report::Report;
use super::state::{Record, Status, Store};
use super::{CliError, io};
use crate::launch::{ExecTarget, exec, run_hooks};

const SIGKILL: i32 = 9;

/// Signal names, in the order of their numbers from 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const REALTIME: std::ops::RangeInclusive<i32> = 34..=64;

fn signal_number(text: &str) -> Result<i32, CliError> {
    let unknown = || CliError::Usage(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            1..=64 => Ok(number),
            _ => Err(unknown()),
        };
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let realtime = |prefix: &str, from: i32, direction: i32| {
        let offset = name.strip_prefix(prefix)?;
        let offset: i32 = if offset.is_empty() {
            0
        } else {
            offset.parse().ok()?
        };
        Some(from + direction * offset.abs()).filter(|number| REALTIME.contains(number))
    };
    (1..)
        .zip(SIGNALS)
        .find(|(_, known)| *known == name)
        .map(|(number, _)| number)
        .or_else(|| realtime("RTMIN", *REALTIME.start(), 1))
        .or_else(|| realtime("RTMAX", *REALTIME.end(), -1))
        .ok_or_else(unknown)
}

pub(super) fn kill(root: &Path, arguments: &Kill) -> Result<(), CliError> {
    let signal = signal_number(&arguments.signal)?;
    let store = Store::at(root, &arguments.id)?;
    let record = store.load()?;
    if arguments.all {
        return kill_all(&record, signal);
    }
    match store.status(&record) {
        Status::Stopped => Err(CliError::Usage("container not running".into())),
        status => {
            send(&record, signal)?;
            // A signal that ends it is seen when it moves again.
            if status == Status::Paused
                && signal == SIGKILL
                && let Some(cgroup) = &record.cgroup
            {
                cgroup.thaw()?;
            }
            Ok(())
        }
    }
}

fn kill_all(record: &Record, signal: i32) -> Result<(), CliError> {
    let Some(cgroup) = &record.cgroup else {
        return send(record, signal);
    };
    if signal == SIGKILL {
        return Ok(cgroup.kill_all()?);
    }
    for pid in cgroup.processes()? {
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = wharf_sys::pidfd::send_signal(process.as_fd(), signal);
        }
    }
    Ok(())
}

/// To the first process, if it still is the one that was started.
fn send(record: &Record, signal: i32) -> Result<(), CliError> {
    let process = first_process(record)?;
    Ok(wharf_sys::pidfd::send_signal(process.as_fd(), signal)?)
}

fn first_process(record: &Record) -> Result<std::os::fd::OwnedFd, CliError> {
    let gone = || CliError::Usage("container not running".into());
    let pid = Pid::from_raw(record.pid).ok_or_else(gone)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    // Checked after it was opened: from now on it cannot become another.
    if super::state::started(record.pid) != Some(record.started) {
        return Err(gone());
    }
    Ok(process)
}

pub(super) fn delete(root: &Path, id: &str, force: bool, report: &Report) -> Result<(), CliError> {
    let store = Store::at(root, id)?;
    let record = match store.load() {
        Err(CliError::Missing(_)) if force => return store.remove(),
        record => record?,
    };
    match store.status(&record) {
        Status::Stopped => {}
        // Nothing of it has run.
        Status::Created => end(&record)?,
        _ if force => end(&record)?,
        status => {
            return Err(CliError::Status {
                action: "delete",
                status: status.word().to_owned(),
            });
        }
    }
    remove(&store, &record, report)
}

fn end(record: &Record) -> Result<(), CliError> {
    let process = first_process(record)?;
    wharf_sys::pidfd::send_signal(process.as_fd(), SIGKILL)?;
    if let Some(cgroup) = &record.cgroup {
        let _ = cgroup.thaw();
    }
    // Readable when it has ended, reaped or not.
    let fds = &mut [rustix::event::PollFd::new(
        &process,
        rustix::event::PollFlags::IN,
    )];
    rustix::io::retry_on_intr(|| rustix::event::poll(fds, None))?;
    Ok(())
}

/// Remove what is left of a container that has ended.
pub(super) fn remove(store: &Store, record: &Record, report: &Report) -> Result<(), CliError> {
    if let Some(cgroup) = &record.cgroup {
        // Without a pid namespace of its own its other processes live on.
        cgroup.kill_all()?;
        cgroup.delete()?;
    }
    store.remove()?;
    let hooks = record.poststop();
    if !hooks.is_empty() {
        let state = record.state(Status::Stopped).to_string();
        if let Err(failure) = run_hooks(&hooks, state.as_bytes()) {
            report.warning(&failure.to_string());
        }
    }
    Ok(())
}

pub(super) fn run_exec(root: &Path, arguments: &Exec, report: &Report) -> Result<u8, CliError> {
    let store = Store::at(root, &arguments.id)?;
    let record = store.load()?;
    match store.status(&record) {
        Status::Running | Status::Created => {}
        Status::Paused if arguments.ignore_paused => {}
        Status::Paused => {
            return Err(CliError::Usage(
                "cannot exec in a paused container (use --ignore-paused to override)".into(),
            ));
        }
        Status::Stopped => {
            return Err(CliError::Usage("cannot exec in a stopped container".into()));
        }
    }
    let process = process_of(&record, arguments)?;
    let terminal = process.terminal() == Some(true);
    if arguments.detach && terminal && arguments.console_socket.is_none() {
        return Err(CliError::Usage(
            "cannot allocate tty if runc will detach without setting console socket".into(),
        ));
    }
    let init = first_process(&record)?;
    let signals = Signals::watch()?;
    let target = ExecTarget {
        pidfd: init.as_fd(),
        cgroup: record.cgroup.as_ref(),
        namespaces: record.namespaces,
        seccomp: record.filter.as_ref(),
        preserve_fds: arguments.preserve_fds,
    };
    let execed = exec(&target, &process, io::for_process(&process)?)?;
    for warning in &execed.warnings {
        report.warning(&warning.to_string());
    }
    if let Some(file) = &arguments.pid_file {
        write_pid(file, execed.pid)?;
    }
    let mut terminal = execed.terminal;
    if let (Some(socket), Some(master)) = (&arguments.console_socket, &terminal) {
        io::send_terminal(socket, master)?;
        terminal = None;
    }
    if arguments.detach {
        return Ok(0);
    }
    attached::wait(&execed.pidfd, terminal.as_ref(), &signals)
}

/// The process to execute: from a file, or the container's own with what was typed instead.
fn process_of(record: &Record, arguments: &Exec) -> Result<Process, CliError> {
    if let Some(path) = &arguments.process {
        let bytes = fs::read(path).map_err(CliError::at("read", path))?;
        let mut process: Process =
            serde_json::from_slice(&bytes).map_err(|source| CliError::Json {
                path: path.clone(),
                source,
            })?;
        if arguments.tty {
            process.set_terminal(Some(true));
        }
        return Ok(process);
    }
    if arguments.command.is_empty() {
        return Err(CliError::Usage("exec: no program".into()));
    }
    let own = record.spec.process().clone();
    let mut process = own.ok_or_else(|| CliError::Usage("config.json has no process".into()))?;
    process.set_args(Some(arguments.command.clone()));
    process.set_terminal(Some(arguments.tty));
    if let Some(cwd) = &arguments.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut environment = process.env().clone().unwrap_or_default();
    environment.extend(arguments.env.iter().cloned());
    process.set_env(Some(environment));
    if let Some(user) = &arguments.user {
        process.set_user(typed_user(user)?);
    }
    if !arguments.additional_gids.is_empty() {
        let mut user = process.user().clone();
        user.set_additional_gids(Some(arguments.additional_gids.clone()));
        process.set_user(user);
    }
    if arguments.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    add_capabilities(&mut process, &arguments.cap)?;
    Ok(process)
}

/// `uid[:gid]`, numbers only.
fn typed_user(text: &str) -> Result<User, CliError> {
    let wrong = || CliError::Usage(format!("--user: {text:?} is not uid[:gid]"));
    let number = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|&id| i32::try_from(id).is_ok())
    };
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (number(uid), number(gid)),
        None => (number(text), Some(0)),
    };
    let (Some(uid), Some(gid)) = (uid, gid) else {
        return Err(wrong());
    };
    let mut user = User::default();
    user.set_uid(uid).set_gid(gid);
    Ok(user)
}

fn add_capabilities(process: &mut Process, names: &[String]) -> Result<(), CliError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut sets = process.capabilities().clone().unwrap_or_default();
    for name in names {
        let upper = name.to_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let capability = Capability::from_str(bare)
            .map_err(|_| CliError::Usage(format!("--cap: unknown capability {name:?}")))?;
        let mut bounding = sets.bounding().clone().unwrap_or_default();
        bounding.insert(capability);
        let mut effective = sets.effective().clone().unwrap_or_default();
        effective.insert(capability);
        let mut permitted = sets.permitted().clone().unwrap_or_default();
        permitted.insert(capability);
        sets.set_bounding(Some(bounding))
            .set_effective(Some(effective))
            .set_permitted(Some(permitted));
    }
    process.set_capabilities(Some(sets));
    Ok(())
}

pub(super) fn ps(root: &Path, arguments: &Ps) -> Result<(), CliError> {
    let store = Store::at(root, &arguments.id)?;
    let record = store.load()?;
    let pids: Vec<i32> = match &record.cgroup {
        Some(cgroup) => cgroup
            .processes()?
            .iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect(),
        None => vec![record.pid],
    };
    if arguments.format == ListFormat::Json {
        println!("{}", serde_json::json!(pids));
        return Ok(());
    }
    println!("{:<10} {:>7} {:>7} CMD", "UID", "PID", "PPID");
    for pid in pids {
        if let Some((uid, parent, command)) = describe(pid) {
            println!("{uid:<10} {pid:>7} {parent:>7} {command}");
        }
    }
    Ok(())
}

fn describe(pid: i32) -> Option<(String, String, String)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix(':')?;
            value.split_whitespace().next().map(str::to_owned)
        })
    };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command)
        .trim_end_matches('\0')
        .replace('\0', " ");
    let command = if command.is_empty() {
        format!("[{}]", field("Name")?)
    } else {
        command
    };
    Some((field("Uid")?, field("PPid")?, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SYS", 31),
        ] {
            assert_eq!(signal_number(text).unwrap(), number, "{text}");
        }
        for text in ["0", "65", "SIGNONE", "", "RTMIN+40"] {
            assert!(signal_number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cve_2026_30892_a_user_that_is_not_understood_is_refused() {
        for text in [
            "",
            ":",
            "-1",
            "1:",
            "99999999999",
            "root",
            "1:x",
            "4294967295",
        ] {
            assert!(typed_user(text).is_err(), "{text}");
        }
        assert_eq!(typed_user("7:8").unwrap().gid(), 8);
    }
}
