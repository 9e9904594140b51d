//! Bad input: each gives Docker's status and a message that names the thing, changes nothing, and
//! leaves no file outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::time::Duration;

use serde_json::json;
use wharf_tests::{
    Answer, Archive, Client, Daemon, Options, image_archive, layer_tar, raw, request,
};

fn load(daemon: &Daemon, archive: &[u8]) -> Answer {
    request(
        &daemon.socket(),
        "POST",
        "/images/load",
        &[("Content-Type", "application/x-tar")],
        archive,
    )
}

#[track_caller]
fn refuses(daemon: &Daemon, archive: &[u8], word: &str) {
    let answer = load(daemon, archive);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        answer.status >= 400 || text.contains("errorDetail"),
        "it was taken: {text}"
    );
    assert!(
        text.to_lowercase().contains(&word.to_lowercase()),
        "{word:?} is not named in: {text}"
    );
    assert_eq!(
        daemon.docker(&["images", "-aq"]),
        "",
        "something was stored"
    );
    let layers = daemon.layer_files();
    assert!(layers.is_empty(), "left on disk: {layers:?}");
}

#[test]
fn archives_that_are_cut_flipped_or_lie_are_refused_whole() {
    let daemon = Daemon::empty();
    let good = image_archive(
        "x:1",
        &[Archive::new().file("f", 0o644, &[7; 100_000]).finish()],
        &json!({}),
    );
    refuses(&daemon, &good[..good.len() / 2], "");
    refuses(&daemon, b"this is no archive", "");
    refuses(&daemon, &[], "");
    // One bit of the layer.
    let mut flipped = good.clone();
    let at = flipped.windows(64).position(|w| w == [7; 64]).unwrap();
    flipped[at + 5000] ^= 1;
    refuses(&daemon, &flipped, "sha256");
    // Digests that are paths.
    let manifest = json!([{"Config": "../../../../etc/passwd", "RepoTags": ["x:1"], "Layers": []}]);
    refuses(
        &daemon,
        &Archive::new()
            .file("manifest.json", 0o644, manifest.to_string().as_bytes())
            .finish(),
        "passwd",
    );
    // A document that is two things at once.
    let index = json!({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}});
    let confused = Archive::new()
        .file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", 0o644, index.to_string().as_bytes())
        .finish();
    refuses(&daemon, &confused, "");
    daemon.load(&good);
}

#[test]
fn layers_that_climb_out_stay_inside() {
    let daemon = Daemon::empty();
    let canary = daemon.dir().join("canary");
    std::fs::write(&canary, "untouched").unwrap();
    let outside = format!("{}/escaped", daemon.dir().display());
    let layer = Archive::new()
        .symlink("up", "../../../../../../../../..")
        .symlink("abs", "/")
        .symlink("chain", "up/var")
        .file("up/tmp/escaped-by-link", 0o644, b"x")
        .file("chain/tmp/escaped-by-chain", 0o644, b"x")
        .file(&format!("abs{outside}"), 0o644, b"x")
        .finish();
    let text = String::from_utf8_lossy(
        &load(
            &daemon,
            &image_archive("a:1", &[layer_tar(), layer], &json!({})),
        )
        .body,
    )
    .into_owned();
    // Taken (everything lands inside) or refused: either way nothing is outside.
    for path in [
        "/tmp/escaped-by-link",
        "/var/tmp/escaped-by-chain",
        &outside,
    ] {
        assert!(
            !std::path::Path::new(path).exists(),
            "{path} exists: {text}"
        );
    }
    let hard = Archive::new().hardlink("passwd", "/etc/shadow").finish();
    let text =
        String::from_utf8_lossy(&load(&daemon, &image_archive("b:1", &[hard], &json!({}))).body)
            .into_owned();
    assert!(
        text.contains("shadow") || text.contains("errorDetail"),
        "a link to nothing was taken: {text}"
    );
    let dots = Archive::new()
        .file("../../escaped-by-dots", 0o644, b"x")
        .finish();
    load(&daemon, &image_archive("c:1", &[dots], &json!({})));
    assert!(
        !daemon.dir().join("escaped-by-dots").exists()
            && !daemon.data_root().join("escaped-by-dots").exists()
    );
    assert_eq!(std::fs::read_to_string(canary).unwrap(), "untouched");
}

#[test]
fn a_hundred_thousand_entries_load_in_time() {
    let daemon = Daemon::empty();
    let mut layer = Archive::new();
    for n in 0..100_000 {
        layer = layer.file(&format!("d{}/f{n}", n % 100), 0o644, b"");
    }
    daemon.load(&image_archive(
        "many:1",
        &[layer_tar(), layer.finish()],
        &json!({"Cmd": ["sh"]}),
    ));
    assert_eq!(
        daemon.docker(&["run", "--rm", "many:1", "sh", "-c", "ls /d7 | wc -l"]),
        "1000"
    );
}

