//! What the engine knows of itself and its host.

use crate::containers::missing;
use crate::model::SystemInfo;
use crate::{Engine, Result};

impl Engine {
    /// Facts for `info` and `version`.
    pub async fn info(&self) -> Result<SystemInfo> {
        missing("info")
    }
}
