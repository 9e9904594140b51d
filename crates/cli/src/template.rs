//! Go templates for `--format`, with the functions docker adds to them.
//!
//! The data is [`Json`]; the engine underneath wants sorted maps, so two things are kept aside
//! by address: the source of every object (for `json`, which must keep the daemon's order) and
//! which empty collections were `null`.

mod functions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gotmpl::{MissingKey, Template, TemplateError, Value};

use crate::json::Json;

/// A template that cannot be parsed or applied, in Go's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadTemplate(String);

/// What a key that is not there does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is an error that names the key.
    Error,
    /// It prints as `<no value>`.
    NoValue,
}

/// Which functions a template gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Functions {
    /// docker's: `json`, `split`, `join`, `title`, `lower`, `upper`, `pad`, `truncate`.
    Data,
    /// The same names, each handing its first argument on: for the heading of a table.
    Heading,
}

/// Keys whose `null` Go prints as an empty list, because their type there is a slice.
const NULL_LISTS: &[&str] = &[
    "Args",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "ConsoleSize",
    "DNSNames",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "Layers",
    "Links",
    "MaskedPaths",
    "Mounts",
    "OnBuild",
    "ReadonlyPaths",
    "RepoDigests",
    "RepoTags",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "SecurityOpt",
    "Shell",
    "Ulimits",
    "VolumesFrom",
    "Aliases",
    "Test",
];

/// Keys whose `null` Go prints as an empty map.
const NULL_MAPS: &[&str] = &[
    "Annotations",
    "Containers",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Applies a template to data.
pub(crate) fn render(
    name: &str,
    source: &str,
    data: &Json,
    missing: Missing,
) -> Result<String, BadTemplate> {
    Parsed::new(name, source, Functions::Data)?.render(data, missing)
}

/// A template that parsed.
pub(crate) struct Parsed {
    name: String,
    source: String,
    functions: Functions,
}

impl Parsed {
    pub(crate) fn new(
        name: &str,
        source: &str,
        functions: Functions,
    ) -> Result<Parsed, BadTemplate> {
        let parsed = Parsed {
            name: name.to_owned(),
            source: rewrite_label_calls(source),
            functions,
        };
        let template = parsed.template(Missing::NoValue, Arc::default())?;
        // A function that is not there is only noticed when it is called, and Go refuses it
        // at once.
        match template.execute_to_string(&Value::Nil) {
            Err(error @ TemplateError::UndefinedFunction(_)) => {
                Err(BadTemplate(parsed.explain(&error)))
            }
            _ => Ok(parsed),
        }
    }

    pub(crate) fn render(&self, data: &Json, missing: Missing) -> Result<String, BadTemplate> {
        let mut originals = HashMap::new();
        // Copies of every object are only worth it when the template can print them.
        let keep = self.source.contains("json");
        let value = to_value("", data, keep, &mut originals);
        let template = self.template(missing, Arc::new(originals))?;
        let result = template.execute_to_string(&value);
        result.map_err(|error| BadTemplate(self.explain(&error)))
    }

    fn template(
        &self,
        missing: Missing,
        originals: Arc<HashMap<usize, Json>>,
    ) -> Result<Template, BadTemplate> {
        let missing_key = match missing {
            Missing::Error => MissingKey::Error,
            Missing::NoValue => MissingKey::Invalid,
        };
        let template = Template::new(&self.name).missing_key(missing_key);
        let template = match self.functions {
            Functions::Data => functions::for_data(template, originals),
            Functions::Heading => functions::for_heading(template),
        };
        template
            .parse(&self.source)
            .map_err(|error| BadTemplate(self.explain(&error)))
    }

    /// The error with Go's prefix: `template: name:1:2: executing "name" at <.Foo>: ...`.
    fn explain(&self, error: &TemplateError) -> String {
        let name = &self.name;
        match error {
            TemplateError::MissingKey { key } => {
                let (column, field) = self.locate(key);
                format!(
                    "template: {name}:1:{column}: executing \"{name}\" at <{field}>: map has no entry for key \"{key}\""
                )
            }
            TemplateError::Parse { line, message, .. }
            | TemplateError::Lex { line, message, .. } => {
                format!("template: {name}:{line}: {message}")
            }
            TemplateError::UndefinedFunction(function) => {
                format!("template: {name}:1: function \"{function}\" not defined")
            }
            other => format!("template: {name}: {other}"),
        }
    }

    /// Where `.key` stands in the source, and the whole chain it ends.
    fn locate(&self, key: &str) -> (usize, String) {
        let needle = format!(".{key}");
        let Some(at) = self.source.find(&needle) else {
            return (0, needle);
        };
        let start = self.source[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_' || c == '$'))
            .map_or(0, |before| before + 1);
        // Go points at the last element of the chain.
        (at, self.source[start..at + needle.len()].to_owned())
    }
}

/// `.Label "key"` is a method call in docker's rows; the engine has none, so it becomes a
/// function applied to the row.
fn rewrite_label_calls(source: &str) -> String {
    const CALL: &str = ".Label ";
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find(CALL) {
        let receiver = rest[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_' || c == '$'))
            .map_or(0, |before| before + 1);
        let argument = &rest[at + CALL.len()..];
        let quoted = argument.trim_start();
        let Some(quote) = quoted.chars().next().filter(|&c| c == '"' || c == '`') else {
            out.push_str(&rest[..at + CALL.len()]);
            rest = argument;
            continue;
        };
        let Some(end) = quoted[1..].find(quote).map(|end| end + 2) else {
            break;
        };
        let target = if receiver == at {
            "."
        } else {
            &rest[receiver..at]
        };
        out.push_str(&rest[..receiver]);
        out.push_str(&format!("(label {target} {})", &quoted[..end]));
        rest = &quoted[end..];
    }
    out.push_str(rest);
    out
}

fn address<T: ?Sized>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).cast::<u8>() as usize
}

fn to_value(key: &str, json: &Json, keep: bool, originals: &mut HashMap<usize, Json>) -> Value {
    let value = match json {
        Json::Null if NULL_LISTS.contains(&key) => Value::List(Arc::from(Vec::new())),
        Json::Null if NULL_MAPS.contains(&key) => Value::Map(Arc::new(BTreeMap::new())),
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Int(value) => Value::Int(*value),
        Json::Uint(value) => Value::Uint(*value),
        Json::Float(value) => Value::Float(*value),
        Json::Text(value) => Value::String(value.as_str().into()),
        Json::List(items) => {
            let items = items.iter().map(|item| to_value("", item, keep, originals));
            Value::List(items.collect::<Vec<_>>().into())
        }
        Json::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                (
                    Arc::from(key.as_str()),
                    to_value(key, value, keep, originals),
                )
            });
            Value::Map(Arc::new(entries.collect()))
        }
    };
    let at = match &value {
        Value::List(items) => address(items),
        Value::Map(entries) => address(entries),
        _ => return value,
    };
    if keep {
        originals.insert(at, json.clone());
    }
    value
}

