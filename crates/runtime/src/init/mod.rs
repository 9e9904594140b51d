//! What a container's first process does before it becomes its program, and what a further
//! process does to enter one.
//!
//! ```text
//!   signals, cgroup ─▶ (user namespace mapped) ─▶ session, keyring, cgroup namespace
//!     ─▶ root attached ─▶ mounts ─▶ nodes, console ─▶ masks ─▶ sysctls, names ─▶ (hooks)
//!     ─▶ pivot ─▶ streams, limits ─▶ bounding set, groups, user, capabilities ─▶ directory
//!     ─▶ descriptors closed ─▶ program looked up ─▶ READY ··· START ─▶ filter ─▶ execve
//! ```
//!
//! Nothing of the image is trusted. The root is a handle and every path inside is resolved by
//! the kernel below that handle; a mount is attached from a descriptor to a descriptor; there is
//! no call here that names a path of the container to the host's root. What is mounted is only
//! ever visible in this process's mount namespace, so a crash at any point leaves nothing.
//!
//! This process runs a file that the container cannot write, whatever it reaches through
//! `/proc/<pid>/exe`: see [`Exe`](crate::Exe).

mod cgroup_mounts;
mod console;
mod copy_up;
mod finish;
mod identity;
mod masks;
mod mountpoint;
mod mounts;
mod nodes;
mod program;
mod root;
mod streams;
mod sysctls;

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use oci_spec::runtime::ContainerState;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{Pid, Signal, set_parent_process_death_signal, setsid, umask};
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use wharf_sys::clone::{InChild, Namespaces as Kinds};
use wharf_sys::rooted::Root;
use wharf_sys::{loopback, namespaces, signals};

use crate::cgroup::{Cgroup, Layout};
use crate::launch::channel::{self, Message};
use crate::launch::error::{ExecError, Failure, Step, Warning, errno_of};
use crate::launch::plan::Plan;
use crate::launch::process::ProcessPlan;
use crate::launch::{EndsWith, Io};
use crate::seccomp::Filter;

/// Exit status of a process that did not get as far as its program; nobody but the caller, who
/// has been told more, sees it.
pub(crate) const EXIT_FAILED: i32 = 125;

/// Gives the container's state as hooks are told it.
pub(crate) type StateJson<'a> = dyn Fn(ContainerState, Pid) -> Result<Vec<u8>, Failure> + 'a;

/// What init works from and does not own.
pub(crate) struct Init<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) cgroup: Option<&'a Cgroup>,
    pub(crate) layout: Option<&'a Layout>,
    pub(crate) state: &'a StateJson<'a>,
    pub(crate) preserve_fds: u32,
    pub(crate) ends_with: EndsWith,
}

/// What init consumes.
pub(crate) struct Parts {
    pub(crate) root: OwnedFd,
    pub(crate) binds: Vec<Option<OwnedFd>>,
    pub(crate) io: Io,
    pub(crate) listener: Option<OwnedFd>,
}

/// Why this process does not become its program.
enum Fatal {
    Failed(Failure),
    NoProgram(ExecError),
    /// The caller has gone, or listens no longer.
    Abandoned,
}

impl From<Failure> for Fatal {
    fn from(failure: Failure) -> Fatal {
        Fatal::Failed(failure)
    }
}

/// The process that set this one up, as far as it still listens.
struct Caller<'a> {
    socket: BorrowedFd<'a>,
}

impl Caller<'_> {
    fn say(&self, message: &Message) -> Result<(), Fatal> {
        channel::send(self.socket, message).map_err(|_| Fatal::Abandoned)
    }

    /// Tell of a limit that could not be set, and go on.
    fn warn(&self, step: Step, subject: impl Into<String>, errno: i32) {
        // If nobody listens the next step that must be heard will find out.
        let _ = self.say(&Message::Warned(Warning {
            step,
            subject: subject.into(),
            errno,
        }));
    }

    fn wait_to_go_on(&self) -> Result<(), Fatal> {
        match channel::receive(self.socket) {
            Ok(Some(Message::GoOn)) => Ok(()),
            _ => Err(Fatal::Abandoned),
        }
    }

    /// The last words of a process that leaves.
    fn hear_end(&self, fatal: Fatal) -> i32 {
        let _ = match fatal {
            Fatal::Failed(failure) => self.say(&Message::Failed(failure)),
            Fatal::NoProgram(error) => self.say(&Message::ExecFailed(error)),
            Fatal::Abandoned => Ok(()),
        };
        EXIT_FAILED
    }
}

