//! Content that nobody names any more.

use wharf_store::Roots;

use crate::blocking::blocking;
use crate::{Engine, Error, Result};

impl Engine {
    /// Removes blobs and layers that no image, no container and nothing in flight needs; gives
    /// the bytes freed. Runs while everything else does.
    pub async fn gc(&self) -> Result<u64> {
        let engine = self.clone();
        blocking(move || engine.collect()).await
    }

    /// Blocks.
    pub(crate) fn collect(&self) -> Result<u64> {
        let inner = &self.0;
        let collected = inner.store.collect::<Error>(|| {
            let mut roots: Roots = inner.images.roots();
            for snapshot in inner.containers.all() {
                // A container outlives its image when that is removed by force.
                roots.layers.extend(&snapshot.record.layers);
                roots.blobs.insert(snapshot.record.image.0);
            }
            Ok(roots)
        })?;
        Ok(collected.bytes)
    }

    /// As [`Engine::gc`], for those who do not wait for it.
    pub(crate) fn collect_in_background(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.gc().await {
                tracing::warn!(%error, "unused content was not collected");
            }
        });
    }
}
