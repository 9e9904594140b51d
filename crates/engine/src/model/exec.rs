//! A further process in a running container.

use serde::{Deserialize, Serialize};

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// Command and arguments; not empty.
    pub cmd: Vec<String>,
    /// `KEY=value` over the container's own.
    pub env: Vec<String>,
    /// Empty takes the container's.
    pub user: String,
    /// Empty takes the container's.
    pub working_dir: String,
    /// Allocate a pseudo-terminal.
    pub tty: bool,
    /// Streams to attach.
    pub attach_stdin: bool,
    /// See [`Self::attach_stdin`].
    pub attach_stdout: bool,
    /// See [`Self::attach_stdin`].
    pub attach_stderr: bool,
    /// All capabilities.
    pub privileged: bool,
    /// Keys that detach; empty takes the default.
    pub detach_keys: String,
    /// Terminal size (height, width), when known.
    pub console_size: Option<(u16, u16)>,
}

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct ExecStart {
    /// Do not attach.
    pub detach: bool,
    /// Must agree with [`ExecSpec::tty`].
    pub tty: bool,
    /// Terminal size (height, width) in place of the one at creation.
    pub console_size: Option<(u16, u16)>,
}

/// An exec as inspected.
#[derive(Debug, Clone)]
pub struct ExecView {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its container.
    pub container_id: String,
    /// As created.
    pub spec: ExecSpec,
    /// It runs.
    pub running: bool,
    /// Host pid, 0 before it starts.
    pub pid: i32,
    /// Once it ended.
    pub exit_code: Option<i32>,
}
