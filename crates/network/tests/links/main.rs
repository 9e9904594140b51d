//! Links as the kernel makes them, each test in network namespaces of its own.
//!
//! A [`world::World`] is a namespace that stands for the host; what a test does there it does on
//! the world's thread. The machine's own namespace is never entered but to leave it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bridges;
mod dhcp;
mod endpoints;
mod hostile;
mod hosts;
mod measured;
mod parents;
mod shaping;
mod world;
