//! `attach`: a client's streams on a running container.

mod keys;

use crate::containers::missing;
use crate::model::{AttachOptions, Attachment};
use crate::{Engine, Result};

impl Engine {
    /// Attaches. A container that does not run yet may be attached to: the streams begin with it.
    pub async fn attach(&self, _container: &str, _options: AttachOptions) -> Result<Attachment> {
        missing("attach")
    }
}
