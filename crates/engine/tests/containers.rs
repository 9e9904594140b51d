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
        bench.processes().is_empty() && std::fs::read_dir(bench.exec().join("containers")).unwrap().count() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debugging() {
    let bench = Bench::new().await;
    let ran = bench.run_with("echo out; echo err >&2; exit 42", |s| s.host.security_opt = vec!["seccomp=unconfined".into()]).await;
    eprintln!("{ran:?}");
    let ran = bench.run_with("echo out; echo err >&2; exit 42", |s| s.host.privileged = true).await;
    eprintln!("{ran:?}");
}
