//! Containers.

mod signal;
mod status_text;
mod validate;

use crate::model::{
    ContainerSummary, ContainerView, CreateRequest, Created, Filters, ListOptions, PruneReport,
    RemoveOptions, StopOptions, Update, WaitCondition, WaitHandle,
};
use crate::{Engine, Error, Result};

/// Stands where a body is still being written.
pub(crate) fn missing<T>(what: &str) -> Result<T> {
    Err(Error::NotImplemented(format!("{what} is not there yet")))
}

/// Every `container` argument is a full id, a name (with or without leading slash) or a unique
/// prefix of an id.
impl Engine {
    /// Makes a container. Nothing runs yet.
    pub async fn create(&self, _request: CreateRequest) -> Result<Created> {
        missing("create")
    }

    /// Starts it. [`Error::NotModified`] when it runs already.
    pub async fn start(&self, _container: &str) -> Result<()> {
        missing("start")
    }

    /// Asks it to end, then kills it. [`Error::NotModified`] when it does not run.
    pub async fn stop(&self, _container: &str, _options: StopOptions) -> Result<()> {
        missing("stop")
    }

    /// Stop, if it runs, and start.
    pub async fn restart(&self, _container: &str, _options: StopOptions) -> Result<()> {
        missing("restart")
    }

    /// Sends a signal (name with or without `SIG`, or number; empty is SIGKILL).
    pub async fn kill(&self, _container: &str, _signal: &str) -> Result<()> {
        missing("kill")
    }

    /// Gives it another name.
    pub async fn rename(&self, _container: &str, _name: &str) -> Result<()> {
        missing("rename")
    }

    /// Freezes its processes.
    pub async fn pause(&self, _container: &str) -> Result<()> {
        missing("pause")
    }

    /// Thaws them.
    pub async fn unpause(&self, _container: &str) -> Result<()> {
        missing("unpause")
    }

    /// Waits. The wait is registered when this returns; the handle tells how it ended.
    pub async fn wait(&self, _container: &str, _until: WaitCondition) -> Result<WaitHandle> {
        missing("wait")
    }

    /// Removes it.
    pub async fn remove(&self, _container: &str, _options: RemoveOptions) -> Result<()> {
        missing("remove")
    }

    /// Removes those that do not run.
    pub async fn prune(&self, _filters: Filters) -> Result<PruneReport> {
        missing("prune")
    }

    /// Newest first.
    pub async fn list(&self, _options: ListOptions) -> Result<Vec<ContainerSummary>> {
        missing("list")
    }

    /// One consistent view; with its size when asked for.
    pub async fn inspect(&self, _container: &str, _size: bool) -> Result<ContainerView> {
        missing("inspect")
    }

    /// Changes limits, also of a running container; gives warnings.
    pub async fn update(&self, _container: &str, _update: Update) -> Result<Vec<String>> {
        missing("update")
    }

    /// Tells its terminal the size.
    pub async fn resize(&self, _container: &str, _height: u16, _width: u16) -> Result<()> {
        missing("resize")
    }
}
