//! The pid file: who the daemon is, for scripts.
//!
//! It guards nothing (the lock on the data root does); it only refuses to lie over a daemon that
//! lives.

use std::io;
use std::path::{Path, PathBuf};

/// Why it could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidfileError {
    #[error("process with PID {pid} is still running: ensure that it is not a daemon, or delete {}", path.display())]
    Running { pid: u32, path: PathBuf },
    #[error("cannot write the pid file {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The file, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Pidfile(PathBuf);

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes our pid.
pub(super) fn write(path: &Path) -> Result<Pidfile, PidfileError> {
    let failed = |source| PidfileError::Io {
        path: path.into(),
        source,
    };
    if let Some(pid) = read(path).filter(|pid| *pid != std::process::id() && is_alive(*pid)) {
        return Err(PidfileError::Running {
            pid,
            path: path.into(),
        });
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, std::process::id().to_string()).map_err(failed)?;
    Ok(Pidfile(path.into()))
}

fn read(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Alive, and the same program: a pid that was given to somebody else since says nothing.
fn is_alive(pid: u32) -> bool {
    let ours = std::fs::read_link("/proc/self/exe");
    let theirs = std::fs::read_link(format!("/proc/{pid}/exe"));
    matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours.file_name() == theirs.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_our_pid_and_goes_with_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/x.pid");
        let file = write(&path).unwrap();
        assert_eq!(read(&path), Some(std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_was_left_behind_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        // Pid 1 lives, and is another program.
        for stale in ["1", "nonsense", "999999999"] {
            std::fs::write(&path, stale).unwrap();
            drop(write(&path).unwrap());
        }
    }
}
