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

/// Whether this is a shim.
pub(crate) fn is_shim() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|name| name.as_bytes() == wharf_runtime::shim::NAME.as_bytes())
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
