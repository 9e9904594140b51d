//! Files: cp both ways, volumes, binds, tmpfs, ownership.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use wharf_tests::{Archive, Client, Daemon, image_archive, layer_tar};

const CLIENTS: [Client; 3] = [Client::Docker, Client::Docker20, Client::Wharf];

#[test]
fn cp_goes_both_ways_for_running_and_stopped_containers() {
    let daemon = Daemon::start();
    let here = daemon.dir().join("here");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(here.join("f"), "from the host").unwrap();
    std::fs::set_permissions(here.join("f"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("f", here.join("link")).unwrap();
    daemon.docker(&["run", "-d", "--name", "up", "busybox", "sleep", "1000"]);
    daemon.docker(&["create", "--name", "down", "busybox"]);
    for client in CLIENTS {
        for name in ["up", "down"] {
            let what = format!("{client:?} {name}");
            let dir = here.to_str().unwrap();
            // A directory to a name that is not there becomes it; to one that is there goes below it.
            daemon
                .run(client, &["cp", dir, &format!("{name}:/copied{client:?}")])
                .ok();
            daemon
                .run(client, &["cp", dir, &format!("{name}:/tmp")])
                .ok();
            let back = daemon.dir().join(format!("back-{client:?}-{name}"));
            daemon
                .run(
                    client,
                    &[
                        "cp",
                        &format!("{name}:/copied{client:?}"),
                        back.to_str().unwrap(),
                    ],
                )
                .ok();
            assert_eq!(
                std::fs::read_to_string(back.join("f")).unwrap(),
                "from the host",
                "{what}"
            );
            assert_eq!(
                back.join("f").metadata().unwrap().mode() & 0o777,
                0o640,
                "{what}"
            );
            assert_eq!(
                std::fs::read_link(back.join("link")).unwrap().to_str(),
                Some("f"),
                "{what}"
            );
            let one = daemon.dir().join("one");
            daemon
                .run(
                    client,
                    &["cp", &format!("{name}:/tmp/here/f"), one.to_str().unwrap()],
                )
                .ok();
            assert_eq!(
                std::fs::read_to_string(&one).unwrap(),
                "from the host",
                "{what}"
            );
            // To and from standard streams.
            let tar = daemon.run(client, &["cp", &format!("{name}:/etc/passwd"), "-"]);
            tar.ok();
            assert!(
                tar.stdout.contains("passwd") && tar.stdout.contains("root:x:0:0"),
                "{what}"
            );
            let archive = Archive::new().file("streamed", 0o644, b"s").finish();
            daemon
                .feed(client, &["cp", "-", &format!("{name}:/tmp")], &archive)
                .ok();
            let text = daemon
                .run(client, &["cp", &format!("{name}:/nosuch"), "."])
                .fails(1);
            assert!(
                // The old CLI has words of its own for it.
                text.contains("Could not find the file /nosuch")
                    || (client == Client::Docker20 && text.contains("No such container:path")),
                "{what}: {text}"
            );
        }
    }
    let seen = daemon.docker(&["exec", "up", "cat", "/tmp/here/f", "/tmp/streamed"]);
    assert_eq!(seen, "from the hosts");
}

#[test]
fn cp_of_a_link_copies_the_link_or_with_l_what_it_leads_to() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "--name",
        "box-c",
        "busybox",
        "sh",
        "-c",
        "echo real > /file; ln -s /file /link",
    ]);
    let to = |name: &str| daemon.dir().join(name).to_str().unwrap().to_owned();
    daemon.docker(&["cp", "box-c:/link", &to("kept")]);
    assert_eq!(
        std::fs::read_link(to("kept")).unwrap().to_str(),
        Some("/file")
    );
    daemon.docker(&["cp", "-L", "box-c:/link", &to("followed")]);
    assert_eq!(std::fs::read_to_string(to("followed")).unwrap(), "real\n");
}

#[test]
fn cp_sees_volumes_and_respects_read_only() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "create",
        "--name",
        "box-v",
        "-v",
        "data:/data",
        "--read-only",
        "busybox",
    ]);
    let file = daemon.dir().join("f");
    std::fs::write(&file, "in the volume").unwrap();
    daemon.docker(&["cp", file.to_str().unwrap(), "box-v:/data/f"]);
    let out = daemon.docker(&["run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/f"]);
    assert_eq!(out, "in the volume");
    let text = daemon
        .run(
            Client::Docker,
            &["cp", file.to_str().unwrap(), "box-v:/etc/f"],
        )
        .fails(1);
    assert!(text.contains("read-only"), "{text}");
}

