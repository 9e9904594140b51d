//! Which events a reader wants.

use crate::filters;
use crate::model::{Event, Filters};
use crate::{Error, Result};

const KNOWN: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// The filters of a query, checked.
#[derive(Debug)]
pub(super) struct EventFilter(Filters);

impl EventFilter {
    pub(super) fn parse(filters: &Filters) -> Result<EventFilter> {
        filters::check(filters, &KNOWN)?;
        if let Some(scope) = filters::values(filters, "scope")
            .unwrap_or_default()
            .iter()
            .find(|scope| !matches!(scope.as_str(), "local" | "swarm"))
        {
            return Err(Error::InvalidArgument(format!(
                "invalid filter 'scope={scope}'"
            )));
        }
        Ok(EventFilter(filters.clone()))
    }

    /// Every filter that is used must match.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.any("type", |kind| *kind == event.kind)
            && self.any("event", |action| matches_action(action, &event.action))
            && self.any("scope", |scope| scope == "local")
            && ["container", "volume", "network", "daemon", "plugin"]
                .iter()
                .all(|kind| self.any(kind, |wanted| self::object(event, kind, wanted)))
            && self.any("image", |wanted| image(event, wanted))
            // Kinds of a swarm, of which nothing ever happens here.
            && ["node", "config", "secret", "service"]
                .iter()
                .all(|kind| self.any(kind, |_| false))
            && filters::labels_match(&self.0, &event.attributes)
    }

    fn any(&self, name: &str, matches: impl Fn(&String) -> bool) -> bool {
        filters::values(&self.0, name).is_none_or(|values| values.iter().any(matches))
    }
}

/// `exec_create` also means `exec_create: sh -c ...`.
fn matches_action(wanted: &str, action: &str) -> bool {
    let bare = action.split_once(':').map_or(action, |(bare, _)| bare);
    wanted == action || wanted == bare
}

/// By id, first digits of an id, or name.
fn object(event: &Event, kind: &str, wanted: &str) -> bool {
    let name = event.attributes.get("name");
    event.kind == kind
        && !wanted.is_empty()
        && (event.actor.starts_with(wanted)
            || name.is_some_and(|name| name == wanted.trim_start_matches('/')))
}

/// Of the image itself, or of a container made from it; with or without its tag.
fn image(event: &Event, wanted: &str) -> bool {
    let candidates = match event.kind.as_str() {
        "image" => vec![Some(&event.actor), event.attributes.get("name")],
        "container" => vec![event.attributes.get("image")],
        _ => return false,
    };
    let untagged = |name: &str| match name.rsplit_once(':') {
        // A colon before a slash is a port of a registry's address.
        Some((bare, tag)) if !tag.contains('/') => bare.to_owned(),
        _ => name.to_owned(),
    };
    candidates
        .into_iter()
        .flatten()
        .any(|name| name == wanted || untagged(name) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event;

    fn wants(pairs: &[(&str, &str)], event: &Event) -> bool {
        let mut filters = Filters::new();
        for (name, value) in pairs {
            filters
                .entry((*name).to_owned())
                .or_default()
                .push((*value).to_owned());
        }
        EventFilter::parse(&filters).unwrap().wants(event)
    }

    fn started() -> Event {
        let attributes = [("name", "web"), ("image", "busybox:1.36"), ("tier", "back")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        event("container", "start", "abc123", attributes)
    }

    #[test]
    fn values_of_one_filter_are_alternatives_and_filters_add_up() {
        let event = started();
        assert!(wants(&[], &event));
        assert!(wants(&[("event", "die"), ("event", "start")], &event));
        assert!(!wants(&[("event", "start"), ("type", "image")], &event));
        assert!(wants(
            &[("label", "tier=back"), ("type", "container")],
            &event
        ));
    }

    #[test]
    fn a_container_is_found_by_name_id_or_first_digits() {
        let event = started();
        for wanted in ["web", "/web", "abc123", "abc"] {
            assert!(wants(&[("container", wanted)], &event), "{wanted}");
        }
        assert!(!wants(&[("container", "we")], &event));
        assert!(!wants(&[("volume", "web")], &event));
    }

    #[test]
    fn an_image_filter_also_finds_its_containers_with_or_without_tag() {
        let event = started();
        assert!(wants(&[("image", "busybox")], &event));
        assert!(wants(&[("image", "busybox:1.36")], &event));
        assert!(!wants(&[("image", "busy")], &event));
    }

    #[test]
    fn an_action_with_a_command_is_found_by_its_bare_name() {
        let mut event = started();
        event.action = "exec_create: sh -c true".into();
        assert!(wants(&[("event", "exec_create")], &event));
        assert!(!wants(&[("event", "exec")], &event));
    }

    #[test]
    fn unknown_filters_are_refused() {
        let filters = [("nope".to_owned(), vec!["x".to_owned()])].into();
        assert_eq!(
            EventFilter::parse(&filters).unwrap_err().to_string(),
            "invalid filter 'nope'"
        );
    }
}
