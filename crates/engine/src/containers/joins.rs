//! Whose namespaces a container uses: the modes of its specification, looked up.

use std::path::PathBuf;
use std::sync::Arc;

use super::list::status_word;
use super::snapshot::Snapshot;
use crate::model::{NamespaceMode, NetworkMode};
use crate::oci::{CgroupNs, IpcNs, Namespaces, NetworkNs, PidNs, UtsNs};
use crate::{Engine, Error, Result};

/// What the kernel says of a file that is a namespace (`linux/magic.h`).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// For a start. What is joined must run now.
pub(super) fn resolve(engine: &Engine, snapshot: &Snapshot) -> Result<Namespaces> {
    let spec = &snapshot.record.spec;
    let host = &spec.host;
    Ok(Namespaces {
        network: match &host.network {
            _ if spec.network_disabled => NetworkNs::Private,
            NetworkMode::Default
            | NetworkMode::Bridge
            | NetworkMode::Named(_)
            | NetworkMode::None => NetworkNs::Private,
            NetworkMode::Host => NetworkNs::Host,
            NetworkMode::Path(path) => NetworkNs::Join(named(path)?),
            NetworkMode::Container(id) => {
                let donor = running(engine, snapshot, id, "network")?;
                NetworkNs::Join(namespace(&donor, "net"))
            }
        },
        ipc: match &host.ipc {
            NamespaceMode::Private | NamespaceMode::Shareable => IpcNs::Private,
            NamespaceMode::None => IpcNs::WithoutShm,
            NamespaceMode::Host => IpcNs::Host,
            NamespaceMode::Container(id) => {
                let donor = running(engine, snapshot, id, "IPC")?;
                if donor.record.spec.host.ipc != NamespaceMode::Shareable {
                    return Err(Error::InvalidArgument(format!(
                        "invalid IPC mode: container:{id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
                    )));
                }
                IpcNs::Join {
                    namespace: namespace(&donor, "ipc"),
                    shm: PathBuf::from(format!("/proc/{}/root/dev/shm", donor.state.pid)),
                }
            }
        },
        pid: match &host.pid {
            NamespaceMode::Host => PidNs::Host,
            NamespaceMode::Container(id) => {
                let donor = running(engine, snapshot, id, "PID")?;
                PidNs::Join(namespace(&donor, "pid"))
            }
            NamespaceMode::Private | NamespaceMode::Shareable | NamespaceMode::None => {
                PidNs::Private
            }
        },
        uts: match &host.uts {
            NamespaceMode::Host => UtsNs::Host,
            _ => UtsNs::Private,
        },
        cgroup: cgroup(engine, host.cgroupns.as_ref()),
    })
}

/// Docker's default: private where cgroups are of version 2, the host's otherwise.
fn cgroup(engine: &Engine, wanted: Option<&NamespaceMode>) -> CgroupNs {
    match wanted {
        Some(NamespaceMode::Host) => CgroupNs::Host,
        Some(_) => CgroupNs::Private,
        None => match default_cgroupns(engine) {
            NamespaceMode::Host => CgroupNs::Host,
            _ => CgroupNs::Private,
        },
    }
}

/// The cgroup namespace of a container that does not say.
pub(super) fn default_cgroupns(engine: &Engine) -> NamespaceMode {
    let inner = &engine.0;
    match &inner.options.default_cgroupns {
        Some(mode) => mode.clone(),
        None if inner.host.is_cgroup_v2() => NamespaceMode::Private,
        None => NamespaceMode::Host,
    }
}

fn running(engine: &Engine, own: &Snapshot, id: &str, kind: &str) -> Result<Arc<Snapshot>> {
    let donor = engine.0.containers.resolve(id).map_err(|error| {
        Error::InvalidArgument(format!("joining {kind} namespace of container: {error}"))
    })?;
    if donor.id() == own.id() {
        return Err(Error::InvalidArgument(format!(
            "cannot join own {kind} namespace"
        )));
    }
    if donor.is_running() {
        return Ok(donor);
    }
    Err(Error::Conflict(format!(
        "cannot join {kind} namespace of a non running container: container {} is {}",
        donor.name(),
        status_word(donor.state.status)
    )))
}

/// A named network namespace. Said here, and not in the kernel's words: the docker CLI takes
/// "no such file or directory" in any error for a program that does not exist.
fn named(path: &str) -> Result<PathBuf> {
    match rustix::fs::statfs(path) {
        Ok(found) if found.f_type == NSFS_MAGIC => Ok(PathBuf::from(path)),
        Ok(_) => Err(Error::InvalidArgument(format!(
            "cannot join network namespace {path}: it is not a namespace"
        ))),
        Err(rustix::io::Errno::NOENT) => Err(Error::InvalidArgument(format!(
            "cannot join network namespace {path}: it does not exist"
        ))),
        Err(error) => Err(Error::InvalidArgument(format!(
            "cannot join network namespace {path}: {error}"
        ))),
    }
}

fn namespace(donor: &Snapshot, kind: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/ns/{kind}", donor.state.pid))
}
