//! Which namespaces a container has, and whose.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

/// Network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkNs {
    /// A new one, with loopback up.
    Private,
    /// The host's.
    Host,
    /// This one.
    Join(PathBuf),
}

/// IPC namespace and `/dev/shm`, which belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IpcNs {
    /// A new one.
    Private,
    /// A new one, and no `/dev/shm` mount.
    WithoutShm,
    /// The host's, with its `/dev/shm`.
    Host,
    /// Another container's, with its `/dev/shm`.
    Join {
        /// The namespace.
        namespace: PathBuf,
        /// Its `/dev/shm`, seen from here.
        shm: PathBuf,
    },
}

/// PID namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PidNs {
    /// A new one.
    Private,
    /// The host's.
    Host,
    /// Another container's.
    Join(PathBuf),
}

/// UTS namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UtsNs {
    /// A new one.
    Private,
    /// The host's.
    Host,
}

/// Cgroup namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupNs {
    /// A new one.
    Private,
    /// The host's.
    Host,
}

/// All of them. There is always a mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// See [`NetworkNs`].
    pub(crate) network: NetworkNs,
    /// See [`IpcNs`].
    pub(crate) ipc: IpcNs,
    /// See [`PidNs`].
    pub(crate) pid: PidNs,
    /// See [`UtsNs`].
    pub(crate) uts: UtsNs,
    /// See [`CgroupNs`].
    pub(crate) cgroup: CgroupNs,
}

impl Namespaces {
    /// The entries of the specification; a namespace that is the host's has none.
    pub(super) fn entries(&self) -> Vec<LinuxNamespace> {
        let mut entries = vec![entry(LinuxNamespaceType::Mount, None)];
        match &self.network {
            NetworkNs::Private => entries.push(entry(LinuxNamespaceType::Network, None)),
            NetworkNs::Join(path) => entries.push(entry(LinuxNamespaceType::Network, Some(path))),
            NetworkNs::Host => {}
        }
        match &self.ipc {
            IpcNs::Private | IpcNs::WithoutShm => {
                entries.push(entry(LinuxNamespaceType::Ipc, None));
            }
            IpcNs::Join { namespace, .. } => {
                entries.push(entry(LinuxNamespaceType::Ipc, Some(namespace)));
            }
            IpcNs::Host => {}
        }
        match &self.pid {
            PidNs::Private => entries.push(entry(LinuxNamespaceType::Pid, None)),
            PidNs::Join(path) => entries.push(entry(LinuxNamespaceType::Pid, Some(path))),
            PidNs::Host => {}
        }
        if self.uts == UtsNs::Private {
            entries.push(entry(LinuxNamespaceType::Uts, None));
        }
        if self.cgroup == CgroupNs::Private {
            entries.push(entry(LinuxNamespaceType::Cgroup, None));
        }
        entries
    }
}

fn entry(kind: LinuxNamespaceType, path: Option<&PathBuf>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind).set_path(path.cloned());
    namespace
}
