//! Versions of the API: which a client may speak, and how it says so.
//!
//! A path may begin with `/v1.NN`; without it the newest version is meant. What differs between
//! versions is converted where a request enters and an answer leaves; nothing behind the door
//! knows the version.

use std::fmt;

use crate::error::ApiError;

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    major: u32,
    minor: u32,
}

impl ApiVersion {
    /// The oldest that is spoken.
    pub const OLDEST: Self = Self::v1(24);
    /// The newest that is spoken, and the one of a path without a version.
    pub const NEWEST: Self = Self::v1(56);

    /// `1.minor`.
    #[must_use]
    pub const fn v1(minor: u32) -> Self {
        Self { major: 1, minor }
    }

    /// Whether this is `1.minor` or newer.
    #[must_use]
    pub fn at_least(self, minor: u32) -> bool {
        self >= Self::v1(minor)
    }

    /// Whether this is older than `1.minor`.
    #[must_use]
    pub fn before(self, minor: u32) -> bool {
        self < Self::v1(minor)
    }

    /// Reads `1.41`. What is no number counts as 0, so that nonsense is "too old", as in dockerd.
    fn read(text: &str) -> Self {
        let mut parts = text
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or_default());
        Self {
            major: parts.next().unwrap_or_default(),
            minor: parts.next().unwrap_or_default(),
        }
    }

    /// Reads a version that a user configured.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let version = Self::read(text);
        (version.to_string() == text && version.is_spoken()).then_some(version)
    }

    fn is_spoken(self) -> bool {
        (Self::OLDEST..=Self::NEWEST).contains(&self)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Splits `/v1.41/containers/json` into the version as written and `/containers/json`.
pub(crate) fn split(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix("/v") else {
        return (None, path);
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (text, tail) = rest.split_at(end);
    let looks_right = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    // `/version` and `/volumes` begin with a v, too.
    if looks_right {
        (Some(text), tail)
    } else {
        (None, path)
    }
}

/// The version to speak, or dockerd's refusal.
pub(crate) fn negotiate(text: Option<&str>, oldest: ApiVersion) -> Result<ApiVersion, ApiError> {
    let Some(text) = text else {
        return Ok(ApiVersion::NEWEST);
    };
    let version = ApiVersion::read(text);
    if version < oldest {
        return Err(ApiError::bad_request(format!(
            "client version {text} is too old. Minimum supported API version is {oldest}, please upgrade your client to a newer version"
        )));
    }
    if version > ApiVersion::NEWEST {
        return Err(ApiError::bad_request(format!(
            "client version {text} is too new. Maximum supported API version is {}",
            ApiVersion::NEWEST
        )));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_split_off_and_words_that_begin_with_v_are_not() {
        assert_eq!(split("/v1.41/info"), (Some("1.41"), "/info"));
        assert_eq!(split("/v1.41"), (Some("1.41"), ""));
        assert_eq!(split("/version"), (None, "/version"));
        assert_eq!(split("/volumes/v1.2"), (None, "/volumes/v1.2"));
        assert_eq!(split("/v/x"), (None, "/v/x"));
    }

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert!(ApiVersion::v1(9) < ApiVersion::v1(41));
        assert!(ApiVersion::v1(41).at_least(41) && !ApiVersion::v1(41).before(41));
    }

    #[test]
    fn versions_out_of_range_get_dockers_words() {
        let refused = |text| {
            negotiate(Some(text), ApiVersion::OLDEST)
                .unwrap_err()
                .message
        };
        assert_eq!(
            refused("1.99"),
            "client version 1.99 is too new. Maximum supported API version is 1.56"
        );
        assert_eq!(
            refused("1.10"),
            "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        assert!(refused("..").contains("too old"));
        assert_eq!(
            negotiate(Some("1.30"), ApiVersion::v1(40))
                .unwrap_err()
                .message,
            "client version 1.30 is too old. Minimum supported API version is 1.40, please upgrade your client to a newer version"
        );
    }

    #[test]
    fn no_prefix_means_the_newest() {
        assert_eq!(
            negotiate(None, ApiVersion::OLDEST).unwrap(),
            ApiVersion::NEWEST
        );
        assert_eq!(
            negotiate(Some("1.24"), ApiVersion::OLDEST).unwrap(),
            ApiVersion::v1(24)
        );
    }

    #[test]
    fn a_configured_version_must_be_one_that_is_spoken() {
        assert_eq!(ApiVersion::parse("1.40"), Some(ApiVersion::v1(40)));
        for text in ["", "v1.40", "1.23", "1.57", "1.40.1", "1"] {
            assert_eq!(ApiVersion::parse(text), None, "{text}");
        }
    }
}
