//! The functions docker adds to Go's templates.

use std::collections::HashMap;
use std::sync::Arc;

use gotmpl::{Template, Value};

use crate::json::Json;
use crate::template::{LABELS, address};

fn to_json(value: &Value, originals: &HashMap<usize, Json>) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::Int(*value),
        Value::Uint(value) => Json::Uint(*value),
        Value::Float(value) => Json::Float(*value),
        Value::String(value) => Json::Text(value.to_string()),
        Value::List(items) => match originals.get(&address(items)) {
            Some(original) => original.clone(),
            None => Json::List(items.iter().map(|item| to_json(item, originals)).collect()),
        },
        Value::Map(entries) => match originals.get(&address(entries)) {
            Some(original) => original.clone(),
            None => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.to_string(), to_json(value, originals)))
                    .collect(),
            ),
        },
        _ => Json::Null,
    }
}

fn text(args: &[Value], index: usize) -> String {
    match args.get(index) {
        Some(Value::Nil) | None => String::new(),
        Some(value) => value.to_string(),
    }
}

fn number(args: &[Value], index: usize) -> usize {
    args.get(index)
        .and_then(Value::as_int)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0)
}

fn string(text: impl AsRef<str>) -> Value {
    Value::String(text.as_ref().into())
}

pub(super) fn for_data(template: Template, originals: Arc<HashMap<usize, Json>>) -> Template {
    template
        .func("json", move |args| {
            Ok(string(
                args.first()
                    .map_or(Json::Null, |arg| to_json(arg, &originals))
                    .compact(),
            ))
        })
        .func("split", |args| {
            let (whole, separator) = (text(args, 0), text(args, 1));
            let parts: Vec<Value> = if separator.is_empty() {
                whole.chars().map(|c| string(c.to_string())).collect()
            } else {
                whole.split(&separator).map(string).collect()
            };
            Ok(Value::List(parts.into()))
        })
        .func("join", |args| {
            let parts: Vec<String> = match args.first() {
                Some(Value::List(items)) => items.iter().map(ToString::to_string).collect(),
                _ => Vec::new(),
            };
            Ok(string(parts.join(&text(args, 1))))
        })
        .func("title", |args| Ok(string(title(&text(args, 0)))))
        .func("lower", |args| Ok(string(text(args, 0).to_lowercase())))
        .func("upper", |args| Ok(string(text(args, 0).to_uppercase())))
        .func("pad", |args| {
            let source = text(args, 0);
            if source.is_empty() {
                return Ok(string(source));
            }
            Ok(string(format!(
                "{}{source}{}",
                " ".repeat(number(args, 1).min(4096)),
                " ".repeat(number(args, 2).min(4096))
            )))
        })
        .func("truncate", |args| {
            Ok(string(
                text(args, 0)
                    .chars()
                    .take(number(args, 1))
                    .collect::<String>(),
            ))
        })
        .func("label", |args| {
            let Some(Value::Map(row)) = args.first() else {
                return Ok(string(""));
            };
            let Some(Value::Map(labels)) = row.get(LABELS) else {
                return Ok(string(""));
            };
            Ok(labels
                .get(text(args, 1).as_str())
                .cloned()
                .unwrap_or_else(|| string("")))
        })
        // For `docker version`: the details of a component in order.
        .func("getDetailsOrder", |args| {
            let names: Vec<Value> = match args.first().and_then(|arg| arg.field("Details")) {
                Some(Value::Map(details)) => details.keys().map(string).collect(),
                _ => Vec::new(),
            };
            Ok(Value::List(names.into()))
        })
}

pub(super) fn for_heading(template: Template) -> Template {
    let mut template = template;
    for name in [
        "json", "split", "join", "title", "lower", "upper", "pad", "truncate",
    ] {
        template = template.func(name, |args| Ok(string(text(args, 0))));
    }
    // The heading of a label's column is the label's name, after its last dot.
    template.func("label", |args| {
        let name = text(args, 1);
        Ok(string(
            name.rsplit('.')
                .next()
                .unwrap_or_default()
                .replace(['-', '_'], " "),
        ))
    })
}

/// Every word with a capital, as `strings.Title` does.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at_start = true;
    for character in text.chars() {
        if at_start {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
        at_start = !(character.is_alphanumeric() || character == '_' || character == '\'');
    }
    out
}
