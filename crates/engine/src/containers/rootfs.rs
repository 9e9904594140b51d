//! A container's file tree, for whoever reads or changes it from outside.

use wharf_store::layers::OverlayUpper;
use wharf_sys::rooted::Root;

use super::snapshot::Snapshot;
use crate::process::Process;
use crate::{Engine, Result};

impl Engine {
    /// The root of a container, as a handle. Of a running one it is what its processes see,
    /// volumes and all; of another it is its layers, mounted for the caller alone and gone with
    /// the handle. Blocks.
    pub(crate) fn rootfs(&self, snapshot: &Snapshot) -> Result<Root> {
        if snapshot.is_running() {
            return Process::of(self, snapshot)?.root();
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
