//! Events, one document each.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model;

use crate::time;
use crate::version::ApiVersion;

/// `GET /events`
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    /// The first three are of before 1.10, and went with 1.52; only containers and images have
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Debug, Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

impl<'a> Event<'a> {
    pub(crate) fn of(event: &'a model::Event, version: ApiVersion) -> Self {
        let old = version.before(52) && matches!(event.kind.as_str(), "container" | "image");
        let image = (event.kind == "container")
            .then(|| event.attributes.get("image"))
            .flatten();
        Self {
            status: old.then_some(event.action.as_str()),
            id: old.then_some(event.actor.as_str()),
            from: image.filter(|_| old).map(String::as_str),
            kind: &event.kind,
            action: &event.action,
            actor: Actor {
                id: &event.actor,
                attributes: &event.attributes,
            },
            scope: "local",
            time: time::seconds(event.time),
            time_nano: event.time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> model::Event {
        model::Event {
            seq: 7,
            time: 1_700_000_000_500_000_000,
            kind: "container".into(),
            action: "start".into(),
            actor: "abc".into(),
            attributes: [("image".to_owned(), "busybox".to_owned())].into(),
        }
    }

    #[test]
    fn old_clients_get_the_old_keys_too() {
        let print =
            |version| serde_json::to_string(&Event::of(&event(), ApiVersion::v1(version))).unwrap();
        let new = r#""Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"image":"busybox"}},"scope":"local","time":1700000000,"timeNano":1700000000500000000}"#;
        assert_eq!(print(52), format!("{{{new}"));
        assert_eq!(
            print(51),
            format!(r#"{{"status":"start","id":"abc","from":"busybox",{new}"#)
        );
    }

    #[test]
    fn volumes_never_had_the_old_keys() {
        let volume = model::Event {
            kind: "volume".into(),
            ..event()
        };
        let printed = serde_json::to_value(Event::of(&volume, ApiVersion::v1(24))).unwrap();
        assert!(printed.get("status").is_none() && printed.get("id").is_none());
    }
}
