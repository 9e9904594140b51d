//! A start, step by step, each with its undo.
//!
//! ```text
//!   namespaces to join -> directories -> places in networks, promised -> files of /etc
//!     -> bind sources -> layers' mounts -> user, from the container's own tree -> specification
//!     -> shim (init waits) -> interfaces, ports
//!     -> watched -> clients that attached before are joined -> init goes
//! ```
//! Up to the shim everything blocks and happens off the async threads. Nothing is durable here:
//! the task writes the row once the program runs, because "it runs" is the shim's to say and a row
//! that came before would have to be taken back whenever a program cannot be executed.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use wharf_runtime::shim::{LogPlan, PlanRootfs, ShimPlan, Size, SpawnError};

use super::create::{ensure_dirs, remove_dir};
use super::resolv_conf::Answering;
use super::snapshot::Snapshot;
use super::{cgroup, etc, joins, links, live, log_options, network, user};
use crate::attach::Client;
use crate::blocking::blocking;
use crate::host::cgroup_path;
use crate::mounts::{self, Mount, MountSource};
use crate::networks::Seats;
use crate::oci::{self, Assembly, EtcFiles, Namespaces, NetworkNs, UtsNs};
use crate::shim::{self, NotStarted, Watch};
use crate::undo::Undo;
use crate::volumes::Held;
use crate::{Engine, Error, Result, clock};

/// A container whose program runs.
pub(super) struct Started {
    /// Its first process.
    pub(super) pid: i32,
    /// Since, nanoseconds since 1970.
    pub(super) at: i64,
    /// Its shim.
    pub(super) watch: Watch,
    /// Dropped once others may see that it runs.
    pub(super) volumes: Held,
    /// Its places in networks.
    pub(super) seats: Seats,
}

/// Starts it. On an error nothing is left of the run.
pub(super) async fn run(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    waiting: Vec<Client>,
) -> Result<Started> {
    let preparing = (engine.clone(), Arc::clone(snapshot));
    let (undo, seats, volumes) = blocking(move || {
        let (engine, snapshot) = preparing;
        prepare(&engine, &snapshot)
    })
    .await?;
    match release(snapshot, waiting, seats).await {
        Ok(started) => {
            undo.keep();
            Ok(Started { volumes, ..started })
        }
        Err(error) => {
            blocking(move || {
                drop(undo);
                Ok(())
            })
            .await?;
            Err(error)
        }
    }
}

/// Everything up to a shim whose container waits. Blocks.
fn prepare(engine: &Engine, snapshot: &Arc<Snapshot>) -> Result<(Undo, Seats, Held)> {
    let inner = &engine.0;
    let spec = &snapshot.record.spec;
    let namespaces = joins::resolve(engine, snapshot)?;
    let mut undo = Undo::new();
    ensure_dirs(&snapshot.paths)?;
    make_exec_dir(engine, snapshot, &mut undo)?;
    // It starts on another processor while the rest is prepared on this one.
    let shim = inner.shim.begin(snapshot.id()).map_err(not_started)?;
    let hostname = hostname(snapshot, &namespaces);
    let mut seats = network::reserve(&inner.networks, &snapshot.record)?;
    let back = (inner.networks.clone(), snapshot.id().to_owned());
    let reserved = seats.endpoints();
    undo.push("reserve places in networks", move || {
        back.0.release(&back.1, &reserved);
        Ok(())
    });
    let linked = links::resolve(engine, snapshot)?;
    let files = files(engine, snapshot, &namespaces, &hostname, &seats, &linked)?;
    let mut mounts = snapshot.record.mounts.clone();
    mounts.extend(mounts::tmpfs_mounts(&spec.host.tmpfs)?);
    let volumes = Held::ready(engine, snapshot.id(), &mut mounts)?;
    make_bind_sources(&mounts)?;
    let (layers, lower) = lower_layers(engine, snapshot)?;
    let user = user::resolve(engine, snapshot, &spec.user)?;
    let host_devices = if spec.host.privileged {
        oci::host_devices()
    } else {
        Vec::new()
    };
    let cgroup = cgroup_path(&inner.options, spec, snapshot.id());
    let with_links = links::specification(snapshot, &linked);
    let oci_spec = oci::assemble(&Assembly {
        spec: with_links.as_ref().unwrap_or(spec),
        command: &snapshot.record.command(),
        user: &user,
        hostname: &hostname,
        mounts: &mounts,
        files: Some(&files),
        namespaces: &namespaces,
        cgroup: &Path::new("/").join(&cgroup),
        host_devices: &host_devices,
        defaults: &inner.host.defaults,
    });
    let log = log_options::bounds(&spec.host)?;
    let (rows, columns) = spec.host.console_size;
    let plan = ShimPlan {
        id: snapshot.id().to_owned(),
        dir: snapshot.paths.exec.clone(),
        spec: oci_spec,
        rootfs: PlanRootfs::Overlay {
            upper: snapshot.paths.upper(),
            work: snapshot.paths.work(),
        },
        layers,
        layout: inner.host.layout.clone(),
        cgroup: inner.host.cgroups.then_some(cgroup),
        seccomp: inner.host.filter(spec)?.map(|filter| (*filter).clone()),
        terminal: spec.tty.then_some(Size { rows, columns }),
        open_stdin: spec.open_stdin,
        stdin_once: spec.stdin_once,
        log: log.enabled.then(|| LogPlan {
            path: snapshot.paths.log(snapshot.id()),
            max_size: log.max_size,
            max_files: log.max_files,
        }),
    };
    let left = (engine.clone(), Arc::clone(snapshot));
    undo.push("spawn the shim", move || {
        cgroup::kill_and_remove(&left.0, &left.1)
    });
    let spawned = shim.create(&plan, &lower).map_err(not_started)?;
    tracing::debug!(id = snapshot.id(), shim = spawned.shim, "a shim holds it");
    let who = network::who(&snapshot.record);
    inner
        .networks
        .attach(who, &mut seats, spawned.pid)
        .map_err(network::setting_up)?;
    network::note(&snapshot.paths.exec, &seats)?;
    live::resolve_names(engine, &snapshot.record, spawned.pid, &seats);
    Ok((undo, seats, volumes))
}

