//! Images: names, configurations, archives, and which of them exist.
//!
//! ```text
//!   reference   what a name is              config, manifest   what documents say
//!   images      what there is: resolve, list, tag, roots       platform   for which machine
//!   remove      what goes, what is in the way                  history    how it came to be
//!   archive     load and save                commit, import    new images from trees
//! ```
//!
//! An image is a configuration blob and the layers it lists, all in the store; a name is a row
//! that points to one. Rows are written last, in one transaction, after everything they name is
//! on disk and while a lease holds it. Everything here is synchronous. This crate knows nothing
//! of containers: who uses an image is asked of the caller.

mod archive;
mod catalogue;
pub mod change;
mod commit;
pub mod config;
pub mod error;
pub mod fetch;
mod history;
pub mod id;
mod images;
mod import;
pub mod manifest;
mod pattern;
pub mod platform;
pub mod progress;
mod record;
pub mod reference;
mod remove;
mod words;

pub use archive::{LoadOptions, Loaded};
pub use commit::{CommitRequest, CommitTree};
pub use config::{Healthcheck, History, ImageConfig, RunConfig};
pub use error::{ErrorKind, ImageError};
pub use history::HistoryItem;
pub use id::ImageId;
pub use images::{Image, ImageSummary, Images, LabelFilter, ListQuery};
pub use import::ImportRequest;
pub use platform::Platform;
pub use progress::{Progress, Silent};
pub use record::{ImageLayer, WireForm};
pub use reference::Reference;
pub use remove::{
    ContainerUse, Force, InUse, Parents, PruneRequest, Pruned, RemoveRequest, Removed,
};