#[test]
fn json_that_is_not_and_values_that_cannot_be_are_400() {
    let daemon = Daemon::start();
    let post = |body: &str| {
        request(
            &daemon.socket(),
            "POST",
            "/containers/create",
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )
    };
    for body in ["{", "[1,2", "nonsense", ""] {
        let answer = post(body);
        assert_eq!(
            answer.status,
            400,
            "{body:?}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.message();
    }
    for (host, word) in [
        (
            json!({"Memory": 1000}),
            "Minimum memory limit allowed is 6MB",
        ),
        (
            json!({"Memory": 10_000_000, "MemorySwap": 5_000_000}),
            "Minimum memoryswap limit should be larger than memory limit",
        ),
        (json!({"CpuPeriod": -5}), "CPU"),
        (
            json!({"NanoCpus": 900_000_000_000_i64}),
            "ange of CPUs is from 0.01 to",
        ),
        (json!({"ShmSize": -1}), "SHM size"),
        (json!({"Binds": ["/a:b:c:d:e"]}), "invalid"),
        (json!({"Binds": ["/tmp:relative"]}), "relative"),
        (json!({"NetworkMode": "container:nosuch"}), "nosuch"),
        (json!({"PidMode": "nonsense"}), "PID mode"),
        (json!({"CapAdd": ["NOT_A_CAP"]}), "NOT_A_CAP"),
        (
            json!({"Ulimits": [{"Name": "nope", "Soft": 1, "Hard": 1}]}),
            "nope",
        ),
    ] {
        let answer = post(&json!({"Image": "busybox", "HostConfig": host}).to_string());
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            (400..=404).contains(&answer.status),
            "{host}: {} {text}",
            answer.status
        );
        assert!(text.contains(word), "{host}: {text}");
    }
    let answer = post(&json!({"Image": "Busybox"}).to_string());
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .message()
            .contains("repository name (library/Busybox) must be lowercase"),
        "{}",
        answer.message()
    );
    let answer = post(&json!({"Image": "nosuch"}).to_string());
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (404, "No such image: nosuch:latest")
    );
    assert_eq!(daemon.docker(&["ps", "-aq"]), "");
}

#[test]
fn ten_megabytes_of_labels_are_bounded_one_way_or_the_other() {
    let daemon = Daemon::start();
    let body = json!({"Image": "busybox", "Labels": {"big": "x".repeat(10 << 20)}}).to_string();
    let answer = request(
        &daemon.socket(),
        "POST",
        "/containers/create?name=big",
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    );
    assert!(
        [201, 400, 413].contains(&answer.status),
        "{}",
        answer.status
    );
    let endless = format!(
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        u64::MAX / 2
    );
    let text = String::from_utf8_lossy(&raw(
        &daemon.socket(),
        endless.as_bytes(),
        Duration::from_secs(5),
    ))
    .into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    assert_eq!(daemon.get("/_ping").status, 200);
}

#[test]
fn a_full_disk_fails_the_load_and_leaves_nothing() {
    // The layers' directory is a file system of 24 MB: a layer of 64 MB cannot fit.
    let daemon = Daemon::with(wharf_tests::Options {
        prepare: "mkdir -p \"$WHARF_TEST_DIR/data/layers\"; chmod 711 \"$WHARF_TEST_DIR/data\"; \
                  mount -t tmpfs -o size=24m,mode=700 tmpfs \"$WHARF_TEST_DIR/data/layers\""
            .into(),
        ..Default::default()
    });
    let big = image_archive(
        "big:1",
        &[Archive::new().file("f", 0o644, &vec![3; 64 << 20]).finish()],
        &json!({}),
    );
    let answer = load(&daemon, &big);
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    assert!(
        text.contains("no space left on device"),
        "{} {text}",
        answer.status
    );
    assert_eq!(daemon.docker(&["images", "-aq"]), "");
    // There is room for a small one again: the half layer was removed.
    daemon.load(&std::fs::read(wharf_tests::busybox_archive()).unwrap());
}

#[test]
fn requests_that_are_no_http_do_not_hurt() {
    let daemon = Daemon::start();
    for bytes in [
        &b"\0\0\0\0"[..],
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ] {
        raw(&daemon.socket(), bytes, Duration::from_millis(300));
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000));
    raw(&daemon.socket(), long.as_bytes(), Duration::from_secs(2));
    assert_eq!(
        daemon.docker(&["run", "--rm", "busybox", "echo", "alive"]),
        "alive"
    );
}

