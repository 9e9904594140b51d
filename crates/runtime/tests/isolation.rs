//! What a container sees, and what it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundle;

use std::fs;

use bundle::{Bundle, able};
use serde_json::json;

#[test]
fn a_container_is_alone_in_its_namespaces() {
    if !able() {
        return;
    }
    let bundle = Bundle::script(
        "echo $$; hostname; ls /proc | grep -c '^[0-9]*$'; cat /proc/net/dev | wc -l; \
         for n in mnt net ipc uts pid cgroup; do readlink /proc/self/ns/$n; done",
    );
    let out = bundle.run().ok();
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("1"));
    assert_eq!(lines.next(), Some("wharf"));
    let processes: u32 = lines.next().unwrap().parse().unwrap();
    assert!(processes <= 4, "{processes}");
    // Two lines of heading, loopback, and what some kernels make in every namespace.
    assert!(lines.next().unwrap().parse::<u32>().unwrap() <= 6);
    for name in ["mnt", "net", "ipc", "uts", "pid", "cgroup"] {
        let ours = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(lines.next(), ours.to_str(), "{name}");
    }
}

#[test]
fn a_new_network_has_its_loopback_on() {
    if !able() {
        return;
    }
    let out = Bundle::script("grep -c 0100007F /proc/net/fib_trie; cat /sys/class/net/lo/flags")
        .run()
        .out;
    assert!(out.ends_with("0x9\n"), "{out}");
}

#[test]
fn cgroups_of_version_1_without_a_namespace_are_the_containers_own() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("cat /sys/fs/cgroup/memory/memory.limit_in_bytes");
    if !bundle.cgroup("memory").starts_with("/sys/fs/cgroup/memory") {
        return;
    }
    bundle.share("cgroup");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 32 << 20});
    assert_eq!(bundle.run().ok(), (32 << 20).to_string());
}

#[test]
fn a_namespace_that_is_not_asked_for_is_the_hosts() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("readlink /proc/self/ns/net");
    bundle.share("network");
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(bundle.run().ok(), ours.to_str().unwrap());
}

#[test]
fn a_namespace_can_be_joined_by_its_path() {
    if !able() {
        return;
    }
    let mut first = Bundle::script("sleep 100");
    first.spec["process"]["args"] = json!(["sleep", "100"]);
    first.start();
    let pid = first.state()["pid"].as_i64().unwrap();
    let mut second = Bundle::script("readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; ps");
    for kind in ["network", "ipc", "pid"] {
        second.share(kind);
        let name = if kind == "network" { "net" } else { kind };
        second.spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": kind, "path": format!("/proc/{pid}/ns/{name}")}));
    }
    let theirs = |name: &str| {
        let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        link.to_str().unwrap().to_owned()
    };
    let out = second.run().ok();
    assert!(out.contains(&theirs("net")), "{out}");
    assert!(out.contains(&theirs("ipc")), "{out}");
    assert!(out.contains("sleep 100"), "{out}");
    // The maker has come back: what it makes next is where it was before.
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    let mut third = Bundle::script("readlink /proc/self/ns/net");
    third.share("network");
    assert_eq!(third.run().ok(), ours.to_str().unwrap());
}

#[test]
fn a_path_that_is_no_namespace_of_the_kind_is_refused() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.share("network");
    bundle.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "network", "path": "/proc/self/ns/uts"}));
    let error = bundle.run().failed();
    assert!(error.contains("join the namespace"), "{error}");
    bundle.spec["linux"]["namespaces"][5]["path"] = json!("/etc/passwd");
    bundle.run().failed();
}

#[test]
fn the_default_mounts_are_there_with_their_options() {
    if !able() {
        return;
    }
    let out = Bundle::script("cat /proc/self/mounts").run().ok();
    let mount = |place: &str| {
        let found = out
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(place));
        found.unwrap_or_else(|| panic!("{place}: {out}")).to_owned()
    };
    assert!(mount("/proc").contains(" proc rw"));
    assert!(mount("/dev").contains("mode=755"));
    assert!(mount("/dev/pts").contains("gid=5"));
    assert!(mount("/dev/shm").contains("nosuid,nodev,noexec"));
    assert!(mount("/dev/mqueue").contains(" mqueue "));
    assert!(mount("/sys").contains(" sysfs ro"));
    assert!(mount("/proc/sys").contains(" proc ro"));
    assert!(mount("/sys/firmware").contains(" tmpfs ro"));
    // Nothing of the host's tree.
    assert!(
        !out.contains(std::env::temp_dir().to_str().unwrap()),
        "{out}"
    );
}

