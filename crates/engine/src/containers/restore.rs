//! What the daemon finds when it starts: every container, as it truly is.
//!
//! ```text
//!   row says      in the exec root                      then
//!   ------------  ------------------------------------  -------------------------------------------
//!   any           a shim that listens, program runs     Running; watched again; layers adopted
//!   any           a shim that listens, never started    the daemon died in a start: it is undone
//!   any           an exit record                        Exited, `die` journalled with its true time
//!   Running       nothing, or a dead shim's directory   its processes killed; Exited with 137 if there
//!                                                       were any, else (the host was rebooted) 255
//!   Created, ...  nothing                               as the row says
//! ```
//! Containers without anything in the exec root cost no I/O. The others are looked at
//! concurrently, a bounded number at a time. What is done to the disk afterwards (sweeping what
//! removed containers left, removing those with `--rm`) happens behind the opened engine.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;
use wharf_runtime::shim::proto::{Phase, State};
use wharf_store::{Batch, DiffId};

use super::create::remove_dir;
use super::record::{Document, KIND, Paths, Record};
use super::snapshot::Snapshot;
use super::{cgroup, end, live, network, task};
use crate::blocking::blocking;
use crate::model::{ContainerState, RemoveOptions, Status};
use crate::shim::{self, Exit, Watch};
use crate::{Engine, Result, clock, events};

/// Shims asked at once.
const CONCURRENT: usize = 32;

/// Docker's code for a container whose end nobody saw.
const UNSEEN: i32 = 255;
/// Killed.
const KILLED: i32 = 137;

/// Finds every container. Those that run are held again when this returns.
pub(crate) async fn restore(engine: &Engine) -> Result<()> {
    let reading = engine.clone();
    let (documents, runs, mut leftovers) = blocking(move || {
        let inner = &reading.0;
        let documents = inner.store.facts().all::<Document>(KIND)?;
        let runs = directories(&inner.options.exec_root.join("containers"));
        let data = directories(&inner.options.data_root.join("containers"));
        let leftovers: HashSet<String> = runs.union(&data).cloned().collect();
        Ok((documents, runs, leftovers))
    })
    .await?;
    let mut found: JoinSet<Found> = JoinSet::new();
    let mut waiting: Vec<Document> = Vec::new();
    let mut removing = Vec::new();
    for (id, document) in documents {
        let name = &document.record.name;
        if let Err(error) = engine.0.containers.reserve(name, &id) {
            tracing::error!(id, name, %error, "two containers have one name");
        }
        let ran = document.state.status == Status::Running
            || document.state.status == Status::Paused
            || runs.contains(&id);
        leftovers.remove(&id);
        if ran {
            waiting.push(document);
        } else {
            removing.extend(settled(engine, document));
        }
    }
    let mut adopted: HashMap<DiffId, ()> = HashMap::new();
    loop {
        while found.len() < CONCURRENT
            && let Some(document) = waiting.pop()
        {
            found.spawn(look(engine.clone(), document));
        }
        let Some(joined) = found.join_next().await else {
            break;
        };
        match joined {
            Ok(found) => {
                adopt(engine, &found, &mut adopted).await;
                removing.extend(take(engine, found).await);
            }
            Err(error) => tracing::error!(%error, "a container was not restored"),
        }
    }
    reconcile_networks(engine).await?;
    let engine = engine.clone();
    tokio::spawn(async move {
        for id in removing {
            let options = RemoveOptions {
                force: false,
                volumes: true,
                link: false,
            };
            if let Err(error) = engine.remove(&id, options).await {
                tracing::warn!(id, %error, "a container with --rm was not removed");
            }
        }
        if let Err(error) = blocking(move || sweep(&engine, &leftovers)).await {
            tracing::warn!(%error, "what removed containers left was not swept");
        }
    });
    Ok(())
}

