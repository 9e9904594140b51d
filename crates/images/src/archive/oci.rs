//! The OCI layout: `index.json` names descriptors, blobs are members named by their digest.

use wharf_store::Digest;

use super::members::{Content, blob_name};
use super::plan::{Plan, PlannedImage, Source, check_layer_count, check_os};
use crate::config::{ImageConfig, MAX_CONFIG};
use crate::error::ImageError;
use crate::id::ImageId;
use crate::manifest::{Descriptor, Document, Index, MAX_MANIFEST, Manifest, media_type};
use crate::platform::Platform;
use crate::record::IndexRecord;
use crate::reference::Reference;

/// Indexes within indexes.
const MAX_DEPTH: usize = 4;
/// Documents read for one archive.
const MAX_DOCUMENTS: usize = 4096;

/// containerd's annotation for the whole name.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// The specification's annotation, which by most writers is only the tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Add everything that `index.json` lists.
pub(super) fn read(source: &Source<'_>, plan: &mut Plan) -> Result<(), ImageError> {
    let blobs = source.store.blobs();
    let Some(bytes) = source.members.document("index.json", MAX_MANIFEST, blobs)? else {
        return Ok(());
    };
    let Document::Index(index) = Document::parse(&bytes, media_type::OCI_INDEX, "index.json")?
    else {
        return Err(ImageError::archive("index.json is not an index"));
    };
    let mut reader = LayoutReader {
        source,
        plan,
        documents: 0,
    };
    for descriptor in &index.manifests {
        if !descriptor.is_attachment() {
            reader.top(descriptor)?;
        }
    }
    Ok(())
}

/// Why an image in an index is passed over.
enum Skipped {
    /// A part of it is not in the archive.
    Missing(Digest),
    /// It is for a machine that was not asked for, or that cannot be this one.
    OtherPlatform(Platform),
    /// It is no image.
    NotAnImage(String),
}

/// What an index turned out to hold.
#[derive(Default)]
struct Collected {
    images: Vec<ImageId>,
    attached: Vec<Digest>,
    skipped: Vec<Skipped>,
}

struct LayoutReader<'a, 'b> {
    source: &'a Source<'b>,
    plan: &'a mut Plan,
    documents: usize,
}

impl LayoutReader<'_, '_> {
    fn top(&mut self, descriptor: &Descriptor) -> Result<(), ImageError> {
        let name = name_of(descriptor)?;
        let Some((bytes, document)) = self.document(descriptor)? else {
            return Err(missing(&descriptor.digest));
        };
        let (image, index) = match document {
            Document::Manifest(manifest) => {
                match self.image(&manifest, &bytes, descriptor)? {
                    Ok(image) => (image, None),
                    // Asked for by platform, so not a failure until nothing is left.
                    Err(Skipped::OtherPlatform(_)) if !self.source.platforms.is_empty() => {
                        return Ok(());
                    }
                    Err(skipped) => return Err(refused(&[skipped])),
                }
            }
            Document::Index(index) => {
                let mut collected = Collected::default();
                self.index(&index, 1, &mut collected)?;
                let Some(image) = self.best(&collected.images) else {
                    if collected
                        .skipped
                        .iter()
                        .all(|s| matches!(s, Skipped::OtherPlatform(_)))
                        && !self.source.platforms.is_empty()
                    {
                        return Ok(());
                    }
                    return Err(refused(&collected.skipped));
                };
                self.plan.documents.push(bytes);
                let index = IndexRecord {
                    digest: descriptor.digest,
                    images: collected.images,
                    attached: collected.attached,
                };
                (image, Some(index))
            }
        };
        if let Some(name) = name {
            self.plan.name(name, image, index);
        }
        Ok(())
    }

    /// The image that suits this machine best; if none does, the first.
    fn best(&self, images: &[ImageId]) -> Option<ImageId> {
        let host = Platform::host();
        let platform = |id: &ImageId| {
            self.plan
                .images
                .get(id)
                .map(|image| image.config.platform())
        };
        images
            .iter()
            .filter_map(|id| Some((host.suits(&platform(id)?)?, *id)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, id)| id)
            .or_else(|| images.first().copied())
    }

    fn index(
        &mut self,
        index: &Index,
        depth: usize,
        collected: &mut Collected,
    ) -> Result<(), ImageError> {
        if depth > MAX_DEPTH {
            return Err(ImageError::archive(format!(
                "indexes are nested deeper than {MAX_DEPTH} in the archive"
            )));
        }
        for descriptor in &index.manifests {
            let Some((bytes, document)) = self.document(descriptor)? else {
                collected.skipped.push(Skipped::Missing(descriptor.digest));
                continue;
            };
            match document {
                Document::Manifest(manifest) if descriptor.is_attachment() => {
                    self.attach(&manifest, bytes, descriptor.digest, collected)?;
                }
                Document::Manifest(manifest) => match self.image(&manifest, &bytes, descriptor)? {
                    Ok(image) => collected.images.push(image),
                    Err(skipped) => collected.skipped.push(skipped),
                },
                Document::Index(inner) => {
                    self.index(&inner, depth + 1, collected)?;
                    collected.attached.push(descriptor.digest);
                    self.plan.documents.push(bytes);
                }
            }
        }
        Ok(())
    }

