//! The types a flag can set, with the names and defaults that help prints for them.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::go;

/// Something a flag sets.
pub(crate) trait Value: Send {
    /// Takes one occurrence. The error is the part after `invalid argument "x" for "--y" flag: `.
    fn set(&mut self, text: &str) -> Result<(), String>;

    /// The type's name in help (`string`, `list`); empty for a switch.
    fn kind(&self) -> &'static str;

    /// The current value as help's `(default ...)`; empty when it is the type's zero.
    fn default_text(&self) -> String {
        String::new()
    }

    /// The value taken when the flag stands alone (`--rm`); `None` when it needs an argument.
    fn bare(&self) -> Option<&'static str> {
        None
    }
}

impl Value for bool {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = go::parse_bool(text)?;
        Ok(())
    }

    fn kind(&self) -> &'static str {
        ""
    }

    fn default_text(&self) -> String {
        if *self {
            "true".to_owned()
        } else {
            String::new()
        }
    }

    fn bare(&self) -> Option<&'static str> {
        Some("true")
    }
}

impl Value for String {
    fn set(&mut self, text: &str) -> Result<(), String> {
        text.clone_into(self);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "string"
    }

    fn default_text(&self) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!("{self:?}")
        }
    }
}

impl Value for i64 {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = go::parse_int(text)?;
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "int"
    }

    fn default_text(&self) -> String {
        if *self == 0 {
            String::new()
        } else {
            self.to_string()
        }
    }
}

impl Value for u64 {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = go::parse_uint(text, u64::MAX)?;
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "uint"
    }

    fn default_text(&self) -> String {
        if *self == 0 {
            String::new()
        } else {
            self.to_string()
        }
    }
}

impl Value for u16 {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let value = go::parse_uint(text, u64::from(u16::MAX))?;
        *self = u16::try_from(value).unwrap_or(u16::MAX);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "uint16"
    }

    // pflag shows the zero of this type.
    fn default_text(&self) -> String {
        self.to_string()
    }
}

/// A value that remembers whether it was given.
#[derive(Debug, Default, Clone)]
pub(crate) struct Given<T> {
    value: T,
    given: bool,
}

impl<T> Given<T> {
    pub(crate) fn or(value: T) -> Self {
        Given {
            value,
            given: false,
        }
    }

    /// The value if the flag was on the command line.
    pub(crate) fn given(&self) -> Option<&T> {
        self.given.then_some(&self.value)
    }
}

impl<T> Deref for Given<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Value> Value for Given<T> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.given = true;
        self.value.set(text)
    }

    fn kind(&self) -> &'static str {
        self.value.kind()
    }

    fn default_text(&self) -> String {
        self.value.default_text()
    }

    fn bare(&self) -> Option<&'static str> {
        self.value.bare()
    }
}

/// Checks one element and returns what is kept of it.
pub(crate) type Check = fn(&str) -> Result<String, String>;

/// A flag that may be repeated; docker's `list`.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) items: Vec<String>,
    check: Option<Check>,
    kind: &'static str,
    empty_default: &'static str,
    commas: bool,
}

impl Default for List {
    fn default() -> Self {
        List {
            items: Vec::new(),
            check: None,
            kind: "list",
            empty_default: "",
            commas: false,
        }
    }
}

impl List {
    /// A list whose elements are checked as they are given.
    pub(crate) fn checked(check: Check) -> Self {
        List {
            check: Some(check),
            ..List::default()
        }
    }

    /// The same, shown in help with `(default [])`.
    pub(crate) fn shown(check: Check) -> Self {
        List {
            check: Some(check),
            empty_default: "[]",
            ..List::default()
        }
    }

    /// pflag's `strings`: repeated, and each occurrence split at commas.
    pub(crate) fn comma_separated() -> Self {
        List {
            kind: "strings",
            commas: true,
            ..List::default()
        }
    }

    /// docker's `filter`: `key=value`, both trimmed, the key in lower case.
    pub(crate) fn filters() -> Self {
        List {
            check: Some(filter),
            kind: "filter",
            ..List::default()
        }
    }
}

impl Deref for List {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.items
    }
}

fn filter(text: &str) -> Result<String, String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("bad format of filter (expected name=value)".to_owned());
    };
    Ok(format!("{}={}", key.trim().to_lowercase(), value.trim()))
}

impl Value for List {
    fn set(&mut self, text: &str) -> Result<(), String> {
        if self.commas {
            if !text.is_empty() {
                self.items.extend(crate::spec::csv::fields(text)?);
            }
            return Ok(());
        }
        if self.kind == "filter" && text.is_empty() {
            return Ok(());
        }
        let item = match self.check {
            Some(check) => check(text)?,
            None => text.to_owned(),
        };
        self.items.push(item);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn default_text(&self) -> String {
        self.empty_default.to_owned()
    }
}

/// `key=value` pairs where the last of a key wins; docker's `map`.
#[derive(Clone, Default)]
pub(crate) struct Map {
    pub(crate) entries: BTreeMap<String, String>,
    check: Option<Check>,
}

impl Map {
    pub(crate) fn checked(check: Check) -> Self {
        Map {
            entries: BTreeMap::new(),
            check: Some(check),
        }
    }
}

impl Value for Map {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let text = match self.check {
            Some(check) => check(text)?,
            None => text.to_owned(),
        };
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        self.entries.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn default_text(&self) -> String {
        "map[]".to_owned()
    }
}
