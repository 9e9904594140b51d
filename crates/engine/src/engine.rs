//! The engine's handle: what every facade method hangs on.

use std::sync::Arc;

use crate::{EngineOptions, Result};

/// The engine. A clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

/// What all parts of the engine share. Nothing here is locked across a wait.
#[derive(Debug)]
pub(crate) struct Inner {
    /// As opened.
    pub(crate) options: EngineOptions,
}

impl Engine {
    /// Opens the data root, takes back the containers that run, and is ready.
    pub async fn open(options: EngineOptions) -> Result<Engine> {
        Ok(Engine(Arc::new(Inner { options })))
    }

    /// Stops accepting work. Containers go on, unless the options say that they end with the
    /// daemon.
    pub async fn shutdown(&self) {
        let _ = &self.0.options;
    }
}
