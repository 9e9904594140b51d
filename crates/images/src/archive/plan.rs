//! What a load is going to do, worked out before anything is named.
//!
//! The readers of the three forms ([`oci`](super::oci), [`docker`](super::docker),
//! [`legacy`](super::legacy)) each add what they find; an image that two of them find is one
//! image, and of two meanings of a name the first counts.

use std::collections::BTreeMap;

use wharf_store::{DiffId, Digest, Store};

use super::members::{LoadedLayer, Members};
use crate::config::ImageConfig;
use crate::error::ImageError;
use crate::id::ImageId;
use crate::manifest::Descriptor;
use crate::platform::Platform;
use crate::record::{ImageLayer, IndexRecord, WireForm};
use crate::reference::Reference;

/// An image whose parts are all there.
#[derive(Debug)]
pub(super) struct PlannedImage {
    pub(super) raw_config: Vec<u8>,
    pub(super) config: ImageConfig,
    pub(super) layers: Vec<ImageLayer>,
    pub(super) manifest: Option<Digest>,
    /// The image it says it was committed from.
    pub(super) parent: Option<ImageId>,
}

/// A name for an image.
#[derive(Debug)]
pub(super) struct PlannedName {
    pub(super) name: Reference,
    pub(super) image: ImageId,
    pub(super) index: Option<IndexRecord>,
}

/// Everything that will be written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) images: BTreeMap<ImageId, PlannedImage>,
    /// The images in the order they were found, for what is told to the user.
    pub(super) order: Vec<ImageId>,
    pub(super) names: Vec<PlannedName>,
    /// Manifests, indexes and attestations to keep as they came.
    pub(super) documents: Vec<Vec<u8>>,
}

impl Plan {
    /// Add an image, or what another form says about one that was found already.
    pub(super) fn add(&mut self, image: PlannedImage) -> ImageId {
        let id = ImageId(Digest::of(&image.raw_config));
        match self.images.get_mut(&id) {
            None => {
                self.order.push(id);
                self.images.insert(id, image);
            }
            Some(known) => {
                known.manifest = known.manifest.or(image.manifest);
                known.parent = known.parent.or(image.parent);
            }
        }
        id
    }

    /// Give a name, unless the archive has given it already.
    pub(super) fn name(&mut self, name: Reference, image: ImageId, index: Option<IndexRecord>) {
        if !self.names.iter().any(|known| known.name == name) {
            self.names.push(PlannedName { name, image, index });
        }
    }
}

/// What the readers of the forms work with.
pub(super) struct Source<'a> {
    pub(super) members: &'a Members,
    pub(super) store: &'a Store,
    pub(super) lease: &'a wharf_store::Lease,
    /// Only images for these; none: for all.
    pub(super) platforms: &'a [Platform],
}

impl Source<'_> {
    /// Whether an image for `platform` was asked for.
    pub(super) fn is_wanted(&self, platform: &Platform) -> bool {
        self.platforms.is_empty()
            || self
                .platforms
                .iter()
                .any(|wanted| wanted.suits(platform).is_some())
    }

    /// The layer of an image's configuration that the member `name` is said to be. If the archive
    /// lacks it, the one in the store will do: it has the same digest.
    pub(super) fn layer(
        &self,
        position: usize,
        diff_id: &DiffId,
        name: &str,
        descriptor: Option<&Descriptor>,
    ) -> Result<Option<ImageLayer>, ImageError> {
        let Some(loaded) = self.members.layer(name)? else {
            return self.layer_in_store(diff_id, descriptor);
        };
        let LoadedLayer {
            layer,
            member: (digest, size),
        } = loaded;
        if let Some(descriptor) = descriptor
            && (descriptor.digest, descriptor.size) != (*digest, *size)
        {
            return Err(ImageError::archive(format!(
                "{name} is not what its descriptor says: expected {} of {} bytes, got {digest} of {size} bytes",
                descriptor.digest, descriptor.size,
            )));
        }
        let claimed = super::members::claimed_digest(name);
        if claimed.is_some_and(|claimed| claimed != *digest) {
            return Err(ImageError::archive(format!(
                "{name} has the digest {digest}"
            )));
        }
        if layer.diff_id != *diff_id {
            return Err(ImageError::archive(format!(
                "invalid diffID for layer {position}: expected {:?}, got {:?}",
                diff_id.to_string(),
                layer.diff_id.to_string(),
            )));
        }
        let wire = (*digest != diff_id.0).then(|| WireForm {
            media_type: descriptor.map(|d| d.media_type.clone()).unwrap_or_default(),
            digest: *digest,
            size: *size,
        });
        Ok(Some(ImageLayer {
            diff_id: *diff_id,
            size: layer.content_bytes,
            wire,
        }))
    }

    fn layer_in_store(
        &self,
        diff_id: &DiffId,
        descriptor: Option<&Descriptor>,
    ) -> Result<Option<ImageLayer>, ImageError> {
        self.lease.hold_layer(*diff_id);
        let Some(layer) = self.store.layers().get(diff_id)? else {
            return Ok(None);
        };
        let wire = descriptor
            .filter(|d| d.digest != diff_id.0)
            .map(|d| WireForm {
                media_type: d.media_type.clone(),
                digest: d.digest,
                size: d.size,
            });
        Ok(Some(ImageLayer {
            diff_id: *diff_id,
            size: layer.content_bytes,
            wire,
        }))
    }
}

/// As Docker says that there are not as many layers as the configuration has.
pub(super) fn check_layer_count(listed: usize, config: &ImageConfig) -> Result<(), ImageError> {
    let configured = config.rootfs.diff_ids.len();
    if listed == configured {
        return Ok(());
    }
    Err(ImageError::archive(format!(
        "invalid manifest, layers length mismatch: expected {listed}, got {configured}"
    )))
}

/// As Docker says that an image is for another operating system.
pub(super) fn check_os(config: &ImageConfig) -> Result<(), ImageError> {
    let os = config.platform().os;
    if os == "linux" {
        return Ok(());
    }
    Err(ImageError::archive(format!(
        "cannot load {os} image on linux"
    )))
}
