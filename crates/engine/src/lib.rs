//! The rules of Wharf: containers, execs, volumes, events.
//!
//! The engine is what the doors (the Docker API now, CRI later) call. It knows no protocol, and it
//! touches the kernel and the disk only through `runtime`, `store` and `images`.
//!
//! Invariants
//! - One owner per object: each container is a task with a command queue, and publishes an immutable
//!   snapshot after each change. Listings and inspections read snapshots and never wait for a task.
//! - No lock is held across an await or across I/O.
//! - What is stored is what cannot be derived: the specification, the name, the last exit. Whether a
//!   container runs is asked of its shim and of the kernel at start.
//! - The daemon may die at any instant: nothing here is needed for a container to go on.

mod archive;
mod attach;
mod attributes;
mod blocking;
mod changes;
mod clock;
mod containers;
mod copy_up;
mod df;
mod engine;
mod error;
mod events;
mod exec;
mod export;
mod filters;
mod gc;
mod host;
mod ids;
mod images;
mod info;
mod logs;
pub mod model;
mod mounts;
mod names;
mod networks;
mod oci;
mod options;
mod placeholders;
mod process;
mod pseudo;
mod reload;
mod shim;
mod stats;
pub mod stream;
mod top;
mod tree_size;
mod tree_tar;
mod undo;
mod volumes;

pub use engine::Engine;
pub use error::{Class, Error};
pub use events::EventStream;
pub use images::ProgressStream;
pub use networks::NetworkOptions;
pub use options::{EngineOptions, LayerForm};

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;
