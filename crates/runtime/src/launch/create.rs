//! Making a container's first process.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{ContainerState, LinuxSeccomp, Spec, State, StateBuilder};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, set_dumpable_behavior,
    waitid,
};
use wharf_sys::clone::{self, Child, Clone, Namespaces as Kinds};

use super::channel::{self, Message};
use super::error::{Failure, LaunchError, Step, Warning};
use super::id_map::MappedNamespaces;
use super::plan::Plan;
use super::start::StartHandle;
use super::visit::Visit;
use super::{Created, Launch, hooks, sources};
use crate::cgroup::{self, Cgroup, Layout};
use crate::init::{EXIT_FAILED, Init, Parts};
use crate::seccomp;

/// Make a container that waits before its program. See the module for the course of it.
pub fn create(launch: Launch<'_>) -> Result<Created, LaunchError> {
    let (created, socket) = make(launch, None)?;
    Ok(Created {
        pid: created.pid,
        pidfd: created.pidfd,
        terminal: created.terminal,
        cgroup: created.cgroup,
        start: StartHandle::new(socket),
        warnings: created.warnings,
    })
}

/// Make a container that waits on a listening socket ([`StartHandle::listen`]) for somebody to
/// connect and start it, and so outlives its maker: for the OCI command line.
pub fn create_waiting_on(
    launch: Launch<'_>,
    listener: OwnedFd,
) -> Result<Created<()>, LaunchError> {
    make(launch, Some(listener)).map(|(created, _)| created)
}

fn make(
    launch: Launch<'_>,
    listener: Option<OwnedFd>,
) -> Result<(Created<()>, OwnedFd), LaunchError> {
    let Launch {
        id,
        spec,
        bundle,
        rootfs,
        io,
        cgroup,
        seccomp,
        preserve_fds,
        ends_with,
    } = launch;
    let plan = Plan::of(spec, bundle)?;
    let compiled = match seccomp {
        Some(_) => None,
        None => seccomp_of(spec).map(seccomp::compile).transpose()?,
    };
    let layout = match cgroup {
        Some(place) => Some(place.layout.clone()),
        None if plan.shows_cgroups() => Some(Layout::detect()?),
        None => None,
    };
    hide_from_tracers()?;
    let mut mapped = MappedNamespaces::default();
    let parts = Parts {
        root: sources::root(&rootfs, plan.id_maps.as_ref(), &mut mapped)?,
        binds: sources::binds(&plan.mounts, &mut mapped)?,
        io,
        listener,
    };
    let (ours, theirs) = channel::pair().map_err(Failure::at(Step::Channel, ""))?;
    let mut cgroup = UnfinishedCgroup::make(cgroup, spec)?;
    let state = |status, pid| state_json(id, spec, bundle, status, pid);
    let init = Init {
        plan: &plan,
        filter: seccomp.or(compiled.as_ref()),
        cgroup: cgroup.made.as_ref(),
        layout: layout.as_ref(),
        state: &state,
        preserve_fds,
        ends_with,
    };
    let mut child = Unfinished(Some(spawn(init, parts, &ours, theirs)?));
    let mut warnings = std::mem::take(&mut cgroup.warnings);
    let pid = child.pid()?;
    set_from_outside(&plan, pid, &ours, &mut warnings)?;
    let terminal = until_ready(&ours, &mut warnings, || {
        let state = state(ContainerState::Creating, pid)?;
        hooks::run(&plan.hooks.of_caller, &state)
    })?;
    let child = child.0.take().ok_or(LaunchError::Died)?;
    let created = Created {
        pid: child.pid,
        pidfd: child.pidfd,
        terminal,
        cgroup: cgroup.made.take(),
        start: (),
        warnings,
    };
    Ok((created, ours))
}

impl Plan {
    fn shows_cgroups(&self) -> bool {
        self.mounts
            .iter()
            .any(|mount| mount.what == super::plan::MountKind::Cgroup)
    }
}

fn seccomp_of(spec: &Spec) -> Option<&LinuxSeccomp> {
    spec.linux().as_ref()?.seccomp().as_ref()
}

/// Nobody in a container may attach to a process of ours that enters it, or look through its
/// `/proc` directory at what it has open (CVE-2016-9962). Children inherit this until they
/// execute a program.
pub(super) fn hide_from_tracers() -> Result<(), LaunchError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| Failure::at(Step::Clone, "")(error).into())
}