#[test]
fn cgroups_are_shown_from_the_containers_own_on_and_cannot_be_written() {
    if !able() {
        return;
    }
    let out = Bundle::script(
        "cat /proc/self/cgroup; ls /sys/fs/cgroup; \
         mkdir /sys/fs/cgroup/x 2>/dev/null || echo closed; \
         mkdir /sys/fs/cgroup/memory/x 2>/dev/null || echo closed",
    )
    .run()
    .ok();
    for line in out.lines().filter(|line| line.contains(":/")) {
        assert!(line.ends_with(":/"), "{line}");
    }
    assert_eq!(
        out.lines().filter(|line| *line == "closed").count(),
        2,
        "{out}"
    );
}

#[test]
fn masked_paths_are_empty_and_readonly_ones_cannot_be_written() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "cat /proc/keys /proc/timer_list /secret | wc -c; ls /hidden | wc -l; \
         stat -c '%t:%T' /secret; \
         touch /hidden/x 2>/dev/null || echo masked; \
         echo 1 2>/dev/null >/proc/sys/kernel/sysrq || echo read-only; \
         echo x 2>/dev/null >/kept/file || echo read-only",
    );
    fs::write(bundle.root().join("secret"), "password").unwrap();
    fs::create_dir(bundle.root().join("hidden")).unwrap();
    fs::write(bundle.root().join("hidden/file"), "password").unwrap();
    fs::create_dir(bundle.root().join("kept")).unwrap();
    fs::write(bundle.root().join("kept/file"), "kept").unwrap();
    let linux = &mut bundle.spec["linux"];
    for path in ["/secret", "/hidden", "/not/there", "/secret/below"] {
        linux["maskedPaths"]
            .as_array_mut()
            .unwrap()
            .push(json!(path));
    }
    linux["readonlyPaths"]
        .as_array_mut()
        .unwrap()
        .push(json!("/kept"));
    let out = bundle.run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines, ["0", "0", "1:3", "masked", "read-only", "read-only"]);
}

#[test]
fn devices_are_made_and_no_others_can_be_used() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "stat -c '%n %t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty \
         /dev/extra; readlink /dev/fd; readlink /dev/ptmx; head -c 3 /dev/zero | wc -c; \
         mknod /tmp/disk b 7 0 && (head -c 1 /tmp/disk 2>/dev/null || echo refused)",
    );
    for set in ["bounding", "effective", "permitted"] {
        let caps = &mut bundle.spec["process"]["capabilities"][set];
        caps.as_array_mut().unwrap().push(json!("CAP_MKNOD"));
    }
    bundle.spec["linux"]["devices"] = json!([
        {"path": "/dev/extra", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 33}
    ]);
    let out = bundle.run().ok();
    for line in [
        "/dev/null 1:3 666",
        "/dev/zero 1:5 666",
        "/dev/full 1:7 666",
        "/dev/tty 5:0 666",
        "/dev/extra 1:3 640",
        "/proc/self/fd",
        "pts/ptmx",
        "3",
        "refused",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}: {out}");
    }
}

#[test]
fn capabilities_are_exactly_those_asked_for() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("grep Cap /proc/self/status");
    bundle.spec["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
    });
    let out = bundle.run().ok();
    // A program of root's gets all of its bounding set when it is executed.
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000021",
        "CapEff:\t0000000000000021",
        "CapBnd:\t0000000000000021",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

