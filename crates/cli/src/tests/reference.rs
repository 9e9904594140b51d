//! Our tree and help beside the docker client's own, where one is on PATH.
//!
//! Everything that may differ is listed here; everything else must be the same to the letter.

use std::path::PathBuf;

use crate::Program;
use crate::command::{Body, Command};
use crate::help;
use crate::session::Environment;
use crate::tree;

/// Commands whose help is ours: Wharf has not got them, or has them another way.
const OWN_HELP: &[&str] = &["completion"];

/// docker's commands that are only there when a plugin or a swarm is.
const NOT_IN_EVERY_DOCKER: &[&str] = &["buildx", "compose"];

/// The reference client: docker 28, whose texts these are. Another version says other things.
#[allow(clippy::disallowed_methods, reason = "the reference is a program")]
fn docker(words: &[&str]) -> Option<String> {
    let binary = std::env::var_os("PATH")
        .map(|path| {
            std::env::split_paths(&path)
                .map(|dir| dir.join("docker"))
                .collect::<Vec<PathBuf>>()
        })?
        .into_iter()
        .find(|path| path.is_file())?;
    let output = std::process::Command::new(binary)
        .args(words)
        .env_clear()
        .env("HOME", "/root")
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_reference() -> bool {
    docker(&["--version"]).is_some_and(|version| version.starts_with("Docker version 28."))
}

/// Every command that is not a group, with its path.
fn leaves() -> Vec<(Vec<&'static str>, &'static Command)> {
    fn walk(
        command: &'static Command,
        path: &[&'static str],
        found: &mut Vec<(Vec<&'static str>, &'static Command)>,
    ) {
        let mut path = path.to_vec();
        path.push(command.name);
        found.push((path.clone(), command));
        for child in command.children() {
            walk(child, &path, found);
        }
    }
    let mut found = Vec::new();
    for command in tree::root(Program::Docker) {
        walk(command, &[], &mut found);
    }
    found
}

#[test]
fn every_help_text_is_dockers() {
    if !is_reference() {
        return;
    }
    let mut compared = 0;
    for (path, command) in leaves() {
        let missing = matches!(command.body, Body::Missing(_));
        if missing || OWN_HELP.contains(&path[0]) {
            continue;
        }
        let mut words = path.clone();
        words.push("--help");
        let theirs = docker(&words).unwrap();
        let shown = format!("docker {}", path.join(" "));
        let ours = help::command_text(Program::Docker, command, &shown, 79);
        assert_eq!(ours, theirs, "{shown} --help");
        compared += 1;
    }
    assert!(compared > 90, "only {compared} commands were compared");
}

#[test]
fn every_command_of_docker_exists_here() {
    if !is_reference() {
        return;
    }
    for group in [
        &[][..],
        &["container"],
        &["image"],
        &["volume"],
        &["network"],
        &["system"],
        &["context"],
    ] {
        let mut words = group.to_vec();
        words.push("--help");
        let help = docker(&words).unwrap();
        let names = help
            .lines()
            .skip_while(|line| !line.ends_with("Commands:"))
            .take_while(|line| !line.ends_with("Options:"))
            .filter_map(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split(' ').next().filter(|name| !name.is_empty()));
        for name in names {
            let path: Vec<String> = group
                .iter()
                .chain([&name])
                .map(|word| (*word).to_owned())
                .collect();
            let found = tree::find(Program::Docker, &path);
            assert!(
                found.command.is_some() && found.rest.is_empty(),
                "docker {}",
                path.join(" ")
            );
        }
    }
    for name in NOT_IN_EVERY_DOCKER {
        assert!(
            tree::find(Program::Docker, &[(*name).to_owned()])
                .command
                .is_some(),
            "{name}"
        );
    }
}

#[test]
fn the_programs_own_help_is_dockers() {
    if !is_reference() {
        return;
    }
    let environment = Environment::of(&[("HOME", "/root")]);
    let ours = help::root_text(Program::Docker, &environment, 79);
    assert_eq!(ours, docker(&["--help"]).unwrap());
}
