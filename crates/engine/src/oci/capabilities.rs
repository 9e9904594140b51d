//! The default capabilities and what a container adds and drops.

use std::collections::HashSet;
use std::str::FromStr;

use oci_spec::runtime::{Capability, LinuxCapabilities};

/// Docker's default set.
pub(crate) const DEFAULT_CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Everything this engine has a name for; the runtime leaves out what the kernel does not know.
const ALL: [Capability; 41] = [
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setgid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

/// The capability of that name, with or without `CAP_`, in any case.
pub(crate) fn parse(name: &str) -> Option<Capability> {
    let upper = name.to_ascii_uppercase();
    Capability::from_str(upper.strip_prefix("CAP_").unwrap_or(&upper)).ok()
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL")
}

/// Whether every name is known; the first that is not.
pub(crate) fn unknown(names: &[String]) -> Option<&String> {
    names
        .iter()
        .find(|name| !is_all(name) && parse(name).is_none())
}

/// Docker's arithmetic: `ALL` on either side, then names; a privileged container has all.
pub(crate) fn effective(add: &[String], drop: &[String], privileged: bool) -> HashSet<Capability> {
    if privileged {
        return ALL.into_iter().collect();
    }
    let dropped: HashSet<Capability> = drop.iter().filter_map(|name| parse(name)).collect();
    let added = add.iter().filter_map(|name| parse(name));
    let mut set: HashSet<Capability> = if add.iter().any(|name| is_all(name)) {
        ALL.into_iter().filter(|c| !dropped.contains(c)).collect()
    } else if drop.iter().any(|name| is_all(name)) {
        HashSet::new()
    } else {
        DEFAULT_CAPABILITIES
            .into_iter()
            .filter(|c| !dropped.contains(c))
            .collect()
    };
    set.extend(added);
    set
}

/// The sets of a process. Inheritable and ambient stay empty: a set that survives execve gives
/// a program with file capabilities more than it was meant to have (CVE-2022-24769).
pub(crate) fn capabilities(set: &HashSet<Capability>) -> LinuxCapabilities {
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set.clone()))
        .set_inheritable(None)
        .set_ambient(None);
    capabilities
}
