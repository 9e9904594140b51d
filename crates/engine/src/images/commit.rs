//! `commit`: what a container changed, and how it is configured, becomes an image.
//!
//! The container is frozen meanwhile, if it runs and the request does not say otherwise, so that
//! the image is of one moment; it is thawed whatever happens. Where nothing can be frozen (no
//! cgroups) the image is made all the same, as of a container that is not paused.

use std::io::{self, BufWriter, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use wharf_images::{CommitRequest, CommitTree, ImageId, RunConfig, change};
use wharf_store::StoreError;
use wharf_store::layers::write_tar_of_upper_without;
use wharf_sys::rooted::Root;

use super::image_event;
use crate::blocking::{blocking, to_the_end};
use crate::containers::Snapshot;
use crate::model::{CommitOptions, ContainerSpec, Status};
use crate::placeholders::Placeholders;
use crate::{Engine, Error, Result};

/// Between the tree and the layer.
const BUFFER: usize = 64 * 1024;

impl Engine {
    /// Makes an image of a container.
    pub async fn image_commit(&self, container: &str, options: CommitOptions) -> Result<ImageId> {
        self.0.check_open()?;
        let snapshot = self.0.containers.resolve(container)?;
        let id = snapshot.id();
        match snapshot.state.status {
            Status::Dead => {
                return Err(Error::Conflict(format!(
                    "You cannot commit container {id} which is Dead"
                )));
            }
            Status::Removing => {
                return Err(Error::Conflict(format!(
                    "You cannot commit container {id} which is being removed"
                )));
            }
            _ => {}
        }
        let engine = self.clone();
        to_the_end(async move { engine.commit(&snapshot, options).await }).await
    }

    async fn commit(&self, snapshot: &Arc<Snapshot>, options: CommitOptions) -> Result<ImageId> {
        let own = run_config(&snapshot.record.spec);
        let mut config = change::apply(
            options.config.clone().unwrap_or_else(|| own.clone()),
            &options.changes,
        )?;
        config.fill_from(&own);
        let freeze = options.pause && snapshot.state.status == Status::Running;
        let frozen = freeze && self.freeze_for_commit(snapshot).await?;
        let committed = {
            let (engine, snapshot) = (self.clone(), Arc::clone(snapshot));
            let options = options.clone();
            blocking(move || engine.make_image(&snapshot, config, own, &options)).await
        };
        if frozen {
            match self.unpause(snapshot.id()).await {
                Ok(()) => {}
                // It was removed or thawed by somebody else.
                Err(error) => {
                    tracing::debug!(id = snapshot.id(), %error, "not thawed after a commit");
                }
            }
        }
        let id = committed?;
        let mut attributes = vec![("imageID".to_owned(), id.to_string())];
        let name = options.name.map(|name| name.or_latest().familiar());
        if let Some(name) = &name {
            attributes.push(("imageRef".to_owned(), name.clone()));
        }
        let mut told = snapshot
            .record
            .event("commit", [("comment", options.comment)]);
        told.attributes.extend(attributes);
        self.0.emit(told).await;
        if let Some(name) = name {
            self.0.emit(image_event("tag", &id, &name, [])).await;
        }
        Ok(id)
    }

    /// Whether it was frozen, and is to be thawed.
    async fn freeze_for_commit(&self, snapshot: &Snapshot) -> Result<bool> {
        match self.pause(snapshot.id()).await {
            Ok(()) => Ok(true),
            // It ended, or somebody else froze it, a moment ago.
            Err(Error::Conflict(_)) => Ok(false),
            Err(Error::NotImplemented(_)) => {
                tracing::info!(
                    id = snapshot.id(),
                    "committed without a pause: nothing can be frozen here"
                );
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Blocks.
    fn make_image(
        &self,
        snapshot: &Snapshot,
        config: RunConfig,
        own: RunConfig,
        options: &CommitOptions,
    ) -> Result<ImageId> {
        let images = &self.0.images;
        let upper = snapshot.paths.upper();
        let parent = images
            .get(&snapshot.record.image)
            .is_ok()
            .then_some(snapshot.record.image);
        if parent.is_none() && !snapshot.record.layers.is_empty() {
            return Err(Error::Conflict(format!(
                "You cannot commit container {}: its image {} was removed",
                snapshot.id(),
                snapshot.record.image
            )));
        }
        // Reading the tree and writing the layer go on side by side, through a pipe.
        let placeholders = self.placeholders(snapshot, &upper)?;
        let failed = |error: std::io::Error| Error::Internal(format!("commit: {error}"));
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let whole = AtomicBool::new(false);
        thread::scope(|scope| {
            let archiver = scope.spawn(|| archive(&upper, &placeholders, writer, &whole));
            let mut layer = Layer {
                reader,
                whole: &whole,
            };
            let made = images.commit(CommitRequest {
                parent,
                tree: CommitTree::Tar(&mut layer),
                config,
                container: snapshot.id(),
                container_config: Some(own),
                author: &options.author,
                comment: &options.comment,
                name: options.name.clone(),
            });
            // A writer that is not done learns that nobody reads.
            drop(layer);
            let archived = archiver
                .join()
                .unwrap_or_else(|_| Err(StoreError::BadLayer("the archiver died".to_owned())));
            match (made, archived) {
                (Ok(id), _) => Ok(id),
                (Err(error), Ok(())) => Err(error.into()),
                // The importer's failure broke the pipe: it is the one to tell.
                (Err(error), Err(StoreError::Io { source, .. }))
                    if source.kind() == io::ErrorKind::BrokenPipe =>
                {
                    Err(error.into())
                }
                (Err(_), Err(archived)) => Err(archived.into()),
            }
        })
    }

    fn placeholders(&self, snapshot: &Snapshot, upper: &Path) -> Result<Placeholders> {
        let image = self
            .0
            .store
            .layers()
            .overlay(&snapshot.record.layers, None)?;
        Root::open(upper)
            .and_then(|upper| Placeholders::find(&upper, &Root::from_fd(image)))
            .map_err(|error| Error::Internal(format!("commit: {error}")))
    }
}

/// Writes the layer, and says so before it ends.
fn archive(
    upper: &Path,
    placeholders: &Placeholders,
    writer: PipeWriter,
    whole: &AtomicBool,
) -> std::result::Result<(), StoreError> {
    let mut out = BufWriter::with_capacity(BUFFER, writer);
    let left_out = |path: &Path| placeholders.contains(path);
    write_tar_of_upper_without(upper, &left_out, &mut out)?;
    out.flush().map_err(|source| StoreError::Io {
        action: "archive",
        path: upper.to_path_buf(),
        source,
    })?;
    whole.store(true, Ordering::Release);
    Ok(())
}

/// The layer as it is written. One that broke off does not just end: it would be an image.
struct Layer<'a> {
    reader: PipeReader,
    whole: &'a AtomicBool,
}

impl Read for Layer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        if got == 0 && !buffer.is_empty() && !self.whole.load(Ordering::Acquire) {
            return Err(io::Error::other("the container's changes cannot be read"));
        }
        Ok(got)
    }
}

/// What an image can say of a container's configuration.
fn run_config(spec: &ContainerSpec) -> RunConfig {
    RunConfig {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        exposed_ports: spec.exposed_ports.iter().cloned().collect(),
        env: spec.env.clone(),
        cmd: spec.cmd.clone(),
        image: spec.image.clone(),
        volumes: spec.volumes.iter().cloned().collect(),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone(),
        on_build: spec.on_build.clone().unwrap_or_default(),
        labels: spec.labels.clone(),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout,
        shell: spec.shell.clone().unwrap_or_default(),
        ..RunConfig::default()
    }
}
