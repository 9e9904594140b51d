//! `system df`.
//!
//! Sizes of layers and images are kept as they come and go; nothing is walked for them. What
//! containers wrote and what is in volumes changes without our knowing, so it is measured when
//! asked for, a few trees at a time. Nothing is cached: a size that is old is a wrong size.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::blocking::blocking;
use crate::model::{
    ContainerSummary, DfQuery, DiskUsage, ImageLine, ImageListOptions, ListOptions, VolumeUsage,
};
use crate::{Engine, Error, Result, tree_size};

/// Trees measured at once: enough to use a disk, few enough to leave something of it to others.
const CONCURRENT: usize = 4;

impl Engine {
    /// What takes room.
    pub async fn df(&self, query: DfQuery) -> Result<DiskUsage> {
        let images = self.0.images.clone();
        let layers_size = blocking(move || Ok(images.layers_size())).await?;
        let containers = async {
            match query.containers {
                true => self.measured_containers().await.map(Some),
                false => Ok(None),
            }
        };
        let volumes = async {
            match query.volumes {
                true => self.measured_volumes().await.map(Some),
                false => Ok(None),
            }
        };
        let (containers, volumes) = tokio::try_join!(containers, volumes)?;
        Ok(DiskUsage {
            layers_size: i64::try_from(layers_size).unwrap_or(i64::MAX),
            images: if query.images {
                Some(self.measured_images().await?)
            } else {
                None
            },
            containers,
            volumes,
        })
    }

    async fn measured_images(&self) -> Result<Vec<ImageLine>> {
        self.image_list(ImageListOptions {
            all: false,
            shared_size: true,
            ..ImageListOptions::default()
        })
        .await
    }

    async fn measured_containers(&self) -> Result<Vec<ContainerSummary>> {
        self.list(ListOptions {
            all: true,
            size: true,
            ..ListOptions::default()
        })
        .await
    }

    async fn measured_volumes(&self) -> Result<Vec<VolumeUsage>> {
        let users = self.volume_users();
        let mut usages: Vec<VolumeUsage> = self
            .0
            .volumes
            .all()
            .into_iter()
            .map(|volume| VolumeUsage {
                references: users
                    .get(&volume.name)
                    .map_or(0, |users| i64::try_from(users.len()).unwrap_or(i64::MAX)),
                size: -1,
                volume,
            })
            .collect();
        let turns = Arc::new(Semaphore::new(CONCURRENT));
        let mut measuring = JoinSet::new();
        for (at, usage) in usages.iter().enumerate() {
            let path = usage.volume.mountpoint.clone();
            let turns = Arc::clone(&turns);
            measuring.spawn(async move {
                let _turn = turns.acquire_owned().await;
                (at, blocking(move || Ok(tree_size::of(path.as_ref()))).await)
            });
        }
        while let Some(measured) = measuring.join_next().await {
            let (at, size) = measured.map_err(|error| Error::Internal(error.to_string()))?;
            if let Some(usage) = usages.get_mut(at) {
                usage.size = i64::try_from(size?).unwrap_or(i64::MAX);
            }
        }
        Ok(usages)
    }
}
