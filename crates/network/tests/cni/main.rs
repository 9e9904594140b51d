//! CNI: networks made by other people's programs. Those of Debian, in namespaces of the tests' own,
//! and some that mean no good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conflists;
mod hostile;
mod plugins;
mod world;
