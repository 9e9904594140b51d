//! Named storage that outlives containers.

mod driver;
mod local;
mod start;

use std::collections::HashMap;

use crate::blocking::{blocking, to_the_end};
use crate::model::{Filters, PruneReport, Volume, VolumeCreate};
use crate::{Engine, Error, Result, events, filters};

pub(crate) use driver::{Backing, mark};
pub(crate) use local::{Hold, Volumes};
pub(crate) use start::{Held, beneath, seen};

impl Engine {
    /// Makes a volume, or gives the one of that name.
    pub async fn volume_create(&self, request: VolumeCreate) -> Result<Volume> {
        let engine = self.clone();
        to_the_end(async move {
            let volumes = engine.0.volumes.clone();
            let (volume, journalled) = blocking(move || volumes.create(request)).await?;
            if let Some(number) = journalled {
                engine.0.events.grew_to(number);
            }
            Ok(volume)
        })
        .await
    }

    /// All that the filters let through, by name.
    pub async fn volume_list(&self, filters: Filters) -> Result<Vec<Volume>> {
        filters::check(&filters, &["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters::truth(&filters, "dangling")?;
        let users = self.volume_users();
        let any = |name: &str, matches: &dyn Fn(&str) -> bool| {
            filters::values(&filters, name)
                .is_none_or(|values| values.iter().any(|value| matches(value)))
        };
        let mut volumes = self.0.volumes.all();
        volumes.retain(|volume| {
            dangling.is_none_or(|dangling| dangling != users.contains_key(&volume.name))
                && any("name", &|value| volume.name.contains(value))
                && any("driver", &|value| value == "local")
                && filters::labels_match(&filters, &volume.labels)
        });
        Ok(volumes)
    }

    /// One volume.
    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        self.0
            .volumes
            .get(name)
            .ok_or_else(|| Error::NoSuchVolume(name.to_owned()))
    }

    /// Removes one that no container uses; with `force`, one that is not there is no error.
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        if self.0.volumes.get(name).is_none() {
            return if force {
                Ok(())
            } else {
                Err(Error::NoSuchVolume(name.to_owned()))
            };
        }
        if let Some(users) = self.volume_users().get(name) {
            return Err(Error::Conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        self.remove_volume(name.to_owned()).await
    }

    /// Removes those that no container uses: anonymous ones, and with the filter `all` named
    /// ones, too.
    pub async fn volume_prune(&self, filters: Filters) -> Result<PruneReport> {
        filters::check(&filters, &["all", "label", "label!"])?;
        let named_too = filters::truth(&filters, "all")? == Some(true);
        let engine = self.clone();
        to_the_end(async move {
            let users = engine.volume_users();
            let mut report = PruneReport::default();
            for volume in engine.0.volumes.all() {
                let wanted = (volume.anonymous || named_too)
                    && !users.contains_key(&volume.name)
                    && filters::labels_match(&filters, &volume.labels);
                if !wanted {
                    continue;
                }
                let mountpoint = volume.mountpoint.clone();
                let size = blocking(move || Ok(local::size(&mountpoint))).await?;
                match engine.remove_volume(volume.name.clone()).await {
                    Ok(()) => {
                        report.deleted.push(volume.name);
                        report.reclaimed += size;
                    }
                    // Taken by a container meanwhile, or removed by somebody else.
                    Err(error) => tracing::debug!(volume = volume.name, %error, "not pruned"),
                }
            }
            let attributes = [("reclaimed".to_owned(), report.reclaimed.to_string())];
            engine
                .0
                .emit(events::event("volume", "prune", "", attributes))
                .await;
            Ok(report)
        })
        .await
    }

    async fn remove_volume(&self, name: String) -> Result<()> {
        let engine = self.clone();
        to_the_end(async move {
            let volumes = engine.0.volumes.clone();
            if let Some(number) = blocking(move || volumes.remove(&name)).await? {
                engine.0.events.grew_to(number);
            }
            Ok(())
        })
        .await
    }

    /// Which containers mount each volume, by the volume's name. Read from the containers, never
    /// counted.
    pub(crate) fn volume_users(&self) -> HashMap<String, Vec<String>> {
        let mut users: HashMap<String, Vec<String>> = HashMap::new();
        for snapshot in self.0.containers.all() {
            for name in snapshot.record.volumes() {
                users
                    .entry(name.to_owned())
                    .or_default()
                    .push(snapshot.id().to_owned());
            }
        }
        users
    }
}
