//! docs/compatibility.md says what works and which test shows it: those tests must exist, and the
//! daemon's options must stand under the heading that the code puts them under.

#![allow(clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::fs;
use std::path::{Path, PathBuf};

/// What a status may begin with; docs/compatibility.md explains them.
const STATUSES: &[&str] = &[
    "works",
    "404, as dockerd",
    "501",
    "503",
    "refused by name",
    "said in the log",
    "ignored",
    "not yet",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/compatibility.md")).expect("the document is there")
}

/// Everything between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `file::name`, as the document writes tests.
fn test_name(text: &str) -> Option<(&str, &str)> {
    let (file, name) = text.split_once("::")?;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(word)).then_some((file, name))
}

/// Where a test's file can be: beside this one, or in a crate.
fn places(file: &str) -> Vec<PathBuf> {
    let Some((name, rest)) = file.split_once('/') else {
        return vec![root().join(format!("tests/tests/{file}.rs"))];
    };
    let crate_directory = root().join("crates").join(name);
    vec![
        crate_directory.join("src").join(format!("{rest}.rs")),
        crate_directory.join(format!("{rest}.rs")),
    ]
}

fn exists(file: &str, name: &str) -> bool {
    places(file)
        .iter()
        .any(|path| fs::read_to_string(path).is_ok_and(|source| is_test(&source, name)))
}

/// Whether `name` is a function under a `#[test]` of some kind.
fn is_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else {
        return false;
    };
    let attributes = before.lines().rev().take(4);
    attributes
        .into_iter()
        .any(|line| line.trim_start().starts_with("#[") && line.contains("test"))
}

/// The rows of all tables that have a column of statuses: what, status, tests.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let mut rows = Vec::new();
    let mut wanted = false;
    for line in document.lines() {
        let Some(line) = line.strip_prefix("| ") else {
            wanted &= line.starts_with("|--");
            continue;
        };
        let cells: Vec<&str> = line.trim_end_matches(['|', ' ']).split(" | ").collect();
        if cells.contains(&"tests") {
            wanted = true;
        } else if wanted {
            rows.push(cells);
        }
    }
    rows
}

#[test]
fn every_test_that_the_document_names_exists() {
    let document = document();
    let mut missing: Vec<&str> = quoted(&document)
        .filter(|text| test_name(text).is_some_and(|(file, name)| !exists(file, name)))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(quoted(&document).filter(|t| test_name(t).is_some()).count() > 100);
}

#[test]
fn every_row_has_a_status_and_what_works_has_a_test() {
    let document = document();
    let rows = rows(&document);
    assert!(rows.len() > 100, "only {} rows were found", rows.len());
    for cells in rows {
        let is_status = |cell: &&&str| STATUSES.iter().any(|status| cell.starts_with(status));
        let status = cells
            .iter()
            .skip(1)
            .find(is_status)
            .unwrap_or_else(|| unreachable!("no status: {cells:?}"));
        let plain = status.starts_with("works")
            && !status.contains("no black-box test")
            && !status.contains("match nothing");
        let named = quoted(&cells.join(" ")).any(|text| test_name(text).is_some());
        assert!(
            !plain || named || cells.contains(&"every black-box test"),
            "it works, and no test shows it: {cells:?}"
        );
    }
}

/// The rows of the daemon's table of options: name and class (`Works`, `Ignored`, `Refused`).
fn options() -> Vec<(String, String)> {
    let path = root().join("crates/wharf/src/config/table.rs");
    let source = fs::read_to_string(path).expect("the table is there");
    let class_of = |constant: &str| -> String {
        let definition = format!("const {constant}: Class = ");
        let value = source.split(&definition).nth(1).unwrap_or(constant);
        value
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect()
    };
    source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("key(\""))
        .map(|line| {
            let (flag, rest) = line.split_once("\", \"").expect("a flag");
            let (file, rest) = rest.split_once("\", ").expect("a key");
            let class: String = rest
                .split(", ")
                .nth(1)
                .expect("a class")
                .chars()
                .take_while(|c| c.is_ascii_alphabetic() || *c == '_')
                .collect();
            let name = if file.is_empty() {
                format!("--{flag}")
            } else {
                file.to_owned()
            };
            (name, class_of(&class))
        })
        .collect()
}

#[test]
fn every_option_of_the_daemon_stands_under_what_the_code_does_with_it() {
    let document = document();
    let daemon = document
        .split("## `wharf daemon`")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("a section of the daemon's");
    let options = options();
    assert!(options.len() > 90, "only {} options found", options.len());
    for (name, class) in options {
        let heading = match class.as_str() {
            "Works" => "### Works",
            "Ignored" => "### Said in the log",
            "Refused" => "### Refused by name",
            other => unreachable!("{name} is of class {other:?}"),
        };
        let part = daemon
            .split(heading)
            .nth(1)
            .and_then(|rest| rest.split("\n### ").next())
            .expect("a heading");
        assert!(
            quoted(part).any(|text| text == name),
            "{name} is not under {heading:?}"
        );
    }
}
