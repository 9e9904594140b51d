//! Docker's archives from before version 1.10: a directory per layer, each with a `json` that
//! names its parent, and `repositories` that names the uppermost ones.
//!
//! Such an image has no configuration of today's kind, so one is made, by Docker's own rules
//! (`MakeConfigFromV1Config`): the uppermost layer's `json` without what is about the layer, with
//! the list of layers and the history that the chain of parents tells.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::members::LoadedLayer;
use super::plan::{Plan, PlannedImage, Source, check_os};
use crate::config::{ImageConfig, MAX_CONFIG};
use crate::error::ImageError;
use crate::id::ImageId;
use crate::manifest::MAX_MANIFEST;
use crate::record::ImageLayer;
use crate::reference::Reference;

/// More than overlayfs can stack; also ends a chain that is a circle.
const MAX_CHAIN: usize = 500;

/// What of a layer's `json` matters for the image.
#[derive(Debug, Default, Deserialize)]
struct V1Layer {
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    container_config: Option<V1Command>,
}

#[derive(Debug, Default, Deserialize)]
struct V1Command {
    #[serde(rename = "Cmd", default)]
    command: Option<Vec<String>>,
}

/// Add every image that `repositories` names, or without it every uppermost layer.
pub(super) fn read(source: &Source<'_>, plan: &mut Plan) -> Result<(), ImageError> {
    let blobs = source.store.blobs();
    let repositories = source
        .members
        .document("repositories", MAX_MANIFEST, blobs)?;
    let Some(bytes) = repositories else {
        for id in uppermost(source)? {
            image(source, plan, &id)?;
        }
        return Ok(());
    };
    let repositories: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Json {
            what: "repositories".to_owned(),
            source,
        })?;
    for (repository, tags) in repositories {
        let repository = Reference::parse(&repository)?;
        for (tag, v1_id) in tags {
            let Some(id) = image(source, plan, &v1_id)? else {
                continue;
            };
            plan.name(repository.with_tag(&tag)?, id, None);
        }
    }
    Ok(())
}

/// The layers that are no other's parent.
fn uppermost(source: &Source<'_>) -> Result<Vec<String>, ImageError> {
    let mut layers = Vec::new();
    let mut parents = HashSet::new();
    for name in source.members.names() {
        let Some(v1_id) = name.strip_suffix("/json").filter(|id| !id.contains('/')) else {
            continue;
        };
        parents.extend(v1_layer(source, v1_id)?.1.parent);
        layers.push(v1_id.to_owned());
    }
    layers.retain(|v1_id| !parents.contains(v1_id));
    Ok(layers)
}

fn v1_layer(source: &Source<'_>, v1_id: &str) -> Result<(Vec<u8>, V1Layer), ImageError> {
    let valid = !v1_id.is_empty() && v1_id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !valid {
        return Err(ImageError::archive(format!(
            "image ID '{v1_id}' is invalid"
        )));
    }
    let name = format!("{v1_id}/json");
    let bytes = source
        .members
        .document(&name, MAX_CONFIG, source.store.blobs())?
        .ok_or_else(|| ImageError::archive(format!("invalid archive: {name} is missing")))?;
    let layer =
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Json { what: name, source })?;
    Ok((bytes, layer))
}

/// Add the image whose uppermost layer is `v1_id`. `None` if its platform was not asked for.
fn image(source: &Source<'_>, plan: &mut Plan, v1_id: &str) -> Result<Option<ImageId>, ImageError> {
    let (top, first) = v1_layer(source, v1_id)?;
    let mut chain = vec![(v1_id.to_owned(), first)];
    while let Some(parent) = chain.last().and_then(|(_, layer)| layer.parent.clone()) {
        if parent.is_empty() {
            break;
        }
        if chain.len() == MAX_CHAIN {
            return Err(ImageError::archive(format!(
                "the image {v1_id} has more than {MAX_CHAIN} layers"
            )));
        }
        let (_, layer) = v1_layer(source, &parent)?;
        chain.push((parent, layer));
    }
    chain.reverse();
    let mut layers = Vec::with_capacity(chain.len());
    let mut history = Vec::with_capacity(chain.len());
    for (v1_id, layer) in chain {
        let name = format!("{v1_id}/layer.tar");
        let Some(LoadedLayer { layer: loaded, .. }) = source.members.layer(&name)? else {
            return Err(ImageError::archive(format!(
                "invalid archive: {name} is missing"
            )));
        };
        layers.push(ImageLayer {
            diff_id: loaded.diff_id,
            size: loaded.content_bytes,
            wire: None,
        });
        history.push(step(layer));
    }
    let raw_config = configuration(&top, &layers, history, v1_id)?;
    let config = ImageConfig::parse(&raw_config)?;
    check_os(&config)?;
    if !source.is_wanted(&config.platform()) {
        return Ok(None);
    }
    let image = PlannedImage {
        raw_config,
        config,
        layers,
        manifest: None,
        parent: None,
    };
    Ok(Some(plan.add(image)))
}

/// A layer's entry in the history.
fn step(layer: V1Layer) -> Value {
    let command = layer
        .container_config
        .and_then(|config| config.command)
        .unwrap_or_default();
    let mut step = Map::new();
    for (key, text) in [
        ("created", layer.created),
        ("author", layer.author),
        ("created_by", Some(command.join(" "))),
        ("comment", layer.comment),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            step.insert(key.to_owned(), Value::String(text));
        }
    }
    Value::Object(step)
}

fn configuration(
    top: &[u8],
    layers: &[ImageLayer],
    history: Vec<Value>,
    v1_id: &str,
) -> Result<Vec<u8>, ImageError> {
    let json_error = |source| ImageError::Json {
        what: format!("{v1_id}/json"),
        source,
    };
    let mut config: Map<String, Value> = serde_json::from_slice(top).map_err(json_error)?;
    for about_the_layer in ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"] {
        config.remove(about_the_layer);
    }
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    config.insert(
        "rootfs".to_owned(),
        json!({ "type": "layers", "diff_ids": diff_ids }),
    );
    config.insert("history".to_owned(), Value::Array(history));
    serde_json::to_vec(&config).map_err(json_error)
}
