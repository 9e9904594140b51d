//! docker-archive: `manifest.json` lists configurations and layers by the names of members.

use serde::Deserialize;
use wharf_store::Digest;

use super::members::claimed_digest;
use super::plan::{Plan, PlannedImage, Source, check_layer_count, check_os};
use crate::config::{ImageConfig, MAX_CONFIG};
use crate::error::ImageError;
use crate::id::ImageId;
use crate::manifest::MAX_MANIFEST;
use crate::reference::Reference;

/// One image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
    #[serde(default)]
    parent: Option<String>,
}

/// Add everything that `manifest.json` lists.
pub(super) fn read(source: &Source<'_>, plan: &mut Plan) -> Result<(), ImageError> {
    let blobs = source.store.blobs();
    let Some(bytes) = source
        .members
        .document("manifest.json", MAX_MANIFEST, blobs)?
    else {
        return Ok(());
    };
    let items: Option<Vec<Item>> =
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Json {
            what: "manifest.json".to_owned(),
            source,
        })?;
    let items = items.ok_or_else(|| {
        ImageError::archive("invalid manifest, manifest cannot be null (but can be [])")
    })?;
    for item in items {
        add(source, plan, &item)?;
    }
    Ok(())
}

fn add(source: &Source<'_>, plan: &mut Plan, item: &Item) -> Result<(), ImageError> {
    let blobs = source.store.blobs();
    let raw_config = source
        .members
        .document(&item.config, MAX_CONFIG, blobs)?
        .ok_or_else(|| missing(&item.config))?;
    verify_name(&item.config, &raw_config)?;
    let config = ImageConfig::parse(&raw_config)?;
    check_os(&config)?;
    if !source.is_wanted(&config.platform()) {
        return Ok(());
    }
    let names = item.layers.as_deref().unwrap_or_default();
    check_layer_count(names.len(), &config)?;
    let mut layers = Vec::with_capacity(names.len());
    for (position, (name, diff_id)) in names.iter().zip(&config.rootfs.diff_ids).enumerate() {
        let layer = source.layer(position, diff_id, name, None)?;
        layers.push(layer.ok_or_else(|| missing(name))?);
    }
    let parent = item.parent.as_deref().and_then(|text| text.parse().ok());
    let id = plan.add(PlannedImage {
        raw_config,
        config,
        layers,
        manifest: None,
        parent,
    });
    for tag in item.repo_tags.as_deref().unwrap_or_default() {
        plan.name(tagged(tag)?, id, None);
    }
    Ok(())
}

/// A configuration whose member is named by a digest has to have that digest: it is the only
/// check that a damaged one is not taken for another image.
fn verify_name(name: &str, bytes: &[u8]) -> Result<(), ImageError> {
    let by_hex = name
        .strip_suffix(".json")
        .and_then(|hex| Digest::from_hex(hex).ok());
    let actual = Digest::of(bytes);
    match claimed_digest(name).or(by_hex) {
        Some(claimed) if claimed != actual => Err(ImageError::archive(format!(
            "{name} has the digest {actual}"
        ))),
        _ => Ok(()),
    }
}

/// A name that has to have a tag.
pub(super) fn tagged(text: &str) -> Result<Reference, ImageError> {
    let name = Reference::parse(text)?;
    if name.tag().is_none() || name.digest().is_some() {
        return Err(ImageError::archive(format!("invalid tag {text:?}")));
    }
    Ok(name)
}

fn missing(name: &str) -> ImageError {
    ImageError::archive(format!("invalid archive: {name} is missing"))
}

/// Drop the parents that are not what they should be: a parent has to be in the same archive, and
/// the child's history has to be the parent's and one step more.
pub(super) fn check_parents(plan: &mut Plan) {
    let valid = |child: &ImageId, parent: &ImageId| -> bool {
        let (Some(child_image), Some(parent_image)) =
            (plan.images.get(child), plan.images.get(parent))
        else {
            return false;
        };
        let (steps, before) = (&child_image.config.history, &parent_image.config.history);
        let both_empty = steps.is_empty() && before.is_empty();
        child != parent
            && (both_empty || (steps.len() == before.len() + 1 && steps.starts_with(before)))
            && (child_image.layers.len() >= parent_image.layers.len())
    };
    let wrong: Vec<ImageId> = plan
        .images
        .iter()
        .filter(|(id, image)| image.parent.is_some_and(|parent| !valid(id, &parent)))
        .map(|(id, _)| *id)
        .collect();
    for id in wrong {
        if let Some(image) = plan.images.get_mut(&id) {
            image.parent = None;
        }
    }
}