#[test]
fn a_user_who_is_not_root_has_only_ambient_capabilities() {
    if !able() {
        return;
    }
    let mut bundle =
        Bundle::script("id -u; id -g; id -G; grep -E 'CapEff|CapAmb' /proc/self/status");
    bundle.spec["process"]["user"] = json!({"uid": 33, "gid": 34, "additionalGids": [34, 44, 50]});
    let out = bundle.run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..3], ["33", "34", "34 44 50"]);
    assert!(out.contains("CapEff:\t0000000000000000"), "{out}");
    for set in ["ambient", "inheritable"] {
        bundle.spec["process"]["capabilities"][set] = json!(["CAP_NET_BIND_SERVICE"]);
    }
    let out = bundle.run().ok();
    assert!(out.contains("CapEff:\t0000000000000400"), "{out}");
    assert!(out.contains("CapAmb:\t0000000000000400"), "{out}");
}

#[test]
fn a_user_can_open_its_streams_again() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("echo again > /dev/stdout; echo $HOME");
    bundle.spec["process"]["user"] = json!({"uid": 33, "gid": 33});
    assert_eq!(bundle.run().ok(), "again\n/var/www");
}

#[test]
fn a_home_that_is_given_is_kept() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("echo $HOME; umask; pwd");
    bundle.spec["process"]["env"] = json!(["PATH=/bin", "HOME=/elsewhere"]);
    bundle.spec["process"]["user"]["umask"] = json!(0o077);
    bundle.spec["process"]["cwd"] = json!("/made/for/it");
    assert_eq!(bundle.run().ok(), "/elsewhere\n0077\n/made/for/it");
}

#[test]
fn no_new_privileges_and_the_filter_are_in_force() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; mkdir /x 2>/dev/null || echo refused",
    );
    bundle.spec["process"]["noNewPrivileges"] = json!(true);
    bundle.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    let out = bundle.run().ok();
    assert!(out.contains("NoNewPrivs:\t1"), "{out}");
    assert!(out.contains("Seccomp:\t2"), "{out}");
    assert!(out.contains("refused"), "{out}");
    // Without no_new_privs it takes a capability to load, which is gone afterwards.
    bundle.spec["process"]["noNewPrivileges"] = json!(false);
    bundle.spec["process"]["args"][2] =
        json!("grep -E 'NoNewPrivs|Seccomp:|CapPrm' /proc/self/status");
    let out = bundle.run().ok();
    assert!(out.contains("NoNewPrivs:\t0"), "{out}");
    assert!(out.contains("Seccomp:\t2"), "{out}");
    assert!(out.contains("CapPrm:\t0000000020000420"), "{out}");
}

#[test]
fn limits_are_set_and_one_that_cannot_be_raised_is_said() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("ulimit -Sn; ulimit -Hn; ulimit -c");
    bundle.spec["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]);
    assert_eq!(bundle.run().ok(), "100\n200\n0");
    let ceiling = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let Some(ceiling) = ceiling else { return };
    bundle.spec["process"]["rlimits"] =
        json!([{"type": "RLIMIT_NOFILE", "soft": 50, "hard": ceiling + 1}]);
    let said = bundle.run();
    assert_eq!(said.status, 0, "{}", said.err);
    // Whoever may raise it, has.
    if said.out.lines().nth(1) != Some(&(ceiling + 1).to_string()) {
        assert!(said.err.contains("RLIMIT_NOFILE"), "{}", said.err);
        assert!(
            said.out.starts_with(&format!("50\n{ceiling}\n")),
            "{}",
            said.out
        );
    }
}

#[test]
fn a_score_that_cannot_be_set_is_said_and_the_container_runs() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("cat /proc/self/oom_score_adj");
    bundle.spec["process"]["oomScoreAdj"] = json!(500);
    assert_eq!(bundle.run().ok(), "500");
    bundle.spec["process"]["oomScoreAdj"] = json!(-999);
    let said = bundle.run();
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(
        said.out.trim() == "-999" || said.err.contains("OOM score"),
        "{}",
        said.err
    );
}

#[test]
fn sysctls_of_its_namespaces_are_set_and_others_refused() {
    if !able() {
        return;
    }
    let mut bundle =
        Bundle::script("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax");
    bundle.spec["linux"]["sysctl"] =
        json!({"net.ipv4.ip_unprivileged_port_start": "77", "kernel.msgmax": "4097"});
    assert_eq!(bundle.run().ok(), "77\n4097");
    bundle.spec["linux"]["sysctl"] = json!({"kernel.core_pattern": "|/x"});
    let error = bundle.run().failed();
    assert!(
        error.contains("not in a separate kernel namespace"),
        "{error}"
    );
    bundle.spec["linux"]["sysctl"] = json!({"net.no.such.thing": "1"});
    bundle.run().failed();
}

