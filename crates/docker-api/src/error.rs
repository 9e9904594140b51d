//! An error as a client sees it: a status and `{"message": "..."}`.

use hyper::StatusCode;
use wharf_engine::{Class, Error};

/// Why a request is refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// The status.
    pub(crate) status: StatusCode,
    /// Docker's words, where Docker has them.
    pub(crate) message: String,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// 400
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 404 for a path that names nothing.
    pub(crate) fn page_not_found() -> Self {
        Self::not_found("page not found")
    }

    /// 413
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 501: `what` is not supported yet.
    pub(crate) fn missing(what: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("{what} is not supported yet"),
        )
    }

    /// 503, in dockerd's words for everything that needs a swarm.
    pub(crate) fn no_swarm() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        )
    }

    /// 500
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The same error with something said before it.
    pub(crate) fn context(mut self, prefix: impl std::fmt::Display) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.class() {
            Class::InvalidArgument => StatusCode::BAD_REQUEST,
            Class::NotFound => StatusCode::NOT_FOUND,
            Class::Conflict => StatusCode::CONFLICT,
            Class::NotModified => StatusCode::NOT_MODIFIED,
            Class::Forbidden => StatusCode::FORBIDDEN,
            Class::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_an_error_chooses_its_status() {
        let status = |error: Error| ApiError::from(error).status.as_u16();
        assert_eq!(status(Error::NoSuchContainer("x".into())), 404);
        assert_eq!(status(Error::Conflict("x".into())), 409);
        assert_eq!(status(Error::NotModified("x".into())), 304);
        assert_eq!(
            status(Error::Start {
                message: "x".into(),
                exit_code: 127
            }),
            400
        );
    }

    #[test]
    fn the_words_are_the_engines() {
        assert_eq!(
            ApiError::from(Error::NoSuchContainer("x".into())).message,
            "No such container: x"
        );
        assert_eq!(
            ApiError::missing("HostConfig.BlkioWeight").message,
            "HostConfig.BlkioWeight is not supported yet"
        );
    }
}
