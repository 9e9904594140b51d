//! Notices that a client is gone altogether.
//!
//! A client that closed its sending direction still reads (`nc`, or an attach whose standard input
//! ended), so an end of file is no sign. That both directions are closed is one, and the kernel
//! says so by `EPOLLHUP`, which needs no interest in reading or writing. On TCP it comes only when
//! the connection is reset: there a closed sending direction has to count as the end.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches one connection, by a descriptor of its own.
#[derive(Debug, Clone)]
pub(crate) struct Hangup(Arc<AsyncFd<OwnedFd>>);

impl Hangup {
    #[allow(
        deprecated,
        reason = "its successor is unsafe for the sake of types that may change their descriptor; an OwnedFd never does"
    )]
    pub(crate) fn of(stream: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(stream, 3)?;
        AsyncFd::with_interest(fd, Interest::PRIORITY).map(|fd| Self(Arc::new(fd)))
    }

    /// Ends once the client is gone.
    pub(crate) async fn wait(&self) {
        loop {
            let Ok(mut guard) = self.0.ready(Interest::PRIORITY).await else {
                // The runtime is shutting down.
                return;
            };
            // Registered for nothing else, only a hangup closes it for reading.
            if guard.ready().is_read_closed() {
                return;
            }
            guard.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_client_that_left_is_noticed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let hangup = Hangup::of(ours.as_fd()).unwrap();
        drop(theirs);
        hangup.wait().await;
    }

    #[tokio::test]
    async fn a_client_that_only_stopped_sending_is_still_there() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let hangup = Hangup::of(ours.as_fd()).unwrap();
        theirs.shutdown().await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(50), hangup.wait()).await;
        assert!(waited.is_err());
        drop(theirs);
        hangup.wait().await;
    }
}