impl Init<'_> {
    /// Set everything up, wait, and become the program.
    pub(crate) fn run(
        self,
        child: &InChild,
        parts: Parts,
        socket: &OwnedFd,
    ) -> Result<Infallible, i32> {
        let caller = Caller {
            socket: socket.as_fd(),
        };
        let Parts {
            root,
            binds,
            io,
            listener,
        } = parts;
        let ready = self
            .isolate(child, &caller)
            .and_then(|()| self.build(&caller, root, &binds, &io))
            .and_then(|()| {
                // Attached by now; and what is closed by number below must have no owner left.
                drop(binds);
                self.settle(child, &caller, io, socket, listener.as_ref())
            });
        let ready = match ready {
            Ok(ready) => ready,
            Err(fatal) => return Err(caller.hear_end(fatal)),
        };
        // From here on whoever starts the container listens, who need not be who made it.
        let Some(started) = finish::wait_for_start(socket, listener.as_ref()) else {
            return Err(EXIT_FAILED);
        };
        let starter = Caller {
            socket: started.socket(),
        };
        let Err(fatal) = self
            .start_hooks()
            .and_then(|()| ready.execute(self.filter, || self.bind_to(&starter)));
        Err(starter.hear_end(fatal))
    }

    /// Out of the caller's signals, cgroup, session and keyring.
    fn isolate(&self, child: &InChild, caller: &Caller<'_>) -> Result<(), Fatal> {
        enter_cgroup(child, self.cgroup)?;
        if self.plan.id_maps.is_some() {
            caller.wait_to_go_on()?;
            become_root_of_namespace()?;
        }
        start_session(caller)?;
        if self.plan.new.contains(Kinds::NETWORK)
            && let Err(error) = loopback::up()
        {
            caller.warn(Step::Loopback, "lo", errno_of(&error));
        }
        if self.plan.new.contains(Kinds::CGROUP) {
            namespaces::unshare(Kinds::CGROUP)
                .map_err(Failure::at(Step::JoinNamespace, "cgroup"))?;
        }
        Ok(())
    }

    /// Everything the container sees.
    fn build(
        &self,
        caller: &Caller<'_>,
        root: OwnedFd,
        binds: &[Option<OwnedFd>],
        io: &Io,
    ) -> Result<(), Fatal> {
        let plan = self.plan;
        root::attach(&root, plan.root_propagation)?;
        let root = Root::from_fd(root);
        root::check_ordinary(&root)?;
        mounts::mount_all(&root, plan, binds, self.layout, self.cgroup)?;
        let null = nodes::make(&root, plan)?;
        if let Io::Terminal(size) = io {
            let terminal = console::make(&root, *size, plan.process.uid)?;
            nodes::mount_console(&root, &terminal.slave)?;
            terminal.attach(caller)?;
        }
        self.make_working_directory(&root)?;
        masks::mask_all(&root, &plan.masked, &null)?;
        masks::protect_all(&root, &plan.read_only)?;
        sysctls::set_all(&plan.sysctls, caller)?;
        self.set_names()?;
        if !plan.hooks.of_caller.is_empty() {
            caller.say(&Message::HooksWanted)?;
            caller.wait_to_go_on()?;
        }
        self.run_hooks(&plan.hooks.create_container, ContainerState::Creating)?;
        root::pivot(&root, plan.read_only_root)?;
        Ok(())
    }

    /// The specification has the runtime make it if the image lacks it.
    fn make_working_directory(&self, root: &Root) -> Result<(), Failure> {
        let cwd = &self.plan.process.working_directory;
        let mode = Mode::from_raw_mode(0o755);
        match root.mkdir_all(cwd, mode, None) {
            // If it is no directory, or a magic link, entering it will say so.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn set_names(&self) -> Result<(), Failure> {
        if let Some(name) = &self.plan.host_name {
            rustix::system::sethostname(name.as_bytes())
                .map_err(Failure::at(Step::HostName, name))?;
        }
        if let Some(name) = &self.plan.domain_name {
            rustix::system::setdomainname(name.as_bytes())
                .map_err(Failure::at(Step::HostName, name))?;
        }
        Ok(())
    }

    fn run_hooks(
        &self,
        hooks: &[oci_spec::runtime::Hook],
        status: ContainerState,
    ) -> Result<(), Failure> {
        if hooks.is_empty() {
            return Ok(());
        }
        let state = (self.state)(status, rustix::process::getpid())?;
        crate::launch::run_hooks(hooks, &state)
    }

    /// Last of all, as a change of user or capabilities would take it back.
    fn bind_to(&self, starter: &Caller<'_>) -> Result<(), Fatal> {
        if self.ends_with == EndsWith::Nobody {
            return Ok(());
        }
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(Failure::at(Step::Session, "death signal"))?;
        // It may have died just before: then nobody would be told any more.
        let mut socket = [PollFd::new(&starter.socket, PollFlags::HUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match poll(&mut socket, Some(&now)) {
            Ok(0) => Ok(()),
            _ => Err(Fatal::Abandoned),
        }
    }

    fn start_hooks(&self) -> Result<(), Fatal> {
        Ok(self.run_hooks(&self.plan.hooks.start_container, ContainerState::Created)?)
    }

    /// Streams, limits, identity, directory, descriptors: all but the filter and the program.
    fn settle(
        &self,
        child: &InChild,
        caller: &Caller<'_>,
        io: Io,
        socket: &OwnedFd,
        listener: Option<&OwnedFd>,
    ) -> Result<finish::Ready<'_>, Fatal> {
        if let Io::Streams(stdio) = io {
            streams::put_in_place(stdio, self.plan.process.uid)?;
        }
        let keep: Vec<RawFd> = [Some(socket), listener]
            .into_iter()
            .flatten()
            .map(AsRawFd::as_raw_fd)
            .collect();
        close_others(child, self.preserve_fds, &keep)?;
        if let Some(persona) = self.plan.personality {
            namespaces::set_personality(persona)
                .map_err(Failure::at(Step::Personality, persona))?;
        }
        let ready = finish::prepare(&self.plan.process, self.filter, caller)?;
        caller.say(&Message::Ready)?;
        Ok(ready)
    }
}

/// What a process that enters a running container works from.
pub(crate) struct Joiner<'a> {
    pub(crate) plan: &'a ProcessPlan,
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) cgroup: Option<&'a Cgroup>,
    pub(crate) namespaces: Kinds,
    pub(crate) pidfd: BorrowedFd<'a>,
    pub(crate) preserve_fds: u32,
}

