//! Names of images and platforms, as they come in queries.

use wharf_images::{Platform, Reference};

use super::query::Query;
use crate::error::ApiError;

/// `repo` and `tag`: no name when there is no repository, `latest` when there is no tag.
pub(crate) fn repo_tag(query: &Query) -> Result<Option<Reference>, ApiError> {
    let Some(repo) = query.some("repo") else {
        return Ok(None);
    };
    let bad = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
    let name = Reference::parse(repo).map_err(|error| bad(&error))?;
    if name.digest().is_some() {
        return Err(ApiError::bad_request("cannot import digest reference"));
    }
    let name = match query.some("tag") {
        Some(tag) => name.with_tag(tag).map_err(|error| bad(&error))?,
        None => name.or_latest(),
    };
    Ok(Some(name))
}

/// A platform in JSON, as OCI writes it.
fn platform(json: &str) -> Result<Platform, ApiError> {
    let platform: Platform = serde_json::from_str(json)
        .map_err(|error| ApiError::bad_request(format!("failed to parse platform: {error}")))?;
    let more = !platform.variant.is_empty()
        || !platform.os_version.is_empty()
        || !platform.os_features.is_empty();
    match (platform.os.is_empty(), platform.architecture.is_empty()) {
        (true, true) if more => Err(ApiError::bad_request(
            "optional platform fields provided, but OS and Architecture are missing",
        )),
        (false, false) => Ok(platform),
        _ => Err(ApiError::bad_request(
            "both OS and Architecture must be provided",
        )),
    }
}

/// The platform of a parameter in JSON, if one is given.
pub(crate) fn one_platform(query: &Query, key: &str) -> Result<Option<Platform>, ApiError> {
    query.some(key).map(platform).transpose()
}

/// Several of them.
pub(crate) fn platforms(query: &Query, key: &str) -> Result<Vec<Platform>, ApiError> {
    query.all(key).iter().map(|json| platform(json)).collect()
}

/// A platform as people write it: `linux/arm64/v8`.
pub(crate) fn typed_platform(query: &Query, key: &str) -> Result<Option<Platform>, ApiError> {
    let parse = |text: &str| text.parse::<Platform>();
    query
        .some(key)
        .map(parse)
        .transpose()
        .map_err(|error| ApiError::bad_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(query: &str) -> Result<Option<String>, String> {
        repo_tag(&Query::parse(query))
            .map(|name| name.map(|name| name.familiar()))
            .map_err(|error| error.message)
    }

    #[test]
    fn a_repository_and_a_tag_make_a_name() {
        assert_eq!(named("repo=busybox").unwrap().unwrap(), "busybox:latest");
        assert_eq!(named("repo=a/b&tag=1").unwrap().unwrap(), "a/b:1");
        assert_eq!(named("repo=a:1&tag=2").unwrap().unwrap(), "a:2");
        assert_eq!(named("repo=&tag=2").unwrap(), None);
    }

    #[test]
    fn what_is_no_name_is_refused_in_dockers_words() {
        assert_eq!(named("repo=a&tag=-").unwrap_err(), "invalid tag format");
        let digest = format!("repo=a@sha256:{}", "1".repeat(64));
        assert_eq!(
            named(&digest).unwrap_err(),
            "cannot import digest reference"
        );
        assert!(
            named("repo=UPPER")
                .unwrap_err()
                .contains("must be lowercase")
        );
    }

    #[test]
    fn a_platform_in_json_needs_both_parts() {
        let read = |json: &str| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("platform", json)
                .finish();
            one_platform(&Query::parse(&query), "platform")
        };
        assert_eq!(
            read(r#"{"os":"linux","architecture":"arm64"}"#)
                .unwrap()
                .unwrap()
                .architecture,
            "arm64"
        );
        assert_eq!(read("").unwrap(), None);
        for json in ["x", r#"{"os":"linux"}"#, r#"{"variant":"v7"}"#] {
            assert_eq!(read(json).unwrap_err().status, 400, "{json}");
        }
    }
}
