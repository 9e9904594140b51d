//! Removing a container.
//!
//! ```text
//!   snapshot says Removing -> row gone, event destroy, one fsync -> directories, anonymous volumes
//!       -> not found by name any more, waits end
//! ```
//! The row goes first: a crash after it leaves directories that nobody names, which the next
//! start of the daemon sweeps. So a removal is done or not done, and never needs a second one.

use std::sync::Arc;
use std::time::Duration;

use wharf_store::Batch;

use super::create::remove_dir;
use super::list::status_word;
use super::record::KIND;
use super::snapshot::Snapshot;
use super::task::Task;
use crate::blocking::blocking;
use crate::model::{RemoveOptions, Status};
use crate::{Engine, Error, Result, events};

/// How long a killed container may take to end.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// dockerd's refusal of a removal without force.
pub(super) fn refusal(snapshot: &Snapshot) -> Error {
    let procedure = match snapshot.state.status {
        Status::Paused => "unpause and then stop the container before removing or force remove",
        _ => "stop the container before removing or force remove",
    };
    Error::Conflict(format!(
        "cannot remove container \"/{}\": container is {}: {procedure}",
        snapshot.name(),
        status_word(snapshot.state.status)
    ))
}

/// Removes what does not run.
pub(super) async fn remove(task: &Task, options: RemoveOptions) -> Result<()> {
    let snapshot = task.snapshot();
    let engine = &task.engine;
    let status = snapshot.state.status;
    task.publish(|snapshot| snapshot.state.status = Status::Removing);
    let mut batch = Batch::new();
    batch.delete(KIND, snapshot.id());
    let deleted = match events::add(&mut batch, &snapshot.record.event("destroy", [])) {
        Ok(()) => engine.0.commit(batch).await,
        Err(error) => Err(error),
    };
    if let Err(error) = deleted {
        task.publish(|snapshot| snapshot.state.status = status);
        return Err(error);
    }
    let sweeping = (engine.clone(), Arc::clone(&snapshot));
    let swept = blocking(move || {
        let (engine, snapshot) = sweeping;
        sweep(&engine, &snapshot, options);
        Ok(())
    })
    .await;
    engine.0.containers.remove(snapshot.id(), snapshot.name());
    task.publish(|snapshot| {
        snapshot.gone = true;
        snapshot.ends += 1;
    });
    swept
}

/// What cannot be removed is logged and left for the next start: the container is no more.
fn sweep(engine: &Engine, snapshot: &Snapshot, options: RemoveOptions) {
    let roots = [&engine.0.options.exec_root, &engine.0.options.data_root];
    for (root, dir) in roots
        .into_iter()
        .zip([&snapshot.paths.exec, &snapshot.paths.data])
    {
        if let Err(error) = remove_dir(&root.join("containers"), dir) {
            tracing::error!(id = snapshot.id(), %error, "a directory of a removed container is left");
        }
    }
    if !options.volumes {
        return;
    }
    let volumes = &engine.0.volumes;
    let others = engine.0.containers.all();
    for name in snapshot.record.volumes() {
        let anonymous = volumes.get(name).is_some_and(|volume| volume.anonymous);
        let shared = others
            .iter()
            .any(|other| other.id() != snapshot.id() && other.record.volumes().any(|n| n == name));
        if !anonymous || shared {
            continue;
        }
        match volumes.remove(name) {
            Ok(Some(number)) => engine.0.events.grew_to(number),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(volume = name, %error, "an anonymous volume is left");
            }
        }
    }
}
