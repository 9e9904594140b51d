//! Starting a shim, from the daemon.
//!
//! The plan and the layer mounts travel over a socket that is the shim's standard input, so that no
//! descriptor ever loses its close-on-exec flag in a process with threads. The same socket brings
//! back what became of the container.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::NAME;
use super::plan::ShimPlan;

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
    Created {
        /// The shim.
        shim: i32,
        /// The container's first process.
        pid: i32,
        /// Limits that could not be set.
        warnings: Vec<String>,
    },
    /// It was not made, and nothing is left of it.
    Failed {
        /// Why.
        message: String,
        /// 126 and 127 where the program cannot be executed, 125 otherwise.
        exit_code: i32,
    },
}

/// A shim that holds a created container.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    fn io(what: &str, error: &io::Error) -> SpawnError {
        SpawnError {
            message: format!("shim: {what}: {error}"),
            exit_code: 125,
        }
    }
}

/// Starts a shim and waits until its container is created. `program` and `arguments` run
/// [`main`](super::main). The layers' roots come top first, as `plan.layers` names them.
pub fn spawn(
    program: &Path,
    arguments: &[String],
    plan: &ShimPlan,
    lower: &[OwnedFd],
) -> Result<Spawned, SpawnError> {
    let (mut ours, theirs) = UnixStream::pair().map_err(|e| SpawnError::io("socket", &e))?;
    #[allow(
        clippy::disallowed_methods,
        reason = "the shim is this very program, in another role"
    )]
    let mut child = Command::new(program)
        .arg0(NAME)
        .args(arguments)
        .arg(&plan.id)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .current_dir("/")
        .spawn()
        .map_err(|e| SpawnError::io(&format!("start {}", program.display()), &e))?;
    let report = send_plan(&mut ours, plan, lower)
        .and_then(|()| ours.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| {
            let mut text = Vec::new();
            ours.read_to_end(&mut text).map(|_| text)
        });
    // What was started has forked and left, or has failed: either way it ends at once.
    let status = child.wait();
    let text = report.map_err(|e| SpawnError::io("talk", &e))?;
    match serde_json::from_slice(&text) {
        Ok(Report::Created {
            shim,
            pid,
            warnings,
        }) => Ok(Spawned {
            shim,
            pid,
            warnings,
        }),
        Ok(Report::Failed { message, exit_code }) => Err(SpawnError { message, exit_code }),
        Err(_) => Err(SpawnError {
            message: format!("the shim ended without a word ({status:?})"),
            exit_code: 125,
        }),
    }
}

fn send_plan(socket: &mut UnixStream, plan: &ShimPlan, lower: &[OwnedFd]) -> io::Result<()> {
    let text = serde_json::to_vec(plan)?;
    let mut head = [0; 8];
    head[..4].copy_from_slice(&u32::try_from(lower.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[4..].copy_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
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
