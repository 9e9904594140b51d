//! How much a container takes: what it wrote, measured when asked for.

use super::snapshot::Snapshot;
use crate::model::ContainerSize;
use crate::{Engine, tree_size};

/// Both sizes. Blocks.
pub(crate) fn of(engine: &Engine, snapshot: &Snapshot) -> ContainerSize {
    let writable = writable(snapshot);
    let layers = engine.0.store.layers();
    let image: u64 = snapshot
        .record
        .layers
        .iter()
        .filter_map(|layer| layers.get(layer).ok().flatten())
        .map(|layer| layer.content_bytes)
        .sum();
    ContainerSize {
        writable,
        total: writable.saturating_add(i64::try_from(image).unwrap_or(i64::MAX)),
    }
}

/// Bytes of the files in the writable layer. Blocks.
pub(crate) fn writable(snapshot: &Snapshot) -> i64 {
    i64::try_from(tree_size::of(&snapshot.paths.upper())).unwrap_or(i64::MAX)
}
