//! Volumes that are more than a directory: parts of one, memory, other directories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use wharf_tests::{Client, Daemon, eventually};

/// What the host's namespace, which is the daemon's, has mounted.
fn mounts(daemon: &Daemon) -> String {
    fs::read_to_string(format!("/proc/{}/mounts", daemon.pid())).unwrap()
}

#[test]
fn a_part_of_a_volume_is_mounted_and_no_path_leads_out_of_it() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/d",
        "busybox",
        "sh",
        "-c",
        "mkdir -p /d/a/b; echo in > /d/a/b/f; echo one > /d/file; ln -s a/b /d/inside; \
         ln -s /etc /d/absolute; ln -s ../../../../.. /d/a/up",
    ]);
    let part = |subpath: &str, rest: &[&str]| {
        let mount = format!("type=volume,src=data,dst=/x,volume-subpath={subpath}");
        let mut args = vec!["run", "--rm", "--mount", &mount, "busybox"];
        args.extend(rest);
        daemon.run(Client::Docker, &args)
    };
    assert_eq!(part("a/b", &["cat", "/x/f"]).ok(), "in");
    assert_eq!(
        part("inside", &["sh", "-c", "cat /x/f; echo more > /x/g"]).ok(),
        "in"
    );
    assert_eq!(part("file", &["cat", "/x"]).ok(), "one");
    let held = daemon.docker(&["run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/a/b/g"]);
    assert_eq!(held, "more");
    for (subpath, why) in [
        ("absolute", "path concatenation escapes the base directory"),
        ("a/up", "path concatenation escapes the base directory"),
        ("a/up/etc", "path concatenation escapes the base directory"),
        (
            "../_data",
            "subpath must be a relative path within the volume",
        ),
        ("/a", "subpath must be a relative path within the volume"),
        ("nothing/here", "cannot access path"),
    ] {
        let ran = part(subpath, &["ls", "/x"]);
        // docker's CLI makes 127 of "no such file or directory".
        assert!(matches!(ran.code, 125 | 127), "{}", ran.code);
        let text = ran.stderr;
        assert!(text.contains(why), "{subpath}: {text}");
    }
    // cp sees the same part of a container that does not run.
    daemon.docker(&[
        "create",
        "--name",
        "box-c",
        "--mount",
        "type=volume,src=data,dst=/x,volume-subpath=a/b",
        "busybox",
    ]);
    let out = daemon.dir().join("f");
    daemon.docker(&["cp", "box-c:/x/f", out.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(out).unwrap(), "in\n");
}

#[test]
fn a_link_that_is_swapped_while_containers_start_never_shows_the_host() {
    let daemon = Daemon::start();
    daemon.docker(&["volume", "create", "race"]);
    let data = daemon.data_root().join("volumes/race/_data");
    fs::create_dir_all(data.join("good")).unwrap();
    fs::write(data.join("good/mine"), "").unwrap();
    let swapping = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while swapping.load(std::sync::atomic::Ordering::Relaxed) {
                for target in ["/etc", "good"] {
                    let _ = fs::remove_file(data.join("new"));
                    symlink(target, data.join("new")).unwrap();
                    fs::rename(data.join("new"), data.join("part")).unwrap();
                }
            }
        });
        let mut seen = 0;
        for _ in 0..12 {
            let ran = daemon.run(
                Client::Docker,
                &[
                    "run",
                    "--rm",
                    "--mount",
                    "type=volume,src=race,dst=/x,volume-nocopy,volume-subpath=part",
                    "busybox",
                    "ls",
                    "/x",
                ],
            );
            if ran.code == 0 {
                assert_eq!(ran.ok(), "mine");
                seen += 1;
            } else {
                let text = ran.stderr;
                assert!(
                    text.contains("escapes the base") || text.contains("cannot access"),
                    "{text}"
                );
            }
        }
        swapping.store(false, std::sync::atomic::Ordering::Relaxed);
        println!("{seen} of 12 found the right one");
    });
}

#[test]
fn a_volume_can_be_another_directory_and_leaves_no_mount_behind() {
    let daemon = Daemon::start();
    let host = daemon.dir().join("other");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("f"), "theirs\n").unwrap();
    let device = format!("device={}", host.display());
    let before = mounts(&daemon);
    daemon.docker(&[
        "volume",
        "create",
        "-d",
        "local",
        "-o",
        "type=none",
        "-o",
        "o=bind",
        "-o",
        &device,
        "other",
    ]);
    assert_eq!(
        daemon.docker(&["volume", "inspect", "-f", "{{json .Options}}", "other"]),
        json!({"device": host, "o": "bind", "type": "none"}).to_string()
    );
    let out = daemon.docker(&[
        "run",
        "-d",
        "--name",
        "box-c",
        "-v",
        "other:/o",
        "busybox",
        "sh",
        "-c",
        "cat /o/f; echo ours > /o/g; sleep 1000",
    ]);
    assert_eq!(out.len(), 64);
    eventually("its file", || {
        fs::read_to_string(host.join("g"))
            .ok()
            .filter(|t| !t.is_empty())
    });
    eventually("its output", || {
        (daemon.docker(&["logs", "box-c"]) == "theirs").then_some(())
    });
    assert_eq!(mounts(&daemon), before);
    daemon.docker(&["rm", "-f", "box-c"]);
    // Removing the volume removes our record of it, nothing of theirs.
    daemon.docker(&["volume", "rm", "other"]);
    assert!(host.join("f").exists() && host.join("g").exists());
    let gone = format!("device={}/gone", host.display());
    daemon.docker(&[
        "volume",
        "create",
        "-o",
        "type=none",
        "-o",
        "o=bind",
        "-o",
        &gone,
        "lost",
    ]);
    let text = daemon
        .run(
            Client::Docker,
            &["run", "--rm", "-v", "lost:/o", "busybox", "true"],
        )
        .fails(127);
    assert!(
        text.contains("failed to mount local volume: mount")
            && text.contains("no such file or directory"),
        "{text}"
    );
}

