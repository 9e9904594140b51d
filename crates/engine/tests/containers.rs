//! Real containers, from creation to removal, through the engine's own face.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use support::{Bench, both, collect, eventually, is_root, words};
use wharf_engine::model::*;
use wharf_engine::{Class, Error};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_and_gives_its_output_and_exit_code() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let ran = bench.run("echo out; echo err >&2; exit 42").await;
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str(), ran.code),
        ("out\n", "err\n", 42)
    );
    eventually("nothing is left of it", async || {
        bench.processes().is_empty()
            && std::fs::read_dir(bench.exec().join("containers"))
                .unwrap()
                .count()
                == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_run_is_journalled_in_order() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("story", |spec| spec.cmd = Some(words(&["true"])))
        .await;
    bench.run_created(&id).await;
    bench.engine().rename("story", "tale").await.unwrap();
    bench
        .engine()
        .remove("tale", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!(
        bench.story().await,
        ["create", "attach", "start", "die", "rename", "destroy"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_run_leaves_the_container_created_with_its_error() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    for (program, code, text) in [
        (
            "nosuchprogram",
            127,
            "exec: \"nosuchprogram\": executable file not found in $PATH",
        ),
        ("/etc/noexec", 126, "permission denied"),
        ("/nowhere", 127, "no such file or directory"),
    ] {
        let id = bench
            .create("", |spec| spec.cmd = Some(words(&[program])))
            .await;
        let error = bench.engine().start(&id).await.unwrap_err();
        assert_eq!(error.class(), Class::InvalidArgument, "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(
            matches!(error, Error::Start { exit_code, .. } if exit_code == code),
            "{error}"
        );
        let state = bench.state(&id).await;
        assert_eq!((state.status, state.exit_code), (Status::Created, code));
        assert!(state.error.contains(text), "{}", state.error);
    }
    assert_eq!(bench.processes(), Vec::<i32>::new());
    assert_eq!(
        std::fs::read_dir(bench.exec().join("containers"))
            .unwrap()
            .count(),
        0,
        "a failed start left its directory"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_asks_first_and_kills_after_the_timeout() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let polite = bench
        .create("polite", |spec| {
            spec.cmd = Some(words(&[
                "sh",
                "-c",
                "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done",
            ]));
        })
        .await;
    let mut attachment = bench.engine().attach(&polite, both()).await.unwrap();
    bench.engine().start(&polite).await.unwrap();
    assert_eq!(attachment.output.recv().await.unwrap().data, b"ready\n");
    bench
        .engine()
        .stop(&polite, StopOptions::default())
        .await
        .unwrap();
    assert_eq!(bench.state(&polite).await.exit_code, 5);
    assert_eq!(collect(attachment).await.0, "bye\n");

    let deaf = bench.sleeper("deaf").await;
    let options = StopOptions {
        timeout: Some(0),
        ..StopOptions::default()
    };
    bench.engine().stop(&deaf, options.clone()).await.unwrap();
    let state = bench.state(&deaf).await;
    assert_eq!((state.status, state.exit_code), (Status::Exited, 137));
    assert_eq!(
        bench
            .engine()
            .stop(&deaf, options)
            .await
            .unwrap_err()
            .class(),
        Class::NotModified
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_a_new_run_on_the_same_files() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("again", |spec| {
            spec.cmd = Some(words(&["sh", "-c", "echo x >> /kept; exec sleep 1000"]));
        })
        .await;
    bench.engine().start(&id).await.unwrap();
    eventually("it wrote once", async || {
        bench.exec_in(&id, &["cat", "/kept"]).await.stdout == "x\n"
    })
    .await;
    let before = bench.state(&id).await;
    let options = StopOptions {
        timeout: Some(0),
        ..StopOptions::default()
    };
    bench.engine().restart(&id, options).await.unwrap();
    let after = bench.state(&id).await;
    assert_eq!(after.status, Status::Running);
    assert!(before.pid != after.pid && before.started_at < after.started_at);
    eventually("it wrote again", async || {
        bench.exec_in(&id, &["cat", "/kept"]).await.stdout == "x\nx\n"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_sends_what_it_is_told_and_refuses_in_dockers_words() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("killed", |spec| {
            spec.cmd = Some(words(&[
                "sh",
                "-c",
                "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done",
            ]));
        })
        .await;
    let mut attachment = bench.engine().attach(&id, both()).await.unwrap();
    let wait = bench
        .engine()
        .wait(&id, WaitCondition::NextExit)
        .await
        .unwrap();
    bench.engine().start(&id).await.unwrap();
    attachment.output.recv().await.unwrap();
    bench.engine().kill(&id, "SIGUSR1").await.unwrap();
    assert_eq!(wait.finished().await.code, 9);
    assert_eq!(
        bench
            .engine()
            .kill("killed", "")
            .await
            .unwrap_err()
            .to_string(),
        format!("cannot kill container: killed: container {id} is not running")
    );
    assert_eq!(
        bench
            .engine()
            .kill("killed", "NOPE")
            .await
            .unwrap_err()
            .to_string(),
        "cannot kill container: killed: invalid signal: NOPE"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_container_stands_still_and_can_be_stopped_or_removed() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    let id = bench.sleeper("paused").await;
    engine.pause("paused").await.unwrap();
    assert_eq!(bench.state("paused").await.status, Status::Paused);
    assert_eq!(
        engine.pause("paused").await.unwrap_err().to_string(),
        format!("Container {id} is already paused")
    );
    let spec = ExecSpec {
        cmd: words(&["true"]),
        ..ExecSpec::default()
    };
    assert!(
        engine
            .exec_create("paused", spec)
            .await
            .unwrap_err()
            .to_string()
            .contains("is paused")
    );
    engine.unpause("paused").await.unwrap();
    assert_eq!(
        bench.exec_in("paused", &["echo", "awake"]).await.stdout,
        "awake\n"
    );
    assert_eq!(
        engine.unpause("paused").await.unwrap_err().to_string(),
        format!("Container {id} is not paused")
    );
    engine.pause("paused").await.unwrap();
    let options = StopOptions {
        timeout: Some(1),
        ..StopOptions::default()
    };
    engine.stop("paused", options).await.unwrap();
    engine.start("paused").await.unwrap();
    engine.pause("paused").await.unwrap();
    let force = RemoveOptions {
        force: true,
        ..RemoveOptions::default()
    };
    engine.remove("paused", force).await.unwrap();
    assert_eq!(bench.processes(), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_follows_dockers_rules_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    let id = bench
        .create("removed", |spec| {
            spec.cmd = Some(words(&["sleep", "1000"]));
            spec.volumes = vec!["/anonymous".into()];
            spec.host.binds = vec!["named:/named".into()];
        })
        .await;
    engine.start("removed").await.unwrap();
    assert_eq!(
        engine
            .remove("removed", RemoveOptions::default())
            .await
            .unwrap_err()
            .to_string(),
        "cannot remove container \"/removed\": container is running: stop the container before removing or force remove"
    );
    let removed = engine
        .wait("removed", WaitCondition::Removed)
        .await
        .unwrap();
    let options = RemoveOptions {
        force: true,
        volumes: true,
        link: false,
    };
    engine.remove("removed", options).await.unwrap();
    assert_eq!(removed.finished().await.code, 137);
    assert_eq!(
        engine.inspect(&id, false).await.unwrap_err().to_string(),
        format!("No such container: {id}")
    );
    let volumes: Vec<String> = engine
        .volume_list(Filters::new())
        .await
        .unwrap()
        .into_iter()
        .map(|volume| volume.name)
        .collect();
    assert_eq!(volumes, ["named"]);
    for dir in [bench.data(), bench.exec()] {
        assert_eq!(
            std::fs::read_dir(dir.join("containers")).unwrap().count(),
            0
        );
    }
    bench.create("removed", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_rm_removes_itself_and_those_who_wait_learn_its_code() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    let id = bench
        .create("", |spec| {
            spec.cmd = Some(words(&["sh", "-c", "exit 7"]));
            spec.host.auto_remove = true;
            spec.volumes = vec!["/v".into()];
        })
        .await;
    let removed = engine.wait(&id, WaitCondition::Removed).await.unwrap();
    engine.start(&id).await.unwrap();
    assert_eq!(removed.finished().await.code, 7);
    assert!(engine.inspect(&id, false).await.is_err());
    assert!(engine.volume_list(Filters::new()).await.unwrap().is_empty());

    // Also one that never came to run.
    let id = bench
        .create("", |spec| {
            spec.cmd = Some(words(&["nosuch"]));
            spec.host.auto_remove = true;
        })
        .await;
    engine.start(&id).await.unwrap_err();
    assert!(engine.inspect(&id, false).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_what_its_specification_says() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let ran = bench
        .run_with(
            "hostname; pwd; id -u; id -G; echo $HOME $FROM_IMAGE $OWN; cat /etc/hostname; grep -c localhost /etc/hosts; df /dev/shm | grep -c 16384",
            |spec| {
                spec.hostname = "box".into();
                spec.working_dir = "/made/here".into();
                spec.user = "user".into();
                spec.env = vec!["OWN=1".into()];
                spec.host.shm_size = 16 << 20;
            },
        )
        .await;
    assert_eq!(
        ran.stdout, "box\n/made/here\n1000\n1000 50\n/home/user yes 1\nbox\n2\n1\n",
        "{ran:?}"
    );
    assert_eq!(ran.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_is_said_and_nothing_is_left() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("", |spec| spec.user = "nobodyknows".into())
        .await;
    let error = bench.engine().start(&id).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("unable to find user nobodyknows: no matching entries in passwd file"),
        "{error}"
    );
    assert_eq!(bench.state(&id).await.exit_code, 128);
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_of_every_kind_are_where_they_should_be() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let host = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::write(host.path().join("file"), "from host\n").unwrap();
    let source = host.path().display().to_string();
    let ran = bench
        .run_with(
            "cat /ro/file; touch /ro/x 2>/dev/null || echo refused; echo kept > /vol/a; cat /vol/from-image; echo t > /tmpfs/x && cat /tmpfs/x; mount | grep -c 'tmpfs on /tmpfs'; ls -d /made",
            |spec| {
                spec.host.binds = vec![
                    format!("{source}:/ro:ro"),
                    format!("{source}/missing:/made"),
                    "vol:/vol".into(),
                ];
                spec.host.tmpfs = [("/tmpfs".to_owned(), "size=1m".to_owned())].into();
                // What the image has at /data is what an empty volume over it begins with.
                spec.host.binds[2] = "vol:/data".into();
                spec.host.binds.push("vol:/vol".into());
            },
        )
        .await;
    assert_eq!(
        ran.stdout, "from host\nrefused\nimage\nt\n1\n/made\n",
        "{ran:?}"
    );
    assert!(host.path().join("missing").is_dir());
    let again = bench
        .run_with("cat /elsewhere/a", |spec| {
            spec.host.binds = vec!["vol:/elsewhere".into()];
        })
        .await;
    assert_eq!(again.stdout, "kept\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_shared_as_asked() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let donor = bench
        .create("donor", |spec| {
            spec.cmd = Some(words(&["sh", "-c", "touch /dev/shm/mine; exec sleep 1000"]));
            spec.host.ipc = NamespaceMode::Shareable;
        })
        .await;
    bench.engine().start(&donor).await.unwrap();
    eventually("it wrote", async || {
        bench.exec_in("donor", &["ls", "/dev/shm"]).await.stdout == "mine\n"
    })
    .await;
    let ran = bench
        .run_with("ls /dev/shm; ps | grep -c 'sleep 1000'; hostname", |spec| {
            spec.host.ipc = NamespaceMode::Container("donor".into());
            spec.host.pid = NamespaceMode::Container("donor".into());
            spec.host.network = NetworkMode::Container("donor".into());
        })
        .await;
    assert!(ran.stdout.starts_with("mine\n"), "{ran:?}");
    let host = bench
        .run_with("hostname", |spec| {
            spec.host.network = NetworkMode::Host;
            spec.host.uts = NamespaceMode::Host;
        })
        .await;
    let own = rustix::system::uname();
    assert_eq!(host.stdout.trim(), own.nodename().to_str().unwrap());

    let options = StopOptions {
        timeout: Some(0),
        ..StopOptions::default()
    };
    bench.engine().stop("donor", options).await.unwrap();
    let late = bench
        .create("late", |spec| {
            spec.host.network = NetworkMode::Container("donor".into());
        })
        .await;
    let error = bench.engine().start(&late).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot join network namespace of a non running container: container donor is exited"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_reaches_the_container_and_its_end_too() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("", |spec| {
            spec.cmd = Some(words(&["wc", "-c"]));
            spec.open_stdin = true;
            spec.stdin_once = true;
        })
        .await;
    let options = AttachOptions {
        stdin: true,
        ..both()
    };
    let mut attachment = bench.engine().attach(&id, options).await.unwrap();
    let input = attachment.input.take().unwrap();
    bench.engine().start(&id).await.unwrap();
    for _ in 0..30 {
        input.send(Input::Data(vec![b'x'; 10_000])).await.unwrap();
    }
    input.send(Input::Close).await.unwrap();
    assert_eq!(collect(attachment).await.0.trim(), "300000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_its_size_and_detach_keys_leave_it_running() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("terminal", |spec| {
            spec.cmd = Some(words(&["sh"]));
            spec.tty = true;
            spec.open_stdin = true;
            spec.host.console_size = (24, 80);
        })
        .await;
    let options = AttachOptions {
        stdin: true,
        ..both()
    };
    let mut attachment = bench.engine().attach(&id, options).await.unwrap();
    assert!(attachment.tty);
    let input = attachment.input.take().unwrap();
    bench.engine().start(&id).await.unwrap();
    bench.engine().resize(&id, 33, 111).await.unwrap();
    let typed = |bytes: &[u8]| input.send(Input::Data(bytes.to_vec()));
    typed(b"stty size; exit_later=1\n").await.unwrap();
    let mut seen = String::new();
    while !seen.contains("33 111") {
        let output = attachment.output.recv().await.expect("it goes on");
        seen.push_str(&String::from_utf8_lossy(&output.data));
    }
    typed(b"\x10\x11").await.unwrap();
    while attachment.output.recv().await.is_some() {}
    assert_eq!(bench.state("terminal").await.status, Status::Running);
    assert!(bench.story().await.contains(&"detach".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_clients_see_the_same_output() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("", |spec| {
            spec.cmd = Some(words(&["seq", "1", "20000"]));
        })
        .await;
    let engine = bench.engine();
    let first = engine.attach(&id, both()).await.unwrap();
    let second = engine.attach(&id, both()).await.unwrap();
    engine.start(&id).await.unwrap();
    let (first, second) = tokio::join!(collect(first), collect(second));
    assert_eq!(first.0.lines().count(), 20_000);
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_by_stream_tail_and_followed_to_the_end() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("logged", |spec| {
            spec.cmd = Some(words(&[
                "sh",
                "-c",
                "echo one; echo two >&2; sleep 0.3; echo three",
            ]));
        })
        .await;
    bench.engine().start(&id).await.unwrap();
    let read = async |options: LogOptions| {
        let mut log = bench.engine().logs("logged", options).await.unwrap();
        let mut text = String::new();
        while let Some(line) = log.lines.recv().await {
            text.push_str(std::str::from_utf8(&line.unwrap().data).unwrap());
        }
        text
    };
    let all = LogOptions {
        stdout: true,
        stderr: true,
        ..LogOptions::default()
    };
    let followed = read(LogOptions {
        follow: true,
        ..all.clone()
    })
    .await;
    assert_eq!(followed.lines().count(), 3, "{followed}");
    assert!(followed.ends_with("three\n"), "{followed}");
    let stderr = LogOptions {
        stderr: true,
        ..LogOptions::default()
    };
    assert_eq!(read(stderr).await, "two\n");
    let tail = LogOptions {
        tail: Some(1),
        ..all.clone()
    };
    assert_eq!(read(tail).await, "three\n");
    let until = LogOptions {
        until: Some(bench.state("logged").await.started_at - 1),
        ..all
    };
    assert_eq!(read(until).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_runs_beside_the_container_and_its_code_is_known_when_its_output_ends() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench.sleeper("execs").await;
    let ran = bench
        .exec_in("execs", &["sh", "-c", "echo out; echo err >&2; exit 3"])
        .await;
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str(), ran.code),
        ("out\n", "err\n", 3)
    );
    let engine = bench.engine();
    let spec = ExecSpec {
        cmd: words(&["nosuchprogram"]),
        attach_stdout: true,
        ..ExecSpec::default()
    };
    let exec = engine.exec_create("execs", spec).await.unwrap();
    let error = engine
        .exec_start(&exec, ExecStart::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nosuchprogram\": executable file not found in $PATH: unknown"
    );
    assert_eq!(
        engine.exec_inspect(&exec).await.unwrap().exit_code,
        Some(127)
    );
    let as_user = ExecSpec {
        cmd: words(&["sh", "-c", "id -u; pwd; echo $A"]),
        user: "user".into(),
        working_dir: "/tmp".into(),
        env: vec!["A=b".into()],
        attach_stdout: true,
        ..ExecSpec::default()
    };
    let exec = engine.exec_create("execs", as_user).await.unwrap();
    let attachment = engine
        .exec_start(&exec, ExecStart::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(collect(attachment).await.0, "1000\n/tmp\nb\n");
    let again = engine.exec_start(&exec, ExecStart::default()).await;
    assert_eq!(again.unwrap_err().class(), Class::Conflict);

    engine.kill(&id, "").await.unwrap();
    eventually("it ended", async || {
        bench.state(&id).await.status == Status::Exited
    })
    .await;
    assert!(engine.exec_inspect(&exec).await.is_err(), "freed with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_exec_is_heard_of_when_it_ends() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    bench.sleeper("detached").await;
    let engine = bench.engine();
    let spec = ExecSpec {
        cmd: words(&["sh", "-c", "exit 4"]),
        ..ExecSpec::default()
    };
    let exec = engine.exec_create("detached", spec).await.unwrap();
    let start = ExecStart {
        detach: true,
        ..ExecStart::default()
    };
    assert!(engine.exec_start(&exec, start).await.unwrap().is_none());
    eventually("its code is known", async || {
        engine.exec_inspect(&exec).await.unwrap().exit_code == Some(4)
    })
    .await;
    let story = bench.story().await;
    let execs: Vec<&String> = story.iter().filter(|a| a.starts_with("exec")).collect();
    assert_eq!(
        execs,
        [
            "exec_create: sh -c exit 4",
            "exec_start: sh -c exit 4",
            "exec_die"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_change_on_a_running_container() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("updated", |spec| {
            spec.cmd = Some(words(&["sleep", "1000"]));
            spec.host.resources.memory = 64 << 20;
            spec.host.resources.pids_limit = Some(50);
        })
        .await;
    let engine = bench.engine();
    engine.start(&id).await.unwrap();
    let limit = async || {
        bench
            .exec_in("updated", &["sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"])
            .await
            .stdout
    };
    assert_eq!(limit().await.trim(), (64 << 20).to_string());
    let update = Update {
        resources: Resources {
            memory: 32 << 20,
            memory_swap: 64 << 20,
            pids_limit: Some(20),
            ..Resources::default()
        },
        ..Update::default()
    };
    engine.update("updated", update).await.unwrap();
    assert_eq!(limit().await.trim(), (32 << 20).to_string());
    let spec = engine.inspect("updated", false).await.unwrap().spec;
    assert_eq!(spec.host.resources.memory, 32 << 20);
    assert_eq!(spec.host.resources.pids_limit, Some(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_does_not_stop_a_start_half_way() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("client", |spec| spec.cmd = Some(words(&["sleep", "1000"])))
        .await;
    let engine = bench.engine().clone();
    let started = tokio::time::timeout(Duration::from_micros(200), engine.start(&id)).await;
    assert!(started.is_err(), "it was too quick to be left");
    eventually("it runs all the same", async || {
        bench.state(&id).await.status == Status::Running
    })
    .await;
    assert_eq!(bench.exec_in(&id, &["echo", "hi"]).await.stdout, "hi\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_containers_start_side_by_side() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(
            bench
                .create(&format!("n{n}"), |spec| {
                    spec.cmd = Some(words(&["true"]));
                })
                .await,
        );
    }
    let mut starts = tokio::task::JoinSet::new();
    for id in ids.clone() {
        let engine = bench.engine().clone();
        starts.spawn(async move {
            let wait = engine.wait(&id, WaitCondition::NextExit).await.unwrap();
            engine.start(&id).await.unwrap();
            wait.finished().await.code
        });
    }
    assert_eq!(starts.join_all().await, vec![0; 10]);
    let report = bench.engine().prune(Filters::new()).await.unwrap();
    assert_eq!(report.deleted.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_reaps_what_the_program_leaves_behind() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let ran = bench
        .run_with(
            // An orphan that nobody reaps stays a zombie, which has its name still: the arguments
            // of the others name it, too.
            "(sleep 0.05 &) ; sleep 0.3; cat /proc/1/comm; ps -o comm | grep -c sleep; exit 8",
            |spec| spec.host.init = Some(true),
        )
        .await;
    assert_eq!(
        (ran.stdout.as_str(), ran.code),
        ("docker-init\n0\n", 8),
        "{ran:?}"
    );
}