    /// Keep an attestation with the documents it lists, as far as they came.
    fn attach(
        &mut self,
        manifest: &Manifest,
        bytes: Vec<u8>,
        digest: Digest,
        collected: &mut Collected,
    ) -> Result<(), ImageError> {
        collected.attached.push(digest);
        self.plan.documents.push(bytes);
        for descriptor in std::iter::once(&manifest.config).chain(&manifest.layers) {
            match self.source.members.find(&blob_name(&descriptor.digest))? {
                Some(Content::Document(bytes)) => {
                    verify(descriptor, bytes)?;
                    self.plan.documents.push(bytes.clone());
                }
                // Verified when it was written: its name is its digest.
                Some(Content::Blob(_)) => {}
                Some(Content::Layer(_) | Content::Broken(_)) | None => continue,
            }
            collected.attached.push(descriptor.digest);
        }
        Ok(())
    }

    fn image(
        &mut self,
        manifest: &Manifest,
        bytes: &[u8],
        descriptor: &Descriptor,
    ) -> Result<Result<ImageId, Skipped>, ImageError> {
        let kind = manifest.config.media_type.as_str();
        if !matches!(
            kind,
            media_type::OCI_CONFIG | media_type::DOCKER_CONFIG | ""
        ) {
            return Ok(Err(Skipped::NotAnImage(kind.to_owned())));
        }
        let name = blob_name(&manifest.config.digest);
        let blobs = self.source.store.blobs();
        let Some(raw_config) = self.source.members.document(&name, MAX_CONFIG, blobs)? else {
            return Ok(Err(Skipped::Missing(manifest.config.digest)));
        };
        verify(&manifest.config, &raw_config)?;
        let config = ImageConfig::parse(&raw_config)?;
        let platform = config.platform();
        if check_os(&config).is_err() || !self.source.is_wanted(&platform) {
            return Ok(Err(Skipped::OtherPlatform(platform)));
        }
        check_layer_count(manifest.layers.len(), &config)?;
        let mut layers = Vec::with_capacity(manifest.layers.len());
        for (position, (layer, diff_id)) in manifest
            .layers
            .iter()
            .zip(&config.rootfs.diff_ids)
            .enumerate()
        {
            let name = blob_name(&layer.digest);
            match self.source.layer(position, diff_id, &name, Some(layer))? {
                Some(layer) => layers.push(layer),
                None => return Ok(Err(Skipped::Missing(layer.digest))),
            }
        }
        self.plan.documents.push(bytes.to_vec());
        let manifest = Some(descriptor.digest);
        Ok(Ok(self.plan.add(PlannedImage {
            raw_config,
            config,
            layers,
            manifest,
            parent: None,
        })))
    }

    /// The manifest or index of a descriptor, verified; `None` if it is not in the archive.
    fn document(
        &mut self,
        descriptor: &Descriptor,
    ) -> Result<Option<(Vec<u8>, Document)>, ImageError> {
        self.documents += 1;
        if self.documents > MAX_DOCUMENTS {
            return Err(ImageError::archive(format!(
                "the archive lists more than {MAX_DOCUMENTS} manifests"
            )));
        }
        let name = blob_name(&descriptor.digest);
        let blobs = self.source.store.blobs();
        let Some(bytes) = self.source.members.document(&name, MAX_MANIFEST, blobs)? else {
            return Ok(None);
        };
        verify(descriptor, &bytes)?;
        let document = Document::parse(&bytes, &descriptor.media_type, &name)?;
        Ok(Some((bytes, document)))
    }
}

fn verify(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
    let actual = Digest::of(bytes);
    if actual == descriptor.digest && bytes.len() as u64 == descriptor.size {
        return Ok(());
    }
    Err(ImageError::archive(format!(
        "{} is not what its descriptor says: expected {} bytes, got {actual} of {} bytes",
        blob_name(&descriptor.digest),
        descriptor.size,
        bytes.len()
    )))
}

/// The name an entry of `index.json` gives, if it gives a whole one. A bare word in the
/// specification's annotation is a tag of a repository that is not said.
fn name_of(descriptor: &Descriptor) -> Result<Option<Reference>, ImageError> {
    let whole = descriptor.annotations.get(IMAGE_NAME);
    let text = whole.or_else(|| {
        descriptor
            .annotations
            .get(REF_NAME)
            .filter(|name| name.contains([':', '/']))
    });
    let Some(text) = text else { return Ok(None) };
    let name = Reference::parse(text)?;
    // A digest in a name would claim where the image came from, which an archive cannot prove.
    Ok(Some(name.or_latest()).filter(|name| name.digest().is_none()))
}

fn missing(digest: &Digest) -> ImageError {
    ImageError::archive(format!("invalid archive: {} is missing", blob_name(digest)))
}

/// Why nothing of what was listed could be loaded.
fn refused(skipped: &[Skipped]) -> ImageError {
    match skipped.first() {
        Some(Skipped::Missing(digest)) => missing(digest),
        Some(Skipped::OtherPlatform(platform)) => {
            ImageError::archive(format!("cannot load {} image on linux", platform.os))
        }
        Some(Skipped::NotAnImage(kind)) => {
            ImageError::archive(format!("not an image: its configuration is of type {kind}"))
        }
        None => ImageError::archive("the index lists no image"),
    }
}
