//! daemon.json, by the table.

use serde_json::{Map as Object, Value};

use super::table::{self, Kind};
use super::{ConfigError, Typed, show};

/// Reads the content of the file. An empty one configures nothing.
pub(crate) fn parse(content: &str) -> Result<Typed, ConfigError> {
    // Editors of another system begin a file with this.
    let content = content.trim_start_matches('\u{feff}').trim();
    if content.is_empty() {
        return Ok(Typed::default());
    }
    let object: Object<String, Value> =
        serde_json::from_str(content).map_err(|error| ConfigError::Json(error.to_string()))?;
    let mut typed = Typed::default();
    let mut unknown = Vec::new();
    for (name, value) in flatten(object) {
        match table::by_file(&name) {
            Some(key) => {
                check(key.kind, &name, &value)?;
                typed.0.insert(key.name(), value);
            }
            None => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        Ok(typed)
    } else {
        Err(ConfigError::UnknownKeys(unknown.join(", ")))
    }
}

/// Members of a group count as keys at the top.
fn flatten(object: Object<String, Value>) -> impl Iterator<Item = (String, Value)> {
    object.into_iter().flat_map(|(name, value)| match value {
        Value::Object(members) if table::GROUPS.contains(&name.as_str()) => {
            members.into_iter().collect::<Vec<_>>()
        }
        value => vec![(name, value)],
    })
}

fn check(kind: Kind, name: &str, value: &Value) -> Result<(), ConfigError> {
    let fits = match kind {
        Kind::Flag => value.is_boolean(),
        Kind::Number => value.is_i64(),
        Kind::Text => value.is_string() || value.is_i64(),
        Kind::List => value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string)),
        // Members may be objects: `runtimes` has them.
        Kind::Map | Kind::Ulimits => value.is_object(),
        Kind::Json => true,
    };
    if fits {
        return Ok(());
    }
    Err(ConfigError::FileValue {
        key: name.into(),
        value: show(value),
        expected: match kind {
            Kind::Flag => "true or false",
            Kind::Number => "a number",
            Kind::Text => "a string",
            Kind::List => "a list of strings",
            Kind::Map | Kind::Ulimits => "an object",
            Kind::Json => "anything",
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content: &str) -> Result<Value, String> {
        parse(content)
            .map(|typed| json!(typed.0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_and_groups_opened() {
        assert_eq!(
            read(r#"{"debug":true,"labels":["a=b"],"proxies":{"http-proxy":"http://p"},"builder":{"gc":{"enabled":true}}}"#).unwrap(),
            json!({"debug": true, "labels": ["a=b"], "http-proxy": "http://p", "builder": {"gc": {"enabled": true}}})
        );
        assert_eq!(read(" \n").unwrap(), json!({}));
        assert_eq!(read("\u{feff}{}").unwrap(), json!({}));
    }

    #[test]
    fn unknown_keys_are_refused_in_dockerds_words() {
        assert_eq!(
            read(r#"{"nonsense":1,"debug":true,"more":{}}"#).unwrap_err(),
            "the following directives don't match any configuration option: more, nonsense"
        );
    }

    #[test]
    fn a_value_of_another_kind_is_named() {
        assert_eq!(
            read(r#"{"debug":"yes"}"#).unwrap_err(),
            "invalid value yes for debug: it must be true or false"
        );
        assert_eq!(
            read(r#"{"hosts":"unix:///x"}"#).unwrap_err(),
            "invalid value unix:///x for hosts: it must be a list of strings"
        );
        assert!(read("{").unwrap_err().starts_with("invalid JSON: "));
    }
}
