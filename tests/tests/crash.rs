//! kill -9 at every step: the daemon's or a shim's life ends at many instants spread over the whole
//! of a container's, and whatever is found afterwards is true, whole, and leaves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wharf_tests::{Client, Daemon, eventually, signal};

/// Instants of a life at which it is cut short.
const CUTS: u32 = 24;

/// Says something, waits for a signal, says something again.
const PROGRAM: &str = "echo begin; trap 'echo end; exit 7' TERM; while :; do sleep 0.01; done";

/// A whole life, one client after the other, each of which may find no daemon.
fn live(commands: &mut Vec<Command>) {
    for command in commands {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let _ = quiet.stderr(Stdio::null()).status();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the instant is the point: evenly spread over the whole"
)]
fn cut_after(time: Duration) {
    std::thread::sleep(time);
}

fn life(daemon: &Daemon, name: &str) -> Vec<Command> {
    [
        &[
            "create", "--name", name, "-v", "/data", "busybox", "sh", "-c", PROGRAM,
        ][..],
        &["start", name],
        &["exec", name, "sh", "-c", "echo more > /data/file"],
        &["pause", name],
        &["unpause", name],
        &["restart", "-t", "5", name],
        &["stop", "-t", "5", name],
        &["start", name],
        &["kill", name],
        &["rm", "-v", name],
    ]
    .map(|words| daemon.command(Client::Docker, words))
    .into()
}

/// Directories of containers, in one of the daemon's own places.
fn names(of: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(of.join("containers"))
        .into_iter()
        .flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Cgroups of containers that are there.
fn cgroups(daemon: &Daemon) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let roots = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind) = (words.next()?, words.next()?);
        kind.starts_with("cgroup").then(|| PathBuf::from(path))
    });
    let parent = daemon.cgroup().trim_start_matches('/').to_owned();
    roots
        .filter_map(|root| std::fs::read_dir(root.join(&parent)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect()
}

/// Shims of this daemon's containers.
fn shims(ids: &[String]) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with("wharf-shim\0") && ids.iter().any(|id| line.contains(id.as_str()))
        })
        .collect()
}

/// What is there is true and whole, and can be used, ended and removed without a trace.
fn all_is_well(daemon: &Daemon, cut: &str) {
    let listed = daemon.docker(&["ps", "-aq", "--no-trunc"]);
    let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
    ids.sort();
    assert_eq!(names(&daemon.data_root()), ids, "{cut}: on disk and listed");
    let known = shims(&ids);
    for id in &ids {
        let state = daemon.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", id]);
        let log = daemon.run(Client::Docker, &["logs", id]).ok();
        match state.as_str() {
            "created 0" => assert_eq!(log, "", "{cut}"),
            "running 0" => {
                assert_eq!(known.len(), 1, "{cut}");
                assert_eq!(
                    daemon.docker(&["exec", id, "echo", "here"]),
                    "here",
                    "{cut}"
                );
            }
            "paused 0" => {
                daemon.docker(&["unpause", id]);
            }
            // Ended by the restart, the stop or the kill; or before it ran, with its daemon.
            "exited 7" => assert!(log.ends_with("end"), "{cut}: {log}"),
            "exited 137" | "created 128" => {}
            other => panic!("{cut}: {other}\n{log}\n{}", daemon.log()),
        }
        // A line is there whole, and once.
        for line in log.lines() {
            assert!(["begin", "end"].contains(&line), "{cut}: {log}");
        }
        daemon.docker(&["rm", "-fv", id]);
    }
    eventually("nothing is left", || {
        let left = daemon.processes().is_empty()
            && shims(&ids).is_empty()
            && names(&daemon.data_root()).is_empty()
            && names(&daemon.exec_root()).is_empty()
            && cgroups(daemon).is_empty();
        left.then_some(())
    });
}

#[test]
fn a_daemon_killed_at_any_step_of_a_containers_life_leaves_it_whole_or_not_at_all() {
    let mut daemon = Daemon::start();
    let began = Instant::now();
    live(&mut life(&daemon, "whole"));
    let whole = began.elapsed();
    all_is_well(&daemon, "uncut");
    for cut in 0..CUTS {
        let mut commands = life(&daemon, &format!("cut{cut}"));
        let client = std::thread::spawn(move || live(&mut commands));
        cut_after(whole * cut / CUTS);
        daemon.kill();
        client.join().unwrap();
        daemon.launch();
        all_is_well(&daemon, &format!("cut {cut} of {CUTS}"));
    }
}

