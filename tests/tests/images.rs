//! Images in and out: load, save, import, export, commit, tag, remove, history, prune.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::io::Write;

use serde_json::{Value, json};
use wharf_tests::{Archive, Client, Daemon, busybox_archive, digest, image_archive};

fn layers_of(daemon: &Daemon, image: &str) -> Vec<String> {
    let text = daemon.docker(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", image]);
    serde_json::from_str::<Vec<String>>(&text).unwrap()
}

fn members(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut data = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
            (name, data)
        })
        .collect()
}

#[test]
fn load_says_what_it_loaded_from_a_file_and_from_standard_input() {
    let daemon = Daemon::empty();
    let path = busybox_archive();
    let bytes = std::fs::read(&path).unwrap();
    for client in [Client::Docker, Client::Docker20, Client::Wharf] {
        let out = daemon
            .run(client, &["load", "-i", path.to_str().unwrap()])
            .ok();
        assert!(
            out.ends_with("Loaded image: busybox:latest"),
            "{client:?}: {out}"
        );
        let out = daemon.feed(client, &["load"], &bytes).ok();
        assert!(
            out.ends_with("Loaded image: busybox:latest"),
            "{client:?}: {out}"
        );
    }
    assert_eq!(daemon.docker(&["images", "-q"]).lines().count(), 1);
}

#[test]
fn compressed_archives_load_too() {
    let daemon = Daemon::empty();
    let bytes = std::fs::read(busybox_archive()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    assert!(
        daemon
            .load(&gzip.finish().unwrap())
            .contains("busybox:latest")
    );
    daemon.docker(&["rmi", "busybox"]);
    assert!(
        daemon
            .load(&zstd::encode_all(&bytes[..], 1).unwrap())
            .contains("busybox:latest")
    );
    assert_eq!(
        daemon.docker(&["run", "--rm", "busybox", "echo", "ok"]),
        "ok"
    );
}

#[test]
fn a_save_of_a_loaded_image_has_the_same_digests_and_loads_again() {
    let daemon = Daemon::start();
    let before = layers_of(&daemon, "busybox");
    let id = daemon.docker(&["images", "-q", "--no-trunc"]);
    let file = daemon.dir().join("saved.tar");
    daemon.docker(&["save", "-o", file.to_str().unwrap(), "busybox"]);
    let saved = std::fs::read(&file).unwrap();
    let parts = members(&saved);
    let part = |name: &str| {
        &parts
            .iter()
            .find(|(n, _)| n == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .1
    };
    let manifest: Value = serde_json::from_slice(part("manifest.json")).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["busybox:latest"]));
    let layer = part(manifest[0]["Layers"][0].as_str().unwrap());
    assert_eq!(digest(layer), before[0], "the layer's bytes changed");
    let config = part(manifest[0]["Config"].as_str().unwrap());
    assert_eq!(digest(config), id, "the config's bytes changed");
    assert!(
        parts.iter().any(|(n, _)| n == "oci-layout")
            && parts.iter().any(|(n, _)| n == "index.json")
    );

    let other = Daemon::empty();
    other.load(&saved);
    assert_eq!(layers_of(&other, "busybox"), before);
    assert_eq!(other.docker(&["images", "-q", "--no-trunc"]), id);
}

#[test]
fn several_images_in_one_archive_come_and_go_together() {
    let daemon = Daemon::start();
    daemon.docker(&["tag", "busybox", "other/name:v1"]);
    daemon.load(&image_archive(
        "small:1",
        &[Archive::new().file("hello", 0o644, b"hi").finish()],
        &json!({}),
    ));
    let file = daemon.dir().join("all.tar");
    daemon.docker(&[
        "save",
        "-o",
        file.to_str().unwrap(),
        "other/name:v1",
        "small:1",
    ]);
    let other = Daemon::empty();
    let out = other.docker(&["load", "-i", file.to_str().unwrap()]);
    assert!(
        out.contains("Loaded image: other/name:v1") && out.contains("Loaded image: small:1"),
        "{out}"
    );
}

#[test]
fn an_oci_layout_loads() {
    let daemon = Daemon::empty();
    let layer = wharf_tests::layer_tar();
    let packed = zstd::encode_all(&layer[..], 1).unwrap();
    let config = serde_json::to_vec(&json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        "config": {"Cmd": ["echo", "from oci"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    }))
    .unwrap();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": digest(&packed), "size": packed.len()}],
    }))
    .unwrap();
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&manifest), "size": manifest.len(),
            "annotations": {"io.containerd.image.name": "docker.io/library/fromoci:1", "org.opencontainers.image.ref.name": "1"}}],
    }))
    .unwrap();
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", &digest(bytes)[7..]);
    let archive = Archive::new()
        .file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", 0o644, &index)
        .file(&blob(&manifest), 0o644, &manifest)
        .file(&blob(&config), 0o644, &config)
        .file(&blob(&packed), 0o644, &packed)
        .finish();
    daemon.load(&archive);
    assert_eq!(daemon.docker(&["run", "--rm", "fromoci:1"]), "from oci");
}

