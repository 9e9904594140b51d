//! The beginning of a shim: away from its caller, the container made, the caller told.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use wharf_sys::clone::{Clone as Fork, spawn};

use super::NAME;
use super::plan::{PlanRootfs, ShimPlan, exit_path, short_socket_path, socket_path};
use super::server::Server;
use super::session::{Ends, Session, StdinRule};
use super::spawn::{Report, receive_plan};
use crate::cgroup::Place;
use crate::launch::{Io, Launch, Namespaces, Rootfs, Stdio, WindowSize, create};
use crate::log::Writer;
use crate::shim::LogPlan;

/// The shim's role, from its first line: to be called before anything else happens in the process,
/// as it must have one thread and stay small. Standard input is the caller's socket.
#[must_use]
pub fn main() -> ExitCode {
    // A copy goes on, in a session of its own and nobody's child; this one ends, so that the
    // daemon has nothing to reap, now or ever.
    match spawn(&Fork::default(), |_| Err::<Infallible, i32>(live())) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(125),
    }
}

fn live() -> i32 {
    let Ok(stdin) = rustix::io::dup(rustix::stdio::stdin()) else {
        return 125;
    };
    let mut caller = UnixStream::from(stdin);
    match begin(&mut caller) {
        Ok(server) => {
            drop(caller);
            server.serve();
            0
        }
        Err(failure) => {
            let report = Report::Failed {
                message: failure.message,
                exit_code: failure.exit_code,
            };
            // If the caller is gone, there is nobody to tell.
            let _ = tell(&mut caller, &report);
            125
        }
    }
}

/// Why there is no container.
struct Stillborn {
    message: String,
    exit_code: i32,
}

impl Stillborn {
    fn io(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Stillborn {
        move |error| Stillborn {
            message: format!("shim: {what}: {error}"),
            exit_code: 125,
        }
    }
}

fn begin(caller: &mut UnixStream) -> Result<Server, Stillborn> {
    detach().map_err(Stillborn::io("detach"))?;
    let (plan, lower) = receive_plan(caller).map_err(Stillborn::io("read the plan"))?;
    let kept = lower
        .iter()
        .map(OwnedFd::try_clone)
        .collect::<io::Result<Vec<_>>>()
        .map_err(Stillborn::io("keep the layers"))?;
    let log = plan.log.as_ref().map(open_log).transpose()?;
    let _ = fs::remove_file(exit_path(&plan.dir));
    let listener = listen(&plan.dir)?;
    make(plan, lower, kept, log, listener, caller)
}

/// Away from the caller: a session of its own, standard streams of its own, orphans of the
/// container (where it has no process namespace) adopted and reaped here.
fn detach() -> io::Result<()> {
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let _ = rustix::thread::set_name(c"wharf-shim");
    debug_assert_eq!(NAME, "wharf-shim");
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let null = null()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

fn open_log(log: &LogPlan) -> Result<Writer, Stillborn> {
    Writer::open(&log.path, log.max_size, log.max_files).map_err(Stillborn::io(log.path.display()))
}

fn listen(dir: &Path) -> Result<UnixListener, Stillborn> {
    let path = socket_path(dir);
    // Of an earlier run: whoever holds it has announced the end before it could be started again.
    let _ = fs::remove_file(&path);
    let (_held, short) = short_socket_path(dir).map_err(Stillborn::io(dir.display()))?;
    // Nobody else may even connect, from the first instant on.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(short);
    rustix::process::umask(mask);
    let listener = listener.map_err(Stillborn::io(path.display()))?;
    listener
        .set_nonblocking(true)
        .map_err(Stillborn::io(path.display()))?;
    Ok(listener)
}

fn make(
    plan: ShimPlan,
    lower: Vec<OwnedFd>,
    kept: Vec<OwnedFd>,
    log: Option<Writer>,
    listener: UnixListener,
    caller: &mut UnixStream,
) -> Result<Server, Stillborn> {
    let rootfs = match plan.rootfs {
        PlanRootfs::Directory(path) => Rootfs::Directory(path),
        PlanRootfs::Overlay { upper, work } => Rootfs::Overlay { lower, upper, work },
    };
    let (io, ends) = match plan.terminal {
        Some(size) => {
            let size = WindowSize {
                rows: size.rows,
                columns: size.columns,
            };
            (Io::Terminal(size), Ends::default())
        }
        None => pipes(plan.open_stdin, true, true).map_err(Stillborn::io("pipes"))?,
    };
    let made = create(Launch {
        id: &plan.id,
        spec: &plan.spec,
        bundle: &plan.dir,
        rootfs,
        io,
        cgroup: plan.cgroup.as_deref().map(|path| Place {
            layout: &plan.layout,
            path,
        }),
        seccomp: plan.seccomp.as_ref(),
        preserve_fds: 0,
        ends_with: crate::EndsWith::Caller,
    });
    let created = match made {
        Ok(created) => created,
        Err(error) => {
            let _ = fs::remove_file(socket_path(&plan.dir));
            return Err(Stillborn {
                message: error.to_string(),
                exit_code: error.exit_code(),
            });
        }
    };
    let pid = created.pid.as_raw_nonzero().get();
    let warnings: Vec<String> = created.warnings.iter().map(ToString::to_string).collect();
    let rule = match (plan.open_stdin, plan.stdin_once) {
        (false, _) => StdinRule::Never,
        (true, true) => StdinRule::Once,
        (true, false) => StdinRule::Kept,
    };
    let session = Session::new(None, pid, created.pidfd, created.terminal, ends, rule)
        .map_err(Stillborn::io("streams"))?;
    let report = Report::Created {
        shim: rustix::process::getpid().as_raw_nonzero().get(),
        pid,
        warnings: warnings.clone(),
    };
    let namespaces = Namespaces::of(&plan.spec);
    let server = Server::new(super::server::Parts {
        dir: plan.dir,
        listener,
        log,
        session,
        start: created.start,
        cgroup: created.cgroup,
        namespaces,
        seccomp: plan.seccomp,
        layers: plan.layers,
        mounts: kept,
        warnings,
    })
    .map_err(Stillborn::io("event loop"))?;
    // If the caller died meanwhile, one that comes back finds the socket.
    let _ = tell(caller, &report);
    Ok(server)
}

fn tell(caller: &mut UnixStream, report: &Report) -> io::Result<()> {
    caller.write_all(&serde_json::to_vec(report)?)
}

/// Pipes for a process without a terminal; `/dev/null` for streams that nobody wants.
pub(super) fn pipes(stdin: bool, stdout: bool, stderr: bool) -> io::Result<(Io, Ends)> {
    let mut ends = Ends::default();
    let mut input = null()?;
    if stdin {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        (input, ends.stdin) = (read, Some(write));
    }
    let mut outputs = [null()?, null()?];
    for (output, (wanted, end)) in outputs
        .iter_mut()
        .zip([(stdout, &mut ends.stdout), (stderr, &mut ends.stderr)])
    {
        if wanted {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            (*output, *end) = (write, Some(read));
        }
    }
    let [stdout, stderr] = outputs;
    let io = Io::Streams(Stdio {
        stdin: input,
        stdout,
        stderr,
    });
    Ok((io, ends))
}

fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Makes a descriptor one that never blocks.
pub(super) fn never_block(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    Ok(rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}
