//! The name server of a container, asked over real sockets in a namespace of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod measured;
mod names;
mod upstream;
mod world;