#[test]
fn import_makes_an_image_of_a_tarball_and_export_gives_it_back() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "--name",
        "src",
        "busybox",
        "sh",
        "-c",
        "echo content > /file; ln -s file /link",
    ]);
    let file = daemon.dir().join("rootfs.tar");
    daemon.docker(&["export", "-o", file.to_str().unwrap(), "src"]);
    let exported = std::fs::read(&file).unwrap();
    assert!(
        members(&exported)
            .iter()
            .any(|(n, d)| n == "file" && d == b"content\n")
    );
    let id = daemon.docker(&[
        "import",
        "-c",
        "CMD [\"cat\",\"/link\"]",
        "-c",
        "ENV X=y",
        "-m",
        "made",
        file.to_str().unwrap(),
        "flat:1",
    ]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(daemon.docker(&["run", "--rm", "flat:1"]), "content");
    assert_eq!(
        daemon
            .feed(Client::Docker, &["import", "-", "flat:2"], &exported)
            .ok()
            .len(),
        71
    );
    assert_eq!(layers_of(&daemon, "flat:1"), layers_of(&daemon, "flat:2"));
    let text = daemon
        .feed(
            Client::Docker,
            &["import", "-c", "FROM x", "-", "flat:3"],
            &exported,
        )
        .fails(1);
    assert!(
        text.contains("FROM is not a valid change command") || text.contains("FROM"),
        "{text}"
    );
}

#[test]
fn commit_keeps_files_and_takes_author_message_and_changes() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "--name",
        "box-c",
        "-e",
        "K=v",
        "busybox",
        "sh",
        "-c",
        "echo new > /new; rm /etc/group; mkdir /var/d",
    ]);
    let id = daemon.docker(&[
        "commit",
        "-a",
        "An Author",
        "-m",
        "a message",
        "-c",
        "CMD [\"cat\", \"/new\"]",
        "-c",
        "LABEL a=b",
        "box-c",
        "made:v2",
    ]);
    assert!(id.starts_with("sha256:"));
    assert_eq!(daemon.docker(&["run", "--rm", "made:v2"]), "new");
    daemon
        .run(
            Client::Docker,
            &["run", "--rm", "made:v2", "cat", "/etc/group"],
        )
        .fails(1);
    let out = daemon.docker(&[
        "image",
        "inspect",
        "-f",
        "{{.Author}}|{{.Comment}}|{{index .Config.Labels \"a\"}}|{{len .RootFS.Layers}}",
        "made:v2",
    ]);
    assert_eq!(out, "An Author|a message|b|2");
    let history = daemon.docker(&["history", "--format", "{{.Comment}}", "made:v2"]);
    assert!(history.starts_with("a message"), "{history}");
    // A running container too, and its processes go on.
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "live",
        "busybox",
        "sh",
        "-c",
        "echo live > /live; sleep 1000",
    ]);
    wharf_tests::eventually("the file is written", || {
        daemon
            .run(Client::Docker, &["exec", "live", "cat", "/live"])
            .stdout
            .contains("live")
            .then_some(())
    });
    daemon.docker(&["commit", "live", "live:1"]);
    assert_eq!(
        daemon.docker(&["run", "--rm", "live:1", "cat", "/live"]),
        "live"
    );
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.State.Status}}", "live"]),
        "running"
    );
}

