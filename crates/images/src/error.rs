//! What can go wrong with images, in Docker's words where Docker has words for it.

use wharf_store::{Digest, StoreError};

use crate::id::ImageId;
use crate::pattern::BadPattern;
use crate::platform::PlatformError;
use crate::reference::ReferenceError;

/// A failure of an operation on images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Nothing of that name or ID.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// The first digits of more than one ID.
    #[error("ambiguous reference")]
    Ambiguous,
    /// The image exists, for other machines.
    #[error(
        "image with reference {name} was found but does not match the specified platform: wanted {wanted}, actual: {actual}"
    )]
    OtherPlatform {
        /// As asked for.
        name: String,
        /// The platform asked for.
        wanted: String,
        /// The platform there is.
        actual: String,
    },
    /// Text that is not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Text that is not a platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A filter pattern that ends in the middle of something.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// A tag cannot be given to a digest.
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    /// The image is in use, and removing it can or cannot be forced.
    #[error("{0}")]
    Conflict(String),
    /// An instruction for `--change` that is not one.
    #[error("{0}")]
    Change(String),
    /// An archive that is not one of the forms that can be loaded, or is inconsistent.
    #[error("{0}")]
    Archive(String),
    /// A document of an image that cannot be understood.
    #[error("{what}: {source}")]
    Json {
        /// Which document.
        what: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A document that is larger than any honest one.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Which document.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The bytes came to an end or could not be read.
    #[error("{what}: {source}")]
    Read {
        /// What was being read.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The receiver of an archive went away.
    #[error("write {what}: {source}")]
    Write {
        /// What was being written.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A URL that could not be fetched.
    #[error("{0}")]
    Fetch(String),
    /// An image whose parts are not all in the store any more.
    #[error("image {id} is incomplete: {missing} is missing")]
    Incomplete {
        /// The image.
        id: ImageId,
        /// Which blob or layer.
        missing: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What kind of failure it is, for whoever has to answer with a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller asked for something that makes no sense.
    InvalidArgument,
    /// There is no such thing.
    NotFound,
    /// Something is in the way.
    Conflict,
    /// The machine failed, not the caller.
    Internal,
}

impl ImageError {
    /// The kind of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ImageError::NoSuchImage(_)
            | ImageError::Ambiguous
            | ImageError::OtherPlatform { .. } => ErrorKind::NotFound,
            ImageError::Reference(_)
            | ImageError::Platform(_)
            | ImageError::Pattern(_)
            | ImageError::TagWithDigest
            | ImageError::Change(_)
            | ImageError::Archive(_)
            | ImageError::Json { .. }
            | ImageError::TooLarge { .. }
            | ImageError::Fetch(_)
            | ImageError::Store(
                StoreError::BadLayer(_) | StoreError::WrongDigest { .. } | StoreError::Digest(_),
            ) => ErrorKind::InvalidArgument,
            ImageError::Conflict(_) => ErrorKind::Conflict,
            ImageError::Read { .. }
            | ImageError::Write { .. }
            | ImageError::Incomplete { .. }
            | ImageError::Store(_) => ErrorKind::Internal,
        }
    }

    /// An archive that is wrong in a way that needs telling.
    pub(crate) fn archive(message: impl Into<String>) -> ImageError {
        ImageError::Archive(message.into())
    }
}
