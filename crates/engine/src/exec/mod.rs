//! Further processes in running containers.

use crate::containers::missing;
use crate::model::{Attachment, ExecSpec, ExecStart, ExecView};
use crate::{Engine, Result};

impl Engine {
    /// Registers an exec; gives its id.
    pub async fn exec_create(&self, _container: &str, _spec: ExecSpec) -> Result<String> {
        missing("exec_create")
    }

    /// Runs it; with streams unless detached.
    pub async fn exec_start(&self, _exec: &str, _start: ExecStart) -> Result<Option<Attachment>> {
        missing("exec_start")
    }

    /// Tells its terminal the size.
    pub async fn exec_resize(&self, _exec: &str, _height: u16, _width: u16) -> Result<()> {
        missing("exec_resize")
    }

    /// Looks at it.
    pub async fn exec_inspect(&self, _exec: &str) -> Result<ExecView> {
        missing("exec_inspect")
    }
}
