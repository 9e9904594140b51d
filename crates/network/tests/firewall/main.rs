//! The packet filter with real packets, in namespaces that the tests make (needs root).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs
)]

mod isolation;
mod published;
mod rebuilt;
mod resolver;
mod scale;
mod world;
