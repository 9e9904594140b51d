//! Bytes: logs, attach, exec, terminals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::io::{Read, Write};
use std::process::Stdio;

use wharf_tests::{Client, Daemon, eventually, run};

#[test]
fn logs_keep_both_streams_apart_and_obey_tail_since_and_timestamps() {
    let daemon = Daemon::start();
    daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--name",
                "box-l",
                "busybox",
                "sh",
                "-c",
                "for i in 1 2 3 4 5; do echo out$i; done; echo err >&2",
            ],
        )
        .ok();
    for client in [Client::Docker, Client::Docker20, Client::Wharf] {
        let logs = daemon.run(client, &["logs", "box-l"]);
        logs.ok();
        assert_eq!(logs.stdout, "out1\nout2\nout3\nout4\nout5\n", "{client:?}");
        assert_eq!(logs.stderr, "err\n", "{client:?}");
        let tail = daemon.run(client, &["logs", "--tail", "2", "box-l"]);
        assert_eq!(
            tail.stdout.lines().count() + tail.stderr.lines().count(),
            2,
            "{client:?}"
        );
        let stamped = daemon.run(client, &["logs", "-t", "--tail", "1", "box-l"]);
        let line = format!("{}{}", stamped.stdout, stamped.stderr);
        assert!(
            line.starts_with("20") && line.contains("Z "),
            "{client:?}: {line}"
        );
        assert_eq!(
            daemon
                .run(
                    client,
                    &["logs", "--since", "2099-01-01T00:00:00Z", "box-l"]
                )
                .stdout,
            ""
        );
        assert_eq!(
            daemon
                .run(
                    client,
                    &["logs", "--until", "2001-01-01T00:00:00Z", "box-l"]
                )
                .stdout,
            ""
        );
    }
}

#[test]
fn following_a_log_ends_with_the_container_and_misses_nothing() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-f",
        "busybox",
        "sh",
        "-c",
        "i=0; while [ $i -lt 3000 ]; do echo line$i; i=$((i+1)); done",
    ]);
    let out = daemon.docker(&["logs", "-f", "box-f"]);
    assert_eq!(out.lines().count(), 3000);
    assert!(out.ends_with("line2999"));
}

#[test]
fn a_log_is_bounded_and_following_survives_its_rotation() {
    let daemon = Daemon::start();
    let body = "while [ ! -e /go ]; do sleep 0.05; done; \
                i=0; while [ $i -lt 5000 ]; do echo this-is-line-number-$i; i=$((i+1)); done";
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-r",
        "--log-opt",
        "max-size=50k",
        "--log-opt",
        // All of it is kept: a follower that the writer laps has lost its place, by design.
        "max-file=20",
        "busybox",
        "sh",
        "-c",
        body,
    ]);
    let follower = daemon
        .command(Client::Docker, &["logs", "-f", "box-r"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    daemon.docker(&["exec", "box-r", "touch", "/go"]);
    let followed = follower.wait_with_output().unwrap();
    let followed = String::from_utf8(followed.stdout).unwrap();
    assert_eq!(
        followed.lines().count(),
        5000,
        "lines were lost or repeated"
    );
    let path = daemon.docker(&["inspect", "-f", "{{.LogPath}}", "box-r"]);
    let dir = std::path::Path::new(&path).parent().unwrap();
    let total: u64 = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().contains("-json.log"))
        .map(|e| e.metadata().unwrap().len())
        .sum();
    assert!(total <= 20 * 51_200, "{total} bytes of log");
    let kept = daemon.docker(&["logs", "box-r"]);
    assert!(kept.ends_with("this-is-line-number-4999"));
}

#[test]
fn attach_joins_a_running_container_from_several_clients() {
    let daemon = Daemon::start();
    let body = "while read x; do [ $x = quit ] && exit 4; echo got $x; done";
    daemon.docker(&[
        "run", "-d", "-i", "--name", "box-a", "busybox", "sh", "-c", body,
    ]);
    let watcher = daemon
        .command(Client::Docker, &["attach", "--no-stdin", "box-a"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the watcher is attached", || {
        let now = daemon.docker(&["info", "-f", "{{.SystemTime}}"]);
        let events = daemon.docker(&[
            "events",
            "--since",
            "2020-01-01T00:00:00Z",
            "--until",
            &now,
            "-f",
            "event=attach",
        ]);
        (!events.is_empty()).then_some(())
    });
    let typist = daemon.feed(Client::Docker, &["attach", "box-a"], b"typed\nquit\n");
    typist.fails(4);
    assert_eq!(typist.stdout, "got typed\n");
    let seen = watcher.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&seen.stdout), "got typed\n");
    assert_eq!(seen.status.code(), Some(4));
}

