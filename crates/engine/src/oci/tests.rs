use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxNamespace, LinuxNamespaceType};

use super::capabilities::DEFAULT_CAPABILITIES;
use super::process::environment;
use super::*;
use crate::model::{ContainerSpec, ExecSpec, MountPoint, Resources};
use crate::mounts::MountSource;

fn namespaces() -> Namespaces {
    Namespaces {
        network: NetworkNs::Private,
        ipc: IpcNs::Private,
        pid: PidNs::Private,
        uts: UtsNs::Private,
        cgroup: CgroupNs::Private,
    }
}

fn container() -> ContainerSpec {
    ContainerSpec {
        cmd: Some(vec!["sh".into()]),
        ..ContainerSpec::default()
    }
}

fn build(spec: &ContainerSpec, namespaces: &Namespaces, mounts: &[Mount]) -> Spec {
    let files = EtcFiles {
        hostname: "/c/hostname".into(),
        hosts: "/c/hosts".into(),
        resolv_conf: "/c/resolv.conf".into(),
    };
    assemble(&Assembly {
        spec,
        command: &Command::of(spec),
        user: &ProcessUser::default(),
        hostname: "abc",
        mounts,
        files: Some(&files),
        namespaces,
        cgroup: Path::new("/wharf/abc"),
        host_devices: &[],
        defaults: &Defaults {
            shm_size: 64 << 20,
            sysctls: DEFAULT_SYSCTLS
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Defaults::default()
        },
    })
}

fn destinations(spec: &Spec) -> Vec<String> {
    spec.mounts()
        .iter()
        .flatten()
        .map(|m| m.destination().display().to_string())
        .collect()
}

fn options(spec: &Spec, destination: &str) -> Vec<String> {
    spec.mounts()
        .iter()
        .flatten()
        .find(|m| m.destination() == Path::new(destination))
        .and_then(|m| m.options().clone())
        .unwrap_or_default()
}

fn bind(source: &str, destination: &str) -> Mount {
    Mount {
        point: MountPoint {
            kind: "bind".into(),
            source: source.into(),
            destination: destination.into(),
            rw: true,
            ..MountPoint::default()
        },
        source: MountSource::Bind {
            recursive: true,
            create: true,
        },
    }
}

#[test]
fn a_plain_container_gets_dockers_mounts_in_an_order_that_works() {
    let spec = build(&container(), &namespaces(), &[]);
    assert_eq!(
        destinations(&spec),
        [
            "/proc",
            "/dev",
            "/sys",
            "/dev/pts",
            "/dev/mqueue",
            "/dev/shm",
            "/etc/resolv.conf",
            "/etc/hostname",
            "/etc/hosts",
            "/sys/fs/cgroup",
        ]
    );
    assert!(options(&spec, "/dev/shm").contains(&"size=67108864".to_owned()));
    assert!(options(&spec, "/sys").contains(&"ro".to_owned()));
}

#[test]
fn a_users_mount_takes_the_place_of_a_default_and_over_dev_of_all_below() {
    let over_shm = build(&container(), &namespaces(), &[bind("/a", "/dev/shm")]);
    assert_eq!(options(&over_shm, "/dev/shm"), ["rbind", "rprivate"]);
    let over_dev = build(&container(), &namespaces(), &[bind("/a", "/dev")]);
    assert!(!destinations(&over_dev).contains(&"/dev/pts".to_owned()));
}

#[test]
fn mounts_are_made_parents_first_whatever_their_order() {
    let spec = build(
        &container(),
        &namespaces(),
        &[bind("/1", "/a/b/c"), bind("/2", "/a"), bind("/3", "/a/b")],
    );
    let order: Vec<String> = destinations(&spec)
        .into_iter()
        .filter(|d| d.starts_with("/a"))
        .collect();
    assert_eq!(order, ["/a", "/a/b", "/a/b/c"]);
}

#[test]
fn default_capabilities_are_dockers_and_never_inheritable() {
    let spec = build(&container(), &namespaces(), &[]);
    let process = spec.process().clone().unwrap();
    let sets = process.capabilities().clone().unwrap();
    assert_eq!(
        sets.effective().clone().unwrap(),
        DEFAULT_CAPABILITIES.into_iter().collect::<HashSet<_>>()
    );
    assert_eq!(sets.effective(), sets.bounding());
    assert!(sets.inheritable().is_none());
    assert!(sets.ambient().is_none());
}

#[test]
fn capabilities_are_added_and_dropped_by_dockers_arithmetic() {
    let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let only = capabilities::effective(&words(&["CAP_NET_ADMIN"]), &words(&["ALL"]), false);
    assert_eq!(only, [Capability::NetAdmin].into());
    let all_but = capabilities::effective(&words(&["ALL"]), &words(&["sys_admin"]), false);
    assert!(!all_but.contains(&Capability::SysAdmin) && all_but.contains(&Capability::SysBoot));
    assert_eq!(
        capabilities::unknown(&words(&["CAP_NOPE"])).unwrap(),
        "CAP_NOPE"
    );
}

