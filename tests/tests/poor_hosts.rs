//! Hosts that lack something: what can be done there is done, and what cannot is said.
//!
//! Without cgroups nothing but the daemon finds a container's processes, so those here end by
//! themselves should a test fail before it removes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use wharf_tests::{Client, Daemon, Options, eventually};

/// Remounts every cgroup hierarchy read-only, as many container hosts hand them in.
const CGROUPS_READ_ONLY: &str = "awk '$3 ~ /^cgroup/ { print $2 }' /proc/self/mounts | \
     while read -r place; do mount -o remount,bind,ro \"$place\"; done";

/// Becomes a process that can never have the capability again; what follows is the daemon.
const WITHOUT_SYS_RESOURCE: &str =
    r#"set -- capsh --drop=cap_sys_resource -- -c 'exec "$0" "$@"' "$@""#;

fn prepared(prepare: &str, flags: &[&str]) -> Options {
    Options {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        prepare: prepare.to_owned(),
    }
}

/// A container's whole life: run, exec, logs, a daemon that dies meanwhile, stop, removal.
#[track_caller]
fn a_container_lives(daemon: &mut Daemon) {
    assert_eq!(
        daemon.docker(&["run", "--rm", "busybox", "echo", "hello"]),
        "hello"
    );
    daemon
        .run(
            Client::Docker,
            &["run", "--rm", "busybox", "sh", "-c", "exit 42"],
        )
        .fails(42);
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "life",
        "busybox",
        "sh",
        "-c",
        "echo begun; sleep 600",
    ]);
    eventually("the log has its line", || {
        (daemon.docker(&["logs", "life"]) == "begun").then_some(())
    });
    daemon.kill();
    daemon.launch();
    assert_eq!(
        daemon.docker(&["exec", "life", "echo", "entered"]),
        "entered"
    );
    assert!(daemon.docker(&["top", "life"]).contains("sleep 600"));
    daemon.docker(&["stop", "-t", "0", "life"]);
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.State.ExitCode}}", "life"]),
        "137"
    );
    daemon.docker(&["rm", "life"]);
}

#[test]
fn run_may_be_read_only_if_the_exec_root_is_elsewhere() {
    let prepare = "mount -o remount,bind,ro /run; if touch /run/x 2>/dev/null; then exit 1; fi";
    a_container_lives(&mut Daemon::start_with(prepared(prepare, &[])));
}

#[test]
fn run_may_be_noexec() {
    let prepare = "mount -o remount,bind,noexec,nosuid,nodev /run";
    let mut daemon = Daemon::start_with(prepared(prepare, &["--exec-root", "/run/wharf"]));
    a_container_lives(&mut daemon);
    assert!(daemon.dir().join("run/wharf").is_dir(), "it was not used");
}

#[test]
fn without_access_to_cgroups_containers_run_and_what_is_missing_is_said() {
    let mut daemon = Daemon::start_with(prepared(CGROUPS_READ_ONLY, &[]));
    a_container_lives(&mut daemon);
    let info = daemon.run(Client::Docker, &["info"]);
    let said = info.stdout + &info.stderr;
    assert!(said.contains("cgroups cannot be used here"), "{said}");
    // A limit that cannot be held is dropped with dockerd's warning.
    let limited = daemon.run(
        Client::Docker,
        &["run", "--rm", "-m", "64m", "busybox", "echo", "ran"],
    );
    assert!(limited.stderr.contains("memory limit"), "{limited:?}");
    assert_eq!(limited.ok(), "ran");
    // What would need them is refused by name.
    daemon.docker(&["run", "-d", "--name", "on", "busybox", "sleep", "600"]);
    let refused = daemon.run(Client::Docker, &["pause", "on"]).fails(1);
    assert!(refused.contains("cgroups"), "{refused}");
    daemon.docker(&["rm", "-f", "on"]);
}

#[test]
fn without_cap_sys_resource_it_is_said_once_and_containers_run() {
    let mut daemon = Daemon::start_with(prepared(WITHOUT_SYS_RESOURCE, &[]));
    a_container_lives(&mut daemon);
    // A score below the daemon's and a limit above it: both are given as far as they go.
    let args = [
        "run",
        "--rm",
        "--oom-score-adj",
        "-900",
        "--ulimit",
        "nofile=2000000:2000000",
        "busybox",
        "echo",
        "ran",
    ];
    assert_eq!(daemon.docker(&args), "ran");
    let log = daemon.log();
    let started = log.matches("Starting up").count();
    let said = log.matches("CAP_SYS_RESOURCE").count();
    assert_eq!(said, started, "once for each start of the daemon: {log}");
}

#[test]
fn where_no_index_can_be_mounted_layers_are_directories() {
    // The kernel cannot mount an index that is kept on a tmpfs, as one without EROFS cannot any.
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let memory = place.path().join("memory");
    std::fs::create_dir(&memory).unwrap();
    let prepare = format!("mount -t tmpfs tmpfs '{}'", memory.display());
    let root = memory.display().to_string();
    let daemon = Daemon::start_with(prepared(
        &prepare,
        &["--data-root", &root, "--storage-opt", "layers=auto"],
    ));
    assert_eq!(
        daemon.docker(&["run", "--rm", "busybox", "echo", "hello"]),
        "hello"
    );
    let status = daemon.docker(&["info", "-f", "{{json .DriverStatus}}"]);
    assert!(status.contains("directory"), "{status}");
}
