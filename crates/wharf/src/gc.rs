//! `wharf gc [--data-root DIR] [--exec-root DIR]`: frees what nothing names, with no daemon.
//!
//! The daemon does the same by itself after every removal; this is for when it was killed before
//! it came to it and is not to be started. Containers that run are not touched: the engine is
//! opened and closed as a daemon would, and they do not notice either.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use wharf_engine::{Engine, EngineOptions};

const USAGE: &str = "Usage:  wharf gc [--data-root DIR] [--exec-root DIR]

Free the blobs and layers that no image and no container needs.

Options:
      --data-root DIR   Root directory of persistent state (default /var/lib/wharf)
      --exec-root DIR   Root directory for execution state files (default /run/wharf)

The daemon, which does this by itself, must not run meanwhile.
";

/// Where the engine lives.
#[derive(Debug, PartialEq, Eq)]
struct Roots {
    data: PathBuf,
    exec: PathBuf,
}

/// Runs it.
pub(crate) fn main(words: &[OsString]) -> ExitCode {
    let roots = match parse(words) {
        Ok(Some(roots)) => roots,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("wharf gc: {message}\n\n{USAGE}");
            return ExitCode::from(125);
        }
    };
    match collect(roots) {
        Ok(bytes) => {
            println!("{bytes} bytes freed");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("wharf gc: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when help was asked for.
fn parse(words: &[OsString]) -> Result<Option<Roots>, String> {
    let mut roots = Roots {
        data: "/var/lib/wharf".into(),
        exec: "/run/wharf".into(),
    };
    let mut words = words.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word.into_owned(), None),
        };
        let place = match name.as_str() {
            "--help" | "-h" => return Ok(None),
            "--data-root" => &mut roots.data,
            "--exec-root" => &mut roots.exec,
            _ => return Err(format!("unknown flag: {name}")),
        };
        *place = value
            .or_else(|| words.next().map(std::borrow::Cow::into_owned))
            .ok_or_else(|| format!("flag needs an argument: {name}"))?
            .into();
    }
    Ok(Some(roots))
}

fn collect(roots: Roots) -> Result<u64, String> {
    // Opening makes what is not there; collecting must not.
    if !roots.data.join("wharf.db").exists() {
        return Err(format!(
            "{} holds no store of Wharf's",
            roots.data.display()
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let options = EngineOptions::new(roots.data, roots.exec, vec!["/proc/self/exe".into()]);
        let engine = Engine::open(options)
            .await
            .map_err(|error| error.to_string())?;
        let collected = engine.gc().await.map_err(|error| error.to_string());
        engine.shutdown().await;
        collected
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Roots>, String> {
        parse(
            &line
                .split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn words_are_read() {
        let roots = read("--data-root /d --exec-root=/e").unwrap().unwrap();
        assert_eq!(
            roots,
            Roots {
                data: "/d".into(),
                exec: "/e".into()
            }
        );
        assert_eq!(read("--help").unwrap(), None);
        assert_eq!(
            read("--data-root").unwrap_err(),
            "flag needs an argument: --data-root"
        );
        assert_eq!(read("now").unwrap_err(), "unknown flag: now");
    }

    #[test]
    fn a_directory_without_a_store_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots {
            data: dir.path().into(),
            exec: dir.path().join("exec"),
        };
        assert!(collect(roots).unwrap_err().contains("holds no store"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
