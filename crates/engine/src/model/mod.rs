//! The nouns of the engine: what a container, an exec, a volume *is*, free of any protocol.
//!
//! Three kinds of type are kept apart. Protocol types (the Engine API's JSON, with its nulls and
//! historical spellings) live in the door. Stored documents live beside the code that stores them.
//! What is here is what the engine means: only fields that the engine honours. A request that asks
//! for more is refused at the door by name, so that nothing is ever silently ignored.

pub mod archive;
pub mod container;
pub mod exec;
pub mod image;
pub mod io;
pub mod network;
pub mod port;
pub mod spec;
pub mod system;
pub mod usage;
pub mod volume;

pub use archive::*;
pub use container::*;
pub use exec::*;
pub use image::*;
pub use io::*;
pub use network::*;
pub use port::*;
pub use spec::*;
pub use system::*;
pub use usage::*;
pub use volume::*;
