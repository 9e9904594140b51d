//! `export`: a container's whole file tree as one tar.

use crate::containers::missing;
use crate::stream::ByteStream;
use crate::{Engine, Result};

impl Engine {
    /// The tar, as it is written.
    pub async fn export(&self, _container: &str) -> Result<ByteStream> {
        missing("export")
    }
}
