//! `HostConfig` to the domain's [`HostSpec`].

use wharf_engine::model::{HostSpec, NamespaceMode, Resources, Ulimit};

use super::create::{HostConfigBody, plain};
use super::mounts;
use super::networking;
use super::ports;
use super::spec::Host;
use crate::error::ApiError;
use crate::version::ApiVersion;

/// Converts, with the defaults that a client of this version expects.
pub(crate) fn read(
    body: HostConfigBody,
    version: ApiVersion,
    on: Host,
    warnings: &mut Vec<String>,
) -> Result<HostSpec, ApiError> {
    check_volume_driver(&body.volume_driver)?;
    mounts::check_volume_driver_warning(&body, version, warnings);
    let resources = resources(&body);
    Ok(HostSpec {
        binds: body.binds.unwrap_or_default(),
        mounts: mounts::read(body.mounts, version)?,
        tmpfs: plain(body.tmpfs),
        volumes_from: body.volumes_from,
        volume_driver: body.volume_driver,
        container_id_file: body.container_id_file,
        network: networking::mode(&body.network_mode)?,
        publish: ports::read(&body.port_bindings)?,
        publish_all: body.publish_all_ports,
        links: body.links,
        ipc: ipc(&body.ipc_mode, version)?,
        pid: pid(&body.pid_mode)?,
        uts: uts(&body.uts_mode)?,
        cgroupns: cgroupns(&body.cgroupns_mode, version, on)?,
        // Up to 1.24 the client removed the container itself.
        auto_remove: body.auto_remove && version.at_least(25),
        privileged: body.privileged,
        readonly_rootfs: body.readonly_rootfs,
        cap_add: capabilities(body.cap_add.0),
        cap_drop: capabilities(body.cap_drop.0),
        group_add: body.group_add,
        security_opt: body.security_opt,
        masked_paths: body.masked_paths,
        readonly_paths: body.readonly_paths,
        dns: body.dns,
        dns_options: body.dns_options,
        dns_search: body.dns_search,
        extra_hosts: body.extra_hosts,
        shm_size: u64::try_from(body.shm_size)
            .map_err(|_| ApiError::bad_request("SHM size can not be less than 0"))?,
        resources,
        init: body.init,
        log_driver: body.log_config.kind,
        log_options: plain(body.log_config.config),
        console_size: console_size(&body.console_size, version),
        annotations: if version.at_least(43) {
            plain(body.annotations)
        } else {
            Default::default()
        },
        oom_score_adj: body.oom_score_adj,
        runtime: body.runtime,
    })
}

/// The limits, of a create or of an update.
pub(crate) fn resources(body: &HostConfigBody) -> Resources {
    Resources {
        memory: body.memory,
        memory_reservation: body.memory_reservation,
        memory_swap: body.memory_swap,
        // -1 is how clients of old say "the default".
        memory_swappiness: body.memory_swappiness.filter(|value| *value != -1),
        oom_kill_disable: body.oom_kill_disable,
        cpu_shares: body.cpu_shares,
        cpu_period: body.cpu_period,
        cpu_quota: body.cpu_quota,
        nano_cpus: body.nano_cpus,
        cpuset_cpus: body.cpuset_cpus.clone(),
        cpuset_mems: body.cpuset_mems.clone(),
        // 0 and everything below is unlimited, and prints as null.
        pids_limit: body.pids_limit.filter(|limit| *limit > 0),
        ulimits: body
            .ulimits
            .iter()
            .map(|limit| Ulimit {
                name: limit.name.clone(),
                soft: limit.soft,
                hard: limit.hard,
            })
            .collect(),
        cgroup_parent: body.cgroup_parent.clone(),
    }
}

/// `[height, width]`, both or neither; before 1.42 Linux daemons ignored it.
pub(crate) fn console_size(size: &[u32], version: ApiVersion) -> (u16, u16) {
    let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    match size {
        [height, width] if version.at_least(42) => (side(*height), side(*width)),
        _ => (0, 0),
    }
}

fn container_of(text: &str) -> Option<&str> {
    text.strip_prefix("container:")
        .filter(|name| !name.is_empty())
}

fn ipc(text: &str, version: ApiVersion) -> Result<NamespaceMode, ApiError> {
    Ok(match text {
        "" if version.before(40) => NamespaceMode::Shareable,
        "" | "private" => NamespaceMode::Private,
        "shareable" => NamespaceMode::Shareable,
        "none" => NamespaceMode::None,
        "host" => NamespaceMode::Host,
        _ => match container_of(text) {
            Some(container) => NamespaceMode::Container(container.into()),
            None => return Err(ApiError::bad_request(format!("invalid IPC mode: {text}"))),
        },
    })
}

fn pid(text: &str) -> Result<NamespaceMode, ApiError> {
    Ok(match text {
        "" => NamespaceMode::Private,
        "host" => NamespaceMode::Host,
        _ => match container_of(text) {
            Some(container) => NamespaceMode::Container(container.into()),
            None => return Err(ApiError::bad_request(format!("invalid PID mode: {text}"))),
        },
    })
}

fn uts(text: &str) -> Result<NamespaceMode, ApiError> {
    match text {
        "" => Ok(NamespaceMode::Private),
        "host" => Ok(NamespaceMode::Host),
        _ => Err(ApiError::bad_request(format!("invalid UTS mode: {text}"))),
    }
}

