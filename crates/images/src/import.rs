//! `import`: a tar archive of a file system becomes an image of one layer.

use std::io::Read;

use jiff::Timestamp;
use wharf_store::{Limits, StoreError};

use crate::change;
use crate::config::{History, ImageConfig, RootFs, RunConfig};
use crate::error::ImageError;
use crate::id::ImageId;
use crate::images::Images;
use crate::platform::Platform;
use crate::record::{ImageLayer, ImageRecord, TagRecord};
use crate::reference::Reference;

/// What the image will be besides its files.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest<'a> {
    /// Its name, if it gets one.
    pub name: Option<Reference>,
    /// Dockerfile instructions.
    pub changes: &'a [String],
    /// What is said about it.
    pub message: &'a str,
    /// The machine it is for; this one if not said.
    pub platform: Option<Platform>,
}

impl Images {
    /// Import an archive, which may be compressed.
    pub fn import(
        &self,
        source: &mut dyn Read,
        request: &ImportRequest<'_>,
    ) -> Result<ImageId, ImageError> {
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        if platform.os != "linux" {
            return Err(ImageError::archive(format!(
                "operating system is not supported: {}",
                platform.os
            )));
        }
        let run = change::apply(RunConfig::default(), request.changes)?;
        let lease = self.store().lease();
        let layers = self.store().layers();
        let layer = layers
            .import(&lease, source, None, &Limits::default())
            .map_err(|error| match error {
                StoreError::BadLayer(reason) => ImageError::archive(reason),
                error => ImageError::Store(error),
            })?;
        let created = Timestamp::now().to_string();
        let config = ImageConfig {
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            comment: request.message.to_owned(),
            config: Some(run),
            created: Some(created.clone()),
            docker_version: env!("CARGO_PKG_VERSION").to_owned(),
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: vec![layer.diff_id],
            },
            history: vec![History {
                created: Some(created),
                comment: request.message.to_owned(),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let layer = ImageLayer {
            diff_id: layer.diff_id,
            size: layer.content_bytes,
            wire: None,
        };
        self.create(&config, vec![layer], None, request.name.as_ref(), &lease)
    }

    /// Write a new image's configuration and name it.
    pub(crate) fn create(
        &self,
        config: &ImageConfig,
        layers: Vec<ImageLayer>,
        parent: Option<ImageId>,
        name: Option<&Reference>,
        lease: &wharf_store::Lease,
    ) -> Result<ImageId, ImageError> {
        if name.is_some_and(|name| name.digest().is_some()) {
            return Err(ImageError::TagWithDigest);
        }
        let raw_config = serde_json::to_vec(config).map_err(|source| ImageError::Json {
            what: "image configuration".to_owned(),
            source,
        })?;
        // What cannot be read back must not be written: labels can make it too long.
        ImageConfig::parse(&raw_config)?;
        let id = ImageId(self.store().blobs().put(lease, &raw_config)?);
        self.change(|draft| {
            let parent = parent.filter(|parent| draft.catalogue().image(parent).is_some());
            draft.put_image(
                id,
                ImageRecord {
                    parent,
                    ..ImageRecord::new(config, layers)
                },
            );
            if let Some(name) = name {
                draft.put_tag(name.clone().or_latest(), TagRecord::now(id));
            }
            Ok(id)
        })
    }
}
