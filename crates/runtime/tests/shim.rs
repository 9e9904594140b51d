//! The shim with real processes: busybox in a directory, driven by the blocking client.
//!
//! Needs root and busybox-static. Mounts happen in the containers' own namespaces only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod shim_box;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use shim_box::{ALL, Box_, OUTPUT, layers, wait};
use wharf_runtime::shim::proto::{Event, Kind, Phase, Reply, Request};
use wharf_runtime::shim::{Client, PlanRootfs, Size, exit_path};

#[test]
fn a_container_runs_and_its_end_is_on_disk_before_it_is_told() {
    let container = Box_::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(container.run(), ("out\n".into(), "err\n".into(), 7));
    let record = container.record();
    assert_eq!(
        (record.code, record.signal, record.oom_killed),
        (7, None, false)
    );
    assert!(record.started_ns > 0 && record.finished_ns >= record.started_ns);
    assert!(
        !container.plan.dir.join("shim.sock").exists(),
        "the socket stays"
    );
    assert!(container.log().contains("out\n"));
}

#[test]
fn a_program_that_is_not_there_leaves_nothing_and_says_127() {
    let container = Box_::new(&["nosuchprogram"]);
    let error = container.try_spawn().unwrap_err();
    assert_eq!(error.exit_code, 127, "{error}");
    assert!(error.message.contains("nosuchprogram"), "{error}");
    assert!(
        std::fs::read_dir(&container.plan.dir)
            .unwrap()
            .next()
            .is_none(),
        "something is left"
    );
}

#[test]
fn every_line_of_a_burst_is_logged_and_sent_while_clients_come_and_go() {
    let container = Box_::new(&["seq", "1", "100000"]);
    container.try_spawn().unwrap();
    let mut steady = container.client();
    steady.ask(&Request::Attach(OUTPUT)).unwrap();
    // One that takes nothing for a while and then leaves.
    let mut rude = container.client();
    rude.ask(&Request::Attach(OUTPUT)).unwrap();
    container.start();
    let reading = std::thread::spawn(move || steady.output().unwrap());
    for _ in 0..20 {
        if let Ok(mut passing) = Client::connect(&container.plan.dir) {
            let _ = passing.ask(&Request::Attach(OUTPUT));
        }
    }
    drop(rude);
    let (out, _, code) = reading.join().unwrap();
    assert_eq!(code, 0);
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 100_000);
    let log = container.log();
    assert_eq!(log.lines().count(), 100_000);
    assert!(log.ends_with("100000\n"));
}

#[test]
fn input_arrives_and_closing_it_once_ends_it() {
    let mut container = Box_::new(&["sh", "-c", "cat; echo end"]);
    (container.plan.open_stdin, container.plan.stdin_once) = (true, true);
    container.try_spawn().unwrap();
    let mut client = container.client();
    client.ask(&Request::Attach(ALL)).unwrap();
    container.start();
    let text = vec![b'x'; 40_000];
    for _ in 0..10 {
        client.send(Kind::Stdin, &text).unwrap();
    }
    client.send(Kind::StdinEof, b"").unwrap();
    let (out, _, code) = client.output().unwrap();
    assert_eq!((out.len(), code), (400_004, 0));
}

#[test]
fn input_that_is_kept_survives_the_client() {
    let mut container = Box_::new(&["sh", "-c", "head -n 1; head -n 1; echo end"]);
    container.plan.open_stdin = true;
    container.try_spawn().unwrap();
    let mut watcher = container.client();
    watcher.ask(&Request::Attach(OUTPUT)).unwrap();
    container.start();
    let mut seen = Vec::new();
    for line in ["one\n", "two\n"] {
        let mut typist = container.client();
        typist.ask(&Request::Attach(ALL)).unwrap();
        typist.send(Kind::Stdin, line.as_bytes()).unwrap();
        typist.send(Kind::StdinEof, b"").unwrap();
        // Whoever leaves takes nothing with him: wait until it was seen.
        // What follows the second line may come with it.
        while !String::from_utf8_lossy(&seen).contains(line) {
            seen.extend(watcher.frame().unwrap().1);
        }
    }
    seen.extend(watcher.output().unwrap().0);
    assert_eq!(seen, b"one\ntwo\nend\n");
}

