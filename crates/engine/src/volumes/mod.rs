//! Named storage that outlives containers.

use crate::containers::missing;
use crate::model::{Filters, PruneReport, Volume, VolumeCreate};
use crate::{Engine, Result};

impl Engine {
    /// Makes a volume, or gives the one of that name.
    pub async fn volume_create(&self, _request: VolumeCreate) -> Result<Volume> {
        missing("volume_create")
    }

    /// All that the filters let through, by name.
    pub async fn volume_list(&self, _filters: Filters) -> Result<Vec<Volume>> {
        missing("volume_list")
    }

    /// One volume.
    pub async fn volume_inspect(&self, _name: &str) -> Result<Volume> {
        missing("volume_inspect")
    }

    /// Removes one that no container uses; with `force`, one that is not there is no error.
    pub async fn volume_remove(&self, _name: &str, _force: bool) -> Result<()> {
        missing("volume_remove")
    }

    /// Removes those that no container uses.
    pub async fn volume_prune(&self, _filters: Filters) -> Result<PruneReport> {
        missing("volume_prune")
    }
}