#[test]
fn exec_runs_beside_with_user_directory_environment_and_exit_code() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run", "-d", "--name", "box-x", "-e", "A=1", "busybox", "sleep", "1000",
    ]);
    for client in [Client::Docker, Client::Docker20, Client::Wharf] {
        let out = daemon.run(
            client,
            &[
                "exec",
                "-u",
                "1000:2000",
                "-w",
                "/tmp",
                "-e",
                "B=2",
                "box-x",
                "sh",
                "-c",
                "id -u; id -g; pwd; echo $A$B; grep CapInh /proc/self/status",
            ],
        );
        assert_eq!(
            out.ok(),
            "1000\n2000\n/tmp\n12\nCapInh:\t0000000000000000",
            "{client:?}"
        );
        daemon
            .run(client, &["exec", "box-x", "sh", "-c", "exit 6"])
            .fails(6);
        let ran = daemon.run(client, &["exec", "box-x", "nosuchprogram"]);
        // Docker writes what went wrong into the exec's own output.
        let text = ran.fails(127) + &ran.stdout;
        assert!(
            text.contains("nosuchprogram") && text.contains("not found"),
            "{client:?}: {text}"
        );
        let fed = daemon.feed(
            client,
            &["exec", "-i", "box-x", "sha256sum"],
            &vec![b'z'; 100_000],
        );
        assert_eq!(
            fed.ok().split(' ').next().unwrap(),
            &wharf_tests::digest(&vec![b'z'; 100_000])[7..]
        );
        daemon
            .run(client, &["exec", "-d", "box-x", "touch", "/detached"])
            .ok();
    }
    eventually("the detached exec ran", || {
        (daemon
            .run(
                Client::Docker,
                &["exec", "box-x", "test", "-e", "/detached"],
            )
            .code
            == 0)
            .then_some(())
    });
    let ran = daemon.run(
        Client::Docker,
        &["exec", "-u", "nobodyknows", "box-x", "true"],
    );
    let text = ran.fails(126) + &ran.stdout;
    assert!(text.contains("unable to find user nobodyknows"), "{text}");
    daemon.docker(&["rm", "-f", "box-x"]);
    daemon
        .run(Client::Docker, &["exec", "box-x", "true"])
        .fails(1);
}

/// Reads until what was seen so far satisfies `enough`.
#[track_caller]
fn read_until(from: &mut impl Read, seen: &mut String, enough: impl Fn(&str) -> bool) {
    let mut chunk = [0; 256];
    while !enough(seen) {
        let n = from.read(&mut chunk).unwrap();
        assert!(n > 0, "the stream ended after: {seen}");
        seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
    }
}

#[test]
fn a_terminal_has_a_size_echoes_and_ends_on_ctrl_d() {
    let daemon = Daemon::start();
    for client in [Client::Docker, Client::Wharf] {
        let body = "tty; stty size; cat; echo ended";
        let mut child = daemon
            .terminal(client, &["run", "--rm", "-it", "busybox", "sh", "-c", body])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut keys = child.stdin.take().unwrap();
        let mut seen = String::new();
        // Each key when what went before has shown: before that the terminal is not the client's.
        read_until(&mut out, &mut seen, |text| text.contains("24 80"));
        keys.write_all(b"typed\n").unwrap();
        read_until(&mut out, &mut seen, |text| {
            text.matches("typed").count() == 2
        });
        keys.write_all(b"\x04").unwrap();
        read_until(&mut out, &mut seen, |text| text.contains("ended"));
        let status = eventually("the client leaves", || child.try_wait().unwrap());
        assert!(status.success(), "{client:?}: {status}");
        let out = seen;
        assert!(
            out.contains("/dev/pts/0") || out.contains("/dev/console"),
            "{client:?}: {out}"
        );
    }
    assert_eq!(daemon.docker(&["ps", "-aq"]), "");
}

#[test]
fn ctrl_p_ctrl_q_leaves_the_container_running() {
    let daemon = Daemon::start();
    for client in [Client::Docker, Client::Wharf] {
        let mut child = daemon
            .terminal(
                client,
                &[
                    "run",
                    "-it",
                    "--name",
                    "left",
                    "busybox",
                    "sh",
                    "-c",
                    "echo ready; cat",
                ],
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        read_until(&mut out, &mut String::new(), |text| text.contains("ready"));
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\x10\x11")
            .unwrap();
        let status = eventually("the client leaves", || child.try_wait().unwrap());
        assert!(status.success(), "{client:?}: {status}");
        assert_eq!(
            daemon.docker(&["inspect", "-f", "{{.State.Running}}", "left"]),
            "true"
        );
        daemon.docker(&["rm", "-f", "left"]);
    }
}

#[test]
fn exec_in_a_terminal_can_be_resized() {
    let daemon = Daemon::start();
    daemon.docker(&["run", "-d", "--name", "box-t", "busybox", "sleep", "1000"]);
    let ran = run(
        &mut daemon.terminal(Client::Docker, &["exec", "-it", "box-t", "stty", "size"]),
        b"",
    );
    assert!(ran.ok().contains("24 80"), "{}", ran.stdout);
}

#[test]
fn an_old_style_hijack_without_upgrade_is_served() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "create",
        "-i",
        "--name",
        "box-h",
        "busybox",
        "echo",
        "raw output",
    ]);
    let mut attach = wharf_tests::open_raw(
        &daemon.socket(),
        b"POST /containers/box-h/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(attach.head.starts_with("HTTP/1.1 200"), "{}", attach.head);
    daemon.docker(&["start", "box-h"]);
    let text = attach.until(|t| t.contains("raw output"));
    assert!(text.starts_with("\u{1}\0\0\0"), "frames: {text:?}");
}