impl Joiner<'_> {
    /// Enter the container and become the program.
    pub(crate) fn run(self, child: &InChild, io: Io, socket: &OwnedFd) -> Result<Infallible, i32> {
        let caller = Caller {
            socket: socket.as_fd(),
        };
        let Err(fatal) = self
            .enter(child, &caller, io, socket)
            .and_then(|ready| ready.execute(self.filter, || Ok(())));
        Err(caller.hear_end(fatal))
    }

    fn enter(
        &self,
        child: &InChild,
        caller: &Caller<'_>,
        io: Io,
        socket: &OwnedFd,
    ) -> Result<finish::Ready<'_>, Fatal> {
        enter_cgroup(child, self.cgroup)?;
        self.set_oom_score(caller);
        let terminal = match io {
            Io::Streams(stdio) => {
                streams::put_in_place(stdio, self.plan.uid)?;
                None
            }
            Io::Terminal(size) => Some(size),
        };
        // The rest of what the caller has open never gets into the container.
        let keep = [socket.as_raw_fd(), self.pidfd.as_raw_fd()];
        close_others(child, self.preserve_fds, &keep)?;
        namespaces::join(self.pidfd, self.namespaces)
            .map_err(Failure::at(Step::JoinNamespace, "of the container"))?;
        if self.namespaces.contains(Kinds::USER) {
            become_root_of_namespace()?;
        }
        start_session(caller)?;
        if let Some(size) = terminal {
            let root = Root::open("/").map_err(Failure::at(Step::Console, "/"))?;
            console::make(&root, size, self.plan.uid)?.attach(caller)?;
        }
        close_others(child, self.preserve_fds, &[socket.as_raw_fd()])?;
        finish::prepare(self.plan, self.filter, caller)
    }

    /// While procfs is still the host's, and the file ours.
    fn set_oom_score(&self, caller: &Caller<'_>) {
        let Some(score) = self.plan.oom_score_adj else {
            return;
        };
        let file = "/proc/self/oom_score_adj";
        let score = score.to_string();
        if std::fs::read_to_string(file).is_ok_and(|now| now.trim() == score) {
            return;
        }
        if let Err(error) = std::fs::write(file, &score) {
            let errno = errno_of(&error);
            caller.warn(Step::OomScore, score, errno);
        }
    }
}

/// Signals by default, and into the cgroup, before anything is allocated that should count.
fn enter_cgroup(child: &InChild, cgroup: Option<&Cgroup>) -> Result<(), Failure> {
    signals::reset();
    umask(Mode::empty());
    match cgroup {
        Some(cgroup) => cgroup
            .enter(child.born_in_cgroup())
            .map_err(Failure::at(Step::JoinCgroup, cgroup.path().display())),
        None => Ok(()),
    }
}

fn start_session(caller: &Caller<'_>) -> Result<(), Failure> {
    setsid().map_err(Failure::at(Step::Session, ""))?;
    if let Err(error) = namespaces::join_new_session_keyring() {
        let errno = errno_of(&error);
        // A kernel without keyrings, or a sandbox around us that hides them, has none to leak.
        let none = [rustix::io::Errno::NOSYS, rustix::io::Errno::PERM];
        if !none.iter().any(|known| known.raw_os_error() == errno) {
            caller.warn(Step::Keyring, "", errno);
        }
    }
    Ok(())
}

/// User and group 0 of the user namespace just entered, without further groups.
fn become_root_of_namespace() -> Result<(), Failure> {
    let user = |error| Failure::at::<rustix::io::Errno>(Step::UserNamespace, "root")(error);
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(user)?;
    set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(user)?;
    match set_thread_groups(&[]) {
        // Denied where an unprivileged user made the namespace.
        Err(rustix::io::Errno::PERM) => Ok(()),
        other => other.map_err(user),
    }
}

/// Close all descriptors but the streams, those the program inherits, and `keep`.
fn close_others(child: &InChild, preserved: u32, keep: &[RawFd]) -> Result<(), Failure> {
    let first = RawFd::try_from(preserved)
        .ok()
        .and_then(|count| count.checked_add(3))
        .unwrap_or(RawFd::MAX);
    child
        .close_from(first, keep)
        .map_err(Failure::at(Step::Descriptors, first))
}