fn cgroupns(text: &str, version: ApiVersion, on: Host) -> Result<Option<NamespaceMode>, ApiError> {
    match text {
        // Clients of before 1.41 expect to see the host's cgroups where they are of version 1.
        "" if version.before(41) && on.cgroup_version == 1 => Ok(Some(NamespaceMode::Host)),
        "" => Ok(None),
        "private" => Ok(Some(NamespaceMode::Private)),
        "host" => Ok(Some(NamespaceMode::Host)),
        _ => Err(ApiError::bad_request(format!(
            "invalid cgroup namespace mode: {text}"
        ))),
    }
}

/// `net_admin` and `CAP_NET_ADMIN` are the same; whether there is such a one is the engine's to say.
fn capabilities(names: Option<Vec<String>>) -> Vec<String> {
    let normal = |name: String| {
        let name = name.to_ascii_uppercase();
        if name == "ALL" || name.starts_with("CAP_") {
            name
        } else {
            format!("CAP_{name}")
        }
    };
    names.into_iter().flatten().map(normal).collect()
}

fn check_volume_driver(name: &str) -> Result<(), ApiError> {
    match name {
        "" | "local" => Ok(()),
        other => Err(ApiError::missing(format_args!(
            "HostConfig.VolumeDriver {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::lenient;

    fn read_with(json: &str, version: u32, cgroup_version: u8) -> Result<HostSpec, ApiError> {
        read(
            lenient::from_slice(json.as_bytes()).unwrap(),
            ApiVersion::v1(version),
            Host { cgroup_version },
            &mut Vec::new(),
        )
    }

    fn host(json: &str) -> HostSpec {
        read_with(json, 50, 2).unwrap()
    }

    #[test]
    fn old_clients_get_the_defaults_they_knew() {
        assert_eq!(
            read_with("{}", 39, 2).unwrap().ipc,
            NamespaceMode::Shareable
        );
        assert_eq!(read_with("{}", 40, 2).unwrap().ipc, NamespaceMode::Private);
        assert_eq!(
            read_with("{}", 40, 1).unwrap().cgroupns,
            Some(NamespaceMode::Host)
        );
        assert_eq!(read_with("{}", 40, 2).unwrap().cgroupns, None);
        assert_eq!(read_with("{}", 41, 1).unwrap().cgroupns, None);
        let json = r#"{"AutoRemove":true,"Annotations":{"a":"b"},"ConsoleSize":[24,80]}"#;
        let old = read_with(json, 24, 2).unwrap();
        assert!(!old.auto_remove && old.annotations.is_empty());
        assert_eq!(old.console_size, (0, 0));
        let new = host(json);
        assert!(new.auto_remove && new.annotations["a"] == "b");
        assert_eq!(new.console_size, (24, 80));
    }

    #[test]
    fn namespaces_are_read() {
        let spec = host(
            r#"{"IpcMode":"container:a","PidMode":"container:b","UTSMode":"host","CgroupnsMode":"private"}"#,
        );
        assert_eq!(spec.ipc, NamespaceMode::Container("a".into()));
        assert_eq!(spec.pid, NamespaceMode::Container("b".into()));
        assert_eq!(spec.uts, NamespaceMode::Host);
        assert_eq!(spec.cgroupns, Some(NamespaceMode::Private));
    }

    #[test]
    fn modes_that_are_none_are_refused_in_dockers_words() {
        for (json, text) in [
            (r#"{"IpcMode":"x"}"#, "invalid IPC mode: x"),
            (r#"{"PidMode":"nonsense"}"#, "invalid PID mode: nonsense"),
            (
                r#"{"PidMode":"container:"}"#,
                "invalid PID mode: container:",
            ),
            (r#"{"UTSMode":"x"}"#, "invalid UTS mode: x"),
            (
                r#"{"CgroupnsMode":"x"}"#,
                "invalid cgroup namespace mode: x",
            ),
            (r#"{"ShmSize":-1}"#, "SHM size can not be less than 0"),
        ] {
            let error = read_with(json, 50, 2).unwrap_err();
            assert_eq!(
                (error.status.as_u16(), error.message.as_str()),
                (400, text),
                "{json}"
            );
        }
    }

    #[test]
    fn a_volume_driver_that_is_not_there_is_501() {
        assert_eq!(
            read_with(r#"{"VolumeDriver":"nfs"}"#, 50, 2)
                .unwrap_err()
                .status,
            501
        );
        host(r#"{"VolumeDriver":"local"}"#);
    }

    #[test]
    fn capabilities_in_any_form_become_one() {
        let spec =
            host(r#"{"CapAdd":["net_admin","CAP_SYS_TIME","Chown","all"],"CapDrop":"mknod"}"#);
        assert_eq!(
            spec.cap_add,
            ["CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_CHOWN", "ALL"]
        );
        assert_eq!(spec.cap_drop, ["CAP_MKNOD"]);
    }

    #[test]
    fn ways_to_say_unlimited_are_one() {
        for json in [
            r#"{"PidsLimit":0}"#,
            r#"{"PidsLimit":-1}"#,
            r#"{"PidsLimit":null}"#,
        ] {
            assert_eq!(host(json).resources.pids_limit, None, "{json}");
        }
        assert_eq!(host(r#"{"PidsLimit":7}"#).resources.pids_limit, Some(7));
        assert_eq!(
            host(r#"{"MemorySwappiness":-1}"#)
                .resources
                .memory_swappiness,
            None
        );
        assert_eq!(
            host(r#"{"MemorySwappiness":0}"#)
                .resources
                .memory_swappiness,
            Some(0)
        );
    }

    #[test]
    fn no_paths_to_mask_is_not_the_default_paths() {
        assert_eq!(host(r#"{"MaskedPaths":[]}"#).masked_paths, Some(vec![]));
        assert_eq!(host(r#"{"MaskedPaths":null}"#).masked_paths, None);
    }
}
