//! What is a name of an image, and what is not: the grammar of `distribution/reference`, whose
//! errors docker's client gives before it asks any daemon.

/// A name: `[domain/]path[:tag][@digest]`.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    const INVALID: &str = "invalid reference format";
    if is_id(name) {
        return Err(format!(
            "invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"
        ));
    }
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (name, None),
    };
    let (domain, path) = match rest.split_once('/') {
        Some((first, path)) if is_domain(first) => (Some(first), path),
        _ => (None, rest),
    };
    let (path, tag) = match path.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    if path.chars().any(char::is_uppercase) {
        let official = domain.is_none() && !path.contains('/');
        let library = if official { "library/" } else { "" };
        return Err(format!(
            "{INVALID}: repository name ({library}{path}) must be lowercase"
        ));
    }
    let good = domain.is_none_or(good_domain)
        && path.split('/').all(good_component)
        && tag.is_none_or(good_tag)
        && digest.is_none_or(good_digest);
    if good {
        Ok(())
    } else {
        Err(INVALID.to_owned())
    }
}

/// A name, or an ID in full.
pub(crate) fn check_any(reference: &str) -> Result<(), String> {
    if is_id(reference) || good_digest(reference) {
        return Ok(());
    }
    check_name(reference)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_domain(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase)
}

fn good_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                let good = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
                return good && (port.is_empty() || port.strip_prefix(':').is_some_and(digits));
            }
            None => return false,
        },
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(part) && port.is_none_or(digits)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Words of letters and digits with `.`, `_`, `__` or dashes between them.
fn good_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(word)
        && component.ends_with(word)
        && component.split(word).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-')
        })
}

fn good_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn good_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
            && algorithm
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
            && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_grammar() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for good in [
            "a",
            "a:1",
            "a/b/c:V1.0-x",
            "localhost/a",
            "localhost:5000/a/b:1",
            "[::1]:5000/a",
            "registry.example/a--b/c__d.e_f",
            "UP.example/a",
            &digest,
        ] {
            check_name(good).unwrap();
        }
        for bad in [
            "", "a:", "a:b:c", "-a", "a..b", "a b", "a/", "/a", "a@b", "a___b", "a:-x",
        ] {
            assert_eq!(
                check_name(bad).unwrap_err(),
                "invalid reference format",
                "{bad}"
            );
        }
        assert_eq!(
            check_name("Up").unwrap_err(),
            "invalid reference format: repository name (library/Up) must be lowercase"
        );
        assert_eq!(
            check_name("a.b/Up:1").unwrap_err(),
            "invalid reference format: repository name (Up) must be lowercase"
        );
    }

    #[test]
    fn an_id_is_no_name_and_may_be_run() {
        let id = "f".repeat(64);
        assert!(check_name(&id).unwrap_err().contains("64-byte hexadecimal"));
        check_any(&id).unwrap();
        check_any(&format!("sha256:{id}")).unwrap();
    }
}
