//! `docker image`: one file per command, and how image names are written.

pub(crate) mod archive;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod reference;
pub(crate) mod rm;
pub(crate) mod save;
pub(crate) mod tag;

use crate::command::Command;
use crate::missing;

pub(crate) const GROUP: Command = Command::group(
    "image",
    "Manage images",
    &[
        missing::BUILD,
        history::COMMAND,
        import::COMMAND,
        inspect::COMMAND,
        load::COMMAND,
        ls::COMMAND,
        prune::COMMAND,
        missing::PULL,
        missing::PUSH,
        rm::COMMAND,
        save::COMMAND,
        tag::COMMAND,
    ],
);

/// `busybox` out of `docker.io/library/busybox`, as people write it.
pub(crate) fn familiar(name: &str) -> &str {
    let stripped = name.strip_prefix("docker.io/");
    let Some(name) = stripped.or(name.strip_prefix("index.docker.io/")) else {
        return name;
    };
    match name.strip_prefix("library/") {
        // A further slash makes it somebody's name below "library".
        Some(rest) if !rest.contains('/') => rest,
        _ => name,
    }
}

/// Name and tag (or digest) apart; a colon before the last slash is a port.
pub(crate) fn split_tag(reference: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, Some(digest));
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (reference, None),
    }
}

/// The reference with `:latest` where it names neither tag nor digest.
pub(crate) fn with_default_tag(reference: &str) -> String {
    match split_tag(reference) {
        (_, None) => format!("{reference}:latest"),
        _ => reference.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_tag_and_not_at_the_port() {
        assert_eq!(
            split_tag("localhost:5000/a/b"),
            ("localhost:5000/a/b", None)
        );
        assert_eq!(
            split_tag("localhost:5000/a:1"),
            ("localhost:5000/a", Some("1"))
        );
        assert_eq!(split_tag("a@sha256:ff"), ("a", Some("sha256:ff")));
        assert_eq!(with_default_tag("busybox"), "busybox:latest");
    }

    #[test]
    fn the_default_registry_is_not_written() {
        assert_eq!(familiar("docker.io/library/busybox:1"), "busybox:1");
        assert_eq!(familiar("docker.io/me/x"), "me/x");
        assert_eq!(familiar("quay.io/me/x"), "quay.io/me/x");
    }
}
