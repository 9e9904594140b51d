//! Archives of images: what `load` reads and `save` writes.
//!
//! Three forms are read, alone or mixed as Docker since version 25 writes them:
//!
//! ```text
//!   OCI layout       oci-layout, index.json, blobs/sha256/<hex>      names in annotations
//!   docker-archive   manifest.json, configs, layers                  names in RepoTags
//!   Docker before 1.10   <id>/{VERSION,json,layer.tar}, repositories
//! ```
//!
//! The archive is a stream and is read once ([`intake`]): a member that is a layer goes straight
//! into the layer store, several at a time; small members stay in memory; whatever else there is
//! becomes a blob. Only at the end is it known which member was what, and every digest that a
//! document states is compared with what came. Names are written last, in one transaction: an
//! archive is loaded as a whole or not at all, and what a failed load brought is garbage that the
//! next collection removes.
//!
//! No member ever becomes a path on the host. Names of members are keys to look up.

mod chunks;
mod docker;
mod intake;
mod legacy;
mod load;
mod members;
mod oci;
mod plan;
mod save;

pub use load::{LoadOptions, Loaded};
