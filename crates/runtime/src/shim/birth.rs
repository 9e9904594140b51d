//! The beginning of a shim: away from its caller, the container made, the caller told.
//!
//! ```text
//!   caller ── plan, layer mounts ──▶ alone ─▶ log, lock, socket ─▶ create ─▶ Created ──▶ serve
//!          ◀── Failed ──────────────────┴───────────┴────────────────┘          │
//!                                                    caller gone: undo ◀────────┘
//! ```
//! Whatever fails, and if the caller is not there any more to hear of it, nothing is left.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{Timespec, nanosleep};
use wharf_sys::clone::{Clone as Fork, InChild, spawn};
use wharf_sys::signal_fd;

use super::plan::{LogPlan, PlanRootfs, SOCKET, ShimPlan, exit_path, socket_path};
use super::server::{FIRST, Held, Server};
use super::session::{Ends, Process, Session, StdinRule};
use super::spawn::{Report, Spawned, receive_plan};
use crate::cgroup::Place;
use crate::launch::{EndsWith, Io, Launch, Namespaces, Rootfs, Stdio, WindowSize, create};
use crate::log::Writer;

/// How long the container's last shim is waited for, which has but to remove its socket.
const PATIENCE: Duration = Duration::from_secs(5);

/// The shim's role, from its first line: to be called before anything else happens in the process,
/// as it must have one thread and stay small. Standard input is the caller's socket.
#[must_use]
pub fn main() -> ExitCode {
    // A copy goes on, in a session of its own and nobody's child; this one ends, so that the
    // daemon has nothing to reap, now or ever.
    match spawn(&Fork::default(), |child| {
        Err::<Infallible, i32>(live(child))
    }) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            if let Ok(mut caller) = caller() {
                let _ = tell(&mut caller, &Stillborn::io("fork")(error).into());
            }
            ExitCode::from(125)
        }
    }
}

fn caller() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    Ok(UnixStream::from(socket))
}

fn live(child: &InChild) -> i32 {
    // Nothing that the daemon may have left open, a listening socket of its own for one, lives on
    // in its shims.
    if child.close_from(3, &[]).is_err() {
        return 125;
    }
    let Ok(mut caller) = caller() else {
        return 125;
    };
    match begin(&mut caller) {
        Ok((server, created)) => match tell(&mut caller, &created) {
            Ok(()) => {
                drop(caller);
                server.serve();
                0
            }
            // It has given up, or died: nobody knows of this container, or ever will.
            Err(_) => {
                server.undo();
                125
            }
        },
        Err(failure) => {
            let _ = tell(&mut caller, &failure.into());
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

impl From<Stillborn> for Report {
    fn from(failure: Stillborn) -> Report {
        Report::Failed {
            message: failure.message,
            exit_code: failure.exit_code,
        }
    }
}

fn begin(caller: &mut UnixStream) -> Result<(Server, Report), Stillborn> {
    let signals = detach().map_err(Stillborn::io("detach"))?;
    let (plan, lower) = receive_plan(caller).map_err(Stillborn::io("read the plan"))?;
    let log = plan.log.as_ref().map(open_log).transpose()?;
    let nest = Nest::build(&plan.dir, signals)?;
    let socket = socket_path(&plan.dir);
    make(plan, lower, log, nest).inspect_err(|_| {
        let _ = fs::remove_file(socket);
    })
}

/// Away from the caller: a session of its own, standard streams of its own, no signal but that of
/// a child's end, orphans of the container (where it has no process namespace) adopted and reaped
/// here.
fn detach() -> io::Result<OwnedFd> {
    // Those that ask a daemon to end, or mean something else to it, mean nothing here: a shim
    // ends with its container.
    signal_fd::block_all()?;
    let signals = signal_fd::block_and_watch(&[rustix::process::Signal::CHILD.as_raw()])?;
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let _ = rustix::thread::set_name(c"wharf-shim");
    rustix::process::chdir("/")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let null = null()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(signals)
}

fn open_log(log: &LogPlan) -> Result<Writer, Stillborn> {
    Writer::open(&log.path, log.max_size, log.max_files).map_err(Stillborn::io(log.path.display()))
}

/// What a shim has before it has a container.
pub(super) struct Nest {
    pub(super) lock: OwnedFd,
    pub(super) listener: UnixListener,
    pub(super) epoll: OwnedFd,
    pub(super) signals: OwnedFd,
}

impl Nest {
    fn build(dir: &Path, signals: OwnedFd) -> Result<Nest, Stillborn> {
        let failed = || Stillborn::io(dir.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(dir, flags, Mode::empty());
        let lock = lock.map_err(|error| failed()(error.into()))?;
        take(&lock).map_err(failed())?;
        let _ = fs::remove_file(exit_path(dir));
        Ok(Nest {
            listener: listen(dir, &lock)?,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)
                .map_err(|error| Stillborn::io("epoll")(error.into()))?,
            signals,
            lock,
        })
    }
}

/// One shim at a time in a directory. The one before has but to remove its socket when the record
/// of its container's end is there, and that of a killed one is free at once.
fn take(lock: &OwnedFd) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                let _ = nanosleep(&Timespec {
                    tv_sec: 0,
                    tv_nsec: 1_000_000,
                });
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::other("another shim is at work here"));
            }
            taken => return Ok(taken?),
        }
    }
}

fn listen(dir: &Path, handle: &OwnedFd) -> Result<UnixListener, Stillborn> {
    let path = socket_path(dir);
    let failed = || Stillborn::io(path.display());
    // Of one that was killed.
    let _ = fs::remove_file(&path);
    // A socket's address has 107 bytes, and the directory's own path may be longer.
    let short = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())).join(SOCKET);
    // Nobody else may even connect, from the first instant on.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(short);
    rustix::process::umask(mask);
    let listener = listener.map_err(failed())?;
    listener.set_nonblocking(true).map_err(failed())?;
    Ok(listener)
}

fn make(
    plan: ShimPlan,
    lower: Vec<OwnedFd>,
    log: Option<Writer>,
    nest: Nest,
) -> Result<(Server, Report), Stillborn> {
    let mounts = lower
        .iter()
        .map(OwnedFd::try_clone)
        .collect::<io::Result<Vec<_>>>()
        .map_err(Stillborn::io("keep the layers"))?;
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
    let created = create(Launch {
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
        ends_with: EndsWith::Caller,
    })
    .map_err(|error| Stillborn {
        message: error.to_string(),
        exit_code: error.exit_code(),
    })?;
    let pid = created.pid.as_raw_nonzero().get();
    let warnings: Vec<String> = created.warnings.iter().map(ToString::to_string).collect();
    let first = Process {
        exec: None,
        pid,
        pidfd: created.pidfd,
        terminal: created.terminal,
        ends,
        rule: match (plan.open_stdin, plan.stdin_once) {
            (false, _) => StdinRule::Never,
            (true, true) => StdinRule::Once,
            (true, false) => StdinRule::Kept,
        },
    };
    let report = Report::Created(Spawned {
        shim: rustix::process::getpid().as_raw_nonzero().get(),
        pid,
        warnings: warnings.clone(),
    });
    let held = Held {
        namespaces: Namespaces::of(&plan.spec),
        dir: plan.dir,
        log,
        cgroup: created.cgroup,
        seccomp: plan.seccomp,
        layers: plan.layers,
        mounts,
        warnings,
    };
    let mut server = Server::new(nest, held, Session::new(FIRST, first), created.start);
    match server.prepare() {
        Ok(()) => Ok((server, report)),
        Err(error) => {
            server.undo();
            Err(Stillborn::io("event loop")(error))
        }
    }
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