#[test]
fn a_privileged_container_is_confined_by_nothing_of_ours() {
    let mut container = container();
    container.host.privileged = true;
    let spec = build(&container, &namespaces(), &[]);
    let linux = spec.linux().clone().unwrap();
    assert!(linux.masked_paths().clone().unwrap().is_empty());
    assert!(linux.readonly_paths().clone().unwrap().is_empty());
    assert!(!options(&spec, "/sys").contains(&"ro".to_owned()));
    assert!(!options(&spec, "/sys/fs/cgroup").contains(&"ro".to_owned()));
    let resources = linux.resources().clone().unwrap();
    let rules = resources.devices().clone().unwrap();
    assert_eq!(rules.len(), 1);
    assert!(rules[0].allow());
}

#[test]
fn a_readonly_root_leaves_writable_only_what_dockerd_leaves() {
    let mut container = container();
    container.host.readonly_rootfs = true;
    let spec = build(&container, &namespaces(), &[bind("/a", "/data")]);
    assert_eq!(spec.root().clone().unwrap().readonly(), Some(true));
    assert!(!options(&spec, "/dev/shm").contains(&"ro".to_owned()));
    assert!(!options(&spec, "/data").contains(&"ro".to_owned()));
    assert!(options(&spec, "/etc/hosts").contains(&"ro".to_owned()));
}

#[test]
fn namespaces_of_the_host_are_left_out_and_joined_ones_have_paths() {
    let spec = build(
        &container(),
        &Namespaces {
            network: NetworkNs::Join("/proc/7/ns/net".into()),
            ipc: IpcNs::Host,
            pid: PidNs::Host,
            uts: UtsNs::Host,
            cgroup: CgroupNs::Host,
        },
        &[],
    );
    let linux = spec.linux().clone().unwrap();
    let namespaces = linux.namespaces().clone().unwrap();
    let kinds: Vec<LinuxNamespaceType> = namespaces.iter().map(LinuxNamespace::typ).collect();
    assert_eq!(
        kinds,
        [LinuxNamespaceType::Mount, LinuxNamespaceType::Network]
    );
    assert_eq!(
        namespaces[1].path().as_deref(),
        Some(Path::new("/proc/7/ns/net"))
    );
    assert!(spec.hostname().is_none());
    assert!(
        linux.sysctl().clone().unwrap().is_empty(),
        "not ours to set"
    );
    assert_eq!(options(&spec, "/dev/shm"), ["rbind", "rprivate"]);
}

#[test]
fn the_environment_is_dockers_and_an_override_keeps_its_place() {
    let spec = ContainerSpec {
        tty: true,
        env: vec!["A=1".into(), "TERM=dumb".into(), "PATH".into()],
        ..ContainerSpec::default()
    };
    assert_eq!(
        environment(&spec, "h", "/root"),
        ["HOSTNAME=h", "TERM=dumb", "A=1", "HOME=/root"]
    );
    let plain = environment(&ContainerSpec::default(), "h", "/");
    assert!(plain[0].starts_with("PATH=/usr/local/sbin"));
}

#[test]
fn an_exec_inherits_the_containers_environment_and_directory() {
    let spec = ContainerSpec {
        env: vec!["A=1".into(), "B=1".into()],
        working_dir: "/w".into(),
        ..ContainerSpec::default()
    };
    let exec = ExecSpec {
        cmd: vec!["sh".into()],
        env: vec!["B=2".into()],
        ..ExecSpec::default()
    };
    let process = exec_process(
        &spec,
        "h",
        &exec,
        &ProcessUser::default(),
        &Defaults::default(),
    );
    let env = process.env().clone().unwrap();
    assert!(env.contains(&"A=1".to_owned()) && env.contains(&"B=2".to_owned()));
    assert!(!env.contains(&"B=1".to_owned()));
    assert_eq!(process.cwd(), Path::new("/w"));
}

#[test]
fn cpus_become_a_quota_and_unlimited_pids_minus_one() {
    let limits = Resources {
        nano_cpus: 1_500_000_000,
        pids_limit: Some(0),
        memory: 32 << 20,
        ..Resources::default()
    };
    let oci = resources(&limits);
    let cpu = oci.cpu().clone().unwrap();
    assert_eq!((cpu.period(), cpu.quota()), (Some(100_000), Some(150_000)));
    assert_eq!(oci.pids().unwrap().limit(), -1);
    assert_eq!(oci.memory().unwrap().limit(), Some(32 << 20));
}

#[test]
fn an_init_is_bound_in_and_started_before_the_program_unless_there_is_one_already() {
    let mut container = container();
    container.host.init = Some(true);
    let defaults = Defaults {
        init_program: Some("/usr/bin/wharf".into()),
        ..Defaults::default()
    };
    let build = |namespaces: &Namespaces| {
        assemble(&Assembly {
            spec: &container,
            command: &Command::of(&container),
            user: &ProcessUser::default(),
            hostname: "abc",
            mounts: &[],
            files: None,
            namespaces,
            cgroup: Path::new("/wharf/abc"),
            host_devices: &[],
            defaults: &defaults,
        })
    };
    let spec = build(&namespaces());
    let args = spec.process().clone().unwrap().args().clone().unwrap();
    assert_eq!(args, ["/sbin/docker-init", "--", "sh"]);
    assert_eq!(options(&spec, "/sbin/docker-init"), ["bind", "ro"]);
    let shared = build(&Namespaces {
        pid: PidNs::Host,
        ..namespaces()
    });
    let args = shared.process().clone().unwrap().args().clone().unwrap();
    assert_eq!(args, ["sh"]);
}
