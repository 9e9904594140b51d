//! Programs that talk to a daemon, and what came of running one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command-line client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The docker CLI on the machine (28 where we develop).
    Docker,
    /// Debian 12's docker CLI 20.10 (API 1.41), unpacked by `tests/setup.sh`.
    Docker20,
    /// Our own.
    Wharf,
    /// Our own, called as `docker` through a symbolic link.
    WharfAsDocker,
}

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    /// Exit code; 128 + n when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Insists on success and gives standard output without the last newline.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert!(
            self.code == 0,
            "`{}` exited {}\nstdout: {}\nstderr: {}",
            self.line,
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout.trim_end_matches('\n').to_owned()
    }

    /// Insists on this exit code and gives standard error.
    #[track_caller]
    pub fn fails(&self, code: i32) -> String {
        assert!(
            self.code == code,
            "`{}` exited {} instead of {code}\nstdout: {}\nstderr: {}",
            self.line,
            self.code,
            self.stdout,
            self.stderr
        );
        self.stderr.clone()
    }
}

/// The `wharf` binary under test: `$WHARF_BIN`, or the one built beside this test.
pub fn wharf_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WHARF_BIN") {
        return PathBuf::from(path);
    }
    let me = std::env::current_exe().expect("a test has a path");
    let built = me
        .parent()
        .and_then(Path::parent)
        .expect("tests live in target/<profile>/deps")
        .join("wharf");
    assert!(
        built.exists(),
        "{} is not built: run `cargo build -p wharf` first, or set WHARF_BIN",
        built.display()
    );
    built
}

/// Where `tests/setup.sh` puts what it unpacks.
pub fn tools() -> PathBuf {
    std::env::var_os("WHARF_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools"),
        PathBuf::from,
    )
}

impl Client {
    /// The program, or a failure that says how to get it.
    #[track_caller]
    pub fn program(self) -> PathBuf {
        match self {
            Self::Docker => PathBuf::from("docker"),
            Self::Docker20 => {
                let path = tools().join("docker20/usr/bin/docker");
                assert!(
                    path.exists(),
                    "{} is missing: run tests/setup.sh",
                    path.display()
                );
                path
            }
            Self::Wharf => wharf_binary(),
            Self::WharfAsDocker => {
                let dir = tools().join("as-docker");
                let link = dir.join("docker");
                std::fs::create_dir_all(&dir).expect("tools directory");
                // Several tests may make it at once: whoever is second finds it there.
                let _ = std::os::unix::fs::symlink(wharf_binary(), &link);
                link
            }
        }
    }
}

/// Runs a command to its end, feeding `input`.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    // A thread, as the program may write more than a pipe holds before it has read everything.
    let feeder = std::thread::spawn(move || {
        // A program may end without reading: that is its right.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("wait");
    feeder.join().expect("feeder");
    let code = output.status.code().unwrap_or_else(|| {
        use std::os::unix::process::ExitStatusExt;
        128 + output.status.signal().unwrap_or(0)
    });
    Ran {
        line,
        code,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
