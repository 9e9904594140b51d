//! The runtime and archive rows of the CVE table that this engine must be immune to, each named
//! after the incident. The finer races are tested beside the code, in `runtime` and `engine`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use serde_json::json;
use wharf_tests::{Archive, Client, Daemon, digest, image_archive, layer_tar, wharf_binary};

fn image_with(daemon: &Daemon, tag: &str, layer: Archive, config: &serde_json::Value) {
    daemon.load(&image_archive(tag, &[layer_tar(), layer.finish()], config));
}

/// An image whose entry point is `/proc/self/exe`, and a loop that tries to write to whatever
/// binary it finds behind the pids that exec creates.
#[test]
fn cve_2019_5736_the_runtime_binary_cannot_be_overwritten_from_inside() {
    let daemon = Daemon::start();
    let before = digest(&std::fs::read(wharf_binary()).unwrap());
    daemon.docker(&[
        "run", "-d", "--name", "evil", "--cap-add", "SYS_PTRACE", "busybox", "sh", "-c",
        "while :; do for p in /proc/[0-9]*; do (echo owned > $p/exe) 2>/dev/null && echo wrote $p; done; done",
    ]);
    for _ in 0..30 {
        daemon.run(Client::Docker, &["exec", "evil", "/proc/self/exe"]);
        daemon.run(Client::Docker, &["exec", "evil", "true"]);
    }
    let ran = daemon.run(
        Client::Docker,
        &[
            "run",
            "--rm",
            "--entrypoint",
            "/proc/self/exe",
            "busybox",
            "version",
        ],
    );
    assert!(
        !ran.stdout.contains("Wharf"),
        "the runtime ran itself inside: {}",
        ran.stdout
    );
    assert_eq!(
        digest(&std::fs::read(wharf_binary()).unwrap()),
        before,
        "the binary changed"
    );
}

#[test]
fn cve_2024_21626_no_working_directory_leads_out() {
    let daemon = Daemon::start();
    for n in 3..40 {
        let cwd = format!("/proc/self/fd/{n}");
        let ran = daemon.run(
            Client::Docker,
            &[
                "run",
                "--rm",
                "-w",
                &cwd,
                "busybox",
                "sh",
                "-c",
                "ls ../../../../etc/debian_version; pwd",
            ],
        );
        assert_ne!(ran.code, 0, "{cwd} was a working directory: {}", ran.stdout);
    }
    daemon.docker(&["run", "-d", "--name", "box-x", "busybox", "sleep", "1000"]);
    for n in 3..20 {
        let ran = daemon.run(
            Client::Docker,
            &["exec", "-w", &format!("/proc/self/fd/{n}"), "box-x", "pwd"],
        );
        assert_ne!(ran.code, 0, "exec in fd {n}");
    }
}

#[test]
fn cve_2016_9962_no_descriptor_of_the_host_is_left_open() {
    let daemon = Daemon::start();
    let own = daemon.docker(&["run", "--rm", "busybox", "ls", "-l", "/proc/self/fd"]);
    daemon.docker(&["run", "-d", "--name", "box-x", "busybox", "sleep", "1000"]);
    let exec = daemon.docker(&["exec", "box-x", "ls", "-l", "/proc/self/fd"]);
    for text in [own, exec] {
        let open: Vec<&str> = text.lines().filter(|l| l.contains("->")).collect();
        // 0, 1, 2 and the directory that `ls` itself reads.
        assert!(open.len() <= 4, "{text}");
        assert!(
            !text.contains("wharf") && !text.contains("socket"),
            "{text}"
        );
    }
}

#[test]
fn cve_2025_31133_a_dev_null_that_is_a_link_masks_nothing_else() {
    let daemon = Daemon::empty();
    image_with(
        &daemon,
        "null:1",
        Archive::new().symlink("dev/null", "/proc/sys/kernel/core_pattern"),
        &json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}),
    );
    let ran = daemon.run(Client::Docker, &["run", "--rm", "null:1", "sh", "-c", "ls -l /dev/null; stat -c %t:%T /dev/null; stat -c %F /proc/kcore; echo x > /proc/sys/kernel/core_pattern"]);
    assert!(ran.code != 0, "core_pattern was written");
    if !ran.stdout.is_empty() {
        assert!(
            ran.stdout.contains("1:3"),
            "/dev/null is not a fresh node: {}",
            ran.stdout
        );
    }
}

