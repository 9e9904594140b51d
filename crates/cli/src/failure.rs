//! How a command ends when it does not end well.

use std::io;

use crate::client::ClientError;
use crate::program::Program;
use crate::template::BadTemplate;

/// The reason and, where it is not 1, the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    Client(ClientError),
    /// Something the user should read.
    Text(String),
    /// The same, with an exit code of its own.
    Status(u8, String),
    /// Everything has been said; only the code is left (a container's, mostly).
    Code(u8),
    /// Asked for something Wharf does not have yet.
    Missing(String),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Status(code, _) | Failure::Code(code) => *code,
            _ => 1,
        }
    }

    /// What to print on stderr, if anything.
    pub(crate) fn message(&self, program: Program) -> Option<String> {
        match self {
            Failure::Client(error) => Some(explain(error, program)),
            Failure::Text(text) | Failure::Status(_, text) => {
                (!text.is_empty()).then(|| text.clone())
            }
            Failure::Code(_) => None,
            Failure::Missing(text) => Some(text.clone()),
        }
    }

    /// Is the daemon out of reach? Then asking it for the next object is pointless.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Failure::Client(error) if error.is_not_found())
    }
}

/// The error in a sentence, with what to do about it where we know.
pub(crate) fn explain(error: &ClientError, program: Program) -> String {
    match (error, program) {
        (ClientError::Unreachable { host, .. }, Program::Docker) => {
            format!("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")
        }
        (ClientError::Unreachable { host, error }, Program::Wharf) => format!(
            "Cannot connect to the Wharf daemon at {host} ({}). Start it with 'wharf daemon', or \
             set WHARF_HOST or DOCKER_HOST to where one is running.",
            plain(error)
        ),
        (ClientError::Denied { host }, Program::Docker) => format!(
            "permission denied while trying to connect to the Docker daemon socket at {host}. \
             Run as root, or as a member of the group that owns the socket."
        ),
        (ClientError::Denied { host }, Program::Wharf) => format!(
            "Permission denied at {host}: only root and the group that owns the socket may use \
             it. Join the group (usermod -aG wharf $USER, then log in again), or run as root."
        ),
        (other, _) => other.to_string(),
    }
}

/// The system's words without Rust's `(os error 2)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Client(error)
    }
}

impl From<BadTemplate> for Failure {
    fn from(error: BadTemplate) -> Failure {
        Failure::Text(format!("template parsing error: {error}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        // The reader of our output has gone; there is nobody to tell.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::Code(141);
        }
        Failure::Text(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Text(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Failure {
        Failure::Text(text.to_owned())
    }
}

/// An I/O error that names its file, as Go's do: `open x: no such file or directory`.
pub(crate) fn file_error(verb: &str, path: &str, error: &io::Error) -> Failure {
    Failure::Text(format!("{verb} {path}: {}", plain(error)))
}
