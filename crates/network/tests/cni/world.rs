//! Directories of plugins and records, and namespaces to attach.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use wharf_network::Netns;
use wharf_network::cni::{Conflist, Driver, Paths};

/// Debian's plugins (`containernetworking-plugins`).
const DEBIAN: &str = "/usr/lib/cni";

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("bin")).unwrap();
        Place { directory }
    }

    /// A plugin of our own: a script, which has a variable `log`, a file beside it.
    pub(crate) fn plugin(&self, name: &str, script: &str) {
        let file = self.directory.path().join("bin").join(name);
        let log = self.log_file(name);
        let script = format!("#!/bin/sh\nlog={}\n{script}\n", log.display());
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_file(name)).unwrap_or_default()
    }

    pub(crate) fn driver(&self) -> Driver {
        self.driver_within(LIMIT)
    }

    pub(crate) fn driver_within(&self, limit: Duration) -> Driver {
        let paths = Paths {
            plugins: vec![self.directory.path().join("bin"), DEBIAN.into()],
            records: self.records(),
        };
        Driver::new(paths, limit)
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.directory.path().join("records")
    }

    /// The names of the records.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.records()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// Where host-local keeps what it gave.
    pub(crate) fn leases(&self, network: &str) -> Vec<String> {
        let directory = self.directory.path().join("leases").join(network);
        let Ok(entries) = fs::read_dir(directory) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("10.")).collect()
    }
}

/// A path that stands for a namespace as long as it is held.
pub(crate) fn path_of(namespace: &Netns) -> PathBuf {
    let fd = namespace.as_fd().as_raw_fd();
    format!("/proc/{}/fd/{fd}", std::process::id()).into()
}

pub(crate) fn in_a_world<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let world = Netns::create().unwrap();
    world.run(wharf_sys::loopback::up).unwrap().unwrap();
    world.run(work).unwrap()
}

pub(crate) fn conflist(json: &Value) -> Conflist {
    Conflist::parse(json.to_string().as_bytes(), Path::new("test.conflist")).unwrap()
}