#[test]
fn cve_2026_41579_a_dev_that_is_a_link_makes_nothing_on_the_host() {
    let daemon = Daemon::empty();
    let layer = Archive::new()
        .dir("bin/", 0o755)
        .file(
            "bin/busybox",
            0o755,
            &std::fs::read("/bin/busybox").unwrap(),
        )
        .symlink("bin/sh", "busybox")
        .symlink("dev", "/../../../../../../var/tmp");
    daemon.load(&image_archive(
        "dev:1",
        &[layer.finish()],
        &json!({"Env": ["PATH=/bin"]}),
    ));
    daemon.run(
        Client::Docker,
        &["run", "--rm", "dev:1", "sh", "-c", "true"],
    );
    for name in ["null", "zero", "pts", "shm", "console", "ptmx"] {
        assert!(
            !std::path::Path::new("/var/tmp").join(name).exists(),
            "/var/tmp/{name} was made on the host"
        );
    }
}

#[test]
fn cve_2025_52565_a_console_link_leads_nowhere() {
    let daemon = Daemon::empty();
    image_with(
        &daemon,
        "console:1",
        Archive::new()
            .symlink("dev/console", "/proc/sysrq-trigger")
            .symlink("dev/pts", "/proc"),
        &json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}),
    );
    let ran = wharf_tests::run(
        &mut daemon.terminal(
            Client::Docker,
            &[
                "run",
                "--rm",
                "-it",
                "console:1",
                "sh",
                "-c",
                "stat -c '%F %t' /dev/console; cat /proc/sysrq-trigger 2>&1 | head -1; echo end",
            ],
        ),
        b"",
    );
    assert!(
        ran.code != 0 || ran.stdout.contains("character special file 88"),
        "{}",
        ran.stdout
    );
}

#[test]
fn cve_2025_52881_procfs_writes_do_not_go_where_the_image_says() {
    let daemon = Daemon::empty();
    image_with(
        &daemon,
        "proc:1",
        Archive::new().file("proc/self/attr/exec", 0o666, b"").file(
            "proc/sys/kernel/hostname",
            0o666,
            b"",
        ),
        &json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}),
    );
    let out = daemon.docker(&[
        "run",
        "--rm",
        "-h",
        "named",
        "proc:1",
        "sh",
        "-c",
        "stat -f -c %T /proc; cat /proc/sys/kernel/hostname",
    ]);
    assert_eq!(out, "proc\nnamed");
}

#[test]
fn cve_2022_23648_an_image_volume_path_reads_nothing_of_the_host() {
    let daemon = Daemon::empty();
    image_with(
        &daemon,
        "vol:1",
        Archive::new().symlink("leak", "/../../../../etc"),
        &json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/../../../../etc/apt": {}, "/leak/apt": {}}}),
    );
    let ran = daemon.run(
        Client::Docker,
        &["run", "--rm", "vol:1", "sh", "-c", "ls /etc/apt /leak/apt"],
    );
    assert!(
        !ran.stdout.contains("sources"),
        "the host's /etc shows: {}",
        ran.stdout
    );
}

#[test]
fn cve_2026_41567_an_archive_put_never_runs_a_program_of_the_container() {
    let daemon = Daemon::empty();
    let trojan = b"#!/bin/sh\ntouch /owned\ncat\n";
    image_with(
        &daemon,
        "xz:1",
        Archive::new()
            .file("bin/xz", 0o755, trojan)
            .file("bin/unpigz", 0o755, trojan)
            .file("bin/gzip", 0o755, trojan),
        &json!({"Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"]}),
    );
    daemon.docker(&["run", "-d", "--name", "box-x", "xz:1"]);
    let xz = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F";
    let answer = wharf_tests::request(
        &daemon.socket(),
        "PUT",
        "/containers/box-x/archive?path=/tmp",
        &[("Content-Type", "application/x-tar")],
        xz,
    );
    assert!(answer.status >= 400, "{}", answer.status);
    daemon
        .run(Client::Docker, &["exec", "box-x", "test", "-e", "/owned"])
        .fails(1);
}

/// A numeric name in the image's passwd must not turn an unknown uid into root.
#[test]
fn cve_2024_40635_a_uid_beyond_the_range_is_refused_not_wrapped() {
    let daemon = Daemon::empty();
    image_with(
        &daemon,
        "uid:1",
        Archive::new().file(
            "etc/passwd",
            0o644,
            b"root:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n-1:x:0:0::/:/bin/sh\n",
        ),
        &json!({"Cmd": ["id", "-u"], "Env": ["PATH=/bin"]}),
    );
    for user in [
        "4294967296",
        "2147483648",
        "-1",
        "99999999999",
        "1:99999999999",
    ] {
        let ran = daemon.run(Client::Docker, &["run", "--rm", "-u", user, "uid:1"]);
        assert_ne!(ran.code, 0, "user {user} became {}", ran.stdout);
    }
}

