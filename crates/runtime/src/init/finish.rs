//! The last part, the same for a container's first process and for a further one.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Rlimit, fchdir, getcwd, getrlimit, setrlimit, umask};
use rustix::thread::set_no_new_privs;
use wharf_sys::namespaces;
use wharf_sys::program::Program;
use wharf_sys::rooted::Root;
use wharf_sys::seccomp;

use super::identity::{self, Final};
use super::{Caller, Fatal, program};
use crate::launch::channel::{self, Message};
use crate::launch::error::{ExecCause, Failure, Step};
use crate::launch::process::ProcessPlan;
use crate::seccomp::Filter;
use crate::user;

/// A process that has but to load its filter and execute its program.
pub(super) struct Ready<'a> {
    plan: &'a ProcessPlan,
    path: CString,
    program: Program,
    last: Final,
}

/// Limits, identity, working directory; the program is looked up.
pub(super) fn prepare<'a>(
    plan: &'a ProcessPlan,
    filter: Option<&Filter>,
    caller: &Caller<'_>,
) -> Result<Ready<'a>, Fatal> {
    set_limits(plan, caller)?;
    if let Some((class, priority)) = plan.io_priority {
        namespaces::set_io_priority(class, priority)
            .map_err(Failure::at(Step::IoPriority, priority))?;
    }
    let root = Root::open("/").map_err(Failure::at(Step::WorkingDirectory, "/"))?;
    let environment = with_home(plan, &root)?;
    let keep_admin = filter.is_some() && !plan.no_new_privileges;
    // Before the user changes, as the specification may name a directory that only root may
    // enter; again after, should only the user be allowed to (a network file system).
    let entered = enter_working_directory(plan, &root);
    let last = identity::assume(plan, keep_admin, caller)?;
    if entered.is_err() {
        enter_working_directory(plan, &root)?;
    }
    umask(Mode::from_raw_mode(plan.umask));
    if plan.no_new_privileges {
        set_no_new_privs(true).map_err(Failure::at(Step::NoNewPrivileges, ""))?;
    }
    let path = program::find(plan).map_err(Fatal::NoProgram)?;
    Ok(Ready {
        plan,
        path,
        program: Program::new(plan.arguments.clone(), environment),
        last,
    })
}

impl Ready<'_> {
    /// Filter, last capabilities, program. Returns only to say why not.
    pub(super) fn execute(
        &self,
        filter: Option<&Filter>,
        at_last: impl FnOnce() -> Result<(), Fatal>,
    ) -> Result<Infallible, Fatal> {
        if let Some(filter) = filter {
            seccomp::load(filter.instructions(), filter.flags())
                .map_err(Failure::at(Step::Filter, ""))?;
        }
        self.last.apply()?;
        at_last()?;
        let errno = self.program.execute(&self.path);
        let name = self.plan.arguments.first().unwrap_or(&self.path);
        Err(Fatal::NoProgram(program::error(
            name,
            ExecCause::Refused,
            errno,
        )))
    }
}

/// Who said that a container may start.
pub(super) enum Started<'a> {
    Maker(&'a OwnedFd),
    Stranger(OwnedFd),
}

impl Started<'_> {
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Started::Maker(socket) => socket.as_fd(),
            Started::Stranger(socket) => socket.as_fd(),
        }
    }
}

/// Wait until somebody says so; nothing if he has gone.
pub(super) fn wait_for_start<'a>(
    maker: &'a OwnedFd,
    listener: Option<&OwnedFd>,
) -> Option<Started<'a>> {
    let Some(listener) = listener else {
        return match channel::receive(maker.as_fd()) {
            Ok(Some(Message::Start)) => Some(Started::Maker(maker)),
            _ => None,
        };
    };
    loop {
        let stranger = match accept_with(listener, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(_) => return None,
            Ok(stranger) => stranger,
        };
        // One that says something else, or nothing, has not started it.
        if let Ok(Some(Message::Start)) = channel::receive(stranger.as_fd()) {
            return Some(Started::Stranger(stranger));
        }
    }
}

/// Where a hard limit may not be raised, the program gets the one there is.
fn set_limits(plan: &ProcessPlan, caller: &Caller<'_>) -> Result<(), Failure> {
    for (name, resource, wanted) in &plan.limits {
        let set = setrlimit(*resource, *wanted);
        match set {
            Err(Errno::PERM) => {
                caller.warn(Step::Rlimit, *name, Errno::PERM.raw_os_error());
                let ceiling = getrlimit(*resource).maximum;
                let lower = |limit: Option<u64>| match (limit, ceiling) {
                    (Some(limit), Some(ceiling)) => Some(limit.min(ceiling)),
                    (None, ceiling) => ceiling,
                    (limit, None) => limit,
                };
                let possible = Rlimit {
                    current: lower(wanted.current),
                    maximum: lower(wanted.maximum),
                };
                setrlimit(*resource, possible).map_err(Failure::at(Step::Rlimit, name))?;
            }
            set => set.map_err(Failure::at(Step::Rlimit, name))?,
        }
    }
    Ok(())
}

/// A program may rely on `HOME`; the image's passwd says what it is.
fn with_home(plan: &ProcessPlan, root: &Root) -> Result<Vec<CString>, Failure> {
    let mut environment = plan.environment.clone();
    if plan.variable("HOME").is_none_or(<[u8]>::is_empty) {
        environment.retain(|entry| !entry.to_bytes().starts_with(b"HOME="));
        let home = user::home(root, plan.uid).unwrap_or_else(|| "/".to_owned());
        let entry = CString::new(format!("HOME={home}"))
            .map_err(|_| Failure::at(Step::Home, home)(Errno::INVAL))?;
        environment.push(entry);
    }
    Ok(environment)
}

/// The directory is resolved inside the root and cannot be a magic link, so that no descriptor
/// of the host's becomes it (CVE-2024-21626); and where we are after all is checked.
fn enter_working_directory(plan: &ProcessPlan, root: &Root) -> Result<(), Failure> {
    let cwd = &plan.working_directory;
    let fail = |error: Errno| Failure::at(Step::WorkingDirectory, cwd.display())(error);
    let directory = root
        .resolve(cwd)
        .map(OwnedFd::from)
        .map_err(Failure::at(Step::WorkingDirectory, cwd.display()))?;
    fchdir(&directory).map_err(fail)?;
    let here = getcwd(Vec::new()).map_err(fail)?;
    if !here.to_bytes().starts_with(b"/") {
        return Err(fail(Errno::XDEV));
    }
    Ok(())
}
