//! `save`: images become an archive that Docker of any age, and any OCI tool, can read.
//!
//! An OCI layout with the two documents of docker-archive beside it, as Docker writes since
//! version 25; layers uncompressed, under their diff IDs. A manifest (or index) that came with
//! the image is written as it came if it says exactly that, and otherwise made anew. The same
//! images under the same names give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use serde::Serialize;
use wharf_store::tar::{Entry, Kind, Writer};
use wharf_store::{DiffId, Digest, Lease, StoreError};

use super::members::blob_name;
use crate::catalogue::Catalogue;
use crate::config::MAX_CONFIG;
use crate::error::ImageError;
use crate::id::ImageId;
use crate::images::{Images, lookup};
use crate::manifest::{Descriptor, Document, Index, MAX_MANIFEST, Manifest, media_type};
use crate::platform::Platform;
use crate::record::{ImageRecord, IndexRecord, TagRecord};
use crate::reference::{AnyReference, Reference};

/// An image to save and the names to save it under.
#[derive(Debug)]
struct Selected {
    id: ImageId,
    names: Vec<Reference>,
}

/// One image of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Images {
    /// Write an archive of the images that `names` mean: IDs, or names; a name without a tag
    /// means all tags of its repository. With `platform`, of multi-platform images only the one
    /// for that. Returns the images that were written.
    pub fn save(
        &self,
        names: &[String],
        platform: Option<&Platform>,
        out: &mut dyn Write,
    ) -> Result<Vec<ImageId>, ImageError> {
        let lease = self.store().lease();
        let catalogue = self.catalogue();
        let selected = select(&catalogue, names, platform)?;
        let mut contents = Contents {
            images: self,
            catalogue: &catalogue,
            lease: &lease,
            parts: BTreeMap::new(),
        };
        let documents = contents.describe(&selected, platform.is_none())?;
        let parts = contents.parts;
        let mut archive = Archive {
            images: self,
            tar: Writer::new(out),
        };
        archive.directory("blobs/")?;
        archive.directory("blobs/sha256/")?;
        for (digest, part) in &parts {
            archive.part(&blob_name(digest), part)?;
        }
        for (name, bytes) in &documents {
            archive.document(name, bytes)?;
        }
        archive.finish()?;
        Ok(selected.into_iter().map(|image| image.id).collect())
    }
}

fn select(
    catalogue: &Catalogue,
    names: &[String],
    platform: Option<&Platform>,
) -> Result<Vec<Selected>, ImageError> {
    let mut selected: Vec<Selected> = Vec::new();
    let mut add = |id: ImageId, name: Option<&Reference>| {
        let at = selected
            .iter()
            .position(|image| image.id == id)
            .unwrap_or_else(|| {
                selected.push(Selected {
                    id,
                    names: Vec::new(),
                });
                selected.len() - 1
            });
        if let Some(name) = name.filter(|name| name.digest().is_none())
            && !selected[at].names.contains(name)
        {
            selected[at].names.push(name.clone());
        }
    };
    for text in names {
        if let AnyReference::Named(repository) = AnyReference::parse(text)?
            && repository.is_name_only()
        {
            let mut tags = catalogue.names_in(&repository).peekable();
            if tags.peek().is_some() {
                for (name, tag) in tags {
                    add(for_platform(catalogue, name, tag, platform)?, Some(name));
                }
                continue;
            }
        }
        let found = lookup(catalogue, text)?;
        let tag = found
            .name
            .as_ref()
            .and_then(|name| Some((name, catalogue.tag(name)?)));
        match tag {
            Some((name, tag)) => {
                add(for_platform(catalogue, name, tag, platform)?, Some(name));
            }
            None => add(found.id, None),
        }
    }
    Ok(selected)
}