#[test]
fn cve_2022_24769_no_capability_is_inheritable() {
    let daemon = Daemon::start();
    daemon.docker(&["run", "-d", "--name", "box-x", "busybox", "sleep", "1000"]);
    for args in [
        &[
            "run",
            "--rm",
            "busybox",
            "grep",
            "CapInh",
            "/proc/self/status",
        ][..],
        &[
            "run",
            "--rm",
            "--privileged",
            "busybox",
            "grep",
            "CapInh",
            "/proc/self/status",
        ],
        &["exec", "box-x", "grep", "CapInh", "/proc/self/status"],
        &[
            "exec",
            "--privileged",
            "box-x",
            "grep",
            "CapInh",
            "/proc/self/status",
        ],
    ] {
        assert_eq!(daemon.docker(args), "CapInh:\t0000000000000000", "{args:?}");
    }
}

#[test]
fn cve_2021_41091_state_directories_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = Daemon::start();
    daemon.docker(&[
        "run", "-d", "--name", "box-x", "-v", "vol:/v", "busybox", "sleep", "1000",
    ]);
    let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    for name in ["layers", "blobs", "containers"] {
        assert_eq!(
            mode(daemon.data_root().join(name)) & 0o077 & !0o011,
            0,
            "{name}"
        );
    }
    assert_eq!(mode(daemon.data_root()) & 0o066, 0);
    assert_eq!(mode(daemon.exec_root()) & 0o066, 0);
    // The shim's socket is a path with a mode, never abstract (CVE-2020-15257).
    let abstracts = std::fs::read_to_string(format!("/proc/{}/net/unix", daemon.pid())).unwrap();
    assert!(
        !abstracts
            .lines()
            .any(|l| l.contains("@") && l.contains("wharf")),
        "{abstracts}"
    );
}

#[test]
fn cve_2015_3630_nothing_may_be_mounted_over_proc() {
    let daemon = Daemon::start();
    for target in ["/proc", "/proc/sys", "/proc/self/attr"] {
        let ran = daemon.run(
            Client::Docker,
            &[
                "run",
                "--rm",
                "-v",
                &format!("/var/empty:{target}"),
                "busybox",
                "true",
            ],
        );
        assert_ne!(ran.code, 0, "a bind over {target} was taken");
    }
}

#[test]
fn cve_2022_0492_the_cgroup_cannot_be_mounted_or_written() {
    let daemon = Daemon::start();
    let out = daemon
        .run(
            Client::Docker,
            &["run", "--rm", "busybox", "sh", "-c", "unshare -m true; mkdir /tmp/c; mount -t cgroup -o memory x /tmp/c; find /sys/fs/cgroup -name release_agent -writable 2>/dev/null; for f in $(find /sys/fs/cgroup -name cgroup.procs | head -3); do (echo 1 > $f) 2>/dev/null && echo wrote $f; done; true"],
        );
    out.ok();
    assert!(!out.stdout.contains("wrote"), "{}", out.stdout);
}

/// The helper of `cp` loaded the container's own libraries for looking names up. Ours has no
/// loader to ask: a program without an interpreter and a dynamic section loads nothing.
#[test]
fn cve_2019_14271_no_library_of_a_container_can_be_loaded() {
    const DYNAMIC: u32 = 2;
    const INTERPRETER: u32 = 3;
    let binary = std::fs::read(wharf_binary()).unwrap();
    let word = |at: usize| u16::from_le_bytes(binary[at..at + 2].try_into().unwrap()).into();
    let (size, count): (usize, usize) = (word(54), word(56));
    let table = u64::from_le_bytes(binary[32..40].try_into().unwrap());
    let table = usize::try_from(table).unwrap();
    assert!(&binary[..5] == b"\x7fELF\x02" && count > 0);
    for entry in 0..count {
        let at = table + entry * size;
        let kind = u32::from_le_bytes(binary[at..at + 4].try_into().unwrap());
        assert!(
            kind != DYNAMIC && kind != INTERPRETER,
            "a segment of type {kind}: the binary is linked dynamically"
        );
    }
}
