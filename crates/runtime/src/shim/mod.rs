//! The shim: one small process per container, which holds it and outlives the daemon.
//!
//! ```text
//!   daemon ── spawn(plan, layer mounts) ──▶ shim ── launch::create ──▶ init (waits)
//!          ◀── Created | Failed ──────────
//!
//!              Start ok             init exits, output drained, exit.json on disk
//!   Created ───────────▶ Running ───────────────────────────────────────────────▶ Exited ─▶ gone
//!      │ Start failed, Signal KILL                                                  ▲
//!      └───────────────────────────────────────────────────────────────────────────┘
//! ```
//! It owns the container's standard streams and terminal, writes the log, reaps, serves execs, and
//! records the exit on disk before it tells anybody. It talks on one Unix socket ([`proto`]).
//! Nothing it does depends on the daemon being alive. When the container has ended and everybody
//! has been told, it leaves; the socket is gone before the record is announced.
//!
//! It has one thread and one loop over `epoll`, and no buffer that grows without a bound:
//! - output is read only while every attached client has taken what went before, so that a slow
//!   client slows the process as a pipe would; one that takes nothing for [`STALLED`] is let go;
//! - input is read from a client only while the process takes it;
//! - an exec that takes its time until it runs (its container is paused, its program is on a file
//!   system that does not answer) is heard of when it does, and nothing else waits for it;
//! - after the end, what the kernel's pipes still hold is read and logged whatever clients do.
//!
//! If the shim itself is killed, whoever watches sees the socket close with no record on disk, and
//! kills what is left by its cgroup.

mod birth;
mod client;
mod clients;
mod connection;
mod ending;
mod exit;
mod joining;
mod output;
mod plan;
pub mod proto;
mod requests;
mod server;
mod session;
mod spawn;
mod watched;

use std::time::Duration;

pub use birth::main;
pub use client::{Client, ClientError};
pub use plan::{ExitRecord, LogPlan, PlanRootfs, ShimPlan, Size, exit_path, socket_path};
pub use spawn::{Program, SpawnError, Spawned, Waiting};

/// How long an attached client may take nothing while output waits for it.
pub const STALLED: Duration = Duration::from_secs(300);

/// What a shim is called (`argv[0]`, and its name in `ps`).
pub const NAME: &str = "wharf-shim";
