//! What names may be: they become names of files, and words in other programs' environments.

use super::error::{CniError, Result};

/// Longest name of a network; with the two others and `.json` it must be the name of a file.
const NETWORK_MAX: usize = 120;

/// Longest identifier of a container. Ours have 64 letters.
const CONTAINER_MAX: usize = 100;

/// Longest name of a link (`IFNAMSIZ` without its end).
const INTERFACE_MAX: usize = 15;

pub(super) fn network(name: &str) -> Result<()> {
    if is_plain(name, NETWORK_MAX) {
        return Ok(());
    }
    Err(invalid("network name", name))
}

pub(super) fn container(id: &str) -> Result<()> {
    if is_plain(id, CONTAINER_MAX) {
        return Ok(());
    }
    Err(invalid("container id", id))
}

pub(super) fn interface(name: &str) -> Result<()> {
    let odd = |c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control();
    if name.is_empty()
        || name.len() > INTERFACE_MAX
        || matches!(name, "." | "..")
        || name.contains(odd)
    {
        return Err(invalid("interface name", name));
    }
    Ok(())
}

/// A plugin is a file of one of the directories given, never one elsewhere.
pub(super) fn plugin(kind: &str) -> Result<()> {
    if kind.is_empty()
        || kind.len() > NETWORK_MAX
        || matches!(kind, "." | "..")
        || kind.contains(['/', '\0'])
    {
        return Err(invalid("plugin type", kind));
    }
    Ok(())
}

/// Keys and values go into one variable, `KEY=VALUE;KEY=VALUE`.
pub(super) fn argument(key: &str, value: &str) -> Result<()> {
    if key.is_empty() || key.contains([';', '=', '\0']) || value.contains([';', '\0']) {
        return Err(invalid("argument", &format!("{key}={value}")));
    }
    Ok(())
}

/// A letter or digit, then letters, digits, `_`, `.` and `-`, as the specification says.
fn is_plain(name: &str, longest: usize) -> bool {
    let bytes = name.as_bytes();
    let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    bytes.len() <= longest
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(fits)
}

fn invalid(what: &'static str, value: &str) -> CniError {
    CniError::Name {
        what,
        value: value.chars().take(NETWORK_MAX).collect(),
    }
}
