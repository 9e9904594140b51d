//! Images, as far as the engine adds to what `wharf-images` says of them.

use wharf_images::{ImageSummary, Platform, Reference, RunConfig};

use super::container::Filters;
use crate::stream::ByteSource;

/// Which images to list.
#[derive(Debug, Clone, Default)]
pub struct ImageListOptions {
    /// Also images without a name that others were committed from.
    pub all: bool,
    /// Work out how many bytes an image shares with others.
    pub shared_size: bool,
    /// `before`, `dangling`, `label`, `label!`, `reference`, `since`, `until`.
    pub filters: Filters,
}

/// A line of `images`.
#[derive(Debug, Clone)]
pub struct ImageLine {
    /// The image.
    pub image: ImageSummary,
    /// Containers made from it, running or not.
    pub containers: i64,
}

/// How to remove an image.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageRemoveOptions {
    /// Go on where Docker asks for `--force`.
    pub force: bool,
    /// Keep parents that have no name.
    pub no_prune: bool,
}

/// What to tell whoever waits for a long operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressLine {
    /// `current` of `total` bytes of the thing `id` are done (`total` 0: unknown).
    Step {
        /// What is worked on, in short.
        id: String,
        /// What is done to it.
        action: String,
        /// Bytes done.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A whole line.
    Message(String),
}

/// An archive to import.
#[derive(Debug)]
pub struct ImageImport {
    /// Where it comes from.
    pub source: ImportSource,
    /// The image's name, if it gets one.
    pub name: Option<Reference>,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// What is said about it.
    pub message: String,
    /// The machine it is for; this one if not said.
    pub platform: Option<Platform>,
}

/// See [`ImageImport`].
#[derive(Debug)]
pub enum ImportSource {
    /// The body of the request.
    Body(ByteSource),
    /// To be fetched by the engine.
    Url(String),
}

/// What the image made of a container will be.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// Its name, if it gets one.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Goes before the container's own configuration, which fills what this says nothing about.
    pub config: Option<RunConfig>,
}
