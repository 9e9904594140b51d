//! What is left to do when a run is over.

use std::sync::Arc;

use super::cgroup;
use super::create::remove_dir;
use super::snapshot::Snapshot;
use crate::blocking::blocking;
use crate::model::{ContainerState, Event, Status};
use crate::shim::Exit;
use crate::{Engine, clock, events};

/// What a process killed by SIGKILL exits with.
const KILLED: i32 = 137;

/// The shim is gone without an exit record: somebody killed it. Its children live on, out of
/// reach of their log and of anybody who would reap them, so they are killed, too.
pub(super) async fn bury(engine: &Engine, snapshot: &Arc<Snapshot>) -> Exit {
    let result = {
        let (engine, snapshot) = (engine.clone(), Arc::clone(snapshot));
        blocking(move || cgroup::kill_and_remove(&engine, &snapshot)).await
    };
    if let Err(error) = result {
        tracing::error!(id = snapshot.id(), %error, "processes of a container whose shim was killed may be left");
    }
    Exit {
        code: KILLED,
        oom_killed: false,
        started_at: snapshot.state.started_at,
        finished_at: clock::now(),
        error: Some("the shim of the container was killed".to_owned()),
    }
}

/// Removes what was in the exec root. The end is durable by now; the shim leaves by itself.
pub(super) async fn clean_up(engine: &Engine, snapshot: &Arc<Snapshot>) {
    let root = engine.0.options.exec_root.join("containers");
    let exec = snapshot.paths.exec.clone();
    if let Err(error) = blocking(move || remove_dir(&root, &exec)).await {
        tracing::warn!(id = snapshot.id(), %error, "the directory of a run was not removed");
    }
}

/// Undoes a start whose row could not be written.
pub(super) async fn abandon(engine: &Engine, snapshot: &Arc<Snapshot>) {
    bury(engine, snapshot).await;
    leave_networks(engine, snapshot).await;
    clean_up(engine, snapshot).await;
}

/// The state after a run.
pub(super) fn state(before: &ContainerState, exit: &Exit) -> ContainerState {
    ContainerState {
        status: Status::Exited,
        pid: 0,
        exit_code: exit.code,
        error: exit.error.clone().unwrap_or_default(),
        oom_killed: exit.oom_killed,
        finished_at: exit.finished_at,
        endpoints: std::collections::BTreeMap::new(),
        ports: Vec::new(),
        ..before.clone()
    }
}

/// Its places in networks and its ports are free from here on: whoever hears of the end may have
/// them.
pub(super) async fn leave_networks(engine: &Engine, snapshot: &Arc<Snapshot>) {
    if snapshot.state.endpoints.is_empty() {
        return;
    }
    let (networks, leaving) = (engine.0.networks.clone(), Arc::clone(snapshot));
    let left = blocking(move || {
        networks.free(leaving.id(), &leaving.state.endpoints);
        Ok(())
    });
    if let Err(error) = left.await {
        tracing::warn!(id = snapshot.id(), %error, "a container's networks were not left");
    }
    let (networks, leaving) = (engine.0.networks.clone(), Arc::clone(snapshot));
    tokio::task::spawn_blocking(move || {
        networks.detach(leaving.id(), &leaving.state.endpoints);
    });
}

/// `die`, with the true time of the end, after the volumes' `unmount`.
pub(super) fn events(snapshot: &Snapshot, exit: &Exit) -> Vec<Event> {
    let started = if exit.started_at > 0 {
        exit.started_at
    } else {
        snapshot.state.started_at
    };
    let ran_for = (exit.finished_at - started).max(0) / 1_000_000_000;
    let mut die = snapshot.record.event(
        "die",
        [
            ("exitCode", exit.code.to_string()),
            ("execDuration", ran_for.to_string()),
        ],
    );
    if exit.finished_at > 0 {
        die.time = exit.finished_at.min(clock::now());
    }
    let mut told = volume_events(snapshot, "unmount");
    if exit.oom_killed {
        let mut oom = snapshot.record.event("oom", []);
        oom.time = die.time;
        told.push(oom);
    }
    told.push(die);
    told.extend(super::network::events(snapshot, "disconnect"));
    told
}

/// An event for each volume of a container.
pub(super) fn volume_events(snapshot: &Snapshot, action: &str) -> Vec<Event> {
    snapshot
        .record
        .mounts
        .iter()
        .filter(|mount| mount.point.kind == "volume")
        .map(|mount| {
            let point = &mount.point;
            let mut attributes = vec![
                ("container".to_owned(), snapshot.id().to_owned()),
                ("driver".to_owned(), point.driver.clone()),
            ];
            if action == "mount" {
                attributes.extend([
                    ("destination".to_owned(), point.destination.clone()),
                    ("propagation".to_owned(), point.propagation.clone()),
                    ("read/write".to_owned(), point.rw.to_string()),
                ]);
            }
            events::event("volume", action, &point.name, attributes)
        })
        .collect()
}
