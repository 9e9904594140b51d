//! `logs`: a container's output as it was recorded.

use crate::containers::missing;
use crate::model::{LogOptions, LogStream};
use crate::{Engine, Result};

impl Engine {
    /// Reads the log, and follows it when asked to.
    pub async fn logs(&self, _container: &str, _options: LogOptions) -> Result<LogStream> {
        missing("logs")
    }
}
