//! OCI and Docker manifests and indexes, as they come from outside.
//!
//! The type-confusion guard (CVE-2021-41190): a document that has the lists of both an index and
//! a manifest, or whose own media type contradicts what it holds or what its descriptor said, is
//! refused, so that no two readers of one digest can see two different images.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use wharf_store::Digest;

use crate::error::ImageError;
use crate::platform::Platform;

/// Registries refuse longer ones.
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Manifests in one index, or layers in one manifest.
const MAX_ENTRIES: usize = 4096;

/// Media types by their published names.
pub mod media_type {
    /// An OCI index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An uncompressed OCI layer.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A Docker manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
}

/// Names a blob, and says what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What is said about it.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The machine it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// A descriptor of that much and no more.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    /// Whether it is something that goes with an image but is none (provenance, SBOM).
    #[must_use]
    pub fn is_attachment(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
    }
}

/// A list of manifests, each for another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::OCI_INDEX`] or Docker's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What is listed.
    #[serde(default, deserialize_with = "nullable")]
    pub manifests: Vec<Descriptor>,
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`media_type::OCI_MANIFEST`] or Docker's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    #[serde(deserialize_with = "nullable")]
    pub layers: Vec<Descriptor>,
}

/// An index or a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Several images.
    Index(Index),
    /// One image.
    Manifest(Box<Manifest>),
}

/// The fields that tell the kinds apart, their content not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    media_type: String,
    manifests: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

impl Document {
    /// Read a document. `announced` is the media type its descriptor gave, or empty; `what` names
    /// it in errors.
    pub fn parse(bytes: &[u8], announced: &str, what: &str) -> Result<Document, ImageError> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(ImageError::TooLarge {
                what: what.to_owned(),
                limit: MAX_MANIFEST,
            });
        }
        let json = |source| ImageError::Json {
            what: what.to_owned(),
            source,
        };
        let probe: Probe = serde_json::from_slice(bytes).map_err(json)?;
        if probe.fs_layers.is_some() {
            return Err(ImageError::archive(format!(
                "{what}: schema 1 manifests are not supported"
            )));
        }
        let is_index = match (probe.manifests, probe.layers.or(probe.config)) {
            (Some(_), Some(_)) => {
                return Err(ImageError::archive(format!(
                    "{what}: the document is both an index and a manifest"
                )));
            }
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => {
                return Err(ImageError::archive(format!(
                    "{what}: the document is neither an index nor a manifest"
                )));
            }
        };
        for claimed in [announced, &probe.media_type] {
            if claims_index(claimed).is_some_and(|claims| claims != is_index) {
                return Err(ImageError::archive(format!(
                    "{what}: the document is not what its media type {claimed} says"
                )));
            }
        }
        let (document, entries) = if is_index {
            let index: Index = serde_json::from_slice(bytes).map_err(json)?;
            let entries = index.manifests.len();
            (Document::Index(index), entries)
        } else {
            let manifest: Manifest = serde_json::from_slice(bytes).map_err(json)?;
            let entries = manifest.layers.len();
            (Document::Manifest(Box::new(manifest)), entries)
        };
        if entries > MAX_ENTRIES {
            return Err(ImageError::archive(format!(
                "{what}: {entries} entries, more than the limit of {MAX_ENTRIES}"
            )));
        }
        Ok(document)
    }
}

/// Whether a media type is that of an index (`true`), of a manifest (`false`), or of neither.
fn claims_index(claimed: &str) -> Option<bool> {
    match claimed {
        media_type::OCI_INDEX | media_type::DOCKER_INDEX => Some(true),
        media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Some(false),
        _ => None,
    }
}

fn nullable<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str) -> Result<Document, ImageError> {
        Document::parse(text.replace("$D", D).as_bytes(), "", "index.json")
    }

    const MANIFEST: &str = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",
        "digest":"$D","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"$D",
        "size":1024}]}"#;
    const INDEX: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":
        [{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"$D","size":7,"platform":
        {"os":"linux","architecture":"arm64"},"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}"#;

    #[test]
    fn a_manifest_and_an_index_are_told_apart() {
        assert!(matches!(parse(MANIFEST), Ok(Document::Manifest(m)) if m.layers.len() == 1));
        assert!(matches!(parse(INDEX), Ok(Document::Index(i)) if i.manifests.len() == 1));
    }

    #[test]
    fn cve_2021_41190_a_document_that_is_both_is_refused() {
        for both in [
            r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#,
            r#"{"schemaVersion":2,"manifests":[],"layers":null,"config":{"digest":"$D","size":1}}"#,
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
        ] {
            assert!(parse(both).is_err(), "{both}");
        }
        let index = INDEX.replace("image.index", "image.manifest");
        assert!(
            parse(&index)
                .unwrap_err()
                .to_string()
                .contains("not what its media type")
        );
        let manifest = MANIFEST.replace("$D", D);
        let announced = Document::parse(manifest.as_bytes(), media_type::DOCKER_INDEX, "x");
        assert!(announced.is_err());
    }

    #[test]
    fn what_is_neither_or_old_or_too_long_is_refused() {
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"fsLayers":[],"layers":[]}"#,
            r#"{"manifests":[{"digest":"x","size":1}]}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let long = vec![b' '; usize::try_from(MAX_MANIFEST).unwrap() + 1];
        assert!(matches!(
            Document::parse(&long, "", "x"),
            Err(ImageError::TooLarge { .. })
        ));
        let deep = format!("{}{}", r#"{"manifests":"#, "[".repeat(100_000));
        assert!(parse(&deep).is_err());
        let entry = r#"{"digest":"$D","size":1}"#;
        let many = vec![entry; MAX_ENTRIES + 1].join(",");
        assert!(parse(&format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#)).is_err());
    }

    proptest! {
        #[test]
        fn the_parser_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Document::parse(&bytes, "", "x");
        }

        #[test]
        fn the_parser_never_panics_on_a_damaged_document(at in 0..INDEX.len(), byte: u8) {
            for document in [INDEX, MANIFEST] {
                let mut bytes = document.replace("$D", D).into_bytes();
                let at = at % bytes.len();
                bytes[at] = byte;
                let _ = Document::parse(&bytes, "", "x");
            }
        }
    }
}
