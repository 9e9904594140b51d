//! Attacks that other runtimes fell to, each under its number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundle;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bundle::{Bundle, able, until};
use serde_json::json;

fn add_capabilities(bundle: &mut Bundle, names: &[&str]) {
    for set in ["bounding", "effective", "permitted"] {
        let caps = bundle.spec["process"]["capabilities"][set]
            .as_array_mut()
            .unwrap();
        caps.extend(names.iter().map(|name| json!(name)));
    }
}

fn remove_mount(bundle: &mut Bundle, place: &str) {
    bundle.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with(place));
}

fn sleeper() -> Bundle {
    let mut bundle = Bundle::new();
    bundle.spec["process"]["args"] = json!(["sleep", "1000"]);
    bundle
}

/// A file of the host's that attacks aim at.
fn canary(directory: &Path) -> std::path::PathBuf {
    let canary = directory.join("canary");
    fs::write(&canary, "alive").unwrap();
    canary
}

#[test]
fn cve_2019_5736_the_runtime_cannot_be_overwritten_through_proc() {
    if !able() {
        return;
    }
    // Whoever may trace sees what /proc/<pid>/exe leads to: the worst case.
    let mut bundle = Bundle::script(
        "while true; do for p in /proc/[0-9]*; do \
           case $(readlink $p/exe) in *wharf-runtime*) \
             echo seen >> /tmp/seen; \
             (exec 8< $p/exe && for i in $(seq 100); do \
               echo '#!/bin/sh' > /proc/self/fd/8 && echo x >> /tmp/written; \
             done) 2>>/tmp/errors & \
           esac; done; done",
    );
    add_capabilities(&mut bundle, &["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]);
    let evil = bundle.root().join("evil");
    fs::write(&evil, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // A copy, should the attack succeed: while a program runs it cannot be written, so the attack
    // holds on to it until it has ended.
    bundle.program = bundle.path().join("wharf-runtime");
    fs::copy(bundle::program(), &bundle.program).unwrap();
    let before = fs::read(&bundle.program).unwrap();
    bundle.start();
    for _ in 0..60 {
        // Both ways to have the runtime run inside the container.
        let _ = bundle.say(&["exec", &bundle.id, "/evil"]);
        let _ = bundle.say(&["exec", &bundle.id, "/proc/self/exe", "--help"]);
    }
    let errors = fs::read_to_string(bundle.root().join("tmp/errors")).unwrap_or_default();
    assert!(!bundle.root().join("tmp/written").exists(), "{errors}");
    assert!(
        bundle.root().join("tmp/seen").exists(),
        "the attack never met the runtime"
    );
    assert!(fs::read(&bundle.program).unwrap() == before);
}

#[test]
fn cve_2016_9962_a_process_that_joins_shows_nothing_of_the_host() {
    if !able() {
        return;
    }
    let bundle = Bundle::script(
        "while true; do ls -l /proc/[0-9]*/fd /proc/[0-9]*/cwd /proc/[0-9]*/root 2>/dev/null; done \
         > /tmp/seen",
    );
    bundle.start();
    for _ in 0..60 {
        bundle.exec("true").ok();
    }
    let seen = fs::read_to_string(bundle.root().join("tmp/seen")).unwrap();
    assert!(seen.contains("/tmp/seen"), "the attack saw nothing at all");
    let host = bundle.path().to_str().unwrap();
    for line in seen.lines().filter(|line| line.contains(" -> ")) {
        // The container's own streams are files of the host's, opened for it.
        let own = line.ends_with("/out") || line.ends_with("/err");
        assert!(own || !line.contains(host), "{line}");
        assert!(
            !line.contains("state") && !line.contains("socket:"),
            "{line}"
        );
    }
}

#[test]
fn cve_2019_16884_2019_19921_2023_27561_2023_28642_proc_and_sys_must_be_directories() {
    if !able() {
        return;
    }
    for name in ["proc", "sys"] {
        let bundle = Bundle::new();
        let place = bundle.root().join(name);
        fs::remove_dir(&place).unwrap();
        fs::create_dir(bundle.root().join("bad")).unwrap();
        symlink("/bad", &place).unwrap();
        let error = bundle.run().failed();
        assert!(error.contains("ordinary directory"), "{error}");
    }
    // Nor may something else be mounted there, or inside.
    for place in ["/proc", "/proc/self", "/proc/sys/kernel"] {
        let mut bundle = Bundle::new();
        fs::create_dir(bundle.path().join("fake")).unwrap();
        bundle.mount(json!({"destination": place, "source": "fake", "options": ["bind"]}));
        bundle.run().failed();
    }
    // By another name neither.
    let mut bundle = Bundle::new();
    symlink("/proc/sys", bundle.root().join("innocent")).unwrap();
    bundle.mount(json!({"destination": "/innocent", "type": "tmpfs", "source": "tmpfs"}));
    let error = bundle.run().failed();
    assert!(error.contains("operation not permitted"), "{error}");
}

#[test]
fn cve_2025_52881_sysctls_are_written_to_the_kernel_whatever_is_at_proc() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "mount -t proc proc /real && cat /real/sys/net/ipv4/ip_unprivileged_port_start",
    );
    add_capabilities(&mut bundle, &["CAP_SYS_ADMIN"]);
    remove_mount(&mut bundle, "/proc");
    fs::create_dir(bundle.root().join("real")).unwrap();
    let fake = bundle.root().join("proc/sys/net/ipv4");
    fs::create_dir_all(&fake).unwrap();
    fs::write(fake.join("ip_unprivileged_port_start"), "fake").unwrap();
    bundle.spec["linux"]["readonlyPaths"] = json!([]);
    bundle.spec["linux"]["maskedPaths"] = json!([]);
    bundle.spec["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "99"});
    assert_eq!(bundle.run().ok(), "99");
    let file = fs::read_to_string(fake.join("ip_unprivileged_port_start")).unwrap();
    assert_eq!(file, "fake");
}

#[test]
fn cve_2025_31133_masks_are_never_the_images_dev_null() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("stat -c %t:%T /secret; echo x > /secret");
    // The image's own /dev, with a /dev/null that is a link to something worth writing to.
    remove_mount(&mut bundle, "/dev");
    let target = canary(&bundle.root());
    fs::write(bundle.root().join("secret"), "password").unwrap();
    symlink("/canary", bundle.root().join("dev/null")).unwrap();
    bundle.spec["linux"]["maskedPaths"] = json!(["/secret"]);
    assert_eq!(bundle.run().ok(), "1:3");
    assert_eq!(fs::read_to_string(target).unwrap(), "alive");
    assert_eq!(
        fs::read_to_string(bundle.root().join("secret")).unwrap(),
        "password"
    );
    // The same where the caller binds a whole /dev.
    let mut bundle = Bundle::script("stat -c %t:%T /secret");
    remove_mount(&mut bundle, "/dev");
    let dev = bundle.path().join("dev");
    fs::create_dir(&dev).unwrap();
    symlink("/canary", dev.join("null")).unwrap();
    canary(&bundle.root());
    fs::write(bundle.root().join("secret"), "password").unwrap();
    bundle.mount(json!({"destination": "/dev", "source": "dev", "options": ["bind"]}));
    bundle.spec["linux"]["maskedPaths"] = json!(["/secret"]);
    assert_eq!(bundle.run().ok(), "1:3");
}

#[test]
fn cve_2025_52565_the_console_is_not_mounted_through_a_link() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("true");
    bundle.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/dev");
    bundle.spec["process"]["terminal"] = json!(true);
    fs::create_dir(bundle.root().join("dev/pts")).unwrap();
    let target = canary(&bundle.root());
    symlink("/canary", bundle.root().join("dev/console")).unwrap();
    let error = bundle.run().failed();
    assert!(error.contains("/dev/console"), "{error}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "alive");
    // A multiplexer that is none is not taken for one.
    let mut bundle = sleeper();
    add_capabilities(&mut bundle, &["CAP_SYS_ADMIN", "CAP_MKNOD"]);
    bundle.start();
    bundle
        .exec("umount /dev/pts && mknod /dev/pts/ptmx c 1 3 && ls /dev/pts/ptmx")
        .ok();
    let error = bundle.say(&["exec", "--tty", &bundle.id, "true"]).failed();
    assert!(error.contains("make the console"), "{error}");
}

#[test]
fn cve_2026_41579_dev_must_be_a_directory_of_the_image() {
    if !able() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    for target in [
        outside.path().to_str().unwrap(),
        "../../../../../../tmp",
        "/etc",
    ] {
        let mut bundle = Bundle::new();
        remove_mount(&mut bundle, "/dev");
        fs::remove_dir(bundle.root().join("dev")).unwrap();
        symlink(target, bundle.root().join("dev")).unwrap();
        let error = bundle.run().failed();
        assert!(error.contains("ordinary directory"), "{error}");
        assert!(!bundle.root().join("etc/null").exists());
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn cve_2021_30465_cve_2024_45310_a_mount_point_that_changes_under_the_mount_stays_inside() {
    if !able() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let volume = outside.path().join("volume");
    let target = outside.path().join("host");
    fs::create_dir_all(&volume).unwrap();
    fs::create_dir_all(&target).unwrap();
    let mut attacker = Bundle::script(&format!(
        "cd /vol; mkdir a; ln -s {} b; while true; do mv a t; mv b a; mv a b; mv t a; done",
        target.display()
    ));
    let share = json!({"destination": "/vol", "source": volume, "options": ["rbind", "rprivate"]});
    attacker.mount(share.clone());
    attacker.start();
    until("the race", || {
        volume.join("t").exists() || volume.join("a").exists()
    });
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut victim = Bundle::script("cut -d' ' -f2 /proc/self/mounts; ls /");
    victim
        .mount(share)
        .mount(json!({"destination": "/vol/a/x/y", "type": "tmpfs", "source": "tmpfs"}))
        .mount(
            json!({"destination": "/vol/a/file", "source": "/etc/hostname",
            "options": ["bind"]}),
        );
    if !Path::new("/etc/hostname").exists() {
        victim.spec["mounts"].as_array_mut().unwrap().pop();
    }
    let mut made = 0;
    for _ in 0..150 {
        let said = victim.run();
        if said.status == 0 {
            made += 1;
            assert!(said.out.lines().any(|line| line == "bin"), "{}", said.out);
        }
        // Whatever became of it: nothing outside, neither a mount nor a file.
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    }
    assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), mounts);
    assert!(made > 0, "no round went through");
}

#[test]
fn cve_2024_21626_no_descriptor_of_the_host_becomes_the_working_directory() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("cat ../../../../../etc/passwd; pwd");
    for number in (3..24).chain([63, 100]) {
        bundle.spec["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        bundle.run().failed();
    }
    // Nor by a link of the image's, nor by the program's path.
    symlink("/proc/self/fd/7", bundle.root().join("link")).unwrap();
    bundle.spec["process"]["cwd"] = json!("/link");
    bundle.run().failed();
    bundle.spec["process"]["cwd"] = json!("/");
    for number in 3..24 {
        let program = format!("/proc/self/fd/{number}/../../../../../../../bin/sh");
        bundle.spec["process"]["args"][0] = json!(program);
        bundle.run().failed();
    }
    let bundle = sleeper();
    bundle.start();
    for number in 3..24 {
        let cwd = format!("/proc/self/fd/{number}");
        bundle
            .say(&["exec", "--cwd", &cwd, &bundle.id, "true"])
            .failed();
    }
    // What the program itself has open: three streams, and the listing.
    assert_eq!(bundle.exec("ls /proc/self/fd").ok(), "0\n1\n2\n3");
}

#[test]
fn cve_2022_29162_2022_24769_2022_27652_nothing_is_inheritable() {
    if !able() {
        return;
    }
    let bundle = sleeper();
    bundle.start();
    let none = "CapInh:\t0000000000000000";
    assert_eq!(bundle.exec("grep CapInh /proc/self/status").ok(), none);
    let more = [
        "exec",
        "--cap",
        "CAP_NET_RAW",
        &bundle.id,
        "grep",
        "CapInh",
        "/proc/self/status",
    ];
    assert_eq!(bundle.say(&more).ok(), none);
    assert_eq!(
        Bundle::script("grep CapInh /proc/self/status").run().ok(),
        none
    );
}

#[test]
fn cve_2023_25809_a_container_of_another_user_cannot_write_cgroups() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo open; done; \
         echo checked",
    );
    let linux = &mut bundle.spec["linux"];
    let namespaces = linux["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "user"}));
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    linux["uidMappings"] = maps.clone();
    linux["gidMappings"] = maps;
    assert_eq!(bundle.run().ok(), "checked");
    // Also when it asked for the host's view of them.
    bundle.share("cgroup");
    assert_eq!(bundle.run().ok(), "checked");
}

