//! What survives the daemon, and what the daemon finds when it comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use support::{Bench, both, collect, eventually, is_root, words};
use wharf_engine::model::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_held_again_with_all_of_its_output() {
    if !is_root() {
        return;
    }
    let mut bench = Bench::new().await;
    let id = bench
        .create("on", |spec| {
            spec.cmd = Some(words(&[
                "sh",
                "-c",
                "n=0; while [ ! -e /stop ]; do n=$((n+1)); echo $n; sleep 0.01; done; echo last; exit 6",
            ]));
        })
        .await;
    bench.engine().start(&id).await.unwrap();
    let before = bench.state(&id).await;
    bench.reopen().await;
    let after = bench.state(&id).await;
    assert_eq!(
        (after.status, after.pid, after.started_at),
        (Status::Running, before.pid, before.started_at)
    );
    let attachment = bench.engine().attach(&id, both()).await.unwrap();
    let wait = bench
        .engine()
        .wait(&id, WaitCondition::NotRunning)
        .await
        .unwrap();
    assert_eq!(bench.exec_in(&id, &["touch", "/stop"]).await.code, 0);
    assert_eq!(wait.finished().await.code, 6);
    assert!(collect(attachment).await.0.ends_with("last\n"));
    let options = LogOptions {
        stdout: true,
        ..LogOptions::default()
    };
    let mut log = bench.engine().logs(&id, options).await.unwrap();
    let mut expected = 0;
    while let Some(line) = log.lines.recv().await {
        let text = String::from_utf8(line.unwrap().data).unwrap();
        expected += 1;
        if text != "last\n" {
            assert_eq!(text.trim(), expected.to_string(), "a line is missing");
        }
    }
    assert!(expected > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_nobody_saw_is_told_with_its_true_time_and_code() {
    if !is_root() {
        return;
    }
    let mut bench = Bench::new().await;
    let id = bench
        .create("gone", |spec| {
            spec.cmd = Some(words(&["sh", "-c", "sleep 0.2; exit 9"]));
        })
        .await;
    let leaving = bench
        .create("leaving", |spec| {
            spec.cmd = Some(words(&["sleep", "0.2"]));
            spec.host.auto_remove = true;
        })
        .await;
    bench.engine().start(&id).await.unwrap();
    bench.engine().start(&leaving).await.unwrap();
    let exits =
        [&id, &leaving].map(|id| bench.exec().join("containers").join(id).join("exit.json"));
    bench
        .reopen_after(async || {
            eventually("both have ended", async || {
                exits.iter().all(|path| path.exists())
            })
            .await;
        })
        .await;
    let state = bench.state(&id).await;
    assert_eq!((state.status, state.exit_code), (Status::Exited, 9));
    assert!(state.finished_at - state.started_at >= 200_000_000);
    eventually("the one with --rm is gone", async || {
        bench.engine().inspect(&leaving, false).await.is_err()
    })
    .await;
    let story = bench.story().await;
    assert_eq!(story.iter().filter(|action| *action == "die").count(), 2);
    assert_eq!(
        story.iter().filter(|action| *action == "destroy").count(),
        1
    );
    // And it can be run again.
    bench.engine().start(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_shim_is_killed_is_reported_dead_and_its_processes_go() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench.sleeper("orphan").await;
    let wait = bench
        .engine()
        .wait(&id, WaitCondition::NextExit)
        .await
        .unwrap();
    bench.kill_shim(&id).await;
    let result = wait.finished().await;
    assert_eq!(result.code, 137);
    assert_eq!(
        result.error.unwrap(),
        "the shim of the container was killed"
    );
    assert_eq!(bench.processes(), Vec::<i32>::new());
    bench.engine().start(&id).await.unwrap();
    assert_eq!(bench.state(&id).await.error, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shim_that_is_killed_while_no_daemon_runs_is_found_out() {
    if !is_root() {
        return;
    }
    let mut bench = Bench::new().await;
    let id = bench.sleeper("orphan").await;
    let shim = bench.shim_of(&id).await;
    bench
        .reopen_after(async || {
            support::kill(shim);
            eventually("the shim is gone", async || {
                !std::path::Path::new(&format!("/proc/{shim}")).exists()
            })
            .await;
        })
        .await;
    let state = bench.state(&id).await;
    assert_eq!((state.status, state.exit_code), (Status::Exited, 137));
    assert_eq!(bench.processes(), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_containers_that_do_not_run_are_there_at_once() {
    if !is_root() {
        return;
    }
    let mut bench = Bench::new().await;
    for n in 0..200 {
        bench.create(&format!("c{n}"), |_| {}).await;
    }
    bench.reopen().await;
    let options = ListOptions {
        all: true,
        ..ListOptions::default()
    };
    let listed = bench.engine().list(options).await.unwrap();
    assert_eq!(listed.len(), 200);
    assert_eq!(listed[0].names, ["/c199"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_volumes_and_events_are_there_after_a_restart() {
    if !is_root() {
        return;
    }
    let mut bench = Bench::new().await;
    let id = bench
        .create("first", |spec| {
            spec.host.binds = vec!["data:/data".into()];
        })
        .await;
    bench.engine().rename("first", "second").await.unwrap();
    let story = bench.story().await;
    bench.reopen().await;
    assert_eq!(bench.story().await, story);
    let view = bench.engine().inspect("second", false).await.unwrap();
    assert_eq!((view.id, view.mounts[0].name.as_str()), (id, "data"));
    let conflict = bench.try_create("second", |_| {}).await.unwrap_err();
    assert!(conflict.to_string().starts_with("Conflict."), "{conflict}");
    let used = bench.engine().volume_remove("data", false).await;
    assert!(used.unwrap_err().to_string().contains("volume is in use"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_of_a_removed_container_is_swept() {
    if !is_root() {
        return;
    }
    let mut bench = Bench::new().await;
    let left = bench.data().join("containers").join("a".repeat(64));
    std::fs::create_dir_all(left.join("upper/etc")).unwrap();
    bench.reopen().await;
    eventually("it is swept", async || !left.exists()).await;
}