#[test]
fn a_readonly_root_is_read_only_with_mounts_below_as_they_are() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("touch /x || echo closed; touch /scratch/x && echo open");
    bundle.spec["root"]["readonly"] = json!(true);
    bundle.mount(
        json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs",
        "options": ["size=1m", "mode=0700"]}),
    );
    let said = bundle.run();
    assert_eq!(said.out, "closed\nopen\n", "{}", said.err);
}

#[test]
fn binds_show_what_they_are_of_and_can_be_read_only() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "cat /etc/hosts /data/file; echo new > /data/made; echo x 2>/dev/null > /closed/file || \
         echo closed; grep -c '/data ' /proc/self/mountinfo",
    );
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "outside\n").unwrap();
    fs::write(bundle.path().join("hosts"), "127.0.0.1 localhost\n").unwrap();
    bundle
        .mount(json!({"destination": "/etc/hosts", "source": "hosts", "options": ["bind"]}))
        .mount(json!({"destination": "/data", "source": outside.path(),
            "options": ["rbind", "rprivate"]}))
        .mount(json!({"destination": "/closed", "source": outside.path(),
            "options": ["rbind", "ro", "nosuid"]}));
    let out = bundle.run().ok();
    assert_eq!(out, "127.0.0.1 localhost\noutside\nclosed\n1");
    assert_eq!(
        fs::read_to_string(outside.path().join("made")).unwrap(),
        "new\n"
    );
}

#[test]
fn a_source_that_is_missing_is_named_and_nothing_is_made() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.mount(json!({"destination": "/data", "source": "/no/such", "options": ["bind"]}));
    let error = bundle.run().failed();
    assert!(error.contains("/no/such to /data: no such file"), "{error}");
    assert!(!bundle.cgroup("memory").exists());
}

#[test]
fn a_file_is_not_mounted_on_a_directory() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.mount(json!({"destination": "/etc", "source": "/etc/passwd", "options": ["bind"]}));
    let error = bundle.run().failed();
    assert!(error.contains("not a directory"), "{error}");
    assert!(error.contains("\"/etc\""), "{error}");
}

#[test]
fn a_shared_bind_carries_mounts_to_the_host_and_no_other_does() {
    if !able() {
        return;
    }
    // In a mount namespace of our own, whose mounts are shared with nobody else.
    let script = r#"
        set -e
        mount -t tmpfs tmpfs "$1/vol" && mount --make-shared "$1/vol" && mkdir "$1/vol/in"
        "$2" --root "$1/state" run --bundle "$1" "$3"
        grep -c "$1/vol/in" /proc/self/mounts || true
    "#;
    let run = |propagation: &str| {
        let mut bundle = Bundle::script("mount -t tmpfs tmpfs /vol/in");
        for set in ["bounding", "effective", "permitted"] {
            let caps = &mut bundle.spec["process"]["capabilities"][set];
            caps.as_array_mut().unwrap().push(json!("CAP_SYS_ADMIN"));
        }
        fs::create_dir(bundle.path().join("vol")).unwrap();
        bundle.mount(json!({"destination": "/vol", "source": "vol",
            "options": ["rbind", propagation]}));
        bundle.write_config();
        let out = unshared(script)
            .arg(bundle.path())
            .arg(bundle::program())
            .arg(&bundle.id)
            .output()
            .unwrap();
        bundle::Said::from(out).ok()
    };
    assert_eq!(run("rshared"), "1");
    assert_eq!(run("rslave"), "0");
    assert_eq!(run("rprivate"), "0");
}

#[allow(clippy::disallowed_methods, reason = "a shell that arranges mounts")]
fn unshared(script: &str) -> std::process::Command {
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]);
    command
}

#[test]
fn a_tmpfs_can_start_with_what_it_hides() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("cat /var/a/file; stat -c %a:%u /var/a/file; touch /var/x");
    fs::create_dir_all(bundle.root().join("var/a")).unwrap();
    fs::write(bundle.root().join("var/a/file"), "content\n").unwrap();
    std::os::unix::fs::chown(bundle.root().join("var/a/file"), Some(33), Some(33)).unwrap();
    bundle.mount(
        json!({"destination": "/var", "type": "tmpfs", "source": "tmpfs",
        "options": ["tmpcopyup"]}),
    );
    assert_eq!(bundle.run().ok(), "content\n644:33");
    assert!(!bundle.root().join("var/x").exists());
}

