//! Starting a shim, from the daemon.
//!
//! The plan and the layer mounts travel over a socket that is the shim's standard input, so that no
//! descriptor ever loses its close-on-exec flag in a process with threads. The same socket brings
//! back what became of the container.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::NAME;
use super::plan::ShimPlan;
use crate::Exe;

/// Longest plan; a specification with every limit, mount and variable stays far below.
const PLAN_MAX: usize = 16 * 1024 * 1024;

/// Descriptors in one message, below the kernel's 253.
pub(super) const DESCRIPTORS: usize = 64;

/// A container whose creation takes longer than this is stuck (a dead network file system).
const PATIENCE: Duration = Duration::from_secs(120);

/// What a shim says once, when its container is created or cannot be.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It waits to be started.
    Created(Spawned),
    /// It was not made, and nothing is left of it.
    Failed {
        /// Why.
        message: String,
        /// 126 and 127 where the program cannot be executed, 125 otherwise.
        exit_code: i32,
    },
}

/// A shim that holds a created container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawned {
    /// Its process. Not a child of the caller.
    pub shim: i32,
    /// The container's first process.
    pub pid: i32,
    /// Limits that the kernel did not let us set.
    pub warnings: Vec<String>,
}

/// Why there is no container. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SpawnError {
    /// What went wrong.
    pub message: String,
    /// 126 and 127 where the program cannot be executed, 125 otherwise.
    pub exit_code: i32,
}

impl SpawnError {
    fn io(what: &str) -> impl FnOnce(io::Error) -> SpawnError {
        move |error| SpawnError {
            message: format!("shim: {what}: {error}"),
            exit_code: 125,
        }
    }
}

/// The program that shims are: made once in a daemon, started for each container.
///
/// It is started from a sealed form of its file, which no container can write to through the
/// processes that enter it (CVE-2019-5736, [`Exe`]), and is found even when the file was replaced
/// by a newer one meanwhile: a daemon and its shims speak the same protocol.
#[derive(Debug)]
pub struct Program {
    exe: Exe,
    arguments: Vec<String>,
}

impl Program {
    /// The program with this path, which with these arguments runs [`main`](super::main).
    pub fn sealed(path: &Path, arguments: &[String]) -> io::Result<Program> {
        Ok(Program {
            exe: Exe::sealed_from(path)?,
            arguments: arguments.to_vec(),
        })
    }

    /// Starts a shim for the container of this id, which waits for its plan: so that it starts
    /// while the plan is made.
    pub fn begin(&self, id: &str) -> Result<Waiting, SpawnError> {
        let (ours, theirs) = UnixStream::pair().map_err(SpawnError::io("socket"))?;
        Ok(Waiting {
            child: self.execute(id, theirs.into())?,
            socket: ours,
        })
    }

    /// [`begin`](Self::begin) and [`create`](Waiting::create) at once.
    pub fn start(&self, plan: &ShimPlan, lower: &[OwnedFd]) -> Result<Spawned, SpawnError> {
        self.begin(&plan.id)?.create(plan, lower)
    }

    /// Nothing here but what `posix_spawn` can do: a fork would copy the daemon's page tables.
    fn execute(&self, id: &str, socket: OwnedFd) -> Result<Child, SpawnError> {
        // By the descriptor's name: it is looked up before the descriptor closes on execution.
        let path = format!("/proc/self/fd/{}", self.exe.fd().as_raw_fd());
        #[allow(
            clippy::disallowed_methods,
            reason = "the shim is this very program, in another role"
        )]
        let mut command = Command::new(path);
        command
            .arg0(NAME)
            .args(&self.arguments)
            .arg(id)
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env_clear()
            .spawn()
            .map_err(SpawnError::io("start"))
    }
}

/// A shim that waits for its plan. Dropped, it leaves.
#[derive(Debug)]
pub struct Waiting {
    child: Child,
    socket: UnixStream,
}

impl Waiting {
    /// Gives it its plan and waits until the container is created. The layers' roots come top
    /// first, as `plan.layers` names them.
    pub fn create(mut self, plan: &ShimPlan, lower: &[OwnedFd]) -> Result<Spawned, SpawnError> {
        let sent = send_plan(&mut self.socket, plan, lower);
        // If it did not take the plan, it may still say why.
        let report = hear(&mut self.socket);
        // What was started has forked and left, or has failed: either way it ends at once.
        let status = self.child.wait().map_err(SpawnError::io("wait"))?;
        match (report, sent) {
            (Ok(Report::Created(spawned)), _) => Ok(spawned),
            (Ok(Report::Failed { message, exit_code }), _) => {
                Err(SpawnError { message, exit_code })
            }
            (Err(_), Err(error)) => Err(SpawnError::io("send the plan")(error)),
            (Err(error), Ok(())) if status.success() => Err(SpawnError::io("no report")(error)),
            (Err(_), Ok(())) => Err(SpawnError {
                message: format!("the shim ended without a word ({status})"),
                exit_code: 125,
            }),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Without a plan it ends; what was started must be reaped in any case.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.child.wait();
    }
}

fn hear(socket: &mut UnixStream) -> io::Result<Report> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    socket.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn send_plan(socket: &mut UnixStream, plan: &ShimPlan, lower: &[OwnedFd]) -> io::Result<()> {
    let text = serde_json::to_vec(plan)?;
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut head = [0; 8];
    head[..4].copy_from_slice(&number(lower.len()));
    head[4..].copy_from_slice(&number(text.len()));
    socket.write_all(&head)?;
    for batch in lower.chunks(DESCRIPTORS) {
        let fds: Vec<BorrowedFd<'_>> = batch.iter().map(AsFd::as_fd).collect();
        send_with(socket.as_fd(), b"F", &fds)?;
    }
    socket.write_all(&text)
}

/// Sends bytes with descriptors beside them.
pub(super) fn send_with(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    Ok(rustix::io::retry_on_intr(|| {
        sendmsg(
            socket,
            &[IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )
    })?)
}

/// Receives what fits into `bytes`, and the descriptors beside it.
pub(super) fn receive_with(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [io::IoSliceMut::new(bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("descriptors were cut off"));
    }
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            fds.extend(more);
        }
    }
    Ok(received.bytes)
}

/// The other end: reads the plan and its descriptors.
pub(super) fn receive_plan(socket: &mut UnixStream) -> io::Result<(ShimPlan, Vec<OwnedFd>)> {
    let mut head = [0; 8];
    socket.read_exact(&mut head)?;
    let number = |at: usize| {
        u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
    };
    let (count, length) = (number(0), number(4));
    if length > PLAN_MAX {
        return Err(io::Error::other("the plan is too long"));
    }
    let mut fds = Vec::with_capacity(count.min(DESCRIPTORS));
    while fds.len() < count {
        if receive_with(socket.as_fd(), &mut [0], &mut fds)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut text = vec![0; length];
    socket.read_exact(&mut text)?;
    Ok((serde_json::from_slice(&text)?, fds))
}
