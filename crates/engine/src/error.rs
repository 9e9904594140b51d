//! What can go wrong, in words that Docker's users know.
//!
//! The text of an error is Docker's where Docker has one. Its [`Class`] is all that a door needs to
//! choose a status; no door looks at a variant.

/// Why the engine refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong.
    #[error("{0}")]
    InvalidArgument(String),
    /// No container has that name, id or id prefix.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// No exec has that id.
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    /// No image has that name or id.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// No volume has that name.
    #[error("get {0}: no such volume")]
    NoSuchVolume(String),
    /// No network has that name or id.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// Something else that is not there, with the whole sentence.
    #[error("{0}")]
    NotFound(String),
    /// The state of an object forbids it.
    #[error("{0}")]
    Conflict(String),
    /// Already so: started, stopped.
    #[error("{0}")]
    NotModified(String),
    /// Not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// Promised for later; names what is missing.
    #[error("{0}")]
    NotImplemented(String),
    /// Cannot be served now: shutting down, a bound reached.
    #[error("{0}")]
    Unavailable(String),
    /// A container could not be started for a reason that lies in its own configuration
    /// (no such executable, a bad working directory): exit code 126 or 127 goes with it.
    #[error("{message}")]
    Start {
        /// The whole sentence, as dockerd words it.
        message: String,
        /// What the docker CLI exits with.
        exit_code: i32,
    },
    /// The disk, the kernel or a bug.
    #[error("{0}")]
    Internal(String),
}

/// What a door maps to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 400
    InvalidArgument,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 304
    NotModified,
    /// 403
    Forbidden,
    /// 501
    NotImplemented,
    /// 503
    Unavailable,
    /// 500
    Internal,
}

impl Error {
    /// The same, with what it was about before its text.
    pub(crate) fn within(self, about: &str) -> Error {
        let text = format!("{about}: {self}");
        match self.class() {
            Class::InvalidArgument => Self::InvalidArgument(text),
            Class::NotFound => Self::NotFound(text),
            Class::Conflict => Self::Conflict(text),
            Class::NotModified => Self::NotModified(text),
            Class::Forbidden => Self::Forbidden(text),
            Class::NotImplemented => Self::NotImplemented(text),
            Class::Unavailable => Self::Unavailable(text),
            Class::Internal => Self::Internal(text),
        }
    }

    /// The class of this error.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::InvalidArgument(_) | Self::Start { .. } => Class::InvalidArgument,
            Self::NoSuchContainer(_)
            | Self::NoSuchExec(_)
            | Self::NoSuchImage(_)
            | Self::NoSuchVolume(_)
            | Self::NoSuchNetwork(_)
            | Self::NotFound(_) => Class::NotFound,
            Self::Conflict(_) => Class::Conflict,
            Self::NotModified(_) => Class::NotModified,
            Self::Forbidden(_) => Class::Forbidden,
            Self::NotImplemented(_) => Class::NotImplemented,
            Self::Unavailable(_) => Class::Unavailable,
            Self::Internal(_) => Class::Internal,
        }
    }
}

impl From<wharf_store::StoreError> for Error {
    fn from(error: wharf_store::StoreError) -> Self {
        match error {
            wharf_store::StoreError::Unsupported(what) => Self::NotImplemented(what),
            error if error.is_no_space() => {
                Self::Internal(format!("no space left on device: {error}"))
            }
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<wharf_images::ImageError> for Error {
    fn from(error: wharf_images::ImageError) -> Self {
        use wharf_images::{ErrorKind, ImageError};
        match error {
            ImageError::NoSuchImage(name) => Self::NoSuchImage(name),
            ImageError::Store(error) => error.into(),
            error => match error.kind() {
                ErrorKind::InvalidArgument => Self::InvalidArgument(error.to_string()),
                ErrorKind::NotFound => Self::NotFound(error.to_string()),
                ErrorKind::Conflict => Self::Conflict(error.to_string()),
                ErrorKind::Internal => Self::Internal(error.to_string()),
            },
        }
    }
}
