//! `wharf fsck [--repair] [--data-root DIR]`: the store checked against itself, with no daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use wharf_store::fsck::Repair;
use wharf_store::store::{Store, StoreOptions};

const USAGE: &str = "Usage:  wharf fsck [--repair] [--data-root DIR]

Hash every blob and layer again and check what is derived from them.

Options:
      --data-root DIR   Root directory of persistent state (default /var/lib/wharf)
      --repair          Put corrupt content aside, make indexes again

Exit status: 0 all is well, or repaired; 1 something is wrong; 125 it could not be checked.
The daemon must not run meanwhile.
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Help,
    Check { root: PathBuf, repair: bool },
}

/// Runs it.
pub(crate) fn main(words: &[OsString]) -> ExitCode {
    let asked = match parse(words) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("wharf fsck: {message}\n\n{USAGE}");
            return ExitCode::from(125);
        }
    };
    match asked {
        Asked::Help => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Asked::Check { root, repair } => check(&root, repair).unwrap_or_else(|message| {
            eprintln!("wharf fsck: {message}");
            ExitCode::from(125)
        }),
    }
}

fn parse(words: &[OsString]) -> Result<Asked, String> {
    let (mut root, mut repair) = (PathBuf::from("/var/lib/wharf"), false);
    let mut words = words.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("--data-root", path)) => root = path.into(),
            Some(_) => return Err(format!("unknown flag: {word}")),
            None => match word.as_ref() {
                "--help" | "-h" => return Ok(Asked::Help),
                "--repair" => repair = true,
                "--data-root" => {
                    let path = words.next().ok_or("flag needs an argument: --data-root")?;
                    root = path.as_ref().into();
                }
                _ => return Err(format!("unknown flag: {word}")),
            },
        }
    }
    Ok(Asked::Check { root, repair })
}

fn check(root: &std::path::Path, repair: bool) -> Result<ExitCode, String> {
    // Opening makes what is not there; a check must not.
    if !root.join("wharf.db").exists() {
        return Err(format!("{} holds no store of Wharf's", root.display()));
    }
    let store = Store::open(root, &StoreOptions::default()).map_err(|error| error.to_string())?;
    let mode = if repair { Repair::Yes } else { Repair::No };
    let summary = store
        .fsck(mode, &mut |finding| println!("{finding}"))
        .map_err(|error| error.to_string())?;
    let images = wharf_images::Images::open(store)
        .and_then(|images| images.incomplete())
        .map_err(|error| error.to_string())?;
    for image in &images {
        println!("{image}");
    }
    println!(
        "{} blobs and {} layers checked, {} findings, {} repaired, {} images incomplete",
        summary.blobs,
        summary.layers,
        summary.findings,
        summary.repaired,
        images.len()
    );
    let well = summary.findings == summary.repaired && images.is_empty();
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(
            &line
                .split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn words_are_read() {
        assert_eq!(
            read("--repair --data-root=/x").unwrap(),
            Asked::Check {
                root: "/x".into(),
                repair: true
            }
        );
        assert_eq!(
            read("").unwrap(),
            Asked::Check {
                root: "/var/lib/wharf".into(),
                repair: false
            }
        );
        assert_eq!(read("--help").unwrap(), Asked::Help);
        assert_eq!(read("--force").unwrap_err(), "unknown flag: --force");
    }

    #[test]
    fn a_directory_without_a_store_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            check(dir.path(), true)
                .unwrap_err()
                .contains("holds no store")
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
