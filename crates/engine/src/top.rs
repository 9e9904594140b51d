//! `top`: the processes of a container.

use crate::containers::missing;
use crate::model::Top;
use crate::{Engine, Result};

impl Engine {
    /// Its processes, in the columns that `ps` arguments ask for.
    pub async fn top(&self, _container: &str, _ps_args: &str) -> Result<Top> {
        missing("top")
    }
}
