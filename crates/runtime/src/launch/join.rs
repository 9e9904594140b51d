//! A further process in a container that runs.
//!
//! It is made at once, and may take its time until it executes its program: its binary may be on a
//! file system that does not answer, or the container may be paused just then. So there are two
//! forms: [`exec`] waits, and a [`Joining`] is heard when its descriptor is readable.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::process::{Pid, Signal, pidfd_send_signal};
use wharf_sys::clone::{self, Clone, Namespaces as Kinds};

use super::channel::{self, Heard, Message};
use super::create::{Unfinished, hide_from_tracers};
use super::error::{Failure, LaunchError, Step, Warning};
use super::process::ProcessPlan;
use super::visit::Visit;
use super::{ExecTarget, Execed, Io};
use crate::cgroup::Cgroup;
use crate::init::Joiner;

/// Put a process into a running container; returns once it executes its program.
pub fn exec(target: &ExecTarget<'_>, process: &Process, io: Io) -> Result<Execed, LaunchError> {
    let mut joining = Joining::begin(target, process, io)?;
    loop {
        let message = channel::receive(joining.socket.as_fd()).map_err(deaf)?;
        if joining.take(message)?.is_some() {
            return joining.finish();
        }
    }
}

/// A process that was put into a container and does not execute its program yet. Dropped, it is
/// killed and waited for.
pub(crate) struct Joining {
    child: Unfinished,
    socket: OwnedFd,
    terminal: Option<OwnedFd>,
    warnings: Vec<Warning>,
}

/// The program runs.
struct Executed;

impl Joining {
    /// Makes the process.
    ///
    /// It is born in the container's pid namespace and cgroup, closes everything it inherited but
    /// its streams, joins the other namespaces all at once through the pidfd, and only then
    /// touches anything of the container's.
    pub(crate) fn begin(
        target: &ExecTarget<'_>,
        process: &Process,
        io: Io,
    ) -> Result<Joining, LaunchError> {
        let plan = ProcessPlan::of(process)?;
        hide_from_tracers()?;
        let (ours, theirs) = channel::pair().map_err(Failure::at(Step::Channel, ""))?;
        let kinds = target.namespaces.kinds();
        let entry = target.cgroup.and_then(Cgroup::entry);
        let visit = if kinds.contains(Kinds::PID) {
            Some(Visit::pids_of(target.pidfd)?)
        } else {
            None
        };
        let joiner = Joiner {
            plan: &plan,
            filter: target.seccomp,
            cgroup: target.cgroup,
            namespaces: kinds.without(Kinds::PID),
            pidfd: target.pidfd,
            preserve_fds: target.preserve_fds,
        };
        let spawned = clone::spawn(
            &Clone {
                namespaces: Kinds::empty(),
                cgroup: entry.as_ref().map(AsFd::as_fd),
            },
            |child| joiner.run(child, io, &theirs),
        );
        if let Some(visit) = visit {
            visit.leave()?;
        }
        Ok(Joining {
            child: Unfinished(Some(spawned.map_err(Failure::at(Step::Clone, ""))?)),
            socket: ours,
            terminal: None,
            warnings: Vec::new(),
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<Pid, LaunchError> {
        self.child.pid()
    }

    /// Hears what there is to hear by now, and waits for nothing: once, the process that executes
    /// its program. If it failed, it leaves by itself, to be reaped by whoever reaps.
    pub(crate) fn hear(&mut self) -> Result<Option<Execed>, LaunchError> {
        loop {
            let heard = channel::try_receive(self.socket.as_fd());
            let taken = match heard {
                Ok(Heard::NothingYet) => return Ok(None),
                Ok(Heard::Message(message)) => self.take(Some(message)),
                Ok(Heard::End) => self.take(None),
                Err(error) => Err(deaf(error)),
            };
            match taken {
                Ok(None) => {}
                Ok(Some(Executed)) => return self.finish().map(Some),
                Err(error) => {
                    self.abandon();
                    return Err(error);
                }
            }
        }
    }

    /// Kills it without waiting for it: a stopped process does not end before it goes on.
    pub(crate) fn abandon(&mut self) {
        if let Some(child) = self.child.0.take() {
            let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
        }
    }

    fn take(&mut self, message: Option<Message>) -> Result<Option<Executed>, LaunchError> {
        match message {
            None => return Ok(Some(Executed)),
            Some(Message::Failed(failure)) => return Err(failure.into()),
            Some(Message::ExecFailed(error)) => return Err(error.into()),
            Some(Message::Descriptor(master)) => self.terminal = Some(master),
            Some(Message::Warned(warning)) => self.warnings.push(warning),
            Some(_) => {}
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<Execed, LaunchError> {
        let child = self.child.0.take().ok_or(LaunchError::Died)?;
        Ok(Execed {
            pid: child.pid,
            pidfd: child.pidfd,
            terminal: self.terminal.take(),
            warnings: std::mem::take(&mut self.warnings),
        })
    }
}

impl AsFd for Joining {
    /// Readable when there is something to hear.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn deaf(error: std::io::Error) -> LaunchError {
    Failure::at(Step::Channel, "")(error).into()
}
