//! Query strings and path segments.

use std::collections::BTreeMap;

/// The parameters of a request, sent sorted by name as Go's client sends them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query {
    parameters: BTreeMap<String, Vec<String>>,
}

impl Query {
    pub(crate) fn new() -> Query {
        Query::default()
    }

    pub(crate) fn add(mut self, name: &str, value: impl Into<String>) -> Query {
        self.parameters
            .entry(name.to_owned())
            .or_default()
            .push(value.into());
        self
    }

    /// Adds a parameter unless its value is empty.
    pub(crate) fn add_text(self, name: &str, value: &str) -> Query {
        if value.is_empty() {
            self
        } else {
            self.add(name, value)
        }
    }

    /// Adds `name=1` when the switch is on.
    pub(crate) fn add_switch(self, name: &str, on: bool) -> Query {
        if on { self.add(name, "1") } else { self }
    }

    /// Adds `filters` in the form of API 1.22 and later, unless there are none.
    pub(crate) fn add_filters(self, filters: &[String]) -> Query {
        if filters.is_empty() {
            return self;
        }
        let mut map: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
        for filter in filters {
            let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
            map.entry(key).or_default().insert(value, true);
        }
        match serde_json::to_string(&map) {
            Ok(text) => self.add("filters", text),
            Err(_) => self,
        }
    }

    pub(crate) fn encode(&self) -> String {
        let mut out = String::new();
        for (name, values) in &self.parameters {
            for value in values {
                if !out.is_empty() {
                    out.push('&');
                }
                percent(&mut out, name, b"-_.~");
                out.push('=');
                percent(&mut out, value, b"-_.~");
            }
        }
        out
    }
}

/// A name inside a path. Slashes stay: image references have them.
pub(crate) fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    percent(&mut out, name, b"-_.~/:@!$&'()*+,;=");
    out
}

fn percent(out: &mut String, text: &str, plain: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_sorted_and_escaped() {
        let query = Query::new()
            .add("t", "5")
            .add_switch("all", true)
            .add("changes", "CMD a b&c");
        assert_eq!(query.encode(), "all=1&changes=CMD%20a%20b%26c&t=5");
    }

    #[test]
    fn filters_become_a_map_of_sets() {
        let filters = [
            "name=a".to_owned(),
            "name=b".to_owned(),
            "label=k=v".to_owned(),
        ];
        let encoded = Query::new().add_filters(&filters).encode();
        let expected = r#"{"label":{"k=v":true},"name":{"a":true,"b":true}}"#;
        let mut plain = String::new();
        percent(&mut plain, expected, b"-_.~");
        assert_eq!(encoded, format!("filters={plain}"));
    }

    #[test]
    fn names_cannot_leave_their_segment_for_the_query() {
        assert_eq!(escape("a?b#c d/e:1@sha256:x"), "a%3Fb%23c%20d/e:1@sha256:x");
    }
}
