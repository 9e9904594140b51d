//! The OCI runtime command line: `wharf runtime`.
//!
//! The commands and flags that other engines use with runc, over a bundle (a directory with a
//! `config.json`). What is known about a container between two commands is in a directory of its
//! own under `--root` ([`state`]); whether it runs is asked of the kernel each time.
//!
//! ```text
//!   create ─▶ created ──start──▶ running ◀─pause/resume─▶ paused ──(ends)──▶ stopped ──delete──▶
//! ```
//!
//! Only this module and those below it print, read the environment or end the process.

mod args;
mod attached;
mod commands;
mod events;
mod io;
mod launching;
mod processes;
mod report;
mod spec;
mod state;
mod update;

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cgroup::CgroupError;
use crate::launch::error::LaunchError;
use crate::user::UserError;

use args::{Arguments, Command};

/// Tells the sealed copy of this program that it is one.
const SEALED: &str = "WHARF_RUNTIME_SEALED";

/// Exit status of a command that failed, as runc's.
const FAILED: u8 = 1;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// Something about a file.
    #[error("{action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file that is no JSON, or not of its form.
    #[error("{}: {source}", path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// There is no such container.
    #[error("container does not exist: {0}")]
    Missing(String),
    /// There is one already.
    #[error("container with given ID already exists: {0}")]
    Exists(String),
    /// It cannot be done now.
    #[error("cannot {action} a container that is {status}")]
    Status {
        action: &'static str,
        status: String,
    },
    /// It cannot be done like this.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Kernel(#[from] std::io::Error),
}

impl CliError {
    fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| CliError::File {
            action,
            path,
            source,
        }
    }
}

impl From<rustix::io::Errno> for CliError {
    fn from(error: rustix::io::Errno) -> CliError {
        CliError::Kernel(error.into())
    }
}

/// Run the command line. `arguments` begins with the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let typed: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match Arguments::try_parse_from(&typed) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are asked for, and no failure.
            let failed = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if failed { FAILED } else { 0 });
        }
    };
    let report = report::Report::new(&parsed.global);
    if parsed.global.systemd_cgroup {
        return report.failure(&CliError::Usage(
            "--systemd-cgroup: cgroups managed by systemd are not supported; use cgroupfs".into(),
        ));
    }
    if parsed.command.enters_containers()
        && let Err(error) = run_sealed()
    {
        return report.failure(&error.into());
    }
    match commands::run(&parsed.global, parsed.command, &report) {
        Ok(status) => ExitCode::from(status),
        Err(error) => report.failure(&error),
    }
}

impl Command {
    /// Whether a copy of this process becomes part of a container.
    fn enters_containers(&self) -> bool {
        matches!(
            self,
            Command::Create(_) | Command::Run(_) | Command::Exec(_)
        )
    }
}

/// Go on as a copy of this program that no container can write to (see [`crate::Exe`]).
fn run_sealed() -> std::io::Result<()> {
    if std::env::var_os(SEALED).is_some() {
        return Ok(());
    }
    let exe = crate::Exe::sealed()?;
    let string = |text: &OsString| CString::new(text.as_bytes()).map_err(std::io::Error::from);
    let arguments = std::env::args_os()
        .map(|argument| string(&argument))
        .collect::<Result<Vec<_>, _>>()?;
    let mut environment = std::env::vars_os()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            string(&name)
        })
        .collect::<Result<Vec<_>, _>>()?;
    environment.push(string(&OsString::from(format!("{SEALED}=1")))?);
    Err(exe.execute(arguments, environment))
}
