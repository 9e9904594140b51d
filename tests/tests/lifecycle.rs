//! A container's life after it was made: stop, kill, pause, rename, wait, remove, list, update.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::time::Instant;

use wharf_tests::{Client, Daemon, eventually};

const SLEEPER: &[&str] = &["busybox", "sleep", "1000"];

fn sleeper(daemon: &Daemon, name: &str) -> String {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(SLEEPER);
    daemon.docker(&args)
}

fn state(daemon: &Daemon, name: &str, template: &str) -> String {
    daemon.docker(&["inspect", "-f", template, name])
}

#[test]
fn stop_asks_first_and_insists_after_the_timeout() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "polite",
        "busybox",
        "sh",
        "-c",
        "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done",
    ]);
    eventually("it is ready", || {
        daemon
            .docker(&["logs", "polite"])
            .contains("ready")
            .then_some(())
    });
    daemon.docker(&["stop", "polite"]);
    assert_eq!(
        state(&daemon, "polite", "{{.State.ExitCode}} {{.State.Status}}"),
        "5 exited"
    );
    assert_eq!(daemon.docker(&["logs", "polite"]), "ready\nbye");

    // PID 1 without a handler does not hear SIGTERM: only SIGKILL ends it.
    sleeper(&daemon, "deaf");
    let began = Instant::now();
    daemon.docker(&["stop", "-t", "1", "deaf"]);
    assert!(
        began.elapsed().as_secs_f64() >= 0.9,
        "killed before its time"
    );
    assert_eq!(state(&daemon, "deaf", "{{.State.ExitCode}}"), "137");
    // Stopping what is stopped is no error.
    daemon.docker(&["stop", "deaf"]);
}

#[test]
fn start_stop_start_keeps_the_writable_layer() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "create",
        "--name",
        "keep",
        "busybox",
        "sh",
        "-c",
        "echo x >> /kept; cat /kept; hostname",
    ]);
    assert_eq!(daemon.docker(&["start", "-a", "keep"]).lines().count(), 2);
    assert_eq!(daemon.docker(&["start", "-a", "keep"]).lines().count(), 3);
    assert_eq!(daemon.docker(&["start", "-a", "keep"]).lines().count(), 4);
}

#[test]
fn kill_sends_what_it_is_told_and_refuses_what_does_not_run() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-k",
        "busybox",
        "sh",
        "-c",
        "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done",
    ]);
    eventually("ready", || {
        daemon
            .docker(&["logs", "box-k"])
            .contains("ready")
            .then_some(())
    });
    daemon.docker(&["kill", "-s", "USR1", "box-k"]);
    assert_eq!(daemon.docker(&["wait", "box-k"]), "9");
    let text = daemon.run(Client::Docker, &["kill", "box-k"]).fails(1);
    assert!(text.contains("is not running"), "{text}");
    let text = daemon
        .run(Client::Docker, &["kill", "-s", "NOPE", "box-k"])
        .fails(1);
    assert!(text.to_lowercase().contains("invalid signal"), "{text}");
}

#[test]
fn pause_freezes_and_unpause_goes_on() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-p",
        "busybox",
        "sh",
        "-c",
        "while :; do date +%s%N; sleep 0.05; done",
    ]);
    daemon.docker(&["pause", "box-p"]);
    assert_eq!(
        state(&daemon, "box-p", "{{.State.Status}} {{.State.Paused}}"),
        "paused true"
    );
    assert!(
        daemon
            .docker(&["ps", "--format", "{{.Status}}"])
            .ends_with("(Paused)")
    );
    let text = daemon
        .run(Client::Docker, &["exec", "box-p", "true"])
        .fails(1);
    assert!(text.contains("is paused"), "{text}");
    let before = daemon.docker(&["logs", "box-p"]).lines().count();
    let after = daemon.docker(&["logs", "box-p"]).lines().count();
    assert_eq!(before, after);
    daemon.docker(&["unpause", "box-p"]);
    eventually("it writes again", || {
        (daemon.docker(&["logs", "box-p"]).lines().count() > after).then_some(())
    });
    daemon.docker(&["pause", "box-p"]);
    daemon.docker(&["rm", "-f", "box-p"]);
}

