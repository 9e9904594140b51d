//! What is done to a running container through its cgroup, without its shim.

use std::sync::Arc;

use wharf_runtime::cgroup::Cgroup;

use super::snapshot::Snapshot;
use crate::blocking::blocking;
use crate::model::Resources;
use crate::{Engine, Error, Result, oci};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freezer {
    /// Stop all processes.
    Freeze,
    /// Let them go on.
    Thaw,
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

/// Its cgroup, as far as cgroups can be used here.
pub(crate) fn of(engine: &Engine, snapshot: &Snapshot) -> Option<Cgroup> {
    let inner = &engine.0;
    inner
        .host
        .cgroup(&inner.options, &snapshot.record.spec, snapshot.id())
}

/// Freezes or thaws it.
pub(super) async fn freeze(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    which: Freezer,
) -> Result<()> {
    let cgroup = of(engine, snapshot).ok_or_else(|| {
        Error::NotImplemented("pause needs cgroups, which cannot be used on this host".to_owned())
    })?;
    blocking(move || {
        match which {
            Freezer::Freeze => cgroup.freeze(),
            Freezer::Thaw => cgroup.thaw(),
        }
        .map_err(|error| failed(&error))
    })
    .await
}

/// Sets limits of a running container.
pub(super) async fn limit(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    limits: &Resources,
) -> Result<()> {
    let Some(cgroup) = of(engine, snapshot) else {
        return Ok(());
    };
    let limits = oci::resources(limits);
    let id = snapshot.id().to_owned();
    blocking(move || match cgroup.apply(&limits) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Internal(format!(
            "Cannot update container {id}: {error}"
        ))),
    })
    .await
}

/// Kills every process of a container that nobody holds any more, and removes its cgroup. Blocks.
pub(super) fn kill_and_remove(engine: &Engine, snapshot: &Snapshot) -> Result<()> {
    let Some(cgroup) = of(engine, snapshot) else {
        return Ok(());
    };
    if !cgroup.exists() {
        return Ok(());
    }
    // Frozen processes do not die.
    let thawed = cgroup.thaw();
    cgroup.kill_all().map_err(|error| failed(&error))?;
    drop(thawed);
    cgroup.delete().map_err(|error| failed(&error))
}