#[test]
fn a_user_namespace_maps_root_to_somebody_else() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("id -u; cat /proc/self/uid_map; touch /tmp/made; ls /dev/null");
    let linux = &mut bundle.spec["linux"];
    linux["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "user"}));
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    linux["uidMappings"] = maps.clone();
    linux["gidMappings"] = maps;
    let opened = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(bundle.root().join("tmp"), opened).unwrap();
    let out = bundle.run().ok();
    assert!(
        out.starts_with("0\n         0     100000      65536\n"),
        "{out}"
    );
    assert!(out.ends_with("/dev/null"), "{out}");
    let made = fs::metadata(bundle.root().join("tmp/made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 100_000);
}

#[test]
fn what_another_container_has_mounted_can_be_shared_with_it() {
    if !able() {
        return;
    }
    let first = Bundle::script("echo shared > /dev/shm/file; sleep 1000");
    first.start();
    let pid = first.state()["pid"].as_i64().unwrap();
    let file = format!("/proc/{pid}/root/dev/shm/file");
    bundle::until("its file", || {
        fs::read_to_string(&file).is_ok_and(|text| !text.is_empty())
    });
    let mut second = Bundle::script("cat /dev/shm/file; echo back > /dev/shm/answer");
    let mounts = second.spec["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["destination"] != "/dev/shm");
    second.mount(json!({"destination": "/dev/shm", "options": ["bind"],
        "source": format!("/proc/{pid}/root/dev/shm")}));
    assert_eq!(second.run().ok(), "shared");
    assert_eq!(first.exec("cat /dev/shm/answer").ok(), "back");
}

/// A bundle with a directory `shared`, whose file belongs to 33:34.
fn with_shared_directory(script: &str) -> (Bundle, std::path::PathBuf) {
    let bundle = Bundle::script(script);
    let shared = bundle.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "").unwrap();
    std::os::unix::fs::chown(shared.join("file"), Some(33), Some(34)).unwrap();
    (bundle, shared)
}

fn map_from(host: u32) -> serde_json::Value {
    json!([{"containerID": 0, "hostID": host, "size": 65536}])
}

#[test]
fn a_mount_can_have_a_map_of_its_own() {
    if !able() {
        return;
    }
    let (mut bundle, shared) = with_shared_directory("stat -c %u:%g /one/file /two/file");
    bundle.mount(
        json!({"destination": "/one", "source": shared, "options": ["bind"],
        "uidMappings": map_from(5000), "gidMappings": map_from(6000)}),
    );
    bundle.mount(json!({"destination": "/two", "source": shared, "options": ["bind"]}));
    assert_eq!(bundle.run().ok(), "5033:6034\n33:34");
}

#[test]
fn a_mount_can_follow_the_containers_map_and_its_files_keep_their_owners_on_disk() {
    if !able() {
        return;
    }
    let (mut bundle, shared) = with_shared_directory(
        "stat -c %u:%g /one/file /all/file /plain/file; touch /one/new; stat -c %u:%g /one/new; \
         touch /plain/new 2>/dev/null || echo denied",
    );
    for (destination, options) in [
        ("/one", json!(["bind", "idmap"])),
        ("/all", json!(["rbind", "ridmap"])),
        ("/plain", json!(["bind"])),
    ] {
        // The bundle's own root belongs to somebody who is not mapped.
        fs::create_dir(bundle.root().join(&destination[1..])).unwrap();
        bundle.mount(json!({"destination": destination, "source": shared, "options": options}));
    }
    let linux = &mut bundle.spec["linux"];
    linux["uidMappings"] = map_from(100_000);
    linux["gidMappings"] = map_from(100_000);
    let namespaces = linux["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "user"}));
    assert_eq!(bundle.run().ok(), "33:34\n33:34\n65534:65534\n0:0\ndenied");
    let made = fs::metadata(shared.join("new")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 0);
}
