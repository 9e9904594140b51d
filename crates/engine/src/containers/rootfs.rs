//! A container's file tree, for whoever reads or changes it from outside.

use wharf_store::layers::OverlayUpper;
use wharf_sys::rooted::Root;

use super::snapshot::Snapshot;
use crate::{Engine, Error, Result};

impl Engine {
    /// The root of a container, as a handle. Of a running one it is what its processes see,
    /// volumes and all; of another it is its layers, mounted for the caller alone and gone with
    /// the handle. Blocks.
    pub(crate) fn rootfs(&self, snapshot: &Snapshot) -> Result<Root> {
        if snapshot.is_running() {
            let path = format!("/proc/{}/root", snapshot.state.pid);
            return Root::open(&path).map_err(|error| {
                Error::Internal(format!(
                    "open the root of container {}: {error}",
                    snapshot.id()
                ))
            });
        }
        super::create::ensure_dirs(&snapshot.paths)?;
        let upper = OverlayUpper {
            upper: snapshot.paths.upper(),
            work: snapshot.paths.work(),
        };
        let tree = self
            .0
            .store
            .layers()
            .overlay(&snapshot.record.layers, Some(&upper))?;
        Ok(Root::from_fd(tree))
    }
}