#[test]
fn a_load_killed_at_any_instant_is_there_or_not_and_can_be_done_again() {
    let mut daemon = Daemon::empty();
    let archive = wharf_tests::busybox_archive();
    let load = |daemon: &Daemon| {
        let archive = archive.to_str().unwrap();
        let mut command = daemon.command(Client::Docker, &["load", "-q", "-i", archive]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let began = Instant::now();
    assert!(load(&daemon).status().unwrap().success());
    let whole = began.elapsed();
    daemon.docker(&["rmi", "busybox"]);
    for cut in 0..CUTS {
        let mut client = load(&daemon).spawn().unwrap();
        cut_after(whole * cut / CUTS);
        daemon.kill();
        client.wait().unwrap();
        daemon.launch();
        // A layer that was whole before its image was named is garbage, or of use to the next load.
        if daemon.docker(&["images", "-q"]).is_empty() {
            assert!(load(&daemon).status().unwrap().success());
        }
        let echo = ["run", "--rm", "busybox", "echo", "whole"];
        assert_eq!(daemon.docker(&echo), "whole", "cut {cut}");
        daemon.docker(&["rmi", "busybox"]);
        eventually("no layer is left of it", || {
            daemon.layer_files().is_empty().then_some(())
        });
    }
}

#[test]
fn a_shim_killed_at_any_instant_takes_its_container_with_it_and_nothing_else() {
    let daemon = Daemon::start();
    for cut in 0..CUTS {
        let name = format!("cut{cut}");
        daemon.docker(&["create", "--name", &name, "busybox", "sh", "-c", PROGRAM]);
        let id = daemon.docker(&["inspect", "-f", "{{.Id}}", &name]);
        let commands = [
            &["start", &name][..],
            &["exec", &name, "true"],
            &["stop", "-t", "5", &name],
        ];
        let mut commands = commands
            .map(|words| daemon.command(Client::Docker, words))
            .into();
        let client = std::thread::spawn(move || live(&mut commands));
        let ids = [id];
        let shim = eventually("its shim", || shims(&ids).first().copied());
        cut_after(Duration::from_millis(8) * cut);
        signal(shim, Signal::KILL);
        client.join().unwrap();
        eventually("it is not running", || {
            (daemon.docker(&["inspect", "-f", "{{.State.Running}}", &name]) == "false")
                .then_some(())
        });
        eventually("its processes are gone", || {
            (daemon.processes().is_empty() && shims(&ids).is_empty()).then_some(())
        });
        // It can live again.
        daemon.docker(&["start", &name]);
        daemon.docker(&["exec", &name, "true"]);
        daemon.docker(&["rm", "-f", &name]);
        eventually("nothing is left", || {
            (names(&daemon.exec_root()).is_empty() && cgroups(&daemon).is_empty()).then_some(())
        });
    }
}

#[test]
fn a_shim_killed_while_there_is_no_daemon_leaves_a_dead_container_and_no_process() {
    let mut daemon = Daemon::start();
    daemon.docker(&[
        "run", "-d", "--name", "alone", "busybox", "sh", "-c", PROGRAM,
    ]);
    let ids = [daemon.docker(&["inspect", "-f", "{{.Id}}", "alone"])];
    daemon.kill();
    let [shim] = shims(&ids)[..] else {
        panic!("no shim")
    };
    signal(shim, Signal::KILL);
    eventually("its container dies with it", || {
        daemon.processes().is_empty().then_some(())
    });
    daemon.launch();
    let state = daemon.docker(&[
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "alone",
    ]);
    assert_eq!(state, "exited 137");
    assert_eq!(daemon.docker(&["logs", "alone"]), "begin");
    daemon.docker(&["start", "alone"]);
    daemon.docker(&["rm", "-f", "alone"]);
    assert!(names(&daemon.exec_root()).is_empty() && cgroups(&daemon).is_empty());
}
