//! A further process in a container that runs.

use std::os::fd::AsFd;

use oci_spec::runtime::Process;
use wharf_sys::clone::{self, Clone, Namespaces as Kinds};

use super::channel::{self, Message};
use super::create::{Unfinished, hide_from_tracers};
use super::error::{Failure, LaunchError, Step};
use super::process::ProcessPlan;
use super::start::until_executed;
use super::visit::Visit;
use super::{ExecTarget, Execed, Io};
use crate::cgroup::Cgroup;
use crate::init::Joiner;

/// Put a process into a running container; returns once it executes its program.
///
/// The new process is born in the container's pid namespace and cgroup, closes everything it
/// inherited but its streams, joins the other namespaces all at once through the pidfd, and only
/// then touches anything of the container's.
pub fn exec(target: &ExecTarget<'_>, process: &Process, io: Io) -> Result<Execed, LaunchError> {
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
    let mut child = Unfinished(Some(spawned.map_err(Failure::at(Step::Clone, ""))?));
    drop(theirs);
    let (mut terminal, mut warnings) = (None, Vec::new());
    until_executed(&ours, |message| match message {
        Message::Descriptor(master) => terminal = Some(master),
        Message::Warned(warning) => warnings.push(warning),
        _ => {}
    })?;
    let child = child.0.take().ok_or(LaunchError::Died)?;
    Ok(Execed {
        pid: child.pid,
        pidfd: child.pidfd,
        terminal,
        warnings,
    })
}