/// Where a row keeps its labels for `.Label "key"`; not a name a template can write.
pub(crate) const LABELS: &str = " labels";

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(source: &str, data: &str) -> Result<String, String> {
        render(
            "",
            source,
            &Json::parse(data.as_bytes()).unwrap(),
            Missing::Error,
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn json_keeps_the_daemons_order_and_nulls() {
        let data = r#"{"State":{"Zed":1,"Abe":null},"Cmd":null,"Labels":null}"#;
        assert_eq!(
            apply("{{json .State}}", data).unwrap(),
            r#"{"Zed":1,"Abe":null}"#
        );
        assert_eq!(apply("{{json .}}", data).unwrap(), data);
        assert_eq!(
            apply("{{.Cmd}} {{.Labels}} {{json .Cmd}}", data).unwrap(),
            "[] map[] null"
        );
    }

    #[test]
    fn dockers_functions_are_there() {
        let data = r#"{"Names":["a","b"],"Image":"one/two:3","N":5}"#;
        for (source, expected) in [
            ("{{join .Names \",\"}}", "a,b"),
            ("{{index (split .Image \"/\") 1}}", "two:3"),
            (
                "{{upper .Image}} {{lower \"AB\"}} {{title \"ab cd\"}}",
                "ONE/TWO:3 ab Ab Cd",
            ),
            ("[{{pad .Image 1 2}}]", "[ one/two:3  ]"),
            ("{{truncate .Image 3}}", "one"),
            ("{{println .N}}x", "5\nx"),
            ("{{range $i, $n := .Names}}{{$i}}{{$n}} {{end}}", "0a 1b "),
            ("{{if eq .N 5}}five{{else}}no{{end}}", "five"),
            ("{{printf \"%-4s|\" (index .Names 0)}}", "a   |"),
        ] {
            assert_eq!(apply(source, data).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn a_missing_key_is_named_with_its_place() {
        assert_eq!(
            apply("{{.Foo}}", "{}").unwrap_err(),
            "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
        );
    }

    #[test]
    fn an_unknown_function_is_named() {
        assert_eq!(
            apply("{{foo}}", "{}").unwrap_err(),
            "template: :1: function \"foo\" not defined"
        );
    }

    #[test]
    fn label_calls_become_lookups() {
        assert_eq!(
            rewrite_label_calls("{{.ID}} {{.Label \"a.b\"}}"),
            "{{.ID}} {{(label . \"a.b\")}}"
        );
        assert_eq!(
            rewrite_label_calls("{{upper ($x.Label `k`)}}"),
            "{{upper ((label $x `k`))}}"
        );
        assert_eq!(rewrite_label_calls("{{.Labels}}"), "{{.Labels}}");
    }
}
