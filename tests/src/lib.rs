//! The black-box harness: drives the built `wharf` binary with clients that we did not write.
//!
//! A [`Daemon`] lives in a mount and a network namespace of its own, with its own `/run`, data
//! root, and parent cgroup, so that tests run in parallel and never touch the host. It knows
//! nothing of Wharf's crates: only the binary, sockets, and what clients print.
//!
//! What a test needs from the machine is installed by `tests/setup.sh` (`make test` runs it).
//!
//! Invariants
//! - A test that cannot have what it needs fails and says what is missing; it never skips silently.
//! - Nothing waits for luck: [`eventually`] waits on a condition, with a deadline that fails.
//! - Dropping a [`Daemon`] ends everything it started and removes its cgroups and files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends there, and clients are programs to be spawned"
)]

mod client;
mod daemon;
mod fixture;
mod http;
mod network;

pub use client::{Client, Ran, run, tools, wharf_binary};
pub use daemon::{Daemon, Options, signal};
pub use fixture::{Archive, busybox_archive, digest, image_archive, layer_tar};
pub use http::{Answer, Open, open, open_raw, raw, request};
pub use network::{Namespace, SILENCE};

use std::time::{Duration, Instant};

/// Longest wait for a condition, on a machine of usual speed. Generous, as two cores may be shared
/// by several daemons.
const PATIENCE: Duration = Duration::from_secs(30);

/// `$WHARF_TEST_SLOWNESS`: how many times slower this machine is. An emulated one is, and waits
/// longer for the same things; what has to come stays the same.
#[must_use]
pub fn slowness() -> u32 {
    let factor = std::env::var("WHARF_TEST_SLOWNESS").ok();
    factor
        .and_then(|text| text.parse().ok())
        .filter(|factor| *factor > 0)
        .unwrap_or(1)
}

/// Longest wait for a condition, here.
#[must_use]
pub fn patience() -> Duration {
    PATIENCE * slowness()
}

/// Waits until `condition` gives something, or fails saying what was awaited.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let patience = patience();
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
