//! What is written to the database about images and names.
//!
//! An image's record repeats what its configuration says (labels, platform, time): the
//! configuration is a blob named by its digest, so the two can never come to differ, and a
//! daemon with 10,000 images starts without opening 10,000 blobs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_store::{DiffId, Digest};

use crate::config::{ImageConfig, parse_time};
use crate::id::ImageId;
use crate::platform::Platform;

/// Kind of the documents about images; the key is the ID.
pub(crate) const IMAGE: &str = "image";
/// Kind of the documents about names; the key is the normalised reference.
pub(crate) const TAG: &str = "tag";

/// An image that is complete in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) layers: Vec<ImageLayer>,
    pub(crate) platform: Platform,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// The image it was committed from, for as long as that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<ImageId>,
    /// The manifest it came with, kept as a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<Digest>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// Its name in the store.
    pub diff_id: DiffId,
    /// Bytes of the files in it: what Docker calls its size.
    pub size: u64,
    /// The compressed form in which it came, which is not kept: a push can say whether the
    /// other side has it, and has to compress anew if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<WireForm>,
}

/// A layer as it crossed the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireForm {
    /// How it was packed.
    pub media_type: String,
    /// Digest of the packed bytes.
    pub digest: Digest,
    /// Their length.
    pub size: u64,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TagRecord {
    /// The image for this machine.
    pub(crate) image: ImageId,
    /// When the name was given, RFC 3339.
    pub(crate) tagged: String,
    /// The multi-platform index the name came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<IndexRecord>,
}

/// A multi-platform index of which at least one image is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexRecord {
    /// The index, kept as a blob.
    pub(crate) digest: Digest,
    /// The images of it that are here, in its order.
    pub(crate) images: Vec<ImageId>,
    /// Other blobs that belong to it: inner indexes, attestations and what they list.
    pub(crate) attached: Vec<Digest>,
}

impl ImageRecord {
    pub(crate) fn new(config: &ImageConfig, layers: Vec<ImageLayer>) -> ImageRecord {
        ImageRecord {
            layers,
            platform: config.platform(),
            created: config.created.clone(),
            labels: config
                .config
                .as_ref()
                .map(|run| run.labels.clone())
                .unwrap_or_default(),
            parent: None,
            manifest: None,
        }
    }

    pub(crate) fn created_at(&self) -> Option<Timestamp> {
        self.created.as_deref().and_then(parse_time)
    }

    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    pub(crate) fn diff_ids(&self) -> impl Iterator<Item = &DiffId> {
        self.layers.iter().map(|layer| &layer.diff_id)
    }
}

impl TagRecord {
    pub(crate) fn now(image: ImageId) -> TagRecord {
        TagRecord {
            image,
            tagged: Timestamp::now().to_string(),
            index: None,
        }
    }

    pub(crate) fn tagged_at(&self) -> Option<Timestamp> {
        parse_time(&self.tagged)
    }

    /// Every image this name keeps: the one for this machine and those for others.
    pub(crate) fn images(&self) -> impl Iterator<Item = ImageId> {
        let others = self
            .index
            .iter()
            .flat_map(|index| index.images.iter().copied());
        std::iter::once(self.image).chain(others.filter(|id| *id != self.image))
    }
}