#[test]
fn a_volume_in_memory_is_shared_by_those_that_run_and_gone_after_the_last() {
    let daemon = Daemon::start();
    let before = mounts(&daemon);
    daemon.docker(&[
        "volume",
        "create",
        "--opt",
        "type=tmpfs",
        "--opt",
        "device=tmpfs",
        "--opt",
        "o=size=1m,uid=1000",
        "memory",
    ]);
    let ids: Vec<String> = std::thread::scope(|scope| {
        let starting: Vec<_> = ["box-a", "box-b", "box-c"]
            .into_iter()
            .map(|name| {
                let daemon = &daemon;
                scope.spawn(move || {
                    daemon.docker(&[
                        "run",
                        "-d",
                        "--name",
                        name,
                        "-v",
                        "memory:/m",
                        "busybox",
                        "sleep",
                        "1000",
                    ])
                })
            })
            .collect();
        starting
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 3);
    daemon.docker(&["exec", "box-a", "sh", "-c", "echo shared > /m/f"]);
    for name in ["box-b", "box-c"] {
        assert_eq!(daemon.docker(&["exec", name, "cat", "/m/f"]), "shared");
    }
    let seen = daemon.docker(&[
        "exec",
        "box-a",
        "sh",
        "-c",
        "stat -c '%u %a' /m; df -k /m | tail -1 | awk '{print $2}'",
    ]);
    assert_eq!(seen, "1000 1777\n1024");
    assert_eq!(mounts(&daemon), before);
    daemon.docker(&["rm", "-f", "box-a", "box-b", "box-c"]);
    let out = daemon.docker(&["run", "--rm", "-v", "memory:/m", "busybox", "ls", "/m"]);
    assert_eq!(out, "", "nobody had it any more");
}

#[test]
fn driver_options_and_drivers_are_refused_in_dockers_words() {
    let daemon = Daemon::start();
    for (args, why) in [
        (
            vec!["-o", "foo=1", "vol"],
            "create vol: invalid option: \"foo\"",
        ),
        (
            vec!["-o", "type=tmpfs", "vol"],
            "create vol: missing required option: \"device\"",
        ),
        (
            vec!["-d", "zfs", "vol"],
            "create vol: error looking up volume plugin zfs: plugin \"zfs\" not found",
        ),
    ] {
        let mut all = vec!["volume", "create"];
        all.extend(args);
        let text = daemon.run(Client::Docker, &all).fails(1);
        assert_eq!(text.trim(), format!("Error response from daemon: {why}"));
    }
    let text = daemon
        .run(
            Client::Docker,
            &[
                "create",
                "--mount",
                "type=volume,src=vol,dst=/v,volume-driver=zfs",
                "busybox",
            ],
        )
        .fails(1);
    assert!(text.contains("plugin \"zfs\" not found"), "{text}");
    daemon.docker(&[
        "create",
        "--name",
        "box-m",
        "--mount",
        "type=volume,dst=/v,volume-opt=type=tmpfs,volume-opt=device=tmpfs,\
         \"volume-opt=o=size=64k,mode=700\",src=made",
        "busybox",
        "stat",
        "-c",
        "%a",
        "/v",
    ]);
    assert_eq!(daemon.docker(&["start", "-a", "box-m"]), "700");
    let answer = wharf_tests::request(&daemon.socket(), "PUT", "/volumes/made", &[], b"{}");
    assert_eq!(answer.status, 503, "{}", answer.message());
}

#[test]
fn anonymous_volumes_go_with_rm_v_and_run_rm_and_named_ones_stay() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run", "--rm", "-v", "/anon", "-v", "kept:/k", "busybox", "true",
    ]);
    eventually("only the named one is left", || {
        (daemon.docker(&["volume", "ls", "-q"]) == "kept").then_some(())
    });
    daemon.docker(&[
        "create", "--name", "box-c", "-v", "/anon", "-v", "kept:/k", "busybox",
    ]);
    daemon.docker(&["rm", "box-c"]);
    let left = daemon.docker(&["volume", "ls", "-q", "-f", "driver=local"]);
    assert_eq!(left.lines().count(), 2, "without -v both stay");
    assert_eq!(
        daemon.docker(&["volume", "ls", "-q", "-f", "driver=zfs"]),
        ""
    );
    daemon.docker(&["volume", "create", "--label", "keep=yes", "labelled"]);
    daemon.docker(&["volume", "prune", "-af", "--filter", "label!=keep=yes"]);
    assert_eq!(daemon.docker(&["volume", "ls", "-q"]), "labelled");
    daemon.docker(&["volume", "prune", "-af", "--filter", "label=keep=yes"]);
    assert_eq!(daemon.docker(&["volume", "ls", "-q"]), "");
}
