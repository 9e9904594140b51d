//! The command line, by the table.

use serde_json::{Map as Object, Value};

use super::table::{self, Key, Kind};
use super::{ConfigError, Typed};

/// Reads dockerd's flags, as Go's pflag reads them: `--flag value`, `--flag=value`, `-f value`,
/// `-fvalue`; a truth value takes its word only after an equals sign.
pub(crate) fn parse(words: &[String]) -> Result<Typed, ConfigError> {
    let mut typed = Typed::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (key, value) = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long
                .split_once('=')
                .map_or((long, None), |(name, value)| (name, Some(value)));
            let key = table::by_flag(name)
                .ok_or_else(|| ConfigError::UnknownFlag(format!("--{name}")))?;
            (key, value.map(str::to_owned))
        } else if let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut letters = rest.chars();
            let letter = letters.next().unwrap_or_default();
            let key = table::by_letter(letter)
                .ok_or_else(|| ConfigError::UnknownLetter(format!("'{letter}' in -{rest}")))?;
            let rest = letters.as_str();
            let value = rest.strip_prefix('=').unwrap_or(rest);
            if key.kind == Kind::Flag && !rest.is_empty() && !rest.starts_with('=') {
                return Err(ConfigError::UnknownLetter(format!("'{rest}' in {word}")));
            }
            (key, (!rest.is_empty()).then(|| value.to_owned()))
        } else {
            return Err(ConfigError::Argument(word.clone()));
        };
        let value = match value {
            Some(value) => value,
            None if key.kind == Kind::Flag => "true".into(),
            None => words
                .next()
                .cloned()
                .ok_or_else(|| ConfigError::NoValue(format!("--{}", key.flag)))?,
        };
        add(&mut typed, key, &value)?;
    }
    Ok(typed)
}

fn add(typed: &mut Typed, key: &'static Key, text: &str) -> Result<(), ConfigError> {
    let invalid = || ConfigError::FlagValue {
        flag: format!("--{}", key.flag),
        value: text.into(),
    };
    let value = match key.kind {
        Kind::Flag => Value::Bool(truth(text).ok_or_else(invalid)?),
        Kind::Number => Value::from(text.parse::<i64>().map_err(|_| invalid())?),
        Kind::Text => Value::from(text),
        // Lists and maps grow with each use.
        Kind::List | Kind::Ulimits | Kind::Json => {
            let list = typed
                .0
                .entry(key.name())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                let parts = text
                    .split(',')
                    .filter(|_| key.kind == Kind::List && splits(key));
                let mut parts: Vec<Value> = parts.map(Value::from).collect();
                if parts.is_empty() {
                    parts.push(Value::from(text));
                }
                list.append(&mut parts);
            }
            return Ok(());
        }
        Kind::Map => {
            let (name, value) = text.split_once('=').ok_or_else(invalid)?;
            let map = typed
                .0
                .entry(key.name())
                .or_insert_with(|| Value::Object(Object::new()));
            if let Value::Object(map) = map {
                map.insert(name.into(), Value::from(value));
            }
            return Ok(());
        }
    };
    typed.0.insert(key.name(), value);
    Ok(())
}

/// dockerd cuts these at commas; the others keep them.
fn splits(key: &Key) -> bool {
    matches!(key.flag, "cdi-spec-dir" | "host-gateway-ip")
}

/// What Go's strconv takes for a truth value.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(line: &str) -> Result<Value, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
            .map(|typed| json!(typed.0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_write_a_flag_is_read() {
        assert_eq!(
            read("-D --data-root /x --exec-root=/y -H unix:///a -Htcp://b --tls=false").unwrap(),
            json!({"debug": true, "data-root": "/x", "exec-root": "/y", "hosts": ["unix:///a", "tcp://b"], "tls": false})
        );
        assert_eq!(read("-l=debug").unwrap(), json!({"log-level": "debug"}));
    }

    #[test]
    fn lists_and_maps_grow() {
        assert_eq!(
            read("--label a=b --label c=d --log-opt max-size=1m --log-opt max-file=2").unwrap(),
            json!({"labels": ["a=b", "c=d"], "log-opts": {"max-size": "1m", "max-file": "2"}})
        );
        assert_eq!(read("--mtu 1400").unwrap(), json!({"mtu": 1400}));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(read("--nonsense").unwrap_err(), "unknown flag: --nonsense");
        assert_eq!(read("-Z").unwrap_err(), "unknown shorthand flag: 'Z' in -Z");
        assert_eq!(
            read("--data-root").unwrap_err(),
            "flag needs an argument: --data-root"
        );
        assert_eq!(
            read("stray").unwrap_err(),
            "accepts no arguments: \"stray\""
        );
        assert_eq!(
            read("--mtu big").unwrap_err(),
            "invalid argument \"big\" for \"--mtu\" flag"
        );
        assert_eq!(
            read("--debug=perhaps").unwrap_err(),
            "invalid argument \"perhaps\" for \"--debug\" flag"
        );
    }
}