/// The kernel's side of the networks, now that it is known who is on them.
async fn reconcile_networks(engine: &Engine) -> Result<()> {
    let reconciling = engine.clone();
    blocking(move || {
        let inner = &reconciling.0;
        let running: Vec<Arc<Snapshot>> = inner
            .containers
            .all()
            .into_iter()
            .filter(|snapshot| snapshot.is_running())
            .collect();
        inner.networks.reconcile(&running)?;
        for snapshot in &running {
            live::start_resolver(&reconciling, snapshot);
        }
        Ok(())
    })
    .await
}

/// A container that was running, as it was found.
struct Found {
    document: Document,
    paths: Paths,
    how: How,
}

enum How {
    /// Its shim holds it, and it runs.
    Running(Watch, State),
    /// It ended.
    Ended(Exit),
    /// It never came to run, or did not run.
    Unchanged,
}

fn settled(engine: &Engine, document: Document) -> Option<String> {
    let leaves = document.record.spec.host.auto_remove && document.state.status == Status::Exited;
    let id = document.record.id.clone();
    let paths = paths(engine, &id);
    task::spawn(engine, document.record, document.state, paths, None);
    leaves.then_some(id)
}

fn paths(engine: &Engine, id: &str) -> Paths {
    let options = &engine.0.options;
    Paths::new(&options.data_root, &options.exec_root, id)
}

async fn look(engine: Engine, document: Document) -> Found {
    let paths = paths(&engine, &document.record.id);
    let snapshot = Arc::new(Snapshot {
        record: Arc::new(document.record.clone()),
        state: document.state.clone(),
        paths: Arc::new(paths.clone()),
        ends: 0,
        gone: false,
    });
    let how = match Watch::open(&paths.exec).await {
        Ok(Some((watch, state))) => match &state.phase {
            Phase::Running => How::Running(watch, state),
            Phase::Exited(record) => How::Ended(record.clone().into()),
            Phase::Created => {
                // The daemon died between the making of the process and its start.
                end::abandon(&engine, &snapshot).await;
                How::Unchanged
            }
        },
        Ok(None) => without_shim(&engine, &snapshot).await,
        Err(error) => {
            tracing::warn!(id = snapshot.id(), %error, "a shim does not answer");
            without_shim(&engine, &snapshot).await
        }
    };
    Found {
        document,
        paths,
        how,
    }
}

/// No shim listens.
async fn without_shim(engine: &Engine, snapshot: &Arc<Snapshot>) -> How {
    let looking = (engine.clone(), Arc::clone(snapshot));
    let result = blocking(move || {
        let (engine, snapshot) = looking;
        if let Some(exit) = shim::read_exit(&snapshot.paths.exec)? {
            return Ok(Some(exit));
        }
        let left = cgroup::of(&engine, &snapshot).is_some_and(|cgroup| cgroup.exists());
        cgroup::kill_and_remove(&engine, &snapshot)?;
        if !snapshot.is_running() {
            return Ok(None);
        }
        let (code, why) = if left {
            (KILLED, "the shim of the container was killed")
        } else {
            (UNSEEN, "")
        };
        Ok(Some(Exit {
            code,
            oom_killed: false,
            started_at: snapshot.state.started_at,
            finished_at: clock::now(),
            error: (!why.is_empty()).then(|| why.to_owned()),
        }))
    })
    .await;
    match result {
        Ok(Some(exit)) => How::Ended(exit),
        Ok(None) => How::Unchanged,
        Err(error) => {
            tracing::error!(id = snapshot.id(), %error, "what a container left is not cleaned up");
            How::Unchanged
        }
    }
}

/// Takes back the mounts of the layers that the shim kept, one shim per layer.
async fn adopt(engine: &Engine, found: &Found, adopted: &mut HashMap<DiffId, ()>) {
    let layers = &found.document.record.layers;
    if !matches!(found.how, How::Running(..)) || layers.iter().all(|l| adopted.contains_key(l)) {
        return;
    }
    let dir = found.paths.exec.clone();
    match blocking(move || shim::layer_mounts(&dir)).await {
        Ok(mounts) => {
            for (name, mount) in mounts {
                if let Ok(layer) = name.parse::<DiffId>()
                    && adopted.insert(layer, ()).is_none()
                {
                    engine.0.store.layers().adopt(&layer, mount);
                }
            }
        }
        Err(error) => {
            tracing::warn!(id = found.document.record.id, %error, "layers are mounted anew: the page cache of running containers is not shared");
        }
    }
}

