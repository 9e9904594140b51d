//! What goes wrong with other people's programs.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A result of this module.
pub type Result<T, E = CniError> = std::result::Result<T, E>;

/// Why a network made by plugins is not as it was asked to be.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// A name that must not become that of a file or a word in an environment.
    #[error("invalid {what} {value:?}")]
    Name {
        /// What it names.
        what: &'static str,
        /// It.
        value: String,
    },
    /// A conflist that says nothing of use.
    #[error("{}: {reason}", path.display())]
    Conflist {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory of conflists or records.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A plugin that is in none of the directories.
    #[error("failed to find plugin {plugin:?} in path {path:?}")]
    NoPlugin {
        /// Its name.
        plugin: String,
        /// Where it was looked for.
        path: Vec<PathBuf>,
    },
    /// A plugin could not be run, or not to its end.
    #[error("plugin {plugin} ({command}): {source}")]
    Run {
        /// Its name.
        plugin: String,
        /// `ADD`, `DEL` …
        command: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A plugin that did not end in time, and was killed.
    #[error("plugin {plugin} ({command}) did not end within {limit:?} and was killed")]
    TooSlow {
        /// Its name.
        plugin: String,
        /// `ADD`, `DEL` …
        command: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// A plugin that said more than anybody would read, and was killed.
    #[error("plugin {plugin} ({command}) wrote more than {limit} bytes and was killed")]
    TooMuch {
        /// Its name.
        plugin: String,
        /// `ADD`, `DEL` …
        command: &'static str,
        /// What it may write.
        limit: usize,
    },
    /// A plugin that says it failed.
    #[error("plugin {plugin} ({command}) failed: {failure}")]
    Failed {
        /// Its name.
        plugin: String,
        /// `ADD`, `DEL` …
        command: &'static str,
        /// What it said.
        failure: PluginFailure,
    },
    /// A plugin that says it succeeded, and what it made makes no sense.
    #[error("plugin {plugin} ({command}) answered nonsense: {reason}")]
    Answer {
        /// Its name.
        plugin: String,
        /// `ADD`, `DEL` …
        command: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A plugin that does not speak the version its network is written in.
    #[error("plugin {plugin} does not support config version {wanted:?} (it has {has:?})")]
    Version {
        /// Its name.
        plugin: String,
        /// The conflist's.
        wanted: &'static str,
        /// The plugin's.
        has: Vec<String>,
    },
    /// A container is there already.
    #[error("container {container} is already attached to network {network} as {interface}")]
    Attached {
        /// Which.
        container: String,
        /// To what.
        network: String,
        /// As what.
        interface: String,
    },
    /// A container is not there.
    #[error("container {container} is not attached to network {network} as {interface}")]
    NotAttached {
        /// Which.
        container: String,
        /// To what.
        network: String,
        /// As what.
        interface: String,
    },
    /// Several of them: the undoing went on after the first.
    #[error("{}", Joined(.0))]
    Several(Vec<CniError>),
}

impl CniError {
    /// Nothing, the one error, or all of them.
    pub(super) fn all(mut errors: Vec<CniError>) -> Result<()> {
        match errors.len() {
            0 => Ok(()),
            1 => errors.pop().map_or(Ok(()), Err),
            _ => Err(CniError::Several(errors)),
        }
    }
}

struct Joined<'a>(&'a [CniError]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// What a plugin says of its failure, cut to a length that fits a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFailure {
    /// The specification's or the plugin's number; none if it only ended badly.
    pub code: Option<u64>,
    /// In a few words.
    pub message: String,
    /// In more, or empty.
    pub details: String,
}

impl PluginFailure {
    /// "Try again later", the specification's.
    const TRY_AGAIN: u64 = 11;

    /// Whether the plugin asks to be tried again.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.code == Some(PluginFailure::TRY_AGAIN)
    }
}

impl fmt::Display for PluginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.details.is_empty() {
            write!(f, "; {}", self.details)?;
        }
        Ok(())
    }
}
