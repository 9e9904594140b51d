//! `diff`: what a container changed in its image.

use crate::containers::missing;
use crate::model::Change;
use crate::{Engine, Result};

impl Engine {
    /// Every path that differs, sorted.
    pub async fn changes(&self, _container: &str) -> Result<Vec<Change>> {
        missing("changes")
    }
}
