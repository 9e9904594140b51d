//! The daemon's configuration: what was typed, apart from what it means.
//!
//! ```text
//!  flags ──┐
//!          ├── Typed (by the table) ── merged: a key given twice is an error ── Settings
//!  file  ──┘                           refused and ignored by the table
//! ```

mod file;
mod flags;
mod network;
mod settings;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) use settings::{LogFormat, Program, Settings};

use table::Class;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("unknown flag: {0}")]
    UnknownFlag(String),
    #[error("unknown shorthand flag: {0}")]
    UnknownLetter(String),
    #[error("accepts no arguments: {0:?}")]
    Argument(String),
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    #[error("invalid argument {value:?} for {flag:?} flag")]
    FlagValue { flag: String, value: String },
    #[error("invalid JSON: {0}")]
    Json(String),
    #[error("the following directives don't match any configuration option: {0}")]
    UnknownKeys(String),
    #[error("invalid value {value} for {key}: it must be {expected}")]
    FileValue {
        key: String,
        value: String,
        expected: &'static str,
    },
    #[error(
        "the following directives are specified both as a flag and in the configuration file: {0}"
    )]
    Conflict(String),
    #[error("{name} is not supported yet ({what})")]
    Refused { name: String, what: String },
    #[error("unable to configure the daemon with file {}: {source}", path.display())]
    File {
        path: PathBuf,
        source: Box<ConfigError>,
    },
    #[error("{0}")]
    Read(std::io::Error),
    /// A value that cannot be, in dockerd's words.
    #[error("{0}")]
    Value(String),
}

/// Values by the name of their key; those not given are not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Typed(BTreeMap<&'static str, Value>);

impl Typed {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    fn list(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    }

    fn map(&self, name: &str) -> BTreeMap<String, String> {
        let map = self.0.get(name).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), show(value)))
            .collect()
    }
}

/// The command line, read once; the file is read again at every reload.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    flags: Typed,
    program: Program,
}

/// A configuration, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    /// Keys that are accepted and change nothing, with the reason.
    pub(crate) ignored: Vec<String>,
}

impl Source {
    /// Reads the command line.
    pub(crate) fn of_flags(words: &[String], program: Program) -> Result<Self, ConfigError> {
        Ok(Self {
            flags: flags::parse(words)?,
            program,
        })
    }

    /// Whether a flag of the command line's own is given: `help`, `version`, `validate`.
    pub(crate) fn asks_for(&self, flag: &str) -> bool {
        self.flags.flag(flag) == Some(true)
    }

    /// Where the file is, or would be.
    pub(crate) fn file(&self) -> PathBuf {
        self.flags
            .text("config-file")
            .map_or_else(|| self.program.config_file().into(), PathBuf::from)
    }

    /// Reads the file and puts both together.
    pub(crate) fn load(&self) -> Result<Configuration, ConfigError> {
        let given = self.flags.text("config-file");
        let path = self.file();
        let file = match read_file(&path) {
            Ok(file) => file,
            // The usual file need not be there.
            Err(ConfigError::Read(error))
                if given.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
            {
                Typed::default()
            }
            Err(source) => return Err(in_file(path, source)),
        };
        let typed = merge(&self.flags, file).map_err(|source| in_file(path, source))?;
        let ignored = classify(&typed)?;
        Ok(Configuration {
            settings: Settings::read(&typed, self.program)?,
            ignored,
        })
    }
}

fn in_file(path: PathBuf, source: ConfigError) -> ConfigError {
    ConfigError::File {
        path,
        source: Box::new(source),
    }
}

fn read_file(path: &Path) -> Result<Typed, ConfigError> {
    let content = std::fs::read_to_string(path).map_err(ConfigError::Read)?;
    file::parse(&content)
}

/// Joins both; what is in both is an error, whether the values agree or not.
fn merge(flags: &Typed, mut file: Typed) -> Result<Typed, ConfigError> {
    let conflicts: Vec<String> = flags
        .0
        .iter()
        .filter_map(|(name, flag)| {
            let file = file.0.get(name)?;
            Some(format!(
                "{name}: (from flag: {}, from file: {})",
                show(flag),
                show(file)
            ))
        })
        .collect();
    if !conflicts.is_empty() {
        return Err(ConfigError::Conflict(conflicts.join(", ")));
    }
    file.0.extend(flags.0.clone());
    Ok(file)
}