#[test]
fn volumes_keep_their_data_and_take_the_images_content_first() {
    let daemon = Daemon::start();
    let layer = Archive::new()
        .dir("data/", 0o750)
        .owned_file("data/seed", 0o600, (1000, 1000), b"seed")
        .finish();
    daemon.load(&image_archive(
        "seeded:1",
        &[layer_tar(), layer],
        &serde_json::json!({"Volumes": {"/data": {}}, "Cmd": ["sh"]}),
    ));
    let out = daemon.docker(&[
        "run",
        "--rm",
        "-v",
        "named:/data",
        "seeded:1",
        "sh",
        "-c",
        "stat -c '%a %u' /data /data/seed; echo more > /data/more",
    ]);
    assert_eq!(out, "750 0\n600 1000");
    assert_eq!(
        daemon.docker(&[
            "run", "--rm", "-v", "named:/x", "busybox", "cat", "/x/seed", "/x/more"
        ]),
        "seedmore"
    );
    // Not when asked not to, and not over what is there.
    let out = daemon.docker(&[
        "run",
        "--rm",
        "--mount",
        "type=volume,src=bare,dst=/data,volume-nocopy",
        "seeded:1",
        "ls",
        "/data",
    ]);
    assert_eq!(out, "");
    // The image's own volume is anonymous; -v removes it with the container.
    daemon.docker(&["create", "--name", "anon", "seeded:1"]);
    let volume = daemon.docker(&["inspect", "-f", "{{(index .Mounts 0).Name}}", "anon"]);
    assert_eq!(volume.len(), 64);
    daemon.docker(&["rm", "-v", "anon"]);
    daemon
        .run(Client::Docker, &["volume", "inspect", &volume])
        .fails(1);
    assert_eq!(daemon.docker(&["volume", "ls", "-q"]), "bare\nnamed");
}

#[test]
fn volumes_are_listed_filtered_refused_and_pruned_as_dockers() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.docker(&["volume", "create", "--label", "k=v", "one"]),
        "one"
    );
    daemon.docker(&["volume", "create", "one"]);
    daemon.docker(&[
        "run", "-d", "--name", "user", "-v", "two:/v", "-v", "/anon", "busybox", "sleep", "1000",
    ]);
    let list = |f: &str| daemon.docker(&["volume", "ls", "-q", "-f", f]);
    assert_eq!(list("label=k=v"), "one");
    assert_eq!(list("dangling=true"), "one");
    assert_eq!(list("name=tw"), "two");
    let text = daemon
        .run(Client::Docker, &["volume", "rm", "two"])
        .fails(1);
    assert!(text.contains("volume is in use"), "{text}");
    let text = daemon
        .run(Client::Docker, &["volume", "create", "a/b"])
        .fails(1);
    assert!(
        text.contains("includes invalid characters for a local volume name"),
        "{text}"
    );
    let text = daemon
        .run(Client::Docker, &["volume", "inspect", "zero"])
        .fails(1);
    assert!(text.contains("no such volume"), "{text}");
    daemon.docker(&["rm", "-f", "user"]);
    let pruned = daemon.docker(&["volume", "prune", "-f"]);
    assert!(pruned.contains("Deleted Volumes:"), "{pruned}");
    assert_eq!(
        daemon.docker(&["volume", "ls", "-q"]),
        "one\ntwo",
        "only anonymous ones go"
    );
    daemon.docker(&["volume", "prune", "-af"]);
    assert_eq!(daemon.docker(&["volume", "ls", "-q"]), "");
}

#[test]
fn binds_are_what_they_say() {
    let daemon = Daemon::start();
    let host = daemon.dir().join("bound");
    std::fs::create_dir(&host).unwrap();
    std::fs::write(host.join("f"), "host").unwrap();
    let host = host.to_str().unwrap();
    let out = daemon.docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{host}:/b"),
        "busybox",
        "sh",
        "-c",
        "cat /b/f; echo new > /b/g",
    ]);
    assert_eq!(out, "host");
    assert_eq!(
        std::fs::read_to_string(format!("{host}/g")).unwrap(),
        "new\n"
    );
    let out = daemon.docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{host}:/b:ro"),
        "busybox",
        "sh",
        "-c",
        "touch /b/x 2>&1 || true",
    ]);
    assert!(out.contains("Read-only"), "{out}");
    // One file, too.
    let out = daemon.docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{host}/f:/etc/one:ro"),
        "busybox",
        "cat",
        "/etc/one",
    ]);
    assert_eq!(out, "host");
    // A missing source is made by -v and refused by --mount.
    daemon.docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{host}/made:/b"),
        "busybox",
        "true",
    ]);
    assert!(std::path::Path::new(&format!("{host}/made")).is_dir());
    let text = daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--rm",
                "--mount",
                &format!("type=bind,src={host}/absent,dst=/b"),
                "busybox",
                "true",
            ],
        )
        .fails(125);
    assert!(text.contains("bind source path does not exist"), "{text}");
    let text = daemon
        .run(
            Client::Docker,
            &["run", "--rm", "-v", "rel/ative:/b", "busybox", "true"],
        )
        .fails(125);
    assert!(text.contains("includes invalid characters"), "{text}");
}

#[test]
fn volumes_from_another_container_come_along() {
    let daemon = Daemon::start();
    daemon.docker(&["create", "--name", "owner", "-v", "/shared", "busybox"]);
    daemon.docker(&[
        "run",
        "--rm",
        "--volumes-from",
        "owner",
        "busybox",
        "sh",
        "-c",
        "echo hi > /shared/x",
    ]);
    let out = daemon.docker(&[
        "run",
        "--rm",
        "--volumes-from",
        "owner:ro",
        "busybox",
        "sh",
        "-c",
        "cat /shared/x; touch /shared/y 2>/dev/null || echo ro",
    ]);
    assert_eq!(out, "hi\nro");
}
