//! Networks as files describe them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::error::{CniError, Result};
use super::names;
use super::version::Version;

/// Longest file.
const LONGEST: u64 = 1 << 20;

/// Files of a directory that are looked at.
const FILES: usize = 1024;

/// Plugins of one network.
const PLUGINS: usize = 64;

/// A network: its name, and the plugins that attach to it, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflist {
    name: String,
    version: Version,
    checks: Asked,
    collects: Asked,
    plugins: Vec<Map<String, Value>>,
    whole: Value,
}

/// Whether a conflist lets a command be asked of its plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Yes,
    Never,
}

impl Conflist {
    /// Reads a conflist, or the configuration of one plugin as a list of one. `path` is for errors.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Conflist> {
        let value = serde_json::from_slice(bytes)
            .map_err(|error| invalid(path, format!("error parsing configuration list: {error}")))?;
        Conflist::of(value, path)
    }

    pub(super) fn of(whole: Value, path: &Path) -> Result<Conflist> {
        let Value::Object(list) = &whole else {
            return Err(invalid(path, "not an object"));
        };
        let Some(name) = list.get("name").and_then(Value::as_str) else {
            return Err(invalid(path, "error parsing configuration list: no 'name'"));
        };
        names::network(name)?;
        let plugins = match list.get("plugins") {
            Some(Value::Array(plugins)) => plugins.clone(),
            Some(_) => return Err(invalid(path, "'plugins' is not a list")),
            // One plugin's configuration is its own file.
            None if list.contains_key("type") => vec![whole.clone()],
            None => return Err(invalid(path, "no 'plugins' key")),
        };
        if plugins.is_empty() {
            return Err(invalid(path, "no plugins in list"));
        }
        if plugins.len() > PLUGINS {
            return Err(invalid(path, format!("more than {PLUGINS} plugins")));
        }
        let plugins: Vec<_> = plugins
            .into_iter()
            .map(|plugin| read_plugin(plugin, path))
            .collect::<Result<_>>()?;
        Ok(Conflist {
            name: name.to_owned(),
            version: read_version(list, path)?,
            checks: read_switch(list, "disableCheck", path)?,
            collects: read_switch(list, "disableGC", path)?,
            plugins,
            whole,
        })
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the specification that it is written in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The types of its plugins, which are the names of their files.
    pub fn plugins(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.plugins.iter().map(kind)
    }

    /// The whole, as it was read.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.whole
    }

    /// Whether its attachments may be checked.
    pub(super) fn is_checked(&self) -> bool {
        self.version >= Version::V0_4_0 && self.checks == Asked::Yes
    }

    /// Whether its plugins are told to clean up.
    pub(super) fn is_collected(&self) -> bool {
        self.version >= Version::V1_1_0 && self.collects == Asked::Yes
    }

    pub(super) fn configurations(&self) -> &[Map<String, Value>] {
        &self.plugins
    }
}

/// The type of a plugin, which [`read_plugin`] has seen.
pub(super) fn kind(plugin: &Map<String, Value>) -> &str {
    plugin
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What a directory of conflists says.
#[derive(Debug, Default)]
pub struct Directory {
    /// Its networks, in the order of their files' names. Of several with one name the first counts.
    pub networks: Vec<Conflist>,
    /// What could not be read: one bad file does not hide the others.
    pub errors: Vec<CniError>,
}

/// Reads the files of a directory that are named as conflists are.
pub fn directory(path: &Path) -> Result<Directory> {
    let failed = |source| CniError::File {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let ending = file.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("conflist" | "conf" | "json")) {
            files.push(file);
        }
        if files.len() > FILES {
            return Err(invalid(path, format!("more than {FILES} files")));
        }
    }
    files.sort();
    let mut found = Directory::default();
    for file in files {
        match read(&file) {
            Ok(network)
                if found
                    .networks
                    .iter()
                    .any(|known| known.name == network.name) =>
            {
                let reason = format!("a network {:?} is described before", network.name);
                found.errors.push(invalid(&file, reason));
            }
            Ok(network) => found.networks.push(network),
            Err(error) => found.errors.push(error),
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Conflist> {
    let failed = |source| CniError::File {
        path: path.to_owned(),
        source,
    };
    // Not waiting: a pipe under that name would hold us.
    let flags =
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .map_err(|error| failed(error.into()))?;
    let file = File::from(fd);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
        return Err(invalid(path, format!("longer than {LONGEST} bytes")));
    }
    Conflist::parse(&bytes, path)
}

fn read_plugin(plugin: Value, path: &Path) -> Result<Map<String, Value>> {
    let Value::Object(plugin) = plugin else {
        return Err(invalid(path, "a plugin that is not an object"));
    };
    match plugin.get("type").and_then(Value::as_str) {
        None | Some("") => Err(invalid(path, "error parsing configuration: missing 'type'")),
        Some(kind) => {
            names::plugin(kind)?;
            Ok(plugin)
        }
    }
}

/// `cniVersions` (1.1) may offer several: the newest that is spoken here.
fn read_version(list: &Map<String, Value>, path: &Path) -> Result<Version> {
    let offered = list.get("cniVersions").and_then(Value::as_array);
    let newest = offered
        .into_iter()
        .flatten()
        .chain(list.get("cniVersion"))
        .filter_map(Value::as_str)
        .filter_map(Version::parse)
        .max();
    newest.ok_or_else(|| {
        let found = list.get("cniVersion").and_then(Value::as_str);
        let found = found.unwrap_or_default();
        invalid(path, format!("unsupported CNI version {found:?}"))
    })
}

/// Plugins of old wrote them as strings.
fn read_switch(list: &Map<String, Value>, key: &str, path: &Path) -> Result<Asked> {
    match list.get(key) {
        None | Some(Value::Bool(false)) => Ok(Asked::Yes),
        Some(Value::Bool(true)) => Ok(Asked::Never),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Asked::Never),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Asked::Yes),
        Some(other) => Err(invalid(path, format!("invalid value {other} for {key}"))),
    }
}

fn invalid(path: &Path, reason: impl Into<String>) -> CniError {
    CniError::Conflist {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