/// Gives a found container its task; the id, if it is to be removed now.
async fn take(engine: &Engine, found: Found) -> Option<String> {
    let Found {
        document: Document { record, state },
        paths,
        how,
    } = found;
    match how {
        How::Unchanged => settled(engine, Document { record, state }),
        How::Running(watch, now) => {
            let paused = state.status == Status::Paused;
            let mut state = state;
            if !matches!(state.status, Status::Running | Status::Paused) {
                // The daemon died before the row of the start was written.
                let (exec, mut told) = (paths.exec.clone(), state);
                state = blocking(move || {
                    network::recall(&exec, &mut told);
                    Ok(told)
                })
                .await
                .unwrap_or_default();
            }
            let state = ContainerState {
                status: if paused {
                    Status::Paused
                } else {
                    Status::Running
                },
                pid: now.pid,
                started_at: now.started_ns,
                exit_code: 0,
                error: String::new(),
                ..state
            };
            engine
                .0
                .networks
                .adopt(network::who(&record), &state.endpoints, &state.ports);
            journal_start(engine, &record, &state).await;
            task::spawn(engine, record, state, paths, Some(watch));
            None
        }
        How::Ended(exit) => {
            let started = ContainerState {
                status: Status::Running,
                started_at: if exit.started_at > 0 {
                    exit.started_at
                } else {
                    state.started_at
                },
                ..state
            };
            journal_start(engine, &record, &started).await;
            end_unseen(engine, record, started, paths, exit).await
        }
    }
}

/// A start whose row the daemon did not live to write.
async fn journal_start(engine: &Engine, record: &Record, state: &ContainerState) {
    let stored = engine
        .0
        .store
        .facts()
        .get::<Document>(KIND, &record.id)
        .ok()
        .flatten();
    if stored.is_some_and(|stored| {
        matches!(stored.state.status, Status::Running | Status::Paused)
            && stored.state.started_at != 0
    }) {
        return;
    }
    let mut event = record.event("start", []);
    event.time = state.started_at;
    commit(engine, record, state, &[event]).await;
}

async fn commit(
    engine: &Engine,
    record: &Record,
    state: &ContainerState,
    told: &[crate::model::Event],
) -> bool {
    let mut batch = Batch::new();
    record.put(&mut batch, state);
    let added: Result<()> = told
        .iter()
        .try_for_each(|event| events::add(&mut batch, event));
    let result = match added {
        Ok(()) => engine.0.commit(batch).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        tracing::error!(id = record.id, %error, "the state of a container was not recorded");
    }
    result.is_ok()
}

/// An end that happened while no daemon was there.
async fn end_unseen(
    engine: &Engine,
    record: Record,
    state: ContainerState,
    paths: Paths,
    exit: Exit,
) -> Option<String> {
    let snapshot = Arc::new(Snapshot {
        record: Arc::new(record.clone()),
        state: state.clone(),
        paths: Arc::new(paths.clone()),
        ends: 0,
        gone: false,
    });
    let state = end::state(&state, &exit);
    if commit(engine, &record, &state, &end::events(&snapshot, &exit)).await {
        end::clean_up(engine, &snapshot).await;
    }
    settled(engine, Document { record, state })
}

/// Names of the directories below a directory.
fn directories(root: &Path) -> HashSet<String> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return HashSet::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Removes the directories of containers that have no row: a crash came between. Only what was
/// there before the engine took its first request: what is being made now has no row either.
fn sweep(engine: &Engine, leftovers: &HashSet<String>) -> Result<()> {
    let options = &engine.0.options;
    for name in leftovers {
        tracing::info!(name, "removing what is left of a container");
        for root in [&options.data_root, &options.exec_root] {
            let root = root.join("containers");
            remove_dir(&root, &root.join(name))?;
        }
    }
    Ok(())
}
