//! The way off the async threads.

use crate::{Error, Result};

/// Runs something that blocks (the disk, the kernel, a shim's birth) and waits for it. It goes
/// on to its end even when the caller is dropped.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => {
            Err(Error::Unavailable("the engine is shutting down".to_owned()))
        }
        Err(error) => Err(Error::Internal(format!(
            "a task of the engine died: {error}"
        ))),
    }
}

/// Carries something out to its end, whether or not the caller waits for it: a client that
/// leaves does not stop a change half-way.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => {
            Err(Error::Unavailable("the engine is shutting down".to_owned()))
        }
        Err(error) => Err(Error::Internal(format!(
            "a task of the engine died: {error}"
        ))),
    }
}