#[test]
fn a_terminal_has_a_size_that_changes() {
    let container = Box_::new(&["sh", "-c", "stty size; read x; stty size; cat"]).terminal();
    container.try_spawn().unwrap();
    let mut client = container.client();
    client.ask(&Request::Attach(ALL)).unwrap();
    container.start();
    let mut seen = String::new();
    while !seen.contains("33 77") {
        seen += &String::from_utf8(client.frame().unwrap().1).unwrap();
    }
    let resize = Request::Resize {
        exec: None,
        size: Size {
            rows: 10,
            columns: 20,
        },
    };
    assert_eq!(container.client().ask(&resize).unwrap(), Reply::Ok);
    client.send(Kind::Stdin, b"go\n").unwrap();
    while !seen.contains("10 20") {
        seen += &String::from_utf8(client.frame().unwrap().1).unwrap();
    }
    client.send(Kind::Stdin, b"\x04").unwrap();
    assert_eq!(client.output().unwrap().2, 0);
}

#[test]
fn execs_run_beside_with_their_own_streams_and_codes() {
    let container = Box_::new(&["sleep", "1000"]);
    container.try_spawn().unwrap();
    let (_, refused) = container.exec("early", &["true"], OUTPUT, None);
    assert!(
        matches!(
            refused,
            Reply::Error {
                not_running: true,
                ..
            }
        ),
        "{refused:?}"
    );
    container.start();
    let mut watcher = container.client();
    let Reply::State(state) = watcher.ask(&Request::Watch).unwrap() else {
        panic!()
    };
    assert_eq!(state.phase, Phase::Running);

    let (mut client, reply) =
        container.exec("e1", &["sh", "-c", "cat; echo err >&2; exit 9"], ALL, None);
    let Reply::Exec { pid, .. } = reply else {
        panic!("{reply:?}")
    };
    client.send(Kind::Stdin, b"typed").unwrap();
    client.send(Kind::StdinEof, b"").unwrap();
    assert_eq!(
        client.output().unwrap(),
        (b"typed".to_vec(), b"err\n".to_vec(), 9)
    );
    assert_eq!(
        watcher.reply().unwrap(),
        Reply::Event(Event::ExecStarted {
            id: "e1".into(),
            pid
        })
    );
    assert_eq!(
        watcher.reply().unwrap(),
        Reply::Event(Event::ExecExited {
            id: "e1".into(),
            code: 9
        })
    );

    let (_, missing) = container.exec("e2", &["nosuchprogram"], OUTPUT, None);
    assert!(
        matches!(missing, Reply::Error { exit_code: 127, .. }),
        "{missing:?}"
    );

    let (mut tty, _) = container.exec(
        "e3",
        &["stty", "size"],
        ALL,
        Some(Size {
            rows: 5,
            columns: 6,
        }),
    );
    assert_eq!(tty.output().unwrap().0, b"5 6\r\n");

    // A grandchild that keeps the stream open does not keep the exec.
    let (mut client, _) = container.exec(
        "e4",
        &["sh", "-c", "sleep 1000 & echo started"],
        OUTPUT,
        None,
    );
    let began = Instant::now();
    assert_eq!(client.output().unwrap().0, b"started\n");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn signals_reach_the_process_and_the_code_says_so() {
    let container = Box_::new(&[
        "sh",
        "-c",
        "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    container.try_spawn().unwrap();
    let mut client = container.client();
    client.ask(&Request::Attach(OUTPUT)).unwrap();
    container.start();
    assert_eq!(client.frame().unwrap().1, b"ready\n");
    assert_eq!(
        container
            .client()
            .ask(&Request::Signal {
                signal: 15,
                all: false,
                exec: None
            })
            .unwrap(),
        Reply::Ok
    );
    assert_eq!(client.output().unwrap().2, 3);

    let container = Box_::new(&["sleep", "1000"]);
    container.try_spawn().unwrap();
    container.start();
    container
        .client()
        .ask(&Request::Signal {
            signal: 9,
            all: false,
            exec: None,
        })
        .unwrap();
    assert_eq!(
        (container.record().code, container.record().signal),
        (137, Some(9))
    );
}

#[test]
fn a_container_that_was_never_started_ends_when_it_is_killed() {
    let container = Box_::new(&["sleep", "1000"]);
    let spawned = container.try_spawn().unwrap();
    container
        .client()
        .ask(&Request::Signal {
            signal: 9,
            all: false,
            exec: None,
        })
        .unwrap();
    assert_eq!(container.record().started_ns, 0);
    wait("both to end", || {
        [spawned.pid, spawned.shim]
            .iter()
            .all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            .then_some(())
    });
}

#[test]
fn a_watcher_hears_of_the_start_and_the_end_and_then_nothing_is_left() {
    let container = Box_::new(&["sh", "-c", "sleep 0.05; exit 1"]);
    let spawned = container.try_spawn().unwrap();
    let mut watcher = container.client();
    let Reply::State(state) = watcher.ask(&Request::Watch).unwrap() else {
        panic!()
    };
    assert_eq!((state.phase, state.pid), (Phase::Created, spawned.pid));
    container.start();
    assert!(
        matches!(watcher.reply().unwrap(), Reply::Event(Event::Started { started_ns }) if started_ns > 0)
    );
    let Reply::Event(Event::Exited(record)) = watcher.reply().unwrap() else {
        panic!()
    };
    assert_eq!(record, container.record());
    assert!(watcher.reply().is_err(), "the shim stays");
    wait("the shim leaves", || {
        (!Path::new(&format!("/proc/{}", spawned.shim)).exists()).then_some(())
    });
    for hierarchy in container.plan.layout.hierarchies() {
        let path = hierarchy
            .mount()
            .join(container.plan.cgroup.as_ref().unwrap());
        assert!(!path.exists(), "{} stays", path.display());
    }
}

#[test]
fn a_killed_shim_closes_its_connections_and_leaves_no_record() {
    let container = Box_::new(&["sleep", "1000"]);
    let spawned = container.try_spawn().unwrap();
    container.start();
    let mut watcher = container.client();
    watcher.ask(&Request::Watch).unwrap();
    let kill = |pid: i32| {
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
    };
    kill(spawned.shim).unwrap();
    assert!(watcher.reply().is_err());
    assert!(!exit_path(&container.plan.dir).exists());
    kill(spawned.pid).unwrap();
    let cgroup = wharf_runtime::cgroup::Cgroup::open(
        &container.plan.layout,
        container.plan.cgroup.as_ref().unwrap(),
    );
    wait("its cgroup to go", || cgroup.delete().ok());
}

/// Layers of both forms, and the changes of two containers with different maps.
#[test]
fn one_layer_serves_every_map_of_users_and_nothing_is_chowned() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (base, _keep) = layers();
    let mut changes = Vec::new();
    for first in [0_u32, 100_000, 200_000] {
        let mut container = Box_::new(&[
            "sh",
            "-c",
            "id -u; stat -c '%u:%g %a' /etc/mine /etc/webs /etc/outside; echo more >> /etc/webs; \
             rm /etc/gone; mkdir /made; touch /made/file; chown 33:34 /made/file; \
             stat -c '%u:%g' /etc/webs /made/file; mount | head -1 | cut -d' ' -f5",
        ]);
        let held = container.dir.path().join("overlay");
        let (upper, work) = (held.join("upper"), held.join("work"));
        for dir in [&upper, &work] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::fs::set_permissions(&upper, PermissionsExt::from_mode(0o755)).unwrap();
        container.plan.rootfs = PlanRootfs::Overlay {
            upper: upper.clone(),
            work,
        };
        container.plan.layers = vec!["top".into(), "base".into()];
        container.lower = base.iter().map(|fd| fd.try_clone().unwrap()).collect();
        let mut spec = serde_json::to_value(&container.plan.spec).unwrap();
        let all = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"];
        spec["process"]["capabilities"] =
            json!({"bounding": all, "permitted": all, "effective": all});
        if first != 0 {
            let map = json!([{"containerID": 0, "hostID": first, "size": 65536}]);
            let linux = &mut spec["linux"];
            linux["namespaces"]
                .as_array_mut()
                .unwrap()
                .push(json!({"type": "user"}));
            linux["uidMappings"] = map.clone();
            linux["gidMappings"] = map;
        }
        container.plan.spec = serde_json::from_value(spec).unwrap();
        let (out, err, code) = container.run();
        assert_eq!((err.as_str(), code), ("", 0), "{first}: {out}");
        // Nobody, where the layer has a number beyond the map.
        let beyond = if first == 0 {
            "70000:70000"
        } else {
            "65534:65534"
        };
        assert_eq!(
            out,
            format!("0\n0:0 644\n33:34 4755\n{beyond} 644\n33:34\n33:34\noverlay\n")
        );
        let owner = |name: &str| {
            let meta = std::fs::symlink_metadata(upper.join(name)).unwrap();
            (meta.uid(), meta.gid())
        };
        assert!(
            std::fs::symlink_metadata(upper.join("etc/gone"))
                .unwrap()
                .rdev()
                == 0,
            "no whiteout"
        );
        changes.push([
            owner("."),
            owner("made"),
            owner("made/file"),
            owner("etc/webs"),
        ]);
    }
    assert_eq!(changes[0], [(0, 0), (0, 0), (33, 34), (33, 34)]);
    assert!(
        changes.iter().all(|each| *each == changes[0]),
        "{changes:?}"
    );
}
