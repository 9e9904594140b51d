//! `load`: an archive becomes images and names.

use std::collections::HashMap;
use std::io::Read;

use wharf_store::{DiffId, Digest, Lease};

use super::intake::Intake;
use super::members::Members;
use super::plan::{Plan, PlannedImage, PlannedName, Source};
use super::{docker, legacy, oci};
use crate::catalogue::Draft;
use crate::error::ImageError;
use crate::id::ImageId;
use crate::images::Images;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::record::{ImageRecord, TagRecord};
use crate::reference::Reference;

/// What to take from an archive.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Only images for these machines; empty: all there are.
    pub platforms: Vec<Platform>,
}

/// An image that was loaded, once for each of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub id: ImageId,
    /// The name it got.
    pub name: Option<Reference>,
}

impl Images {
    /// Load every image of an archive. All of them get their names in one transaction at the
    /// end; after an error nothing has changed but garbage to collect.
    pub fn load(
        &self,
        source: &mut dyn Read,
        options: &LoadOptions,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Loaded>, ImageError> {
        let lease = self.store().lease();
        let intake = Intake {
            store: self.store(),
            lease: &lease,
            known_wire: self.known_wire(),
        };
        let members = intake.read(source, progress)?;
        let plan = self.plan(&members, &lease, options)?;
        self.execute(plan, &lease, progress)
    }

    fn plan(
        &self,
        members: &Members,
        lease: &Lease,
        options: &LoadOptions,
    ) -> Result<Plan, ImageError> {
        let platforms = &options.platforms;
        let source = Source {
            members,
            store: self.store(),
            lease,
            platforms,
        };
        let mut plan = Plan::default();
        oci::read(&source, &mut plan)?;
        docker::read(&source, &mut plan)?;
        let old = !members.contains("index.json") && !members.contains("manifest.json");
        if old {
            legacy::read(&source, &mut plan)?;
        }
        docker::check_parents(&mut plan);
        if plan.images.is_empty() && !options.platforms.is_empty() {
            let wanted: Vec<String> = platforms.iter().map(Platform::to_string).collect();
            return Err(ImageError::archive(format!(
                "the archive has no image for {}",
                wanted.join(", ")
            )));
        }
        if plan.images.is_empty() && old {
            return Err(ImageError::archive(
                "unrecognized image format: the archive has no index.json, manifest.json or repositories",
            ));
        }
        Ok(plan)
    }

    fn execute(
        &self,
        plan: Plan,
        lease: &Lease,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Loaded>, ImageError> {
        let Plan {
            images,
            order,
            names,
            documents,
        } = plan;
        let blobs = self.store().blobs();
        for document in &documents {
            blobs.put(lease, document)?;
        }
        for image in images.values() {
            blobs.put(lease, &image.raw_config)?;
        }
        let mut loaded = Vec::new();
        let messages = self.change(|draft| {
            for (id, image) in &images {
                put_image(draft, *id, image);
            }
            let mut messages = Vec::new();
            for name in &names {
                messages.extend(put_name(draft, name));
            }
            Ok(messages)
        })?;
        for message in messages {
            progress.message(&message);
        }
        for id in order {
            let mut own = names.iter().filter(|name| name.image == id).peekable();
            if own.peek().is_none() && !is_of_an_index(&names, &id) {
                progress.message(&format!("Loaded image ID: {id}\n"));
                loaded.push(Loaded { id, name: None });
            }
            for name in own {
                progress.message(&format!("Loaded image: {}\n", name.name.familiar()));
                loaded.push(Loaded {
                    id,
                    name: Some(name.name.clone()),
                });
            }
        }
        Ok(loaded)
    }

    /// Layers that are here, by the digest of the compressed form in which they once came.
    fn known_wire(&self) -> HashMap<Digest, DiffId> {
        let catalogue = self.catalogue();
        let layers = catalogue.images().flat_map(|(_, image)| &image.layers);
        layers
            .filter_map(|layer| Some((layer.wire.as_ref()?.digest, layer.diff_id)))
            .collect()
    }
}

/// An image for another machine is loaded under the name of its index.
fn is_of_an_index(names: &[PlannedName], id: &ImageId) -> bool {
    names
        .iter()
        .filter_map(|name| name.index.as_ref())
        .any(|index| index.images.contains(id))
}

fn put_image(draft: &mut Draft, id: ImageId, image: &PlannedImage) {
    let known = draft.catalogue().image(&id);
    let parent = image.parent.or(known.and_then(|known| known.parent));
    let record = ImageRecord {
        parent,
        manifest: image.manifest.or(known.and_then(|known| known.manifest)),
        ..ImageRecord::new(&image.config, image.layers.clone())
    };
    if known.is_none_or(|known| **known != record) {
        draft.put_image(id, record);
    }
}

/// Give a name; the message to print when it meant another image before.
fn put_name(draft: &mut Draft, planned: &PlannedName) -> Option<String> {
    let previous = draft.catalogue().tag(&planned.name).map(|tag| tag.image);
    let record = TagRecord {
        index: planned.index.clone(),
        ..TagRecord::now(planned.image)
    };
    draft.put_tag(planned.name.clone(), record);
    let previous = previous.filter(|previous| *previous != planned.image)?;
    Some(format!(
        "The image {} already exists, renaming the old one with ID {previous} to empty string\n",
        planned.name.familiar()
    ))
}
