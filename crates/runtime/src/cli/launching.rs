//! `create`, `run` and `start`.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};

use super::args::{Create, Run};
use super::attached::{self, Signals};
use super::report::{self, Report};
use super::state::{self, Record, Status, Store};
use super::{CliError, io};
use crate::cgroup::{Layout, Place};
use crate::launch::error::LaunchError;
use crate::launch::{
    Created, EndsWith, Launch, Namespaces, Rootfs, StartHandle, create, create_waiting_on,
    run_hooks,
};
use crate::seccomp::{self, Filter};

/// Above all containers that do not say where their cgroup is to be.
const PARENT: &str = "wharf";

/// What a bundle comes to.
struct Bundle {
    path: PathBuf,
    spec: Spec,
    rootfs: PathBuf,
    filter: Option<Filter>,
    layout: Layout,
    /// None where we may not make any.
    cgroup: Option<PathBuf>,
}

impl Bundle {
    fn load(arguments: &Create) -> Result<Bundle, CliError> {
        if arguments.no_pivot {
            return Err(CliError::Usage(
                "--no-pivot: without pivot_root a container can get out; not supported".into(),
            ));
        }
        let path = std::path::absolute(&arguments.bundle)
            .map_err(CliError::at("resolve", &arguments.bundle))?;
        let config = path.join("config.json");
        let bytes = fs::read(&config).map_err(CliError::at("read", &config))?;
        let spec: Spec = serde_json::from_slice(&bytes).map_err(|source| CliError::Json {
            path: config,
            source,
        })?;
        let rootfs = spec.root().as_ref().map(|root| path.join(root.path()));
        let rootfs = rootfs.ok_or_else(|| CliError::Usage("config.json has no root".into()))?;
        let linux = spec.linux().as_ref();
        let filter = linux
            .and_then(|linux| linux.seccomp().as_ref())
            .map(seccomp::compile)
            .transpose()
            .map_err(LaunchError::from)?;
        let layout = Layout::detect()?;
        let cgroup = match linux.and_then(|linux| linux.cgroups_path().as_ref()) {
            _ if !layout.usable() => None,
            None => Some(Path::new(PARENT).join(&arguments.id)),
            Some(path) if path.to_string_lossy().contains(':') => {
                return Err(CliError::Usage(format!(
                    "linux.cgroupsPath: {}: cgroups managed by systemd are not supported",
                    path.display()
                )));
            }
            Some(path) => Some(path.clone()),
        };
        Ok(Bundle {
            path,
            spec,
            rootfs,
            filter,
            layout,
            cgroup,
        })
    }

    fn terminal(&self) -> bool {
        self.spec
            .process()
            .as_ref()
            .is_some_and(|process| process.terminal() == Some(true))
    }

    fn launch<'a>(&'a self, arguments: &'a Create) -> Result<Launch<'a>, CliError> {
        let process = self.spec.process().as_ref();
        let process =
            process.ok_or_else(|| CliError::Usage("config.json has no process".into()))?;
        Ok(Launch {
            id: &arguments.id,
            spec: &self.spec,
            bundle: &self.path,
            rootfs: Rootfs::Directory(self.rootfs.clone()),
            io: io::for_process(process)?,
            cgroup: self.cgroup.as_deref().map(|path| Place {
                layout: &self.layout,
                path,
            }),
            seccomp: self.filter.as_ref(),
            preserve_fds: arguments.preserve_fds,
            ends_with: EndsWith::Nobody,
        })
    }

    fn record<S>(self, id: &str, created: &Created<S>) -> Record {
        let pid = created.pid.as_raw_nonzero().get();
        Record {
            oci_version: self.spec.version().clone(),
            id: id.to_owned(),
            pid,
            started: state::started(pid).unwrap_or_default(),
            bundle: self.path,
            rootfs: self.rootfs,
            created: report::now(),
            owner: String::new(),
            annotations: self
                .spec
                .annotations()
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            namespaces: Namespaces::of(&self.spec),
            cgroup: created.cgroup.clone(),
            filter: self.filter,
            spec: self.spec,
        }
    }
}

/// A container's directory that goes again unless all went well.
struct Unfinished<'a>(Option<&'a Store>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(store) = self.0 {
            let _ = store.remove();
        }
    }
}

pub(super) fn create_container(
    root: &Path,
    arguments: &Create,
    report: &Report,
) -> Result<(), CliError> {
    let bundle = Bundle::load(arguments)?;
    require_console(&bundle, arguments)?;
    let store = Store::at(root, &arguments.id)?;
    store.make()?;
    let mut unfinished = Unfinished(Some(&store));
    let listener = by_short_path(&store.socket(), |path| Ok(StartHandle::listen(path)?))?;
    let created = create_waiting_on(bundle.launch(arguments)?, listener)?;
    let recorded = finish(&store, bundle, arguments, &created, report);
    if let Err(error) = recorded {
        abandon(&created);
        return Err(error);
    }
    unfinished.0 = None;
    Ok(())
}