/// `clone3`, in the namespaces to be joined, and in the cgroup where the kernel can do that.
fn spawn(
    init: Init<'_>,
    parts: Parts,
    ours: &OwnedFd,
    socket: OwnedFd,
) -> Result<Child, LaunchError> {
    // The cgroup namespace's root is the cgroup one is in when it is made: init makes it later.
    let kinds = init.plan.new.without(Kinds::CGROUP);
    let entry = init.cgroup.and_then(Cgroup::entry);
    let visit = Visit::enter(&init.plan.joined)?;
    let spawned = clone::spawn(
        &Clone {
            namespaces: kinds,
            cgroup: entry.as_ref().map(AsFd::as_fd),
        },
        |child| {
            // The caller's end: while init itself held it, it would never see the caller go.
            child.close(ours.as_fd()).map_err(|_| EXIT_FAILED)?;
            init.run(child, parts, &socket)
        },
    );
    // Init's end is init's alone, or its closing would never be seen.
    drop(socket);
    visit.leave()?;
    Ok(spawned.map_err(Failure::at(Step::Clone, ""))?)
}

/// What only a process outside can set: the maps of a user namespace, and the OOM score, whose
/// file init no longer owns once it is in one.
fn set_from_outside(
    plan: &Plan,
    pid: Pid,
    socket: &OwnedFd,
    warnings: &mut Vec<Warning>,
) -> Result<(), LaunchError> {
    let proc = |name: &str| format!("/proc/{}/{name}", pid.as_raw_nonzero());
    if let Some(score) = plan.process.oom_score_adj {
        let inherited = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        let set = || fs::write(proc("oom_score_adj"), score.to_string());
        if inherited.trim() != score.to_string()
            && let Err(error) = set()
        {
            warnings.push(Warning {
                step: Step::OomScore,
                subject: score.to_string(),
                errno: super::error::errno_of(&error),
            });
        }
    }
    if let Some(maps) = &plan.id_maps {
        maps.write(pid)?;
        channel::send(socket.as_fd(), &Message::GoOn).map_err(Failure::at(Step::Channel, ""))?;
    }
    Ok(())
}

/// Follow init until it waits for its start.
fn until_ready(
    socket: &OwnedFd,
    warnings: &mut Vec<Warning>,
    mut run_hooks: impl FnMut() -> Result<(), Failure>,
) -> Result<Option<OwnedFd>, LaunchError> {
    let mut terminal = None;
    loop {
        let message = channel::receive(socket.as_fd()).map_err(Failure::at(Step::Channel, ""))?;
        match message {
            Some(Message::Ready) => return Ok(terminal),
            Some(Message::Failed(failure)) => return Err(failure.into()),
            Some(Message::ExecFailed(error)) => return Err(error.into()),
            Some(Message::Warned(warning)) => warnings.push(warning),
            Some(Message::Descriptor(master)) => terminal = Some(master),
            Some(Message::HooksWanted) => {
                run_hooks()?;
                channel::send(socket.as_fd(), &Message::GoOn)
                    .map_err(Failure::at(Step::Channel, ""))?;
            }
            Some(Message::GoOn | Message::Start) | None => return Err(LaunchError::Died),
        }
    }
}

/// The state of the container as hooks are told it.
fn state_json(
    id: &str,
    spec: &Spec,
    bundle: &Path,
    status: ContainerState,
    pid: Pid,
) -> Result<Vec<u8>, Failure> {
    let state = StateBuilder::default()
        .version(spec.version().as_str())
        .id(id)
        .status(status)
        .pid(pid.as_raw_nonzero().get())
        .bundle(bundle)
        .annotations(spec.annotations().clone().unwrap_or_default())
        .build();
    let json = |state: State| serde_json::to_vec(&state).map_err(io::Error::from);
    state
        .map_err(|error| io::Error::other(error.to_string()))
        .and_then(json)
        .map_err(Failure::at(Step::Hook, "state"))
}

/// A cgroup that is removed again unless it is taken out.
struct UnfinishedCgroup {
    made: Option<Cgroup>,
    warnings: Vec<Warning>,
}

impl UnfinishedCgroup {
    fn make(
        place: Option<cgroup::Place<'_>>,
        spec: &Spec,
    ) -> Result<UnfinishedCgroup, LaunchError> {
        let mut unfinished = UnfinishedCgroup {
            made: None,
            warnings: Vec::new(),
        };
        if let Some(place) = place {
            let cgroup = unfinished
                .made
                .insert(Cgroup::create(place.layout, place.path)?);
            let linux = spec.linux().as_ref();
            if let Some(resources) = linux.and_then(|linux| linux.resources().as_ref()) {
                cgroup.apply(resources)?;
            }
        }
        Ok(unfinished)
    }
}

impl Drop for UnfinishedCgroup {
    fn drop(&mut self) {
        if let Some(cgroup) = self.made.take() {
            // Already failing with a better reason than this could give.
            let _ = cgroup.delete();
        }
    }
}

/// A child that is killed and reaped unless it is taken out.
pub(super) struct Unfinished(pub(super) Option<Child>);

impl Unfinished {
    pub(super) fn pid(&self) -> Result<Pid, LaunchError> {
        self.0
            .as_ref()
            .map(|child| child.pid)
            .ok_or(LaunchError::Died)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
            let _ = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
        }
    }
}