#[test]
fn cve_2022_0811_a_value_cannot_smuggle_in_another_parameter() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    for (name, value) in [
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x"),
        ("kernel.shm_rmid_forced", "1\nkernel.core_pattern=|/x"),
        ("net.ipv4/../../kernel/core_pattern", "|/x"),
        ("net/../kernel/core_pattern", "|/x"),
    ] {
        bundle.spec["linux"]["sysctl"] = json!({name: value});
        bundle.run().failed();
    }
}

#[test]
fn cve_2021_43784_a_name_of_any_length_is_only_an_error() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.share("network");
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "network", "path": format!("/{}", "x".repeat(65536))}));
    let error = bundle.run().failed();
    assert!(error.contains("file name too long"), "{error}");
}

#[test]
fn cve_2025_24965_files_put_into_an_image_do_not_follow_its_links_to_the_host() {
    if !able() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = canary(outside.path());
    let missing = outside.path().join("missing");
    let mut bundle = Bundle::script("cat /etc/hosts /etc/resolv.conf");
    symlink(&target, bundle.root().join("etc/hosts")).unwrap();
    symlink(&missing, bundle.root().join("etc/resolv.conf")).unwrap();
    fs::write(bundle.path().join("file"), "ours\n").unwrap();
    for place in ["/etc/hosts", "/etc/resolv.conf"] {
        bundle.mount(json!({"destination": place, "source": "file", "options": ["bind"]}));
    }
    assert_eq!(bundle.run().ok(), "ours\nours");
    assert_eq!(fs::read_to_string(&target).unwrap(), "alive");
    assert!(!missing.exists());
}

#[test]
fn a_container_with_every_capability_stays_in_its_root() {
    if !able() {
        return;
    }
    // What pivot_root is for: with all of them, ".." and chroot lead nowhere but here.
    let mut bundle = Bundle::script(
        "mkdir -p /deep; ls -d /../../../bin/busybox; cat /proc/1/root/etc/passwd | head -1; \
         ls /proc/1/cwd/; umount -l / 2>/dev/null; ls /",
    );
    add_capabilities(
        &mut bundle,
        &["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE"],
    );
    fs::write(bundle.root().join("mark"), "").unwrap();
    let out = bundle.run().out;
    assert_eq!(
        out.lines().filter(|line| *line == "mark").count(),
        2,
        "{out}"
    );
}