fn require_console(bundle: &Bundle, arguments: &Create) -> Result<(), CliError> {
    match (bundle.terminal(), &arguments.console_socket) {
        (true, None) => Err(CliError::Usage(
            "cannot allocate tty if runc will detach without setting console socket".into(),
        )),
        (false, Some(_)) => Err(CliError::Usage(
            "cannot use console socket if runc will not detach or allocate tty".into(),
        )),
        _ => Ok(()),
    }
}

/// Write down a container that was made, and hand its terminal on.
fn finish<S>(
    store: &Store,
    bundle: Bundle,
    arguments: &Create,
    created: &Created<S>,
    report: &Report,
) -> Result<(), CliError> {
    for warning in &created.warnings {
        report.warning(&warning.to_string());
    }
    if let (Some(socket), Some(terminal)) = (&arguments.console_socket, &created.terminal) {
        io::send_terminal(socket, terminal)?;
    }
    let pid = created.pid;
    store.save(&bundle.record(&arguments.id, created))?;
    if let Some(file) = &arguments.pid_file {
        write_pid(file, pid)?;
    }
    Ok(())
}

/// Whole or not at all: engines wait for the file and read it at once.
pub(super) fn write_pid(file: &Path, pid: rustix::process::Pid) -> Result<(), CliError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    let new = file.with_file_name(name);
    fs::write(&new, pid.as_raw_nonzero().to_string()).map_err(CliError::at("write", &new))?;
    fs::rename(&new, file).map_err(CliError::at("write", file))
}

/// End a container nobody will know of.
fn abandon<S>(created: &Created<S>) {
    let _ = wharf_sys::pidfd::send_signal(std::os::fd::AsFd::as_fd(&created.pidfd), SIGKILL);
    if let Some(cgroup) = &created.cgroup {
        let _ = cgroup.kill_all();
        let _ = cgroup.delete();
    }
}

const SIGKILL: i32 = 9;

/// The address of a socket is at most 107 bytes long; its directory's descriptor makes it short.
fn by_short_path<T>(
    path: &Path,
    act: impl FnOnce(&Path) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(CliError::Usage(format!("{} is no socket", path.display())));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory: OwnedFd = rustix::fs::open(directory, flags, Mode::empty())
        .map_err(|error| CliError::at("open", directory)(error.into()))?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    act(&short)
}

pub(super) fn run_container(root: &Path, arguments: &Run, report: &Report) -> Result<u8, CliError> {
    let bundle = Bundle::load(&arguments.create)?;
    if arguments.detach {
        require_console(&bundle, &arguments.create)?;
    }
    let store = Store::at(root, &arguments.create.id)?;
    store.make()?;
    let mut unfinished = Unfinished(Some(&store));
    let signals = Signals::watch()?;
    let created = create(bundle.launch(&arguments.create)?)?;
    if let Err(error) = finish(&store, bundle, &arguments.create, &created, report) {
        abandon(&created);
        return Err(error);
    }
    let (pidfd, terminal) = (created.pidfd, created.terminal);
    if let Err(error) = created.start.start() {
        // Init is leaving; its cgroup goes with it.
        if let Some(cgroup) = &created.cgroup {
            let _ = cgroup.kill_all();
            let _ = cgroup.delete();
        }
        return Err(error.into());
    }
    unfinished.0 = None;
    let record = store.load()?;
    after_start(&record, report)?;
    if arguments.detach {
        return Ok(0);
    }
    let terminal = terminal.filter(|_| arguments.create.console_socket.is_none());
    let status = attached::wait(&pidfd, terminal.as_ref(), &signals)?;
    if !arguments.keep {
        super::processes::remove(&store, &record, report)?;
    }
    Ok(status)
}

pub(super) fn start(root: &Path, id: &str, report: &Report) -> Result<(), CliError> {
    let store = Store::at(root, id)?;
    let record = store.load()?;
    match store.status(&record) {
        Status::Created => {}
        status => {
            return Err(CliError::Status {
                action: "start",
                status: status.word().to_owned(),
            });
        }
    }
    let handle = by_short_path(&store.socket(), |path| Ok(StartHandle::connect(path)?))?;
    let started = handle.start();
    // Gone with the first attempt, whatever came of it: there is nobody left to listen.
    let _ = fs::remove_file(store.socket());
    started?;
    after_start(&record, report)
}

/// Hooks after the start only warn.
fn after_start(record: &Record, report: &Report) -> Result<(), CliError> {
    let hooks = record.poststart();
    if hooks.is_empty() {
        return Ok(());
    }
    let state = record.state(Status::Running).to_string();
    if let Err(failure) = run_hooks(&hooks, state.as_bytes()) {
        report.warning(&failure.to_string());
    }
    Ok(())
}
