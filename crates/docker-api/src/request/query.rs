//! Parameters in the query, read as dockerd reads them.

use crate::error::ApiError;

/// The decoded parameters, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes what follows the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value; empty when there is none.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.find(key).unwrap_or_default()
    }

    /// The first value, unless it is absent or empty.
    pub(crate) fn some(&self, key: &str) -> Option<&str> {
        self.find(key).filter(|value| !value.is_empty())
    }

    fn find(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Whether it is there at all.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// All values.
    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// A truth value: everything but nothing, `0`, `no`, `false` and `none` is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        !matches!(
            self.get(key).trim().to_ascii_lowercase().as_str(),
            "" | "0" | "no" | "false" | "none"
        )
    }

    /// A truth value that is true when absent.
    pub(crate) fn flag_unless_absent(&self, key: &str) -> bool {
        !self.has(key) || self.flag(key)
    }

    /// A number, if one is given.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.some(key) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            ApiError::bad_request(format!(
                "strconv.Atoi: parsing {}: invalid syntax",
                quote(text)
            ))
        })
    }

    /// One side of a terminal's size.
    pub(crate) fn side(&self, key: &str, name: &str) -> Result<u16, ApiError> {
        let text = self.get(key);
        let reason = match text.parse::<u32>() {
            // Sizes beyond a terminal's 16 bits are cut off by the kernel in dockerd; refuse them.
            Ok(side) => match u16::try_from(side) {
                Ok(side) => return Ok(side),
                Err(_) => "value out of range",
            },
            Err(_) if text.parse::<i64>().is_ok() => "value out of range",
            Err(_) => "invalid syntax",
        };
        Err(ApiError::bad_request(format!(
            "invalid resize {name} {}: {reason}",
            quote(text)
        )))
    }
}

/// A string as Go's `%q` prints it.
pub(crate) fn quote(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_everything_but_dockers_words_for_no() {
        let query = Query::parse("a=1&b=0&c=False&d=none&e=&f=yes&g=no");
        for (key, value) in [
            ("a", true),
            ("b", false),
            ("c", false),
            ("d", false),
            ("e", false),
            ("f", true),
            ("g", false),
            ("absent", false),
        ] {
            assert_eq!(query.flag(key), value, "{key}");
        }
        assert!(query.flag_unless_absent("absent") && !query.flag_unless_absent("e"));
    }

    #[test]
    fn values_are_decoded_and_may_repeat() {
        let query = Query::parse("names=a%2Fb&names=c+d&names=");
        assert_eq!(query.all("names"), ["a/b", "c d", ""]);
        assert_eq!(query.get("names"), "a/b");
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert_eq!(Query::parse("t=-1").number("t").unwrap(), Some(-1));
        assert_eq!(Query::parse("t=").number("t").unwrap(), None);
        let refused = Query::parse("t=soon").number("t").unwrap_err();
        assert_eq!(
            (
                refused.status.as_u16(),
                refused.message.contains("\"soon\"")
            ),
            (400, true)
        );
    }

    #[test]
    fn a_terminals_size_is_checked_as_dockerd_does() {
        assert_eq!(Query::parse("h=24").side("h", "height").unwrap(), 24);
        assert_eq!(
            Query::parse("h=x").side("h", "height").unwrap_err().message,
            "invalid resize height \"x\": invalid syntax"
        );
        assert_eq!(
            Query::parse("w=-1").side("w", "width").unwrap_err().message,
            "invalid resize width \"-1\": value out of range"
        );
        assert_eq!(
            Query::parse("").side("h", "height").unwrap_err().message,
            "invalid resize height \"\": invalid syntax"
        );
    }
}
