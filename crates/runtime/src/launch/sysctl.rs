//! Kernel parameters of the container's own namespaces.
//!
//! Only parameters that belong to a namespace the container has may be set: any other would
//! change the host. A name is turned into a path of procfs that cannot leave `sys`.

use std::path::PathBuf;

use oci_spec::runtime::Linux;
use wharf_sys::clone::Namespaces as Kinds;

use super::error::LaunchError;

/// Parameters of an IPC namespace, besides `fs.mqueue.*`.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The parameters of `linux.sysctl`, as paths below procfs's `sys` and values, in a fixed order.
pub(super) fn plan(
    linux: &Linux,
    new: Kinds,
    joined: &[(Kinds, PathBuf)],
) -> Result<Vec<(PathBuf, String)>, LaunchError> {
    let own = joined.iter().fold(new, |own, (kind, _)| own | *kind);
    let mut planned = linux
        .sysctl()
        .iter()
        .flatten()
        .map(|(name, value)| {
            let refuse =
                |reason: &str| Err(LaunchError::spec(format!("linux.sysctl: {name}"), reason));
            let Some(path) = path_of(name) else {
                return refuse("not a parameter's name");
            };
            if value.contains(['\0', '\n']) {
                return refuse("a value of more than one line");
            }
            match namespace_of(&path.replace('/', ".")) {
                Some(kind) if own.contains(kind) => Ok((PathBuf::from(path), value.clone())),
                Some(_) => refuse("its namespace is the host's"),
                None => refuse("not in a separate kernel namespace"),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    planned.sort();
    Ok(planned)
}

/// Which namespace a parameter belongs to.
fn namespace_of(name: &str) -> Option<Kinds> {
    if OF_IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        Some(Kinds::IPC)
    } else if name.starts_with("net.") {
        Some(Kinds::NETWORK)
    } else if name == "kernel.domainname" {
        Some(Kinds::UTS)
    } else {
        None
    }
}

/// The path of a parameter below `sys`, by `sysctl(8)`'s rule: of `.` and `/`, the one that comes
/// first separates, and the other stands for it inside a component (`net.ipv4.conf.eth0/1.x`).
fn path_of(name: &str) -> Option<String> {
    let first = name.find(['.', '/'])?;
    let path: String = if name.as_bytes().get(first) == Some(&b'/') {
        name.to_owned()
    } else {
        name.chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect()
    };
    let sound = path
        .split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'));
    sound.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_by_the_rule_of_sysctl() {
        assert_eq!(
            path_of("net.ipv4.ip_forward").as_deref(),
            Some("net/ipv4/ip_forward")
        );
        assert_eq!(
            path_of("net/ipv4/conf/eth0.1/rp_filter").as_deref(),
            Some("net/ipv4/conf/eth0.1/rp_filter")
        );
        assert_eq!(
            path_of("net.ipv4.conf.eth0/1.rp_filter").as_deref(),
            Some("net/ipv4/conf/eth0.1/rp_filter")
        );
    }

    #[test]
    fn a_name_that_could_leave_its_directory_is_none() {
        for name in ["net/../kernel/core_pattern", "net..x", "/net/x", "net/", ""] {
            assert_eq!(path_of(name), None, "{name}");
        }
        // "net.//x" swaps to "net/..x", which is one component.
        assert_eq!(path_of("net.//x").as_deref(), Some("net/..x"));
    }

    #[test]
    fn a_parameter_of_the_host_is_refused() {
        let linux = serde_json::from_str(r#"{"sysctl":{"kernel.core_pattern":"|/x"}}"#).unwrap();
        let error = plan(&linux, Kinds::NETWORK | Kinds::IPC, &[]).unwrap_err();
        assert!(error.to_string().contains("not in a separate"), "{error}");
        let linux = serde_json::from_str(r#"{"sysctl":{"net.ipv4.ip_forward":"1"}}"#).unwrap();
        assert!(plan(&linux, Kinds::IPC, &[]).is_err());
        assert_eq!(plan(&linux, Kinds::NETWORK, &[]).unwrap().len(), 1);
    }
}