#[test]
fn an_image_whose_system_directories_are_links_starts_inside_or_not_at_all() {
    let daemon = Daemon::start();
    let marker = daemon.dir().join("outside");
    std::fs::create_dir(&marker).unwrap();
    for (n, (name, target)) in [
        ("proc", "/tmp"),
        ("dev", "/../../../var/tmp"),
        ("sys", "../../.."),
        ("etc", "/root"),
    ]
    .iter()
    .enumerate()
    {
        let layer = Archive::new()
            .dir("bin/", 0o755)
            .file(
                "bin/busybox",
                0o755,
                &std::fs::read("/bin/busybox").unwrap(),
            )
            .symlink("bin/sh", "busybox")
            .dir("root/", 0o755)
            .dir("tmp/", 0o755)
            .dir("var/", 0o755)
            .dir("var/tmp/", 0o755)
            .symlink(name, target)
            .finish();
        let tag = format!("linked:{n}");
        daemon.load(&image_archive(
            &tag,
            &[layer],
            &json!({"Env": ["PATH=/bin"]}),
        ));
        let before: Vec<_> = std::fs::read_dir("/var/tmp")
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .collect();
        let ran = daemon.run(
            Client::Docker,
            &["run", "--rm", &tag, "sh", "-c", "echo ran"],
        );
        assert!(
            ran.code == 0 || ran.code == 125 || ran.code == 127,
            "{name}: {ran:?}"
        );
        for made in ["null", "pts", "hosts", "resolv.conf"] {
            assert!(
                !std::path::Path::new("/var/tmp").join(made).exists()
                    || before.contains(&made.into()),
                "{name} -> {target} made {made} on the host"
            );
        }
    }
}

#[test]
fn a_disk_filled_by_a_container_fails_cp_and_commit_and_is_said() {
    let daemon = Daemon::start_with(Options {
        flags: Vec::new(),
        prepare: "mkdir -p \"$WHARF_TEST_DIR/data\"; \
                  mount -t tmpfs -o size=24m tmpfs \"$WHARF_TEST_DIR/data\""
            .into(),
    });
    let full = "no space left on device";
    let said = |ran: wharf_tests::Ran| {
        assert_ne!(ran.code, 0, "{}", ran.line);
        let text = (ran.stdout + &ran.stderr).to_lowercase();
        // The second is how the database says it.
        assert!(
            text.contains(full) || text.contains("database or disk is full"),
            "{}: {text}",
            ran.line
        );
    };
    // Loading what does not fit.
    let big = vec![0x5a_u8; 40 << 20];
    let layer = Archive::new().file("big", 0o644, &big).finish();
    let archive = daemon.dir().join("big.tar");
    std::fs::write(
        &archive,
        image_archive("big:1", &[layer], &serde_json::json!({})),
    )
    .unwrap();
    said(daemon.run(Client::Docker, &["load", "-i", archive.to_str().unwrap()]));
    assert_eq!(
        daemon.docker(&["images", "--format", "{{.Repository}}"]),
        "busybox"
    );
    // What a container writes is its own trouble, and the container's alone.
    daemon.docker(&["run", "-d", "--name", "filler", "busybox", "sleep", "1000"]);
    let wrote = daemon.run(
        Client::Docker,
        &[
            "exec",
            "filler",
            "sh",
            "-c",
            "dd if=/dev/zero of=/fill bs=64k 2>&1",
        ],
    );
    assert!(
        wrote.code != 0 && wrote.stdout.to_lowercase().contains(full),
        "{}",
        wrote.stdout
    );
    // What is asked of the daemon now fails, and says why.
    let file = daemon.dir().join("two");
    std::fs::write(&file, &big[..2 << 20]).unwrap();
    said(daemon.run(
        Client::Docker,
        &["cp", file.to_str().unwrap(), "filler:/two"],
    ));
    said(daemon.run(Client::Docker, &["commit", "filler", "never:1"]));
    assert_eq!(
        daemon.docker(&["images", "--format", "{{.Repository}}"]),
        "busybox"
    );
    // It answers, and when there is room again all is well.
    assert_eq!(daemon.docker(&["ps", "--format", "{{.Names}}"]), "filler");
    daemon.docker(&["exec", "filler", "rm", "/fill"]);
    assert_eq!(
        daemon.docker(&["run", "--rm", "busybox", "echo", "again"]),
        "again"
    );
    daemon.docker(&["rm", "-f", "filler"]);
}
