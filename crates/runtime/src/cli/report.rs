//! Where errors and warnings go: standard error, and the log that `--log` names.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::{Global, LogFormat};
use super::{CliError, FAILED};

/// Prints and logs.
pub(super) struct Report {
    log: Option<PathBuf>,
    format: LogFormat,
}

impl Report {
    pub(super) fn new(global: &Global) -> Report {
        Report {
            log: global.log.clone(),
            format: global.log_format,
        }
    }

    /// Say why a command failed.
    pub(super) fn failure(&self, error: &CliError) -> ExitCode {
        self.say("error", &error.to_string());
        ExitCode::from(FAILED)
    }

    /// Say what could not be had.
    pub(super) fn warning(&self, warning: &str) {
        self.say("warning", warning);
    }

    fn say(&self, level: &str, message: &str) {
        // Nobody could be told if this failed.
        let mut stderr = std::io::stderr();
        let _ = if level == "error" {
            writeln!(stderr, "wharf runtime: {message}")
        } else {
            writeln!(stderr, "wharf runtime: {level}: {message}")
        };
        if let Some(path) = &self.log {
            let line = self.line(level, message);
            let _ = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes()));
        }
    }

    /// A line in the form that engines look for their message in.
    fn line(&self, level: &str, message: &str) -> String {
        let time = now();
        match self.format {
            LogFormat::Text => format!("time={time:?} level={level} msg={message:?}\n"),
            LogFormat::Json => {
                let line = serde_json::json!({"level": level, "msg": message, "time": time});
                format!("{line}\n")
            }
        }
    }
}

/// The time in RFC 3339.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    let mut text = Vec::new();
    crate::log::write_time(&mut text, i64::try_from(nanoseconds).unwrap_or(i64::MAX));
    String::from_utf8_lossy(&text).into_owned()
}
