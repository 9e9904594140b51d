//! Which way the arrows point: the crates of the house may import only what lies below them.
//!
//! `make lint` runs this. The rule is in docs/architecture.md, section "Crates".

#![allow(clippy::expect_used, reason = "a test that cannot go on ends there")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Every crate, and the crates of the house that it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    // The binary only wires.
    (
        "wharf",
        &[
            "cli",
            "docker-api",
            "engine",
            "images",
            "runtime",
            "store",
            "sys",
        ],
    ),
    // Clients know only the Engine API.
    ("cli", &[]),
    // Doors translate a protocol to the domain; no door knows another.
    ("docker-api", &["engine", "images"]),
    // Domain.
    ("engine", &["images", "network", "runtime", "store", "sys"]),
    ("images", &["store", "sys"]),
    // Mechanism: no crate of this floor knows another.
    ("network", &["sys"]),
    ("runtime", &["sys"]),
    ("store", &["sys"]),
    ("sys", &[]),
    // Black-box tests import nothing of the house: they drive the binary.
    ("tests", &[]),
    ("benches", &["sys"]),
];

fn metadata() -> Value {
    #[allow(
        clippy::disallowed_methods,
        reason = "cargo is the source of this truth"
    )]
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn short(name: &str) -> &str {
    name.strip_prefix("wharf-").unwrap_or(name)
}

#[test]
fn no_crate_imports_another_that_is_not_below_it() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ALLOWED
        .iter()
        .map(|(name, below)| (*name, below.iter().copied().collect()))
        .collect();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() >= 9, "the workspace was not read whole");
    let mut wrong = Vec::new();
    for package in packages {
        let name = short(package["name"].as_str().expect("name"));
        let Some(below) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the rule: give it a floor"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            // Tests of a crate may use what lies beside it, the product may not.
            if dependency["kind"] == "dev" || dependency["path"].is_null() {
                continue;
            }
            let to = short(dependency["name"].as_str().expect("name"));
            if !below.contains(to) {
                wrong.push(format!("{name} -> {to}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that point the wrong way: {wrong:?}"
    );
}

#[test]
fn unsafe_code_lives_in_sys_alone() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (name, _) in ALLOWED {
        let manifest = match *name {
            "tests" => root.join("tests/Cargo.toml"),
            "benches" => root.join("benches/Cargo.toml"),
            _ => root.join("crates").join(name).join("Cargo.toml"),
        };
        let Ok(text) = std::fs::read_to_string(&manifest) else {
            assert_eq!(*name, "benches", "{} cannot be read", manifest.display());
            continue;
        };
        let inherits = text.contains("[lints]\nworkspace = true");
        assert!(
            inherits || *name == "sys",
            "{} does not take the workspace's lints (which forbid unsafe)",
            manifest.display()
        );
    }
}
