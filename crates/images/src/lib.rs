//! Images: names, configurations, archives, and which of them exist.

pub mod config;
pub mod error;
pub mod id;
pub mod manifest;
mod pattern;
pub mod platform;
pub mod progress;
pub mod reference;