/// Of the images of one name the first (which is for this machine), or the one for `platform`.
fn for_platform(
    catalogue: &Catalogue,
    name: &Reference,
    tag: &TagRecord,
    platform: Option<&Platform>,
) -> Result<ImageId, ImageError> {
    let rank = |id: &ImageId| match platform {
        None => Some(0),
        Some(wanted) => wanted.suits(&catalogue.image(id)?.platform),
    };
    let best = tag
        .images()
        .filter_map(|id| Some((rank(&id)?, id)))
        .min_by_key(|(rank, _)| *rank);
    best.map(|(_, id)| id)
        .ok_or_else(|| ImageError::OtherPlatform {
            name: name.familiar(),
            wanted: platform.map(Platform::to_string).unwrap_or_default(),
            actual: tag
                .images()
                .filter_map(|id| Some(catalogue.image(&id)?.platform.to_string()))
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// A blob of the archive.
enum Part {
    Bytes(Vec<u8>),
    Layer(DiffId, u64),
}

/// Works out what the archive holds; everything it names is held by the lease.
struct Contents<'a> {
    images: &'a Images,
    catalogue: &'a Catalogue,
    lease: &'a Lease,
    parts: BTreeMap<Digest, Part>,
}

impl Contents<'_> {
    /// The documents at the top of the archive, by name; the blobs go to `parts`.
    fn describe(
        &mut self,
        selected: &[Selected],
        with_other_platforms: bool,
    ) -> Result<Vec<(&'static str, Vec<u8>)>, ImageError> {
        let mut manifests = Vec::new();
        let mut items = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for image in selected {
            let (manifest, _) = self.image(&image.id)?;
            let record = self.record(&image.id)?;
            if image.names.is_empty() {
                manifests.push(manifest.clone());
            }
            for name in &image.names {
                let index = self.catalogue.tag(name).and_then(|tag| tag.index.clone());
                let mut descriptor = match index.filter(|_| with_other_platforms) {
                    Some(index) => self.index(&index)?,
                    None => manifest.clone(),
                };
                let tag = name.tag().unwrap_or_default().to_owned();
                let annotations = &mut descriptor.annotations;
                annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
                annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.clone());
                manifests.push(descriptor);
                if let Some(top) = record.layers.last() {
                    let tags = repositories.entry(name.familiar_name()).or_default();
                    tags.insert(tag, top.diff_id.hex());
                }
            }
            let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
            items.push(Item {
                config: blob_name(&image.id.0),
                repo_tags: Some(names).filter(|names| !names.is_empty()),
                layers: record
                    .diff_ids()
                    .map(|diff_id| blob_name(&diff_id.0))
                    .collect(),
            });
        }
        let index = Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests,
        };
        let mut documents = vec![
            ("index.json", to_json(&index, "index.json")?),
            ("manifest.json", to_json(&items, "manifest.json")?),
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ];
        if !repositories.is_empty() {
            documents.push(("repositories", to_json(&repositories, "repositories")?));
        }
        Ok(documents)
    }

    /// Add an image. Its manifest's descriptor, and whether that is the one it came with.
    fn image(&mut self, id: &ImageId) -> Result<(Descriptor, bool), ImageError> {
        let record = self.record(id)?;
        let config = self.blob(&id.0, MAX_CONFIG)?;
        let config_size = config.len() as u64;
        self.parts.insert(id.0, Part::Bytes(config));
        let mut layers = Vec::with_capacity(record.layers.len());
        for diff_id in record.diff_ids() {
            self.lease.hold_layer(*diff_id);
            let layer = self.images.store().layers().get(diff_id)?;
            let size = layer.ok_or(StoreError::NoSuchLayer(*diff_id))?.tar_bytes;
            self.parts.insert(diff_id.0, Part::Layer(*diff_id, size));
            layers.push(Descriptor::new(media_type::OCI_LAYER, diff_id.0, size));
        }
        let kept = self.kept_manifest(&record)?;
        let came_with_it = kept.is_some();
        let (bytes, kind) = match kept {
            Some((bytes, manifest)) => (bytes, manifest.media_type),
            None => {
                let manifest = Manifest {
                    schema_version: 2,
                    media_type: media_type::OCI_MANIFEST.to_owned(),
                    config: Descriptor::new(media_type::OCI_CONFIG, id.0, config_size),
                    layers,
                };
                (to_json(&manifest, "manifest")?, manifest.media_type)
            }
        };
        let kind = if kind.is_empty() {
            media_type::OCI_MANIFEST
        } else {
            &kind
        };
        let platform = Some(record.platform.clone());
        let digest = Digest::of(&bytes);
        let descriptor = Descriptor {
            platform,
            ..Descriptor::new(kind, digest, bytes.len() as u64)
        };
        self.parts.insert(digest, Part::Bytes(bytes));
        Ok((descriptor, came_with_it))
    }

    /// The manifest an image came with, if the layers it lists are those that are saved.
    fn kept_manifest(
        &self,
        record: &ImageRecord,
    ) -> Result<Option<(Vec<u8>, Manifest)>, ImageError> {
        let Some(digest) = record.manifest else {
            return Ok(None);
        };
        let bytes = self.blob(&digest, MAX_MANIFEST)?;
        let Document::Manifest(manifest) = Document::parse(&bytes, "", "manifest")? else {
            return Ok(None);
        };
        let same = manifest.layers.len() == record.layers.len()
            && manifest
                .layers
                .iter()
                .zip(record.diff_ids())
                .all(|(layer, id)| layer.digest == id.0);
        Ok(same.then_some((bytes, *manifest)))
    }

    /// Add a multi-platform index with all its images that are here.
    fn index(&mut self, record: &IndexRecord) -> Result<Descriptor, ImageError> {
        let mut manifests = Vec::new();
        let mut as_it_came = true;
        let mut seen = BTreeSet::new();
        for id in record.images.iter().filter(|id| seen.insert(**id)) {
            let (descriptor, came_with_it) = self.image(id)?;
            as_it_came &= came_with_it;
            manifests.push(descriptor);
        }
        let (bytes, kind) = if as_it_came {
            for digest in &record.attached {
                let bytes = self.blob(digest, MAX_CONFIG)?;
                self.parts.insert(*digest, Part::Bytes(bytes));
            }
            let bytes = self.blob(&record.digest, MAX_MANIFEST)?;
            let kind = match Document::parse(&bytes, "", "index")? {
                Document::Index(index) => index.media_type,
                Document::Manifest(_) => String::new(),
            };
            (bytes, kind)
        } else {
            // Attestations speak of manifests by digest: beside other manifests they are void.
            let index = Index {
                schema_version: 2,
                media_type: media_type::OCI_INDEX.to_owned(),
                manifests,
            };
            (to_json(&index, "index")?, index.media_type)
        };
        let kind = if kind.is_empty() {
            media_type::OCI_INDEX
        } else {
            &kind
        };
        let descriptor = Descriptor::new(kind, Digest::of(&bytes), bytes.len() as u64);
        self.parts.insert(descriptor.digest, Part::Bytes(bytes));
        Ok(descriptor)
    }

    fn record(&self, id: &ImageId) -> Result<ImageRecord, ImageError> {
        let record = self.catalogue.image(id);
        record
            .map(|record| ImageRecord::clone(record))
            .ok_or_else(|| ImageError::NoSuchImage(id.to_string()))
    }

    fn blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
        self.lease.hold_blob(*digest);
        Ok(self.images.store().blobs().read(digest, limit)?)
    }
}