#[test]
fn names_are_unique_can_be_changed_and_are_checked() {
    let daemon = Daemon::start();
    let id = sleeper(&daemon, "one");
    let text = daemon
        .run(Client::Docker, &["create", "--name", "one", "busybox"])
        .fails(1);
    assert!(
        text.contains("Conflict. The container name \"/one\" is already in use by container")
            && text.contains(&id),
        "{text}"
    );
    daemon.docker(&["rename", "one", "two"]);
    assert_eq!(state(&daemon, "two", "{{.Name}}"), "/two");
    daemon.run(Client::Docker, &["inspect", "one"]).fails(1);
    daemon.docker(&["create", "--name", "one", "busybox"]);
    let text = daemon
        .run(Client::Docker, &["create", "--name", "a b", "busybox"])
        .fails(1);
    assert!(text.contains("Invalid container name"), "{text}");
    // A prefix of the id is enough.
    assert_eq!(state(&daemon, &id[..6], "{{.Id}}"), id);
    // A generated name is two words.
    let generated = daemon.docker(&["create", "busybox"]);
    let name = state(&daemon, &generated, "{{.Name}}");
    assert!(name.contains('_'), "{name}");
}

#[test]
fn an_ambiguous_prefix_is_refused() {
    let daemon = Daemon::start();
    // Seventeen containers: two of them share their first digit.
    let ids: Vec<String> = (0..17)
        .map(|_| daemon.docker(&["create", "busybox"]))
        .collect();
    let shared = (0..16u32)
        .filter_map(|d| char::from_digit(d, 16))
        .find(|c| ids.iter().filter(|id| id.starts_with(*c)).count() > 1)
        .expect("seventeen ids, sixteen digits");
    let text = daemon
        .run(
            Client::Docker,
            &["inspect", "--type", "container", &shared.to_string()],
        )
        .fails(1);
    assert!(
        text.to_lowercase()
            .contains("multiple ids found with provided prefix"),
        "{text}"
    );
}

#[test]
fn removing_follows_dockers_rules() {
    let daemon = Daemon::start();
    sleeper(&daemon, "box-r");
    let text = daemon.run(Client::Docker, &["rm", "box-r"]).fails(1);
    assert!(
        text.contains("container is running") && text.contains("force"),
        "{text}"
    );
    assert_eq!(daemon.docker(&["rm", "-f", "box-r"]), "box-r");
    let text = daemon.run(Client::Docker, &["rm", "box-r"]).fails(1);
    assert!(text.contains("No such container: box-r"), "{text}");
    eventually("its processes are gone", || {
        daemon.processes().is_empty().then_some(())
    });
    let containers = std::fs::read_dir(daemon.data_root().join("containers"))
        .unwrap()
        .count();
    assert_eq!(containers, 0, "its directory stays");
}

#[test]
fn wait_returns_for_each_condition() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "create",
        "--name",
        "box-w",
        "busybox",
        "sh",
        "-c",
        "sleep 0.2; exit 3",
    ]);
    // The head of the answer says that the wait is registered.
    let waits = ["next-exit", "removed"].map(|condition| {
        wharf_tests::open(
            &daemon.socket(),
            "POST",
            &format!("/v1.41/containers/box-w/wait?condition={condition}"),
        )
    });
    daemon.docker(&["start", "box-w"]);
    assert_eq!(daemon.docker(&["wait", "box-w"]), "3");
    daemon.docker(&["rm", "box-w"]);
    for wait in waits {
        let body = wait.rest();
        assert!(body.contains("\"StatusCode\":3"), "{body}");
    }
}

#[test]
fn lists_filter_limit_and_format() {
    let daemon = Daemon::start();
    sleeper(&daemon, "up");
    let done = [
        "run",
        "--name",
        "done",
        "--label",
        "tier=back",
        "busybox",
        "sh",
        "-c",
        "exit 4",
    ];
    daemon.run(Client::Docker, &done).fails(4);
    daemon.docker(&["create", "--name", "new", "-v", "data:/data", "busybox"]);
    let ps = |args: &[&str]| {
        let mut all = vec!["ps", "-a", "--format", "{{.Names}}"];
        all.extend(args);
        daemon.docker(&all)
    };
    assert_eq!(ps(&[]), "new\ndone\nup");
    assert_eq!(daemon.docker(&["ps", "--format", "{{.Names}}"]), "up");
    assert_eq!(ps(&["-f", "status=exited"]), "done");
    assert_eq!(ps(&["-f", "exited=4"]), "done");
    assert_eq!(ps(&["-f", "label=tier=back"]), "done");
    assert_eq!(ps(&["-f", "name=^u"]), "up");
    assert_eq!(ps(&["-f", "volume=data"]), "new");
    assert_eq!(ps(&["-f", "before=done"]), "up");
    assert_eq!(ps(&["-f", "since=done"]), "new");
    assert_eq!(ps(&["-f", "ancestor=busybox"]), "new\ndone\nup");
    assert_eq!(ps(&["-f", "network=none"]), "");
    assert_eq!(ps(&["-n", "1"]), "new");
    assert!(daemon.docker(&["ps", "-as"]).contains("virtual"));
    let text = daemon.run(Client::Docker, &["ps", "-f", "nope=1"]).fails(1);
    assert!(text.contains("invalid filter 'nope'"), "{text}");
    daemon.docker(&["container", "prune", "-f"]);
    assert_eq!(ps(&[]), "up");
}

