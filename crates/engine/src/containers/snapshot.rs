//! A container at one moment.

use std::sync::Arc;

use super::record::{Paths, Record};
use crate::model::{ContainerState, Status};

/// An immutable view, published by the container's task after each change.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// What it is.
    pub(crate) record: Arc<Record>,
    /// How it is.
    pub(crate) state: ContainerState,
    /// Where its things are.
    pub(crate) paths: Arc<Paths>,
    /// How often it has ended since the engine was opened: what waits compare.
    pub(crate) ends: u64,
    /// It is no more; nobody finds it by name, but who waits for it sees this.
    pub(crate) gone: bool,
}

impl Snapshot {
    /// 64 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    /// Without slash.
    pub(crate) fn name(&self) -> &str {
        &self.record.name
    }

    /// Its first process lives, frozen or not.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.status, Status::Running | Status::Paused)
    }

    /// Frozen.
    pub(crate) fn is_paused(&self) -> bool {
        self.state.status == Status::Paused
    }
}