/// From a container that waits to one that runs.
async fn release(snapshot: &Arc<Snapshot>, waiting: Vec<Client>, seats: Seats) -> Result<Started> {
    let dir = &snapshot.paths.exec;
    let gone = || Error::Internal("the container's shim left before the start".to_owned());
    let (mut watch, state) = Watch::open(dir).await?.ok_or_else(gone)?;
    for warning in &state.warnings {
        tracing::debug!(id = snapshot.id(), warning, "a limit was not set");
    }
    for client in waiting {
        if !client.has_left() {
            client.join(dir).await?;
        }
    }
    shim::start(dir)
        .await?
        .map_err(|error| start_error(&error))?;
    Ok(Started {
        pid: state.pid,
        at: watch.started().await.unwrap_or_else(clock::now),
        watch,
        volumes: Held::default(),
        seats,
    })
}

fn not_started(error: SpawnError) -> Error {
    start_error(&NotStarted {
        exit_code: error.exit_code,
        message: error.message,
    })
}

/// dockerd's wording, and its reading of what is the user's mistake.
fn start_error(error: &NotStarted) -> Error {
    let message = format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: unable to start container process: {}: unknown",
        error.message
    );
    match error.exit_code {
        exit_code @ (126 | 127) => Error::Start { message, exit_code },
        _ if error.message.to_lowercase().contains("not a directory") => Error::Start {
            message: format!(
                "{message}: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
            ),
            exit_code: 127,
        },
        _ => Error::Internal(message),
    }
}

/// A fresh directory for the shim. What an earlier run left there is of no more use.
fn make_exec_dir(engine: &Engine, snapshot: &Snapshot, undo: &mut Undo) -> Result<()> {
    let root = engine.0.options.exec_root.join("containers");
    let dir = snapshot.paths.exec.clone();
    remove_dir(&root, &dir)?;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(|error| Error::Internal(format!("make {}: {error}", dir.display())))?;
    undo.push("make the run's directory", move || remove_dir(&root, &dir));
    Ok(())
}

/// The host name inside: the container's own, or that of whose UTS namespace it uses.
fn hostname(snapshot: &Snapshot, namespaces: &Namespaces) -> String {
    let host = || {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    };
    let record = &snapshot.record;
    let own = !record.spec.hostname.is_empty();
    if !own && (namespaces.uts == UtsNs::Host || namespaces.network == NetworkNs::Host) {
        return host();
    }
    record.hostname()
}

/// A container that shares another's network shares its files, too.
fn files(
    engine: &Engine,
    snapshot: &Snapshot,
    namespaces: &Namespaces,
    hostname: &str,
    seats: &Seats,
    linked: &[links::Link],
) -> Result<EtcFiles> {
    let inner = &engine.0;
    if let crate::model::NetworkMode::Container(id) = &snapshot.record.spec.host.network
        && matches!(namespaces.network, NetworkNs::Join(_))
    {
        return Ok(etc::files(&inner.containers.resolve(id)?.paths));
    }
    let around = etc::Surroundings {
        own: seats.addresses(),
        linked: linked.iter().flat_map(links::Link::hosts).collect(),
        gateways: inner.networks.host_gateways(),
        answering: answering(namespaces, seats),
    };
    etc::write(
        &snapshot.record,
        &snapshot.paths,
        hostname,
        &inner.options,
        &around,
    )
}

fn answering(namespaces: &Namespaces, seats: &Seats) -> Answering {
    if namespaces.network == NetworkNs::Host {
        Answering::Host
    } else if seats.resolves_names() {
        Answering::Engine
    } else {
        Answering::Servers {
            ipv6: seats.has_ipv6(),
        }
    }
}

/// What `-v /missing:/x` makes on the host, as dockerd does.
fn make_bind_sources(mounts: &[Mount]) -> Result<()> {
    for mount in mounts {
        let MountSource::Bind { create, .. } = &mount.source else {
            continue;
        };
        let source = Path::new(&mount.point.source);
        if fs::symlink_metadata(source).is_ok() {
            continue;
        }
        if !create {
            return Err(Error::InvalidArgument(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                mount.point.source
            )));
        }
        fs::create_dir_all(source).map_err(|error| {
            Error::Internal(format!(
                "error while creating mount source path '{}': mkdir {0}: {error}",
                mount.point.source
            ))
        })?;
    }
    Ok(())
}

/// The names and mounts of the layers, top first. An overlay has at least one.
fn lower_layers(engine: &Engine, snapshot: &Snapshot) -> Result<(Vec<String>, Vec<OwnedFd>)> {
    let (mut names, mut mounts): (Vec<String>, Vec<OwnedFd>) = engine
        .0
        .store
        .layers()
        .lower(&snapshot.record.layers)?
        .into_iter()
        .map(|(layer, mount)| (layer.to_string(), mount))
        .unzip();
    if mounts.is_empty() {
        names.push(String::new());
        mounts.push(open_empty(&snapshot.paths.data.join("empty"))?);
    }
    Ok((names, mounts))
}

fn open_empty(path: &PathBuf) -> Result<OwnedFd> {
    let failed = |error: std::io::Error| Error::Internal(format!("{}: {error}", path.display()));
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failed(error));
        }
        _ => {}
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))
}
