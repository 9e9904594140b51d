//! What can go wrong with `cp`, before it has dockerd's words.

use std::io;

use rustix::io::Errno;
use wharf_store::tar::TarError;
use wharf_sys::mount::MountError;
use wharf_sys::rooted::RootedError;

use crate::Error;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing is at the path that was asked for.
    #[error("no such file or directory")]
    Missing,
    /// The request, or the archive, makes no sense here.
    #[error("{0}")]
    Refused(String),
    /// It may not be written to.
    #[error("{0}")]
    ReadOnly(&'static str),
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] TarError),
    /// Something in the tree.
    #[error(transparent)]
    Object(#[from] RootedError),
    /// The tree could not be put together.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Reading or writing content.
    #[error("{path}: {source}")]
    Content {
        /// The object, inside the container.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Failure {
    /// As the client of a request for `path` in `container` is told.
    pub(super) fn about(self, path: &str, container: &str) -> Error {
        let errno = match &self {
            Failure::Object(error) => error.raw_os_error(),
            Failure::Content { source, .. } => source.raw_os_error(),
            _ => None,
        };
        let is = |known: Errno| errno == Some(known.raw_os_error());
        match self {
            Failure::Missing => Error::NotFound(format!(
                "Could not find the file {path} in container {container}"
            )),
            Failure::Refused(why) => Error::InvalidArgument(why),
            Failure::ReadOnly(why) => Error::Forbidden(why.to_owned()),
            Failure::Archive(TarError::Io(error)) => unreadable(&error),
            Failure::Archive(error) => Error::InvalidArgument(error.to_string()),
            failure if is(Errno::ROFS) => Error::Forbidden(failure.to_string()),
            failure if is(Errno::NOSPC) => {
                Error::Internal(format!("no space left on device: {failure}"))
            }
            failure if is(Errno::NOTDIR) || is(Errno::LOOP) || is(Errno::NAMETOOLONG) => {
                Error::InvalidArgument(failure.to_string())
            }
            failure => Error::Internal(failure.to_string()),
        }
    }
}

/// A body that cannot be read: compressed in a way that is not known, damaged, or cut off.
fn unreadable(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Unsupported
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof => Error::InvalidArgument(error.to_string()),
        _ => Error::Internal(format!("read the archive: {error}")),
    }
}