fn to_json<T: Serialize>(value: &T, what: &str) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(value).map_err(|source| ImageError::Json {
        what: what.to_owned(),
        source,
    })
}

/// The archive being written. Every member is of root's and of 1970, so that its bytes depend on
/// nothing but the images.
struct Archive<'a, W: Write> {
    images: &'a Images,
    tar: Writer<W>,
}

impl<W: Write> Archive<'_, W> {
    fn directory(&mut self, name: &str) -> Result<(), ImageError> {
        let mut entry = Entry::new(name, Kind::Directory);
        entry.mode = 0o755;
        self.tar.entry(&entry).map_err(failed(name))
    }

    fn part(&mut self, name: &str, part: &Part) -> Result<(), ImageError> {
        match part {
            Part::Bytes(bytes) => self.document(name, bytes),
            Part::Layer(diff_id, size) => self.layer(name, diff_id, *size),
        }
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        self.file(name, bytes.len() as u64)?;
        self.tar.write_data(bytes).map_err(failed(name))
    }

    fn layer(&mut self, name: &str, diff_id: &DiffId, size: u64) -> Result<(), ImageError> {
        self.file(name, size)?;
        let mut layer = self.images.store().layers().open_tar(diff_id)?;
        let mut buffer = vec![0u8; 256 * 1024];
        loop {
            let got = layer.read(&mut buffer).map_err(|source| ImageError::Read {
                what: format!("layer {diff_id}"),
                source,
            })?;
            if got == 0 {
                // A layer that is shorter than it was is noticed when the next member begins.
                return Ok(());
            }
            self.tar.write_data(&buffer[..got]).map_err(failed(name))?;
        }
    }

    fn file(&mut self, name: &str, size: u64) -> Result<(), ImageError> {
        let mut entry = Entry::new(name, Kind::File);
        entry.mode = 0o644;
        entry.size = size;
        self.tar.entry(&entry).map_err(failed(name))
    }

    fn finish(self) -> Result<(), ImageError> {
        self.tar
            .finish()
            .map(drop)
            .map_err(failed("the end of the archive"))
    }
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> ImageError + '_ {
    move |source| ImageError::Write {
        what: what.to_owned(),
        source,
    }
}
