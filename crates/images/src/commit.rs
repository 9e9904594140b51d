//! `commit`: what a container changed becomes a layer, and with its image's layers an image.

use std::io::{self, PipeWriter, Read, Write};
use std::path::Path;
use std::thread;

use jiff::Timestamp;
use wharf_store::layers::write_tar_of_upper;
use wharf_store::{DiffId, Digest, Layer, Lease, Limits, StoreError};

use crate::config::{History, ImageConfig, RootFs, RunConfig};
use crate::error::ImageError;
use crate::id::ImageId;
use crate::images::Images;
use crate::platform::Platform;
use crate::record::ImageLayer;
use crate::reference::Reference;

/// Two zero blocks: the tar of a container that changed nothing.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

/// Where the container's changes are.
pub enum CommitTree<'a> {
    /// The upper directory of its overlay.
    Upper(&'a Path),
    /// An archive that is a layer.
    Tar(&'a mut dyn Read),
}

/// What the image will be.
pub struct CommitRequest<'a> {
    /// The container's image; none if that is gone or there was none.
    pub parent: Option<ImageId>,
    /// What the container changed.
    pub tree: CommitTree<'a>,
    /// How the image's containers start, complete.
    pub config: RunConfig,
    /// The container's ID.
    pub container: &'a str,
    /// How the container was started.
    pub container_config: Option<RunConfig>,
    /// Who did it.
    pub author: &'a str,
    /// Why.
    pub comment: &'a str,
    /// The image's name, if it gets one.
    pub name: Option<Reference>,
}

impl Images {
    /// Make an image of a container.
    pub fn commit(&self, request: CommitRequest<'_>) -> Result<ImageId, ImageError> {
        let lease = self.store().lease();
        let parent = request.parent.map(|id| self.get(&id)).transpose()?;
        let layer = self.import_tree(request.tree, &lease)?;
        let created = Timestamp::now().to_string();
        let (mut config, mut layers) = match &parent {
            Some(parent) => {
                let keep = ImageConfig {
                    os_version: parent.config.os_version.clone(),
                    os_features: parent.config.os_features.clone(),
                    architecture: parent.platform.architecture.clone(),
                    variant: parent.platform.variant.clone(),
                    os: parent.platform.os.clone(),
                    rootfs: parent.config.rootfs.clone(),
                    history: parent.config.history.clone(),
                    ..ImageConfig::default()
                };
                (keep, parent.layers.clone())
            }
            None => (from_nothing(), Vec::new()),
        };
        // Held first and looked for then: the parent may be removed while its container is not.
        for ImageLayer { diff_id, .. } in &layers {
            lease.hold_layer(*diff_id);
            self.store()
                .layers()
                .get(diff_id)?
                .ok_or(StoreError::NoSuchLayer(*diff_id))?;
        }
        let empty_layer = layer.diff_id == DiffId(Digest::of(&EMPTY_TAR));
        if !empty_layer {
            config.rootfs.diff_ids.push(layer.diff_id);
            layers.push(ImageLayer {
                diff_id: layer.diff_id,
                size: layer.content_bytes,
                wire: None,
            });
        }
        let command = request
            .container_config
            .as_ref()
            .and_then(|config| config.cmd.clone());
        config.history.push(History {
            created: Some(created.clone()),
            created_by: command.unwrap_or_default().join(" "),
            author: request.author.to_owned(),
            comment: request.comment.to_owned(),
            empty_layer,
        });
        let config = ImageConfig {
            author: request.author.to_owned(),
            comment: request.comment.to_owned(),
            config: Some(request.config),
            container: request.container.to_owned(),
            container_config: request.container_config,
            created: Some(created),
            docker_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..config
        };
        self.create(
            &config,
            layers,
            request.parent,
            request.name.as_ref(),
            &lease,
        )
    }

    fn import_tree(&self, tree: CommitTree<'_>, lease: &Lease) -> Result<Layer, ImageError> {
        let layers = self.store().layers();
        let limits = Limits::default();
        let upper = match tree {
            CommitTree::Tar(source) => return Ok(layers.import(lease, source, None, &limits)?),
            CommitTree::Upper(upper) => upper,
        };
        // Reading the tree and writing the layer go on side by side, through a pipe.
        let (mut reader, writer) = io::pipe().map_err(|source| ImageError::Read {
            what: "make a pipe".to_owned(),
            source,
        })?;
        thread::scope(|scope| {
            let archiver = scope.spawn(move || archive_upper(upper, writer));
            let imported = layers.import(lease, &mut reader, None, &limits);
            drop(reader);
            let archived = archiver
                .join()
                .unwrap_or_else(|_| Err(StoreError::BadLayer("the archiver died".to_owned())));
            match (archived, imported) {
                // The importer's failure broke the pipe: it is the one to tell.
                (Err(StoreError::Io { source, .. }), Err(import))
                    if source.kind() == io::ErrorKind::BrokenPipe =>
                {
                    Err(import.into())
                }
                (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
                (Ok(()), Ok(layer)) => Ok(layer),
            }
        })
    }
}

/// Write the tree as a layer. A tree that cannot be read to its end must not look like one
/// that ended: what closes the archive is only written after everything went well.
fn archive_upper(upper: &Path, writer: PipeWriter) -> Result<(), StoreError> {
    let mut out = io::BufWriter::with_capacity(256 * 1024, writer);
    write_tar_of_upper(upper, &mut out)?;
    out.flush().map_err(|source| StoreError::Io {
        action: "archive",
        path: upper.to_path_buf(),
        source,
    })
}

fn from_nothing() -> ImageConfig {
    let platform = Platform::host();
    ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        },
        ..ImageConfig::default()
    }
}
