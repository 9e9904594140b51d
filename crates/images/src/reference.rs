//! Names of images, by the rules of distribution/reference.
//!
//! ```text
//! reference := name [":" tag] ["@" digest]
//! name      := [domain "/"] path
//! ```
//!
//! What people type is the familiar form (`busybox`); what is stored and compared is the
//! normalised one (`docker.io/library/busybox:latest`). The first component is a domain if it
//! has a dot, a colon or a capital letter, or is `localhost`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wharf_store::{Digest, DigestError};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;

/// A normalised name with an optional tag and digest.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Text that names no image. The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Not in the grammar.
    #[error("invalid reference format")]
    Format,
    /// A capital letter in the path.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// A capital letter elsewhere in the name.
    #[error("repository name must be lowercase")]
    NameUppercase,
    /// 64 hexadecimal digits are an image ID.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// A path of more than 255 characters.
    #[error("repository name must not be more than {MAX_PATH} characters")]
    TooLong,
    /// Not a tag.
    #[error("invalid tag format")]
    Tag,
    /// A digest that is well formed but not a SHA-256 of 64 digits.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// What a user may have meant by a word: an image ID, or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyReference {
    /// A whole image ID.
    Id(Digest),
    /// A name.
    Named(Reference),
}

impl AnyReference {
    /// A digest or 64 hexadecimal digits are an ID, anything else a name.
    pub fn parse(text: &str) -> Result<AnyReference, ReferenceError> {
        if let Ok(digest) = Digest::from_hex(text) {
            return Ok(AnyReference::Id(digest));
        }
        if let Ok(digest) = text.parse() {
            return Ok(AnyReference::Id(digest));
        }
        Reference::parse(text).map(AnyReference::Named)
    }

    /// As Docker prints it in "No such image".
    #[must_use]
    pub fn familiar(&self) -> String {
        match self {
            AnyReference::Id(digest) => digest.to_string(),
            AnyReference::Named(name) => name.clone().or_latest().familiar(),
        }
    }
}

impl Reference {
    /// Parse what a user typed, or a normalised name.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        if Digest::from_hex(text).is_ok() {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (domain, remainder) = split_domain(text);
        let path = remainder.split(':').next().unwrap_or_default();
        if path.to_lowercase() != path {
            return Err(ReferenceError::Uppercase(path.to_owned()));
        }
        parse_normalised(&format!("{domain}/{remainder}"))
    }

    /// The registry's host and port.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if there is one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Neither tag nor digest.
    #[must_use]
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// Domain and path.
    #[must_use]
    pub fn name(&self) -> String {
        join(&self.domain, &self.path)
    }

    /// Domain and path as people type them.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people type it.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// This reference with the tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Reference {
        if self.is_name_only() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// This name with another tag, and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Reference {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// What this reference is looked up by: the digest alone if it has one, since the tag beside
    /// it may have moved; otherwise the tag, or `latest`.
    #[must_use]
    pub fn lookup_form(&self) -> Reference {
        let mut reference = self.clone().or_latest();
        if reference.digest.is_some() {
            reference.tag = None;
        }
        reference
    }

    /// Whether a `reference` filter means this image: the pattern (as of Go's `path.Match`) is
    /// compared with the familiar form with and without tag.
    pub fn matches(&self, pattern: &str) -> Result<bool, BadPattern> {
        Ok(crate::pattern::matches(pattern, &self.familiar())?
            || crate::pattern::matches(pattern, &self.familiar_name())?)
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

pub use crate::pattern::BadPattern;

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn join(domain: &str, path: &str) -> String {
    if domain.is_empty() {
        path.to_owned()
    } else {
        format!("{domain}/{path}")
    }
}

/// Domain and the rest, with Docker Hub's defaults filled in.
fn split_domain(text: &str) -> (&str, String) {
    let (domain, rest) = match text.split_once('/') {
        None => return (DEFAULT_DOMAIN, format!("{OFFICIAL_PREFIX}{text}")),
        Some((LEGACY_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest)) if is_domain_like(first) => (first, rest),
        Some(_) => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        return (domain, format!("{OFFICIAL_PREFIX}{rest}"));
    }
    (domain, rest.to_owned())
}

fn is_domain_like(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first
}

fn parse_normalised(text: &str) -> Result<Reference, ReferenceError> {
    let Some((domain, path, tag, digest)) = split(text) else {
        let lower = text.to_lowercase();
        return Err(if lower != text && split(&lower).is_some() {
            ReferenceError::NameUppercase
        } else {
            ReferenceError::Format
        });
    };
    if path.len() > MAX_PATH {
        return Err(ReferenceError::TooLong);
    }
    Ok(Reference {
        domain: domain.to_owned(),
        path: path.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::parse).transpose()?,
    })
}

/// Domain (may be empty), path, tag and digest of text that is in the grammar.
///
/// None of the parts can hold an `@`, no tag a `/` or a `:`, and no path a `:`; so the places to
/// split at are certain and no backtracking is needed.
type Parts<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>);

fn split(text: &str) -> Option<Parts<'_>> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    let (domain, path) = match name.split_once('/') {
        Some((domain, path)) if is_domain(domain) => (domain, path),
        // A first component such as `a_b.c` is no domain but may be part of a path.
        _ => ("", name),
    };
    let right = is_path(path) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest_like);
    right.then_some((domain, path, tag, digest))
}

fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    if !ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last)) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_TAG).contains(&tag.len())
        && word(tag.as_bytes()[0])
        && tag
            .bytes()
            .all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            let right = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
            if address.is_empty() || !address.bytes().all(right) {
                return false;
            }
            match port.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if port.is_empty() => (None, None),
                None => return false,
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    host.is_none_or(|host| host.split('.').all(is_domain_component))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_domain_component(component: &str) -> bool {
    !component.is_empty()
        && !component.starts_with('-')
        && !component.ends_with('-')
        && component
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `algorithm ":" hex`, of any algorithm and at least 32 digits.
fn is_digest_like(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let component = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(component)
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa";

    #[test]
    fn what_people_type_is_normalised_and_shown_as_they_typed_it() {
        for (typed, stored, shown) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            (
                "index.docker.io/library/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            (
                "dmcgowan/myapp",
                "docker.io/dmcgowan/myapp",
                "dmcgowan/myapp",
            ),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("localhost/x:y", "localhost/x:y", "localhost/x:y"),
            ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x"),
            (
                "[2001:db8::1]:5000/repo",
                "[2001:db8::1]:5000/repo",
                "[2001:db8::1]:5000/repo",
            ),
            (
                "Uppercase/lowercase",
                "Uppercase/lowercase",
                "Uppercase/lowercase",
            ),
            (
                "xn--n3h.com/myimage:xn--n3h.com",
                "xn--n3h.com/myimage:xn--n3h.com",
                "xn--n3h.com/myimage:xn--n3h.com",
            ),
            ("foo_bar.com/x", "foo_bar.com/x", "foo_bar.com/x"),
            ("a--b__c_d/f.g", "docker.io/a--b__c_d/f.g", "a--b__c_d/f.g"),
        ] {
            let reference = Reference::parse(typed).unwrap_or_else(|e| panic!("{typed}: {e}"));
            assert_eq!(reference.to_string(), stored);
            assert_eq!(reference.familiar(), shown);
            assert_eq!(stored.parse(), Ok(reference));
        }
        let both = format!("busybox:1@sha256:{HEX}");
        let reference = Reference::parse(&both).unwrap();
        assert_eq!(reference.tag(), Some("1"));
        assert_eq!(reference.familiar(), both);
        assert_eq!(
            reference.lookup_form().familiar(),
            format!("busybox@sha256:{HEX}")
        );
    }

    #[test]
    fn what_is_not_a_name_is_refused_in_dockers_words() {
        let text = |text: &str| Reference::parse(text).unwrap_err().to_string();
        for wrong in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "a:",
            "a:b:c",
            "a@",
            "a@sha256:00",
            "a b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a/-b",
            "http://a/b",
            "a/b:",
            "a:.x",
            "localhost:/x",
            "[::1]x/y",
            "a\n",
            "..",
            "../a",
            "a/../b",
        ] {
            assert_eq!(text(wrong), "invalid reference format", "{wrong:?}");
        }
        assert_eq!(
            text("Busybox"),
            "invalid reference format: repository name (library/Busybox) must be lowercase"
        );
        assert_eq!(
            text(HEX),
            format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings")
        );
        assert_eq!(
            text(&"a".repeat(260)),
            "repository name must not be more than 255 characters"
        );
        let sha512 = format!("a@sha512:{}", "0".repeat(128));
        assert_eq!(text(&sha512), "unsupported digest algorithm: sha512");
        assert_eq!(
            text(&format!("a:{}", "b".repeat(129))),
            "invalid reference format"
        );
    }

    #[test]
    fn sixty_four_digits_are_an_id_and_not_a_name() {
        let id: Digest = format!("sha256:{HEX}").parse().unwrap();
        assert_eq!(AnyReference::parse(HEX), Ok(AnyReference::Id(id)));
        assert_eq!(
            AnyReference::parse(&format!("sha256:{HEX}")),
            Ok(AnyReference::Id(id))
        );
        assert!(matches!(
            AnyReference::parse("7cc4"),
            Ok(AnyReference::Named(_))
        ));
        assert_eq!(AnyReference::parse("x").unwrap().familiar(), "x:latest");
    }

    #[test]
    fn a_filter_matches_names_with_and_without_their_tag() {
        let reference = Reference::parse("registry.local:5000/team/app:1.2").unwrap();
        for (pattern, matches) in [
            ("registry.local:5000/team/app", true),
            ("registry.local:5000/*/app:1.*", true),
            ("*/*/app", true),
            ("app", false),
            ("*", false),
        ] {
            assert_eq!(reference.matches(pattern), Ok(matches), "{pattern}");
        }
        let reference = Reference::parse("busybox").unwrap().or_latest();
        assert_eq!(reference.matches("busy*"), Ok(true));
        assert_eq!(reference.matches("*:latest"), Ok(true));
        assert!(reference.matches("[").is_err());
    }

    proptest! {
        #[test]
        fn the_parser_never_panics_and_what_it_accepts_reads_back(text in "\\PC{0,80}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference.clone()));
                prop_assert_eq!(Reference::parse(&reference.familiar()), Ok(reference));
            }
        }

        #[test]
        fn names_of_the_grammar_are_accepted(
            text in "([a-z0-9]{1,4}(\\.[a-z]{1,3})?(:[0-9]{1,4})?/)?[a-z0-9]{1,9}((_|\\.|-{1,3}|__)[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,4}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,12})?"
        ) {
            let reference = Reference::parse(&text);
            prop_assert!(reference.is_ok(), "{}: {:?}", text, reference);
        }
    }
}
