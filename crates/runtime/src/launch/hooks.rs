//! Programs that the specification has run at points of a container's life.

use std::io::{self, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::Hook;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::error::{Failure, Step};

/// Run `hooks` one after the other, each given `state` (the container's, as JSON) on its
/// standard input. The first that fails ends it.
pub(crate) fn run(hooks: &[Hook], state: &[u8]) -> Result<(), Failure> {
    hooks.iter().try_for_each(|hook| {
        run_one(hook, state).map_err(Failure::at(Step::Hook, hook.path().display()))
    })
}

fn run_one(hook: &Hook, state: &[u8]) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    #[allow(
        clippy::disallowed_methods,
        reason = "a hook is by definition a program somebody named for us to run"
    )]
    let mut command = Command::new(hook.path());
    if let Some((name, arguments)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(arguments);
    }
    command.env_clear();
    for variable in hook.env().iter().flatten() {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(state) {
            // It need not read it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let timeout = hook
        .timeout()
        .and_then(|seconds| u64::try_from(seconds).ok());
    let status = wait(&mut child, timeout.map(Duration::from_secs))?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc_ecanceled()))
}

/// `ECANCELED`: the number that tells a hook's own failure from one to start it.
fn libc_ecanceled() -> i32 {
    rustix::io::Errno::CANCELED.raw_os_error()
}

fn wait(child: &mut Child, timeout: Option<Duration>) -> io::Result<ExitStatus> {
    let Some(timeout) = timeout else {
        return child.wait();
    };
    let deadline = Instant::now() + timeout;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::NotFound)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Err(rustix::io::Errno::TIMEDOUT.into());
            }
            Ok(_) => return child.wait(),
        }
    }
}
