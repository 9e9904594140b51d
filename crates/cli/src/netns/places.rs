//! Where network namespaces are: pins, containers, processes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::client::Call;
use crate::container::describe;
use crate::failure::Failure;
use crate::json::Json;
use crate::session::Session;

/// Where `ip netns add` and network gear pin theirs. One is most often a link to the other.
const PINS: &[&str] = &["/run/netns", "/var/run/netns"];

/// What a namespace is known by in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    device: u64,
    pub(super) inode: u64,
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Identity> {
        let metadata = fs::metadata(path)?;
        Ok(Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// A name that leads to a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
}

/// Every pin, by name.
pub(super) fn pinned() -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for directory in PINS {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // A pin whose mount is gone is an empty file on the directory's own device.
            let Ok(identity) = namespace(&path) else {
                continue;
            };
            if !found.iter().any(|place| place.name == name) {
                found.push(Place {
                    kind: "pinned",
                    name,
                    path,
                    identity,
                });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The namespace behind a path; an error if something else is there.
fn namespace(path: &Path) -> io::Result<Identity> {
    let pinned = Identity::of(path)?;
    // Every namespace lives on the kernel's nsfs, as this process's own does.
    if pinned.device == Identity::of(Path::new("/proc/self/ns/net"))?.device {
        Ok(pinned)
    } else {
        Err(io::Error::other("not a network namespace"))
    }
}

/// Running containers' namespaces. Nothing when no daemon answers.
pub(super) async fn of_containers(session: &Session) -> Vec<Place> {
    let Ok(running) = list(session).await else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for container in &running {
        let names = container.texts("Names");
        let name = names
            .first()
            .map_or("", |name| name.trim_start_matches('/'));
        if let Ok(path) = path_of_container(session, container.text("Id")).await
            && let Ok(identity) = namespace(&path)
        {
            found.push(Place {
                kind: "container",
                name: name.to_owned(),
                path,
                identity,
            });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

async fn list(session: &Session) -> Result<Vec<Json>, Failure> {
    let reply = session
        .client()?
        .send(Call::get("/containers/json"))
        .await?;
    Ok(reply.json().await?)
}

/// `/proc/PID/ns/net` of a running container.
async fn path_of_container(session: &Session, name: &str) -> Result<PathBuf, Failure> {
    let container = describe(session.client()?, name).await?;
    let state = container.get("State").unwrap_or(&Json::Null);
    match state.int("Pid") {
        0 => Err(Failure::Text(format!("container {name} is not running"))),
        pid => Ok(PathBuf::from(format!("/proc/{pid}/ns/net"))),
    }
}

/// The namespace that somebody named: a path, a pin, or a running container.
pub(super) async fn find(session: &Session, name: &str) -> Result<Place, Failure> {
    let (kind, path) = if name.contains('/') {
        ("path", PathBuf::from(name))
    } else if let Some(pin) = pinned().into_iter().find(|place| place.name == name) {
        return Ok(pin);
    } else {
        let path = path_of_container(session, name).await.map_err(|failure| {
            let why = failure.message(session.program).unwrap_or_default();
            Failure::Text(format!(
                "{name} is neither a namespace under {} nor a running container: {why}",
                PINS[0]
            ))
        })?;
        ("container", path)
    };
    let identity =
        namespace(&path).map_err(|error| Failure::Text(format!("{}: {error}", path.display())))?;
    Ok(Place {
        kind,
        name: name.to_owned(),
        path,
        identity,
    })
}
