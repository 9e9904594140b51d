//! Files of real containers: copied in and out, compared, exported, committed; and what is read
//! of their processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Bench, is_root, words};
use tokio::sync::mpsc;
use wharf_engine::model::*;
use wharf_engine::stream::{ByteSource, ByteStream};
use wharf_engine::{Class, Error};
use wharf_store::tar::{Entry, Kind, Reader, Writer};

async fn bytes(mut stream: ByteStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.recv().await {
        all.extend(chunk.expect("the archive broke off"));
    }
    all
}

fn source(archive: Vec<u8>) -> ByteSource {
    let (sink, source) = mpsc::channel(16);
    tokio::spawn(async move {
        for chunk in archive.chunks(10_000) {
            if sink.send(Ok(chunk.to_vec())).await.is_err() {
                return;
            }
        }
    });
    source
}

/// Names with contents, links with an arrow.
fn list(archive: &[u8]) -> BTreeMap<String, String> {
    let mut reader = Reader::new(Cursor::new(archive));
    let mut all = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.content(&entry).read_to_end(&mut content).unwrap();
        if entry.kind == Kind::Symlink {
            content = [b"-> ".as_slice(), &entry.link].concat();
        }
        all.insert(
            String::from_utf8(entry.path).unwrap(),
            String::from_utf8_lossy(&content).into_owned(),
        );
    }
    all
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, content) in files {
        let mut entry = Entry::new(*path, Kind::File);
        entry.mode = 0o640;
        (entry.uid, entry.gid) = (1000, 2000);
        entry.size = content.len() as u64;
        writer
            .append(&entry, &mut Cursor::new(content.as_bytes()))
            .unwrap();
    }
    writer.finish().unwrap()
}

async fn put(
    bench: &Bench,
    container: &str,
    path: &str,
    files: &[(&str, &str)],
) -> Result<(), Error> {
    bench
        .engine()
        .archive_put(
            container,
            path,
            PutOptions::default(),
            source(archive(files)),
        )
        .await
}

async fn get(bench: &Bench, container: &str, path: &str) -> BTreeMap<String, String> {
    let (_, stream) = bench.engine().archive_get(container, path).await.unwrap();
    list(&bytes(stream).await)
}

