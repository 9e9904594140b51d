//! What is known about containers between two commands.
//!
//! One directory each: `state.json`, and as long as the container waits to be started the socket
//! it waits on. A process is known by its number and the time it started, as numbers are used
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hook, Spec};
use serde::{Deserialize, Serialize};

use super::CliError;
use crate::cgroup::Cgroup;
use crate::launch::Namespaces;
use crate::seccomp::Filter;

const STATE: &str = "state.json";
const SOCKET: &str = "start.sock";

/// The longest name, as a directory has to be called so.
const ID_MAX: usize = 255;

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) oci_version: String,
    pub(super) id: String,
    pub(super) pid: i32,
    /// In clock ticks since boot, from the kernel.
    pub(super) started: u64,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    pub(super) owner: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) namespaces: Namespaces,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) filter: Option<Filter>,
    /// The specification, for exec, hooks and deletion.
    pub(super) spec: Spec,
}

/// What a container is doing, in the specification's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

/// The directory of one container.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    id: String,
}

impl Store {
    /// Where `id` is, or would be.
    pub(super) fn at(root: &Path, id: &str) -> Result<Store, CliError> {
        let sound = !id.is_empty()
            && id.len() <= ID_MAX
            && id != "."
            && id != ".."
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte));
        if !sound {
            return Err(CliError::Usage(format!("invalid container ID: {id:?}")));
        }
        Ok(Store {
            directory: root.join(id),
            id: id.to_owned(),
        })
    }

    /// Make the directory of a new container.
    pub(super) fn make(&self) -> Result<(), CliError> {
        use std::os::unix::fs::DirBuilderExt;
        if let Some(root) = self.directory.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(root)
                .map_err(CliError::at("make", root))?;
        }
        match fs::DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(CliError::Exists(self.id.clone()))
            }
            made => made.map_err(CliError::at("make", &self.directory)),
        }
    }

    /// The path of the socket; longer, perhaps, than a socket's address can be.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    pub(super) fn save(&self, record: &Record) -> Result<(), CliError> {
        let path = self.directory.join(STATE);
        let bytes = serde_json::to_vec(record).map_err(|source| CliError::Json {
            path: path.clone(),
            source,
        })?;
        // Never half a file under its name.
        let new = self.directory.join("state.new");
        fs::write(&new, bytes).map_err(CliError::at("write", &new))?;
        fs::rename(&new, &path).map_err(CliError::at("rename", &new))
    }

    pub(super) fn load(&self) -> Result<Record, CliError> {
        let path = self.directory.join(STATE);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(CliError::Missing(self.id.clone()))
            }
            Err(error) => Err(CliError::at("read", path)(error)),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| CliError::Json { path, source })
            }
        }
    }

    /// What the container is doing, as the kernel says.
    pub(super) fn status(&self, record: &Record) -> Status {
        if started(record.pid) != Some(record.started) {
            return Status::Stopped;
        }
        if self.socket().exists() {
            return Status::Created;
        }
        let frozen = record
            .cgroup
            .as_ref()
            .is_some_and(|cgroup| cgroup.is_frozen().unwrap_or(false));
        if frozen {
            Status::Paused
        } else {
            Status::Running
        }
    }

    /// Forget the container.
    #[allow(
        clippy::disallowed_methods,
        reason = "a directory that only this program writes, below a root that its user owns"
    )]
    pub(super) fn remove(&self) -> Result<(), CliError> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(CliError::at("remove", &self.directory)),
        }
    }
}

/// The names of all containers below `root`.
pub(super) fn all(root: &Path) -> Result<Vec<String>, CliError> {
    let mut names = Vec::new();
    match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(CliError::at("list", root)(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(CliError::at("list", root))?;
                if let Ok(name) = entry.file_name().into_string() {
                    names.push(name);
                }
            }
        }
    }
    names.sort();
    Ok(names)
}

/// When a process started; none if it does not run any more.
pub(super) fn started(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; fields are counted from behind it.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let text = String::from_utf8_lossy(stat.get(end + 2..)?).into_owned();
    let mut fields = text.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // The 22nd field; the state was the third.
    fields.nth(18)?.parse().ok()
}

impl Record {
    /// Hooks for after the start.
    pub(super) fn poststart(&self) -> Vec<Hook> {
        self.hooks(|hooks| hooks.poststart())
    }

    /// Hooks for after the deletion.
    pub(super) fn poststop(&self) -> Vec<Hook> {
        self.hooks(|hooks| hooks.poststop())
    }

    fn hooks(&self, choose: impl Fn(&oci_spec::runtime::Hooks) -> &Option<Vec<Hook>>) -> Vec<Hook> {
        self.spec
            .hooks()
            .as_ref()
            .and_then(|hooks| choose(hooks).clone())
            .unwrap_or_default()
    }

    /// The state as the specification has it.
    pub(super) fn state(&self, status: Status) -> serde_json::Value {
        let pid = if status == Status::Stopped {
            0
        } else {
            self.pid
        };
        serde_json::json!({
            "ociVersion": self.oci_version,
            "id": self.id,
            "pid": pid,
            "status": status.word(),
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            "annotations": self.annotations,
            "owner": self.owner,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_root() {
        for id in ["", ".", "..", "a/b", "a b", "é", "../x"] {
            assert!(Store::at(Path::new("/r"), id).is_err(), "{id}");
        }
        Store::at(Path::new("/r"), "web_1.a+b-c").unwrap();
    }

    #[test]
    fn a_second_container_of_a_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(&dir.path().join("new"), "one").unwrap();
        store.make().unwrap();
        assert!(matches!(store.make().unwrap_err(), CliError::Exists(_)));
        assert!(matches!(store.load().unwrap_err(), CliError::Missing(_)));
        store.remove().unwrap();
        store.remove().unwrap();
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let us = i32::try_from(std::process::id()).unwrap();
        assert!(started(us).unwrap() > 0);
        assert_eq!(started(i32::MAX), None);
    }
}