#[test]
fn limits_change_on_a_running_container() {
    let daemon = Daemon::start();
    sleeper(&daemon, "box-u");
    daemon.docker(&[
        "update",
        "-m",
        "32m",
        "--memory-swap",
        "64m",
        "--pids-limit",
        "20",
        "box-u",
    ]);
    assert_eq!(
        state(
            &daemon,
            "box-u",
            "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"
        ),
        "33554432 20"
    );
    let out = daemon.docker(&[
        "exec", "box-u", "sh", "-c",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max",
    ]);
    assert_eq!(out, "33554432");
    let text = daemon
        .run(Client::Docker, &["update", "--restart", "always", "box-u"])
        .fails(1);
    assert!(text.contains("RestartPolicy"), "{text}");
}

#[test]
fn top_stats_and_diff_show_what_happens() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-t",
        "busybox",
        "sh",
        "-c",
        "touch /added; rm /etc/group; sleep 1000 & wait",
    ]);
    eventually("the file is there", || {
        daemon
            .docker(&["diff", "box-t"])
            .contains("A /added")
            .then_some(())
    });
    let diff = daemon.docker(&["diff", "box-t"]);
    let mut lines: Vec<&str> = diff.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A /added", "C /etc", "D /etc/group"]);
    let top = daemon.docker(&["top", "box-t"]);
    assert!(top.lines().next().unwrap().starts_with("UID"), "{top}");
    assert!(top.contains("sleep 1000"), "{top}");
    let stats = daemon.docker(&[
        "stats",
        "--no-stream",
        "--format",
        "{{.Name}} {{.PIDs}}",
        "box-t",
    ]);
    assert_eq!(stats, "box-t 2");
    let answer = daemon.get("/containers/box-t/stats?stream=false&one-shot=true");
    let body = answer.json();
    assert!(
        body["memory_stats"]["usage"].as_u64().unwrap() > 0,
        "{body}"
    );
    assert!(
        body["cpu_stats"]["cpu_usage"]["total_usage"]
            .as_u64()
            .unwrap()
            > 0,
        "{body}"
    );
}

#[test]
fn restart_is_a_new_run() {
    let daemon = Daemon::start();
    sleeper(&daemon, "again");
    let before = state(&daemon, "again", "{{.State.Pid}} {{.State.StartedAt}}");
    daemon.docker(&["restart", "-t", "0", "again"]);
    let after = state(&daemon, "again", "{{.State.Pid}} {{.State.StartedAt}}");
    assert_ne!(before, after);
    assert_eq!(state(&daemon, "again", "{{.State.Running}}"), "true");
}

#[test]
fn events_tell_the_whole_story_in_order_and_are_durable() {
    let mut daemon = Daemon::start();
    daemon.docker(&["run", "--name", "box-e", "busybox", "true"]);
    daemon.docker(&["rename", "box-e", "box-f"]);
    daemon.docker(&["rm", "box-f"]);
    let story = |daemon: &Daemon| {
        let until = daemon.docker(&["info", "-f", "{{.SystemTime}}"]);
        daemon.docker(&[
            "events",
            "--since",
            "2020-01-01T00:00:00Z",
            "--until",
            &until,
            "-f",
            "type=container",
            "--format",
            "{{.Action}}",
        ])
    };
    let told = story(&daemon);
    let actions: Vec<&str> = told.lines().collect();
    assert_eq!(
        actions,
        ["create", "attach", "start", "die", "rename", "destroy"]
    );
    daemon.kill();
    daemon.launch();
    assert_eq!(story(&daemon), told, "a restart lost events");
}

#[test]
fn a_forced_removal_right_after_a_kill_is_no_error() {
    let daemon = Daemon::start();
    for round in 0..10 {
        let name = format!("gone{round}");
        daemon.sleeper(&name, &[]);
        daemon.docker(&["kill", &name]);
        daemon.docker(&["rm", "-f", &name]);
    }
    assert_eq!(daemon.docker(&["ps", "-aq"]), "");
}
