//! Logs and attachments: every line once, however slow one is and whenever one comes.
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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_attaches_with_the_log_gets_every_byte_once_whenever_he_comes() {
    const LINES: u32 = 8000;
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    // Two writes for each line: most clients come in the middle of one.
    let script = format!(
        "i=0; while [ $i -lt {LINES} ]; do printf \"a$i\"; echo \" b$i\"; i=$((i+1)); done; \
         echo end >&2; exec sleep 1000"
    );
    let id = bench
        .create("talker", |spec| {
            spec.cmd = Some(words(&["sh", "-c", &script]));
        })
        .await;
    let with_log = AttachOptions {
        logs: true,
        ..both()
    };
    let attach = async || bench.engine().attach(&id, with_log.clone()).await.unwrap();
    // Before the start, during the run, and after all was written.
    let mut clients = vec![tokio::spawn(collect(attach().await))];
    bench.engine().start(&id).await.unwrap();
    for _ in 0..20 {
        clients.push(tokio::spawn(collect(attach().await)));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eventually("it has written all", async || {
        let log = std::fs::read_dir(bench.data().join("containers").join(&id).join("log"));
        let mut files = log.into_iter().flatten().flatten();
        files.any(|file| {
            std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("\"end\\n\""))
        })
    })
    .await;
    clients.push(tokio::spawn(collect(attach().await)));
    // One that has not joined by then would wait for the next start.
    eventually("all have joined", async || {
        let story = bench.story().await;
        story.iter().filter(|event| *event == "attach").count() == clients.len()
    })
    .await;
    bench.engine().kill(&id, "KILL").await.unwrap();
    let expected: String = (0..LINES).map(|n| format!("a{n} b{n}\n")).collect();
    for (at, client) in clients.into_iter().enumerate() {
        let collected = tokio::time::timeout(Duration::from_secs(30), client).await;
        let (stdout, stderr) = collected.expect("it ends").unwrap();
        assert!(
            stdout == expected,
            "client {at}: {} of {} bytes",
            stdout.len(),
            expected.len()
        );
        assert_eq!(stderr, "end\n", "client {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_reads_late_has_every_line_though_the_files_are_long_gone() {
    const LINES: u32 = 20_000;
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let script = format!(
        "echo line 0; read go; i=1; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); \
         [ $((i % 100)) = 0 ] && usleep 2000; done; exit 3"
    );
    let id = bench
        .create("", |spec| {
            spec.cmd = Some(words(&["sh", "-c", &script]));
            spec.open_stdin = true;
            // Some thirty-five files are written, and ten of them kept.
            spec.host.log_options = [("max-size", "50k"), ("max-file", "10")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        })
        .await;
    let input = AttachOptions {
        stream: true,
        stdin: true,
        ..AttachOptions::default()
    };
    let typist = bench.engine().attach(&id, input).await.unwrap();
    let wait = bench.engine().wait(&id, WaitCondition::NextExit).await;
    bench.engine().start(&id).await.unwrap();
    let options = LogOptions {
        follow: true,
        stdout: true,
        stderr: true,
        ..LogOptions::default()
    };
    let mut log = bench.engine().logs(&id, options).await.unwrap();
    let first = log.lines.recv().await.unwrap().unwrap();
    assert_eq!(first.data, b"line 0\n");
    let go = Input::Data(b"go\n".to_vec());
    typist.input.as_ref().unwrap().send(go).await.unwrap();
    // It is not read from before the container has ended.
    assert_eq!(wait.unwrap().finished().await.code, 3);
    for n in 1..LINES {
        let line = log.lines.recv().await.expect("a line").unwrap();
        let text = String::from_utf8(line.data).unwrap();
        assert_eq!(text, format!("line {n}\n"));
    }
    assert!(log.lines.recv().await.is_none());
}
