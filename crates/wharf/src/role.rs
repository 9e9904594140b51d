//! What this process is to be.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::Program;

/// A role, and where its own words begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The daemon; its flags begin at that word.
    Daemon(Program, usize),
    /// The OCI runtime.
    Runtime,
    /// The check of the store.
    Fsck,
    /// Its collection.
    Gc,
    /// The command line.
    Client(wharf_cli::Program),
}

impl Role {
    /// From the name it was called by and the words after it.
    pub(crate) fn of(name: &OsStr, words: &[OsString]) -> Self {
        let name = Path::new(name).file_name().unwrap_or_default();
        match name.as_bytes() {
            b"dockerd" => return Self::Daemon(Program::Dockerd, 0),
            b"docker" => return Self::Client(wharf_cli::Program::Docker),
            _ => {}
        }
        match words.first().map(|word| word.as_bytes()) {
            Some(b"daemon") => Self::Daemon(Program::Wharf, 1),
            Some(b"runtime") => Self::Runtime,
            Some(b"fsck") => Self::Fsck,
            Some(b"gc") => Self::Gc,
            _ => Self::Client(wharf_cli::Program::Wharf),
        }
    }
}

/// The roles that there is one of per container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfContainer {
    /// It holds the container.
    Shim,
    /// It is the container's first process.
    Init,
}

/// Whether this process is one of these.
pub(crate) fn of_container() -> Option<OfContainer> {
    let name = std::env::args_os().next()?;
    named(Path::new(&name).file_name()?.as_bytes())
}

fn named(name: &[u8]) -> Option<OfContainer> {
    if name == wharf_runtime::shim::NAME.as_bytes() {
        Some(OfContainer::Shim)
    } else if name == wharf_runtime::container_init::NAME.as_bytes() {
        Some(OfContainer::Init)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(line: &str) -> Role {
        let mut words = line.split(' ').map(OsString::from);
        let name = words.next().unwrap();
        Role::of(&name, &words.collect::<Vec<_>>())
    }

    #[test]
    fn what_a_container_needs_is_known_by_its_name_alone() {
        assert_eq!(named(b"wharf-shim"), Some(OfContainer::Shim));
        assert_eq!(named(b"docker-init"), Some(OfContainer::Init));
        assert_eq!(named(b"wharf"), None);
    }

    #[test]
    fn the_name_picks_the_role_and_then_the_first_word() {
        assert_eq!(
            role("/usr/bin/dockerd -D"),
            Role::Daemon(Program::Dockerd, 0)
        );
        assert_eq!(role("wharf daemon -D"), Role::Daemon(Program::Wharf, 1));
        assert_eq!(
            role("docker daemon"),
            Role::Client(wharf_cli::Program::Docker)
        );
        assert_eq!(role("./wharf runtime list"), Role::Runtime);
        assert_eq!(role("wharf fsck"), Role::Fsck);
        assert_eq!(role("wharf gc"), Role::Gc);
        assert_eq!(role("wharf ps"), Role::Client(wharf_cli::Program::Wharf));
        assert_eq!(role("wharf"), Role::Client(wharf_cli::Program::Wharf));
    }
}
