//! `--env`, `--env-file`, `--label`, `--label-file`.

use std::collections::BTreeMap;

use crate::failure::{Failure, file_error};
use crate::session::Environment;

/// Variables out of files, then those of flags; a bare name takes its value from here.
pub(crate) fn environment(
    files: &[String],
    flags: &[String],
    own: &Environment,
) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for file in files {
        for line in lines(file, "env")? {
            match line {
                Line::Pair(name, value) => all.push(format!("{name}={value}")),
                // A name the caller does not have is not passed on.
                Line::Name(name) => {
                    all.extend(own.get(&name).map(|value| format!("{name}={value}")));
                }
            }
        }
    }
    all.extend(flags.iter().map(|flag| with_own_value(flag, own)));
    Ok(all)
}

fn with_own_value(flag: &str, own: &Environment) -> String {
    match own.get(flag) {
        Some(value) if !flag.contains('=') => format!("{flag}={value}"),
        _ => flag.to_owned(),
    }
}

/// Labels out of files, then those of flags.
pub(crate) fn labels(
    files: &[String],
    flags: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::new();
    for file in files {
        for line in lines(file, "label")? {
            match line {
                Line::Pair(name, value) => labels.insert(name, value),
                Line::Name(name) => labels.insert(name, String::new()),
            };
        }
    }
    for flag in flags {
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(labels)
}

/// One line that says something.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Pair(String, String),
    Name(String),
}

fn lines(path: &str, kind: &str) -> Result<Vec<Line>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| file_error("open", path, &error))?;
    parse(&bytes).map_err(|why| Failure::Text(format!("invalid {kind} file ({path}): {why}")))
}

fn parse(bytes: &[u8]) -> Result<Vec<Line>, String> {
    let mut found = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(format!("invalid utf8 bytes at line {}", number + 1));
        };
        let line = if number == 0 {
            line.trim_start_matches('\u{feff}')
        } else {
            line
        };
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        found.push(match value {
            Some(value) => Line::Pair(name.to_owned(), value.to_owned()),
            None => Line::Name(name.trim().to_owned()),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_comments_bare_names_and_values_as_they_stand() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "\u{feff}A=1\n# no\n\n  B=x y \"z\"\nHERE\nGONE\n",
        )
        .unwrap();
        let own = Environment::of(&[("HERE", "yes"), ("C", "flag")]);
        let files = [file.path().display().to_string()];
        let flags = ["C".to_owned(), "D=1".to_owned(), "UNSET".to_owned()];
        assert_eq!(
            environment(&files, &flags, &own).unwrap(),
            ["A=1", "B=x y \"z\"", "HERE=yes", "C=flag", "D=1", "UNSET"]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(parse(b"=x").unwrap_err(), "no variable name on line '=x'");
        assert_eq!(
            parse(b"a b=x").unwrap_err(),
            "variable 'a b' contains whitespaces"
        );
        assert!(parse(b"\xff").unwrap_err().contains("line 1"));
    }

    #[test]
    fn the_last_label_of_a_name_wins() {
        let labels = labels(&[], &["a=1".to_owned(), "b".to_owned(), "a=2".to_owned()]).unwrap();
        assert_eq!(labels["a"], "2");
        assert_eq!(labels["b"], "");
    }
}
