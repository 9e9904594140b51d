//! What every request finds behind the door: the engine, and what the daemon says of itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use wharf_engine::Engine;

use crate::version::ApiVersion;

/// What the daemon knows of itself and the engine does not; for `info` and `version`.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Version of Wharf.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub git_commit: String,
    /// When it was built, or empty.
    pub build_time: String,
    /// Log driver of containers that name none.
    pub log_driver: String,
    /// Runtime of containers that name none.
    pub default_runtime: String,
    /// Containers outlive the daemon.
    pub live_restore: bool,
    /// `--experimental`.
    pub experimental: bool,
    /// Sentences about listeners without protection.
    pub warnings: Vec<String>,
    /// Proxies as configured, for the record.
    pub http_proxy: String,
    /// See [`Self::http_proxy`].
    pub https_proxy: String,
    /// See [`Self::http_proxy`].
    pub no_proxy: String,
    /// The oldest version of the API that is answered.
    pub oldest: ApiVersion,
}

/// What may change while the daemon runs.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// `--debug`.
    pub debug: bool,
    /// Labels of the daemon.
    pub labels: Vec<String>,
}

/// Shared by all connections.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) engine: Engine,
    pub(crate) daemon: Daemon,
    live: RwLock<Arc<Live>>,
    closing: AtomicBool,
}

impl Door {
    pub(crate) fn new(engine: Engine, daemon: Daemon, live: Live) -> Self {
        Self {
            engine,
            daemon,
            live: RwLock::new(Arc::new(live)),
            closing: AtomicBool::new(false),
        }
    }

    /// As it is now.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_live(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// Refuses requests from now on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
