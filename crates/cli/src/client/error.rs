//! What can go wrong between the command and the daemon.

use std::io;

use hyper::StatusCode;

/// A request that did not get the answer it was sent for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens at the address.
    #[error("cannot connect to {host}: {error}")]
    Unreachable { host: String, error: io::Error },
    /// The socket is there, and not for us.
    #[error("permission denied while trying to connect to {host}")]
    Denied { host: String },
    /// The daemon refused; its own words.
    #[error("Error response from daemon: {message}")]
    Daemon { status: StatusCode, message: String },
    #[error("error during connect: {host}: {error}")]
    Request { host: String, error: hyper::Error },
    /// ssh said why itself, on our stderr.
    #[error(
        "error during connect: command [{command}] ended without an answer; make sure the URL is valid, and Docker 18.09 or later, or Wharf, is installed on the remote host"
    )]
    Ssh { command: String },
    #[error("error during connect: cannot run ssh: {0}")]
    NoSsh(io::Error),
    #[error("cannot make a request: {0}")]
    BadRequest(hyper::http::Error),
    #[error("the daemon's answer is not what was expected: {0}")]
    BadReply(serde_json::Error),
    #[error("unexpected EOF")]
    Interrupted(hyper::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("unable to upgrade to tcp, received {0}")]
    NotUpgraded(u16),
    #[error("unable to parse docker host `{0}`")]
    BadHost(String),
}

impl ClientError {
    /// The status of the daemon's refusal, if it was one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            ClientError::Daemon { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Did the daemon not answer at all?
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(
            self,
            ClientError::Unreachable { .. } | ClientError::Denied { .. }
        )
    }
}
