//! Which networks a listing shows.

use regex::Regex;

use super::validate::is_predefined;
use crate::model::{Filters, Network};
use crate::{Error, Result, filters};

const KNOWN: [&str; 8] = [
    "dangling", "driver", "id", "label", "label!", "name", "scope", "type",
];

/// The filters of a listing, checked.
#[derive(Debug)]
pub(super) struct Filter {
    raw: Filters,
    names: Vec<Regex>,
    dangling: Option<bool>,
}

impl Filter {
    pub(super) fn parse(raw: &Filters) -> Result<Filter> {
        filters::check(raw, &KNOWN)?;
        let types = filters::values(raw, "type").unwrap_or_default();
        if let Some(unknown) = types
            .iter()
            .find(|value| !matches!(value.as_str(), "custom" | "builtin"))
        {
            return Err(Error::InvalidArgument(format!(
                "invalid filter: 'type'='{unknown}'"
            )));
        }
        let scopes = filters::values(raw, "scope").unwrap_or_default();
        if let Some(unknown) = scopes
            .iter()
            .find(|value| !matches!(value.as_str(), "local" | "global" | "swarm"))
        {
            return Err(Error::InvalidArgument(format!(
                "invalid filter: 'scope'='{unknown}'"
            )));
        }
        let names = filters::values(raw, "name").unwrap_or_default();
        Ok(Filter {
            raw: raw.clone(),
            // A name that is no pattern is looked for as it is.
            names: names
                .iter()
                .filter_map(|name| {
                    Regex::new(name)
                        .or_else(|_| Regex::new(&regex::escape(name)))
                        .ok()
                })
                .collect(),
            dangling: filters::truth(raw, "dangling")?,
        })
    }

    fn any(&self, name: &str, matches: impl Fn(&str) -> bool) -> bool {
        filters::values(&self.raw, name)
            .is_none_or(|values| values.iter().any(|value| matches(value)))
    }

    /// `used`: a container has a place in it, running or not.
    pub(super) fn matches(&self, network: &Network, used: bool) -> bool {
        let builtin = is_predefined(&network.name);
        // The predefined ones are part of the engine: never unused, whoever uses them.
        let dangling = !builtin && !used;
        self.dangling.is_none_or(|wanted| wanted == dangling)
            && (self.names.is_empty() || self.names.iter().any(|name| name.is_match(&network.name)))
            && self.any("driver", |value| value == network.driver)
            && self.any("id", |value| network.id.starts_with(value))
            && self.any("scope", |value| value == "local")
            && self.any("type", |value| (value == "builtin") == builtin)
            && filters::labels_match(&self.raw, &network.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::fixture::network;

    fn shows(pairs: &[(&str, &str)], used: bool) -> bool {
        let mut raw = Filters::new();
        for (name, value) in pairs {
            raw.entry((*name).to_owned())
                .or_default()
                .push((*value).to_owned());
        }
        let mut blue = network("blue", "bridge");
        blue.labels.insert("tier".into(), "back".into());
        Filter::parse(&raw).unwrap().matches(&blue, used)
    }

    #[test]
    fn every_filter_tells_networks_apart() {
        for (filter, value, expected) in [
            ("name", "lu", true),
            ("name", "^lu", false),
            ("id", "0123", true),
            ("id", "123", false),
            ("driver", "bridge", true),
            ("driver", "macvlan", false),
            ("label", "tier=back", true),
            ("label", "tier=front", false),
            ("scope", "local", true),
            ("scope", "swarm", false),
            ("type", "custom", true),
            ("type", "builtin", false),
            ("dangling", "true", false),
            ("dangling", "false", true),
        ] {
            assert_eq!(
                shows(&[(filter, value)], true),
                expected,
                "{filter}={value}"
            );
        }
        assert!(shows(&[("dangling", "true")], false));
    }

    #[test]
    fn unknown_values_are_refused() {
        for (name, value, text) in [
            ("type", "x", "invalid filter: 'type'='x'"),
            ("nope", "x", "invalid filter 'nope'"),
        ] {
            let raw = [(name.to_owned(), vec![value.to_owned()])].into();
            assert_eq!(Filter::parse(&raw).unwrap_err().to_string(), text);
        }
    }
}
