//! Images, as the engine's doors see them: `wharf-images` does the work, the engine knows which
//! containers use what, tells the events, and has what nobody needs any more collected.
//!
//! ```text
//!   this file   looking, naming, removing
//!   transfer    load, import, save: streams on one side, blocking code on the other
//!   commit      a container becomes an image
//! ```

mod commit;
mod transfer;

use std::collections::HashMap;

use jiff::Timestamp;
use wharf_images::{
    ContainerUse, Force, HistoryItem, Image, ImageId, ListQuery, Parents, Platform, PruneRequest,
    Pruned, Reference, RemoveRequest, Removed,
};

use crate::blocking::{blocking, to_the_end};
use crate::events::event;
use crate::model::{Event, Filters, ImageLine, ImageListOptions, ImageRemoveOptions};
use crate::{Engine, Error, Result, clock, filters};

pub use transfer::ProgressStream;

/// Filters of a listing.
const LISTED_BY: [&str; 7] = [
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];

/// Filters of a prune.
const PRUNED_BY: [&str; 4] = ["dangling", "label", "label!", "until"];

impl Engine {
    /// The images that the filters let through, newest first.
    pub async fn image_list(&self, options: ImageListOptions) -> Result<Vec<ImageLine>> {
        let engine = self.clone();
        blocking(move || engine.list_images(&options)).await
    }

    /// Blocks.
    pub(crate) fn list_images(&self, options: &ImageListOptions) -> Result<Vec<ImageLine>> {
        let wanted = &options.filters;
        filters::check(wanted, &LISTED_BY)?;
        let labels = label_filter(wanted);
        let summaries = self.0.images.list(&ListQuery {
            all: options.all,
            dangling: filters::truth(wanted, "dangling")?,
            before: first(wanted, "before"),
            since: first(wanted, "since"),
            until: until(wanted)?,
            references: filters::values(wanted, "reference").unwrap_or_default(),
            labels: Some(&labels),
            shared_size: options.shared_size,
        })?;
        let mut users: HashMap<ImageId, i64> = HashMap::new();
        for snapshot in self.0.containers.all() {
            *users.entry(snapshot.record.image).or_default() += 1;
        }
        Ok(summaries
            .into_iter()
            .map(|image| ImageLine {
                containers: users.get(&image.id).copied().unwrap_or(0),
                image,
            })
            .collect())
    }

    /// One image, by name, id or the first digits of one.
    pub async fn image_inspect(&self, name: &str, platform: Option<Platform>) -> Result<Image> {
        let (images, name) = (self.0.images.clone(), name.to_owned());
        blocking(move || match platform {
            Some(platform) => Ok(images.resolve_for(&name, &platform)?),
            None => Ok(images.resolve(&name)?),
        })
        .await
    }

    /// How it came to be, newest step first.
    pub async fn image_history(
        &self,
        name: &str,
        platform: Option<Platform>,
    ) -> Result<Vec<HistoryItem>> {
        let image = self.image_inspect(name, platform).await?;
        let images = self.0.images.clone();
        blocking(move || Ok(images.history(&image.id)?)).await
    }

    /// Gives it another name.
    pub async fn image_tag(&self, name: &str, target: Reference) -> Result<()> {
        let (engine, name) = (self.clone(), name.to_owned());
        to_the_end(async move {
            let images = engine.0.images.clone();
            let told = blocking(move || {
                let id = images.resolve_id(&name)?;
                images.tag(&id, &target)?;
                let name = target.or_latest().familiar();
                let labels = labels_of(&images, &id);
                Ok(image_event("tag", &id, &name, labels))
            })
            .await?;
            engine.0.emit(told).await;
            Ok(())
        })
        .await
    }

    /// Removes a name, and with the last one the image.
    pub async fn image_remove(
        &self,
        name: &str,
        options: ImageRemoveOptions,
    ) -> Result<Vec<Removed>> {
        let (engine, name) = (self.clone(), name.to_owned());
        to_the_end(async move {
            let removing = engine.clone();
            let removed = blocking(move || {
                Ok(removing.0.images.remove(&RemoveRequest {
                    name: &name,
                    force: if options.force { Force::Yes } else { Force::No },
                    parents: if options.no_prune {
                        Parents::Keep
                    } else {
                        Parents::Remove
                    },
                    in_use: &|id| removing.user_of_image(id),
                })?)
            })
            .await?;
            engine.tell_removed(&removed).await;
            engine.collect_in_background();
            Ok(removed)
        })
        .await
    }

    /// Removes images that no container uses: those without a name, or with `dangling=false`
    /// all.
    pub async fn image_prune(&self, filters: Filters) -> Result<Pruned> {
        filters::check(&filters, &PRUNED_BY)?;
        let dangling_only = filters::truth(&filters, "dangling")?.unwrap_or(true);
        let until = until(&filters)?;
        let engine = self.clone();
        to_the_end(async move {
            let pruning = engine.clone();
            let pruned = blocking(move || {
                Ok(pruning.0.images.prune(&PruneRequest {
                    dangling_only,
                    until,
                    labels: &label_filter(&filters),
                    in_use: &|id| pruning.user_of_image(id),
                })?)
            })
            .await?;
            engine.tell_removed(&pruned.removed).await;
            let attributes = [("reclaimed".to_owned(), pruned.bytes.to_string())];
            engine.0.emit(event("image", "prune", "", attributes)).await;
            engine.collect_in_background();
            Ok(pruned)
        })
        .await
    }

    /// Which container uses an image: a running one if there is one, else any.
    fn user_of_image(&self, id: &ImageId) -> Option<ContainerUse> {
        self.0
            .containers
            .all()
            .into_iter()
            .filter(|snapshot| snapshot.record.image == *id)
            .map(|snapshot| ContainerUse {
                id: snapshot.id().to_owned(),
                running: snapshot.is_running(),
            })
            .max_by_key(|user| user.running)
    }

    async fn tell_removed(&self, removed: &[Removed]) {
        for item in removed {
            // The image is gone, and its labels with it; dockerd names the id here, too.
            let told = match item {
                Removed::Untagged(_, id) => image_event("untag", id, &id.to_string(), []),
                Removed::Image(id) => image_event("delete", id, &id.to_string(), []),
                Removed::Layer(_) => continue,
            };
            self.0.emit(told).await;
        }
    }
}

/// An event about an image.
fn image_event(
    action: &str,
    id: &ImageId,
    name: &str,
    labels: impl IntoIterator<Item = (String, String)>,
) -> Event {
    let name = [("name".to_owned(), name.to_owned())];
    event(
        "image",
        action,
        &id.to_string(),
        labels.into_iter().chain(name),
    )
}

/// The labels of an image, for events about it. Blocks.
fn labels_of(
    images: &wharf_images::Images,
    id: &ImageId,
) -> impl IntoIterator<Item = (String, String)> {
    images
        .get(id)
        .map(|image| image.config.run_config().labels)
        .unwrap_or_default()
}

fn label_filter(filters: &Filters) -> impl Fn(&std::collections::BTreeMap<String, String>) -> bool {
    |labels| filters::labels_match(filters, labels)
}

fn first<'a>(filters: &'a Filters, name: &str) -> Option<&'a str> {
    filters::values(filters, name)?.first().map(String::as_str)
}

fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    filters::time_filter(filters, "until", clock::now())?
        .map(|ns| {
            Timestamp::from_nanosecond(ns.into())
                .map_err(|error| Error::InvalidArgument(error.to_string()))
        })
        .transpose()
}
