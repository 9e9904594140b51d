//! The content store and the store of facts.
//!
//! Blobs by digest, layers by diff ID, and one database of documents and events. Everything here
//! is synchronous; callers on an async runtime use `spawn_blocking`. The store knows digests,
//! files and documents; it does not know what an image, a tag or a container is.

pub mod blobs;
pub mod compression;
pub mod digest;
mod directory;
pub mod error;
pub mod facts;
pub mod fsck;
pub mod gc;
pub mod layers;
pub mod lease;
pub mod store;
pub mod tar;

pub use blobs::{Blob, BlobWriter, Blobs};
pub use digest::{DiffId, Digest, DigestError, Hasher};
pub use error::StoreError;
pub use facts::{Batch, Facts};
pub use fsck::{Finding, FsckSummary, Repair};
pub use gc::{Collected, Roots};
pub use layers::{Layer, LayerForm, LayerState, Layers, Limits};
pub use lease::Lease;
pub use store::{Store, StoreOptions};