#[test]
fn removing_an_image_untags_or_deletes_as_docker_does() {
    let daemon = Daemon::start();
    daemon.docker(&["tag", "busybox", "second:tag"]);
    let id = daemon.docker(&["images", "-q", "--no-trunc", "busybox"]);
    assert_eq!(
        daemon.docker(&["rmi", "second:tag"]),
        "Untagged: second:tag"
    );
    daemon.docker(&["tag", "busybox", "second:tag"]);
    let text = daemon.run(Client::Docker, &["rmi", &id]).fails(1);
    assert!(
        text.contains("(must be forced) - image is referenced in multiple repositories"),
        "{text}"
    );
    daemon.docker(&["run", "-d", "--name", "user", "busybox", "sleep", "1000"]);
    let text = daemon.run(Client::Docker, &["rmi", &id]).fails(1);
    assert!(
        text.contains("cannot be forced") && text.contains("running container"),
        "{text}"
    );
    daemon.docker(&["rm", "-f", "user"]);
    daemon.docker(&["rmi", "second:tag"]);
    daemon.docker(&["create", "--name", "stopped", "busybox"]);
    let text = daemon.run(Client::Docker, &["rmi", "busybox"]).fails(1);
    assert!(
        text.contains("unable to remove repository reference \"busybox\" (must force)"),
        "{text}"
    );
    daemon.docker(&["rm", "stopped"]);
    let out = daemon.docker(&["rmi", "busybox"]);
    assert!(
        out.contains("Untagged: busybox:latest") && out.contains(&format!("Deleted: {id}")),
        "{out}"
    );
    let text = daemon.run(Client::Docker, &["rmi", "busybox"]).fails(1);
    assert!(text.contains("No such image: busybox"), "{text}");
    wharf_tests::eventually("its layers leave the disk", || {
        daemon.layer_files().is_empty().then_some(())
    });
}

#[test]
fn images_list_filter_and_format() {
    let daemon = Daemon::start();
    daemon.load(&image_archive(
        "labelled:1",
        &[Archive::new().file("x", 0o644, b"x").finish()],
        &json!({"Labels": {"who": "me"}}),
    ));
    daemon.docker(&["tag", "labelled:1", "registry.example:5000/team/app:2"]);
    let list = |args: &[&str]| {
        let mut all = vec!["images", "--format", "{{.Repository}}:{{.Tag}}"];
        all.extend(args);
        let out = daemon.docker(&all);
        let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(
        list(&[]),
        "busybox:latest labelled:1 registry.example:5000/team/app:2"
    );
    assert_eq!(
        list(&["-f", "label=who=me"]),
        "labelled:1 registry.example:5000/team/app:2"
    );
    assert_eq!(list(&["-f", "reference=busy*"]), "busybox:latest");
    assert_eq!(list(&["busybox"]), "busybox:latest");
    assert_eq!(list(&["-f", "dangling=true"]), "");
    daemon.load(&image_archive(
        "labelled:1",
        &[Archive::new().file("y", 0o644, b"y").finish()],
        &json!({}),
    ));
    daemon.docker(&["rmi", "registry.example:5000/team/app:2"]);
    assert_eq!(daemon.docker(&["images", "-q"]).lines().count(), 2);
    let text = daemon
        .run(Client::Docker, &["images", "-f", "nope=1"])
        .fails(1);
    assert!(text.contains("invalid filter 'nope'"), "{text}");
    let pruned = daemon.docker(&["image", "prune", "-a", "-f"]);
    assert!(pruned.contains("Total reclaimed space:"), "{pruned}");
    assert_eq!(daemon.docker(&["images", "-q"]), "");
}

#[test]
fn history_and_inspect_show_the_config() {
    let daemon = Daemon::start();
    let out = daemon.docker(&["image", "inspect", "busybox"]);
    let image: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(image[0]["RepoTags"], json!(["busybox:latest"]));
    assert_eq!(image[0]["Config"]["Cmd"], json!(["sh"]));
    assert_eq!(image[0]["Os"], "linux");
    assert!(image[0]["Size"].as_u64().unwrap() > 500_000);
    let history = daemon.docker(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "busybox",
    ]);
    assert_eq!(history, "layer 0");
}

#[test]
fn what_needs_a_registry_or_a_builder_says_so() {
    let daemon = Daemon::start();
    for args in [
        &["pull", "alpine"][..],
        &["push", "busybox"],
        &["search", "x"],
    ] {
        let text = daemon.run(Client::Docker, args).fails(1);
        assert!(text.contains("registr"), "{args:?}: {text}");
    }
}

#[test]
fn df_counts_what_is_stored() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "--name",
        "box-d",
        "-v",
        "vol:/v",
        "busybox",
        "sh",
        "-c",
        "head -c 100000 /dev/zero > /v/f; head -c 50000 /dev/zero > /g",
    ]);
    let df = daemon.get("/system/df").json();
    assert!(df["LayersSize"].as_u64().unwrap() > 500_000, "{df}");
    assert_eq!(df["Images"].as_array().unwrap().len(), 1);
    assert!(
        df["Containers"][0]["SizeRw"].as_u64().unwrap() >= 50_000,
        "{df}"
    );
    assert!(
        df["Volumes"][0]["UsageData"]["Size"].as_u64().unwrap() >= 100_000,
        "{df}"
    );
    let table = daemon.docker(&["system", "df"]);
    assert!(table.contains("Local Volumes"), "{table}");
}