/// Refuses what promises too much; gives sentences about what changes nothing.
fn classify(typed: &Typed) -> Result<Vec<String>, ConfigError> {
    let mut ignored = Vec::new();
    for (name, value) in &typed.0 {
        let Some(key) = table::KEYS.iter().find(|key| key.name() == *name) else {
            continue;
        };
        let harmless = key.harmless.contains(&show(value).as_str());
        match key.class {
            Class::Works => {}
            Class::Refused(_) if harmless => {}
            Class::Refused(what) => {
                return Err(ConfigError::Refused {
                    name: (*name).into(),
                    what: what.into(),
                });
            }
            Class::Ignored(reason) => ignored.push(format!("{name} changes nothing: {reason}")),
        }
    }
    Ok(ignored)
}

/// A value as Go prints it with `%v`.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(show).collect();
            format!("[{}]", list.join(" "))
        }
        Value::Object(map) => {
            let map: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", show(value)))
                .collect();
            format!("map[{}]", map.join(" "))
        }
        other => other.to_string(),
    }
}

/// The help, from the table.
pub(crate) fn help(program: Program) -> String {
    let mut text = format!(
        "Usage:  {} [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n",
        program.words()
    );
    for key in table::KEYS.iter().filter(|key| !key.flag.is_empty()) {
        let letter = key
            .letter
            .map_or("    ".into(), |letter| format!("-{letter}, "));
        let kind = match key.kind {
            table::Kind::Flag => "",
            table::Kind::Number => " int",
            table::Kind::Text => " string",
            table::Kind::List | table::Kind::Json => " list",
            table::Kind::Map => " map",
            table::Kind::Ulimits => " ulimit",
        };
        let left = format!("  {letter}--{}{kind}", key.flag);
        let note = match key.class {
            Class::Works => String::new(),
            Class::Ignored(_) => " (no effect)".into(),
            Class::Refused(_) => " (not supported yet)".into(),
        };
        text.push_str(&format!("{left:<46}{}{note}\n", key.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &str, file: &str) -> Result<Configuration, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.json");
        std::fs::write(&path, file).unwrap();
        let mut words: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        words.extend(["--config-file".into(), path.display().to_string()]);
        let shown = path.display().to_string();
        Source::of_flags(&words, Program::Wharf)
            .and_then(|source| source.load())
            .map_err(|error| error.to_string().replace(&shown, "FILE"))
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_in_dockerds_words() {
        assert_eq!(
            load(
                "--debug --label a=b -H unix:///x",
                r#"{"debug":false,"labels":["a=c"],"hosts":["unix:///y"]}"#
            )
            .unwrap_err(),
            "unable to configure the daemon with file FILE: the following directives are specified both as a flag and in the configuration file: debug: (from flag: true, from file: false), hosts: (from flag: [unix:///x], from file: [unix:///y]), labels: (from flag: [a=b], from file: [a=c])"
        );
    }

    #[test]
    fn what_promises_too_much_is_refused_by_name() {
        for (file, text) in [
            (
                r#"{"userns-remap":"default"}"#,
                "userns-remap is not supported yet (remapped user namespaces)",
            ),
            (
                r#"{"metrics-addr":"127.0.0.1:9323"}"#,
                "metrics-addr is not supported yet (metrics)",
            ),
            (
                r#"{"authorization-plugins":["x"]}"#,
                "authorization-plugins is not supported yet (authorization plugins)",
            ),
            (
                r#"{"storage-driver":"btrfs"}"#,
                "storage-driver is not supported yet (other storage drivers)",
            ),
        ] {
            assert_eq!(load("", file).unwrap_err(), text);
        }
    }

    #[test]
    fn what_promises_nothing_is_taken_and_what_changes_nothing_is_said() {
        let loaded = load(
            "",
            r#"{"storage-driver":"overlay2","ipv6":false,"bridge":"none","iptables":false,"registry-mirrors":["https://m"],"features":{"buildkit":true}}"#,
        )
        .unwrap();
        assert_eq!(
            loaded.ignored,
            [
                "features changes nothing: no feature has a switch",
                "iptables changes nothing: rules are made in an nftables table of our own",
                "registry-mirrors changes nothing: there is no registry client yet",
            ]
        );
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let words = ["--config-file".to_owned(), "/nowhere/daemon.json".into()];
        let error = Source::of_flags(&words, Program::Wharf)
            .unwrap()
            .load()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to configure the daemon with file /nowhere/daemon.json: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn the_help_lists_every_flag_once() {
        let text = help(Program::Dockerd);
        assert!(text.starts_with("Usage:  dockerd [OPTIONS]"));
        assert_eq!(text.matches("--data-root string").count(), 1);
        assert!(text.contains("-H, --host list"));
    }
}
