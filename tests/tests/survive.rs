//! The daemon may die at any instant; a shim may be killed; nothing is lost and nothing leaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use rustix::process::Signal;
use wharf_tests::{Client, Daemon, eventually, signal};

#[test]
fn containers_run_on_when_the_daemon_is_killed_and_nothing_is_missed() {
    let mut daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "counter",
        "busybox",
        "sh",
        "-c",
        "i=0; while [ $i -lt 60 ]; do echo line$i; i=$((i+1)); sleep 0.05; done; exit 17",
    ]);
    daemon.docker(&["run", "-d", "--name", "steady", "busybox", "sleep", "1000"]);
    let pid = daemon.docker(&["inspect", "-f", "{{.State.Pid}}", "steady"]);
    daemon.kill();
    let counter_ends = || {
        !daemon.processes().iter().any(|p| {
            std::fs::read_to_string(format!("/proc/{p}/cmdline"))
                .is_ok_and(|c| c.contains("line$i"))
        })
    };
    eventually("the counter ends with no daemon", || {
        counter_ends().then_some(())
    });
    daemon.launch();
    assert_eq!(daemon.docker(&["wait", "counter"]), "17");
    let logs = daemon.docker(&["logs", "counter"]);
    assert_eq!(logs.lines().count(), 60, "log lines were lost");
    assert_eq!(
        daemon.docker(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.Pid}}",
            "steady"
        ]),
        format!("running {pid}")
    );
    assert_eq!(
        daemon.docker(&["exec", "steady", "echo", "still here"]),
        "still here"
    );
    let now = daemon.docker(&["info", "-f", "{{.SystemTime}}"]);
    let dies = daemon.docker(&[
        "events",
        "--since",
        "2020-01-01T00:00:00Z",
        "--until",
        &now,
        "-f",
        "event=die",
        "--format",
        "{{index .Actor.Attributes \"exitCode\"}}",
    ]);
    assert_eq!(dies, "17");
    daemon.docker(&["stop", "-t", "0", "steady"]);
    assert_eq!(daemon.docker(&["ps", "-q"]), "");
}

#[test]
fn the_daemon_can_be_stopped_politely_and_containers_run_on() {
    let mut daemon = Daemon::start();
    daemon.docker(&["run", "-d", "--name", "box-s", "busybox", "sleep", "1000"]);
    let before = daemon.docker(&["inspect", "box-s"]);
    assert_eq!(daemon.terminate(), Some(0));
    daemon.launch();
    assert_eq!(
        daemon.docker(&["inspect", "box-s"]),
        before,
        "inspect changed over a restart"
    );
}

#[test]
fn an_auto_removed_container_that_ended_meanwhile_is_gone() {
    let mut daemon = Daemon::start();
    daemon.docker(&[
        "run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "0.3",
    ]);
    daemon.kill();
    eventually("it ends", || daemon.processes().is_empty().then_some(()));
    daemon.launch();
    eventually("it is removed", || {
        daemon.docker(&["ps", "-aq"]).is_empty().then_some(())
    });
}

#[test]
fn a_killed_shim_means_a_dead_container_with_nothing_left() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "victim",
        "busybox",
        "sh",
        "-c",
        "sleep 1000 & sleep 1000",
    ]);
    let pid = daemon.docker(&["inspect", "-f", "{{.State.Pid}}", "victim"]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim: u32 = status
        .lines()
        .find_map(|l| l.strip_prefix("PPid:"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let comm = std::fs::read_to_string(format!("/proc/{shim}/comm")).unwrap();
    assert!(
        comm.contains("shim"),
        "the parent of a container is its shim, not {comm}"
    );
    signal(shim, Signal::KILL);
    eventually("it is reported dead", || {
        (daemon.docker(&["inspect", "-f", "{{.State.Running}}", "victim"]) == "false").then_some(())
    });
    eventually("its processes are gone", || {
        daemon.processes().is_empty().then_some(())
    });
    let state = daemon.docker(&["inspect", "-f", "{{.State.ExitCode}}", "victim"]);
    assert_ne!(state, "0");
    // And it can be started again.
    daemon.docker(&["start", "victim"]);
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.State.Running}}", "victim"]),
        "true"
    );
    daemon.docker(&["rm", "-f", "victim"]);
}

#[test]
fn a_daemon_killed_over_and_over_while_containers_come_and_go_tells_the_truth() {
    let mut daemon = Daemon::start();
    for round in 0..5 {
        let mut clients: Vec<_> = (0..4)
            .map(|n| {
                let name = format!("c{round}{n}");
                let mut command = daemon.command(
                    Client::Docker,
                    &["run", "--name", &name, "busybox", "sh", "-c", "exit 3"],
                );
                command
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        // Somewhere in the middle of it: after the first container of the round is known.
        eventually("one of them exists", || {
            (daemon
                .get("/containers/json?all=1")
                .json()
                .as_array()
                .unwrap()
                .len()
                > round * 2)
                .then_some(())
        });
        daemon.kill();
        for client in &mut clients {
            client.wait().unwrap();
        }
        daemon.launch();
    }
    // Whatever exists is in a state that is true, can be removed, and leaves nothing.
    for id in daemon.docker(&["ps", "-aq"]).lines() {
        let state = daemon.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", id]);
        assert!(
            [
                "created 0",
                "exited 3",
                "running 0",
                "exited 255",
                "exited 137"
            ]
            .contains(&state.as_str()),
            "{state}"
        );
        daemon.docker(&["rm", "-f", id]);
    }
    eventually("nothing is left", || {
        daemon.processes().is_empty().then_some(())
    });
    assert_eq!(
        std::fs::read_dir(daemon.data_root().join("containers"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_load_cut_short_by_a_crash_leaves_no_half_image() {
    let mut daemon = Daemon::empty();
    let archive = std::fs::read(wharf_tests::busybox_archive()).unwrap();
    use std::io::Write;
    let mut stream = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
    stream
        .write_all(
            format!(
                "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                archive.len()
            )
            .as_bytes(),
        )
        .unwrap();
    stream.write_all(&archive[..archive.len() / 2]).unwrap();
    daemon.kill();
    daemon.launch();
    assert_eq!(daemon.docker(&["images", "-aq"]), "");
    assert_eq!(daemon.layer_files(), [""; 0], "a half layer stays on disk");
    daemon.load(&archive);
    assert_eq!(
        daemon.docker(&["run", "--rm", "busybox", "echo", "whole"]),
        "whole"
    );
}