fn with_volume(spec: &mut ContainerSpec) {
    spec.host.binds = vec!["data:/data".into()];
    spec.cmd = Some(words(&["sleep", "1000"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn cp_goes_both_ways_and_sees_volumes_whether_it_runs_or_not() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench.create("both", with_volume).await;
    for running in [false, true] {
        if running {
            bench.engine().start(&id).await.unwrap();
        }
        put(&bench, "both", "/data", &[("in", "volume")])
            .await
            .unwrap();
        put(&bench, "both", "/", &[("opt/made/up", "own"), ("top", "t")])
            .await
            .unwrap();
        assert_eq!(get(&bench, "both", "/data/in").await["in"], "volume");
        let tree = get(&bench, "both", "/opt").await;
        assert_eq!(tree["opt/made/up"], "own");
        assert!(tree.contains_key("opt/"), "{tree:?}");
        let content = get(&bench, "both", "/opt/.").await;
        assert!(content.contains_key("./made/up"), "{content:?}");
        let stat = bench.engine().archive_stat("both", "/opt/made/up").await;
        let stat = stat.unwrap();
        assert_eq!((stat.name.as_str(), stat.size, stat.mode), ("up", 3, 0o640));
        let error = bench
            .engine()
            .archive_stat("both", "/no/such")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Could not find the file /no/such in container both"
        );
    }
    let seen = bench
        .exec_in(
            "both",
            &[
                "sh",
                "-c",
                "cat /data/in /opt/made/up; busybox stat -c %u:%g /top",
            ],
        )
        .await;
    assert_eq!(seen.stdout, "volumeown1000:2000\n");
    // What only its processes have is seen, too; the kernel's own is not.
    bench
        .exec_in("both", &["sh", "-c", "echo shared > /dev/shm/x"])
        .await;
    assert_eq!(get(&bench, "both", "/dev/shm/x").await["x"], "shared\n");
    let error = bench.engine().archive_stat("both", "/proc/version").await;
    assert_eq!(error.unwrap_err().class(), Class::NotFound);
    let root = get(&bench, "both", "/").await;
    assert!(root.contains_key("/data/in") && root.contains_key("/proc/"));
    let inside = |path: &str| {
        root.keys()
            .any(|name| name.starts_with(path) && name != path)
    };
    assert!(!inside("/proc/") && !inside("/sys/") && !inside("/dev/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_copy_from_a_stopped_container() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench.create("down", with_volume).await;
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    put(&bench, "down", "/data", &[("f", "x")]).await.unwrap();
    get(&bench, "down", "/").await;
    assert_eq!(mounts(), before);
    let dir = bench.data().join("containers").join(&id);
    support::eventually("the scratch directories are removed", async || {
        !std::fs::read_dir(&dir).unwrap().any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().starts_with("copy-")
        })
    })
    .await;
    // It starts as if nothing had been.
    bench.engine().start(&id).await.unwrap();
    assert_eq!(bench.exec_in(&id, &["cat", "/data/f"]).await.stdout, "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_only_is_not_written_to() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    bench
        .create("ro", |spec| {
            spec.cmd = Some(words(&["sleep", "1000"]));
            spec.host.readonly_rootfs = true;
            spec.host.binds = vec!["rw:/rw".into(), "ro:/ro:ro".into()];
        })
        .await;
    for running in [false, true] {
        if running {
            bench.engine().start("ro").await.unwrap();
        }
        for (path, text) in [
            ("/etc", "container rootfs is marked read-only"),
            ("/ro", "mounted volume is marked read-only"),
        ] {
            let error = put(&bench, "ro", path, &[("f", "x")]).await.unwrap_err();
            assert_eq!(error.to_string(), text, "{path} {running}");
            assert_eq!(error.class(), Class::Forbidden);
        }
        put(&bench, "ro", "/rw", &[("f", "x")]).await.unwrap();
        // Past the rule by a name: the mounts themselves refuse.
        let around = put(&bench, "ro", "/rw", &[("../ro/f", "x")]).await;
        assert!(around.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2018_15664_a_container_that_swaps_links_while_it_is_copied_from_and_to() {
    const COPIES: usize = 200;
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let canary = bench.data().join("canary");
    std::fs::write(&canary, "canary").unwrap();
    let outside = bench.data().display().to_string();
    let script = format!(
        "mkdir /swap; busybox ln -s {outside} /away; while :; do busybox mv -T /swap /x; busybox mv -T /away /swap; busybox mv -T /x /away; done 2>/dev/null"
    );
    bench
        .create("racer", |spec| {
            spec.cmd = Some(words(&["sh", "-c", &script]));
        })
        .await;
    bench.engine().start("racer").await.unwrap();
    let found = AtomicBool::new(false);
    for _ in 0..COPIES {
        let _ = put(
            &bench,
            "racer",
            "/swap",
            &[("canary", "overwritten"), ("new", "x")],
        )
        .await;
        if let Ok((_, stream)) = bench.engine().archive_get("racer", "/swap/canary").await {
            let mut stream = stream;
            while let Some(Ok(chunk)) = stream.recv().await {
                let text = String::from_utf8_lossy(&chunk).into_owned();
                found.fetch_or(text.contains("\0canary\0"), Ordering::Relaxed);
            }
        }
    }
    assert!(!found.load(Ordering::Relaxed));
    assert_eq!(std::fs::read(&canary).unwrap(), b"canary");
    assert!(!bench.data().join("new").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_shows_what_the_container_did_and_nothing_else() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench
        .create("diff", |spec| {
            spec.cmd = Some(words(&[
                "sh",
                "-c",
                "echo x > /etc/new; rm /etc/passwd; mkdir -p /made/deep; chmod 700 /bin; echo v > /vol/file; sleep 1000",
            ]));
            spec.host.binds = vec!["named:/vol".into()];
        })
        .await;
    let engine = bench.engine();
    assert!(engine.changes(&id).await.unwrap().is_empty());
    let idle = bench.sleeper("idle").await;
    assert!(engine.changes(&idle).await.unwrap().is_empty());
    engine.start(&id).await.unwrap();
    let lines = async || -> Vec<String> {
        let changes = engine.changes(&id).await.unwrap();
        changes
            .into_iter()
            .map(|change| format!("{:?} {}", change.kind, change.path))
            .collect()
    };
    let expected = [
        "Modified /bin",
        "Modified /etc",
        "Added /etc/new",
        "Deleted /etc/passwd",
        "Added /made",
        "Added /made/deep",
        "Added /vol",
    ];
    support::eventually("the script is done", async || {
        lines().await.len() == expected.len()
    })
    .await;
    assert_eq!(lines().await, expected);
    engine.kill(&id, "").await.unwrap();
    support::eventually("it ended", async || {
        bench.state(&id).await.status == Status::Exited
    })
    .await;
    assert_eq!(lines().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_containers_own_files_and_nothing_that_is_mounted() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let id = bench.create("export", with_volume).await;
    put(&bench, &id, "/data", &[("in-volume", "v")])
        .await
        .unwrap();
    put(&bench, &id, "/", &[("own", "o")]).await.unwrap();
    for running in [false, true] {
        if running {
            bench.engine().start(&id).await.unwrap();
        }
        let stream = bench.engine().export(&id).await.unwrap();
        let exported = list(&bytes(stream).await);
        assert_eq!(exported["own"], "o");
        assert!(exported.contains_key("bin/busybox"), "{running}");
        assert!(exported.contains_key("data/"), "{running}");
        assert!(!exported.contains_key("data/in-volume"), "{running}");
        let mounted = exported
            .keys()
            .any(|name| name.starts_with("proc/") && name != "proc/");
        assert!(!mounted, "{running}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_holds_what_changed_and_what_was_asked_for() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    let id = bench
        .create("work", |spec| {
            spec.cmd = Some(words(&["sleep", "1000"]));
            spec.env = vec!["A=1".into()];
        })
        .await;
    engine.start(&id).await.unwrap();
    bench
        .exec_in(&id, &["sh", "-c", "echo text > /new; rm /etc/passwd"])
        .await;
    let options = CommitOptions {
        name: Some("made:1".parse().unwrap()),
        author: "me".into(),
        comment: "why".into(),
        pause: true,
        changes: vec!["ENV B=2".into(), r#"CMD ["cat", "/new"]"#.into()],
        config: None,
    };
    let image = engine.image_commit(&id, options).await.unwrap();
    assert_eq!(bench.state(&id).await.status, Status::Running);
    let made = engine.image_inspect("made:1", None).await.unwrap();
    assert_eq!(made.id, image);
    assert_eq!(
        (made.config.author.as_str(), made.config.comment.as_str()),
        ("me", "why")
    );
    let run = made.config.run_config();
    assert!(run.env.contains(&"A=1".to_owned()) && run.env.contains(&"B=2".to_owned()));
    let ran = bench
        .run_with("", |spec| {
            spec.image = "made:1".into();
            spec.cmd = None;
        })
        .await;
    assert_eq!((ran.stdout.as_str(), ran.code), ("text\n", 0));
    let ran = bench
        .run_with("ls /etc/passwd", |spec| spec.image = "made:1".into())
        .await;
    assert_ne!(ran.code, 0);
    // Nothing of what a start puts into a container.
    let layer = *made.diff_ids().last().unwrap();
    let history = engine.image_history("made:1", None).await.unwrap();
    assert_eq!(history[0].comment, "why");
    let saved = bytes(
        engine
            .image_save(vec!["made:1".into()], None)
            .await
            .unwrap(),
    )
    .await;
    let mut reader = Reader::new(Cursor::new(saved.as_slice()));
    let wanted = format!("blobs/sha256/{}", layer.0.hex());
    let mut names = None;
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.path == wanted.as_bytes() {
            let mut content = Vec::new();
            reader.content(&entry).read_to_end(&mut content).unwrap();
            names = Some(list(&content).into_keys().collect::<Vec<_>>());
        }
    }
    assert_eq!(names.unwrap(), ["etc/", "etc/.wh.passwd", "new"]);
    let actions = bench.story().await;
    for action in ["pause", "commit", "unpause"] {
        assert!(actions.iter().any(|a| a == action), "{action}: {actions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_out_and_in_again_and_errors_come_before_the_stream() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    let error = engine
        .image_save(vec!["no-such".into()], None)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::NotFound, "{error}");
    let before = engine.image_inspect("busybox", None).await.unwrap();
    let saved = bytes(
        engine
            .image_save(vec!["busybox".into()], None)
            .await
            .unwrap(),
    )
    .await;
    let removed = engine
        .image_remove("busybox", ImageRemoveOptions::default())
        .await
        .unwrap();
    assert!(removed.len() >= 2, "{removed:?}");
    assert!(engine.image_inspect("busybox", None).await.is_err());
    let mut lines = engine
        .image_load(source(saved), wharf_images::LoadOptions::default())
        .await
        .unwrap();
    let mut said = String::new();
    while let Some(line) = lines.recv().await {
        if let ProgressLine::Message(text) = line.unwrap() {
            said.push_str(&text);
        }
    }
    assert_eq!(said, "Loaded image: busybox:latest\n");
    let after = engine.image_inspect("busybox", None).await.unwrap();
    assert_eq!(after.diff_ids(), before.diff_ids());
    let mut lines = engine
        .image_load(
            source(vec![0x5a; 4096]),
            wharf_images::LoadOptions::default(),
        )
        .await
        .unwrap();
    let mut failed = false;
    while let Some(line) = lines.recv().await {
        failed |= line.is_err();
    }
    assert!(failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_use_stays_and_lines_count_its_containers() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    bench.sleeper("user").await;
    let error = engine
        .image_remove("busybox", ImageRemoveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Conflict, "{error}");
    let lines = engine
        .image_list(ImageListOptions::default())
        .await
        .unwrap();
    assert_eq!(lines[0].containers, 1);
    let unknown = ImageListOptions {
        filters: [("nope".to_owned(), vec![String::new()])].into(),
        ..ImageListOptions::default()
    };
    let error = engine.image_list(unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid filter 'nope'");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_and_stats_tell_of_the_containers_processes_alone() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    bench
        .create("busy", |spec| {
            spec.cmd = Some(words(&["sh", "-c", "sleep 1234 & while :; do :; done"]));
            spec.host.resources.memory = 64 << 20;
        })
        .await;
    let error = engine.top("busy", "").await.unwrap_err();
    assert_eq!(error.class(), Class::Conflict);
    let stopped = engine.stats("busy", false).await.unwrap();
    assert_eq!((stopped.read_ns, stopped.now.pids), (0, 0));
    engine.start("busy").await.unwrap();
    support::eventually("both processes are there", async || {
        engine.top("busy", "").await.unwrap().processes.len() == 2
    })
    .await;
    let top = engine.top("busy", "-eo pid,ppid,user,args").await.unwrap();
    assert_eq!(top.titles, ["PID", "PPID", "USER", "COMMAND"]);
    let (shell, sleeper) = (&top.processes[0], &top.processes[1]);
    assert_eq!(shell[0], bench.state("busy").await.pid.to_string());
    assert_eq!(sleeper[1], shell[0]);
    assert_eq!(
        (sleeper[2].as_str(), sleeper[3].as_str()),
        ("root", "sleep 1234")
    );
    let sample = engine.stats("busy", false).await.unwrap();
    let previous = sample.previous.as_deref().unwrap();
    assert!(sample.read_ns > sample.preread_ns && sample.preread_ns > 0);
    assert!(sample.now.cpu.total_ns > previous.cpu.total_ns);
    assert!(sample.now.system_cpu_ns > previous.system_cpu_ns);
    assert!(sample.now.online_cpus > 0 && sample.now.pids == 2);
    assert_eq!(sample.now.memory.limit, 64 << 20);
    assert!(sample.now.memory.usage > 0 && !sample.now.memory.details.is_empty());
    let mut stream = engine.stats_stream("busy").await.unwrap();
    assert!(stream.recv().await.unwrap().previous.is_none());
    assert!(stream.recv().await.unwrap().previous.is_some());
    let force = RemoveOptions {
        force: true,
        ..RemoveOptions::default()
    };
    engine.remove("busy", force).await.unwrap();
    while stream.recv().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn df_and_info_tell_the_truth() {
    if !is_root() {
        return;
    }
    let bench = Bench::new().await;
    let engine = bench.engine();
    bench.create("one", with_volume).await;
    put(&bench, "one", "/", &[("own", "12345")]).await.unwrap();
    put(&bench, "one", "/data", &[("f", "1234567")])
        .await
        .unwrap();
    let usage = engine
        .df(DfQuery {
            containers: true,
            images: true,
            volumes: true,
        })
        .await
        .unwrap();
    let container = &usage.containers.unwrap()[0];
    assert_eq!(container.size.unwrap().writable, 5);
    let volume = &usage.volumes.unwrap()[0];
    // With what the image has there.
    assert_eq!((volume.size, volume.references), (7 + 6, 1));
    let image = &usage.images.unwrap()[0];
    assert_eq!(image.image.shared_size, Some(0));
    assert_eq!(usage.layers_size, i64::try_from(image.image.size).unwrap());
    let none = engine.df(DfQuery::default()).await.unwrap();
    assert!(none.images.is_none() && none.containers.is_none() && none.volumes.is_none());
    let info = engine.info().await.unwrap();
    assert_eq!((info.running, info.stopped, info.images), (0, 1, 1));
    assert!(info.memory > 0 && info.cpus > 0 && !info.kernel.is_empty());
}
