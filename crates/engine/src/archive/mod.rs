//! Files copied in and out of a container.

use crate::containers::missing;
use crate::model::{PathStat, PutOptions};
use crate::stream::{ByteSource, ByteStream};
use crate::{Engine, Result};

impl Engine {
    /// What is at a path.
    pub async fn archive_stat(&self, _container: &str, _path: &str) -> Result<PathStat> {
        missing("archive_stat")
    }

    /// A tar of what is at a path.
    pub async fn archive_get(
        &self,
        _container: &str,
        _path: &str,
    ) -> Result<(PathStat, ByteStream)> {
        missing("archive_get")
    }

    /// Unpacks a tar below a path.
    pub async fn archive_put(
        &self,
        _container: &str,
        _path: &str,
        _options: PutOptions,
        _archive: ByteSource,
    ) -> Result<()> {
        missing("archive_put")
    }
}
