//! What can be loaded, and what it is then.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::json;
use wharf_images::{ImageId, LoadOptions, Platform};
use wharf_store::tar::Kind;

use crate::fixture::{
    Lab, Layout, Lines, Packing, Sample, Tar, diff_id, gzip, layer, oci_archive, zstd,
};

/// The image `name` is `sample`, to the byte.
fn assert_is(lab: &Lab, name: &str, sample: &Sample) {
    let image = lab.images.resolve(name).unwrap();
    assert_eq!(image.id, sample.id());
    assert_eq!(image.raw_config, sample.raw_config());
    let expected: Vec<_> = sample.layers.iter().map(|layer| diff_id(layer)).collect();
    assert_eq!(image.diff_ids(), expected);
    for layer in &sample.layers {
        let mut tar = lab
            .images
            .store()
            .layers()
            .open_tar(&diff_id(layer))
            .unwrap();
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes).unwrap();
        assert_eq!(&bytes, layer);
    }
}

#[test]
fn an_image_of_every_form_and_packing_is_the_same_image() {
    let sample = Sample::two_layers("x");
    let archives = [
        sample.docker_archive(&["app:1"]),
        oci_archive(&sample, Packing::Plain, Some("docker.io/library/app:1")),
        oci_archive(&sample, Packing::Gzip, Some("docker.io/library/app:1")),
        oci_archive(&sample, Packing::Zstd, Some("app:1")),
    ];
    for archive in archives {
        for outer in [archive.clone(), gzip(&archive), zstd(&archive)] {
            let lab = Lab::new();
            let loaded = lab.load(&outer).unwrap();
            assert_eq!(loaded.len(), 1);
            assert_eq!(loaded[0].name.as_ref().unwrap().familiar(), "app:1");
            assert_is(&lab, "app:1", &sample);
            assert_eq!(lab.collect().1, 0);
            assert_is(&lab.reopen(), "app:1", &sample);
        }
    }
}

#[test]
fn members_may_come_in_any_order() {
    let sample = Sample::two_layers("x");
    let manifest = json!([{"Config": "c", "RepoTags": ["a:b"], "Layers": ["1", "2"]}]);
    let archive = Tar::new()
        .file("2", &sample.layers[1])
        .file("manifest.json", &serde_json::to_vec(&manifest).unwrap())
        .file("./c", &sample.raw_config())
        .file("1", &sample.layers[0])
        .finish();
    let lab = Lab::new();
    lab.load(&archive).unwrap();
    assert_is(&lab, "a:b", &sample);
}

#[test]
fn what_docker_prints_is_printed() {
    let lab = Lab::new();
    let sample = Sample::two_layers("x");
    let mut lines = Lines::default();
    let archive = sample.docker_archive(&["app:1", "other/app:2"]);
    lab.images
        .load(&mut &*archive, &LoadOptions::default(), &mut lines)
        .unwrap();
    assert_eq!(
        lines.messages,
        ["Loaded image: app:1\n", "Loaded image: other/app:2\n"]
    );
    let first = sample.layers[0].len() as u64;
    assert_eq!(lines.reports[0], ("layer0".to_owned(), first, first));

    let mut lines = Lines::default();
    let archive = Sample::two_layers("y").docker_archive(&["app:1"]);
    lab.images
        .load(&mut &*archive, &LoadOptions::default(), &mut lines)
        .unwrap();
    let renamed = format!(
        "The image app:1 already exists, renaming the old one with ID {} to empty string\n",
        sample.id()
    );
    assert_eq!(lines.messages, [renamed.as_str(), "Loaded image: app:1\n"]);

    let mut lines = Lines::default();
    let unnamed = Sample::two_layers("z");
    let archive = unnamed.docker_archive(&[]);
    lab.images
        .load(&mut &*archive, &LoadOptions::default(), &mut lines)
        .unwrap();
    assert_eq!(
        lines.messages,
        [format!("Loaded image ID: {}\n", unnamed.id())]
    );
}

#[test]
fn several_images_share_layers_through_links_as_old_docker_wrote_them() {
    let (one, two) = (Sample::two_layers("x"), Sample::two_layers("y"));
    let manifest = json!([
        {"Config": "one.json", "RepoTags": ["one:1"], "Layers": ["a/layer.tar", "b/layer.tar"]},
        {"Config": "two.json", "RepoTags": null, "Layers": ["c/layer.tar", "d/layer.tar"]},
    ]);
    let archive = Tar::new()
        .file("a/layer.tar", &one.layers[0])
        .file("b/layer.tar", &one.layers[1])
        .link("c/layer.tar", Kind::Symlink, "../a/layer.tar")
        .file("first/layer.tar", &two.layers[1])
        .link("d/layer.tar", Kind::HardLink, "first/layer.tar")
        .file("one.json", &one.raw_config())
        .file("two.json", &two.raw_config())
        .file("manifest.json", &serde_json::to_vec(&manifest).unwrap())
        .finish();
    let lab = Lab::new();
    assert_eq!(lab.load(&archive).unwrap().len(), 2);
    assert_is(&lab, "one:1", &one);
    assert_is(&lab, &two.id().to_string(), &two);
    assert_eq!(lab.images.store().layers().list().unwrap().len(), 3);
}

#[test]
fn an_archive_from_before_manifests_is_loaded_by_its_repositories() {
    let layers = [layer(&[("a", "1")]), layer(&[("b", "2")])];
    let json = |text: serde_json::Value| serde_json::to_vec(&text).unwrap();
    let (base, top) = ("1".repeat(64), "2".repeat(64));
    let archive = Tar::new()
        .file(&format!("{base}/VERSION"), b"1.0")
        .file(
            &format!("{base}/json"),
            &json(
                json!({"id": base, "created": "2014-01-01T00:00:00Z", "os": "linux",
                "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD"]}}),
            ),
        )
        .file(&format!("{base}/layer.tar"), &layers[0])
        .file(
            &format!("{top}/json"),
            &json(
                json!({"id": top, "parent": base, "created": "2014-01-02T00:00:00Z", "os": "linux",
                "architecture": "amd64", "config": {"Cmd": ["run"]}, "Size": 7}),
            ),
        )
        .file(&format!("{top}/layer.tar"), &layers[1])
        .file("repositories", &json(json!({"old/app": {"latest": top}})))
        .finish();
    let lab = Lab::new();
    lab.load(&archive).unwrap();
    let image = lab.images.resolve("old/app").unwrap();
    assert_eq!(image.diff_ids(), [diff_id(&layers[0]), diff_id(&layers[1])]);
    assert_eq!(image.config.run_config().cmd.unwrap(), ["run"]);
    assert_eq!(image.config.history[0].created_by, "/bin/sh -c #(nop) ADD");
    let text = String::from_utf8(image.raw_config.clone()).unwrap();
    assert!(!text.contains("Size") && !text.contains(&top), "{text}");

    // Without names, the uppermost layers are the images.
    let archive = Tar::new()
        .file("x/json", &json(json!({"id": "x", "os": "linux"})))
        .file("x/layer.tar", &layers[0])
        .finish();
    let lab = Lab::new();
    assert_eq!(lab.load(&archive).unwrap().len(), 1);
}

#[test]
fn of_a_multi_platform_index_every_image_that_is_there_is_kept_and_the_right_one_is_meant() {
    let host = Platform::host().architecture;
    let other = if host == "amd64" { "arm64" } else { "amd64" };
    let mine = Sample::two_layers("mine").for_machine(&host);
    let foreign = Sample::two_layers("foreign").for_machine(other);
    let mut layout = Layout::default();
    let missing = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": diff_id(b"missing").to_string(), "size": 7,
        "platform": {"os": "linux", "architecture": "s390x"}});
    let attestation = attestation(&mut layout);
    let manifests = [
        layout.image(&foreign, Packing::Gzip),
        missing,
        layout.image(&mine, Packing::Gzip),
        attestation,
    ];
    let index = layout.index(&manifests);
    let lab = Lab::new();
    let loaded = lab
        .load(&layout.list(index, Some("multi:1")).finish())
        .unwrap();
    assert_eq!(loaded.len(), 1);
    assert_is(&lab, "multi:1", &mine);
    let platform = Platform::of("linux", other, "");
    let resolved = lab.images.resolve_for("multi:1", &platform).unwrap();
    assert_eq!(resolved.id, foreign.id());
    let error = lab
        .images
        .resolve_for("multi:1", &Platform::of("linux", "riscv64", ""));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("does not match the specified platform")
    );
    // Nothing of it is garbage, and the other machine's image is not listed as nameless.
    assert_eq!(lab.collect(), (0, 0));
    assert_eq!(
        lab.images
            .list(&wharf_images::ListQuery::default())
            .unwrap()
            .len(),
        1
    );
    let resolved = lab
        .reopen()
        .images
        .resolve_for("multi:1", &platform)
        .unwrap();
    assert_eq!(resolved.id, foreign.id());
}

/// An in-toto attestation, as BuildKit puts beside an image.
fn attestation(layout: &mut Layout) -> serde_json::Value {
    let config = layout.blob(
        "application/vnd.oci.image.config.v1+json",
        br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    let statement = layout.blob("application/vnd.in-toto+json", br#"{"_type":"statement"}"#);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [statement]});
    let mut descriptor = layout.blob(kind, &serde_json::to_vec(&manifest).unwrap());
    descriptor["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    descriptor
}

#[test]
fn indexes_may_be_nested_a_little() {
    let sample = Sample::two_layers("x");
    let mut layout = Layout::default();
    let image = layout.image(&sample, Packing::Plain);
    let inner = layout.index(&[image]);
    let outer = layout.index(&[inner]);
    let lab = Lab::new();
    lab.load(&layout.list(outer, Some("nested")).finish())
        .unwrap();
    assert_is(&lab, "nested", &sample);
    assert_eq!(lab.collect(), (0, 0));
}

#[test]
fn the_specifications_own_annotation_names_an_image_only_when_it_is_a_whole_name() {
    for (annotation, name) in [
        ("latest", None),
        ("v1.2", None),
        ("app:1", Some("app:1")),
        ("r.io/x/app", Some("r.io/x/app:latest")),
    ] {
        let mut layout = Layout::default();
        let mut descriptor = layout.image(&Sample::two_layers("x"), Packing::Plain);
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": annotation});
        let lab = Lab::new();
        let loaded = lab.load(&layout.list(descriptor, None).finish()).unwrap();
        let loaded = loaded[0]
            .name
            .as_ref()
            .map(wharf_images::Reference::familiar);
        assert_eq!(loaded.as_deref(), name, "{annotation}");
    }
}

#[test]
fn only_the_platforms_asked_for_are_loaded() {
    let (amd, arm) = (
        Sample::two_layers("a").for_machine("amd64"),
        Sample::two_layers("b").for_machine("arm64"),
    );
    let mut layout = Layout::default();
    let manifests = [
        layout.image(&amd, Packing::Plain),
        layout.image(&arm, Packing::Plain),
    ];
    let index = layout.index(&manifests);
    let archive = layout.list(index, Some("multi:1")).finish();
    let lab = Lab::new();
    let load = |platform: &str| {
        let options = LoadOptions {
            platforms: vec![platform.parse().unwrap()],
        };
        lab.images
            .load(&mut &*archive, &options, &mut Lines::default())
    };
    let error = load("linux/s390x").unwrap_err().to_string();
    assert_eq!(error, "the archive has no image for linux/s390x");
    load("linux/arm64").unwrap();
    assert_eq!(lab.images.resolve_id("multi:1").unwrap(), arm.id());
    assert!(lab.images.get(&amd.id()).is_err());
}

#[test]
fn the_compressed_form_in_which_a_layer_came_is_remembered() {
    let sample = Sample::two_layers("x");
    let lab = Lab::new();
    lab.load(&oci_archive(&sample, Packing::Gzip, Some("app")))
        .unwrap();
    let image = lab.images.resolve("app").unwrap();
    let wire = image.layers[1].wire.as_ref().unwrap();
    let packed = gzip(&sample.layers[1]);
    assert_eq!(wire.digest, wharf_store::Digest::of(&packed));
    assert_eq!(wire.size, packed.len() as u64);
    assert!(wire.media_type.ends_with("+gzip"));
}

#[test]
fn an_image_that_is_here_already_is_recognised_and_still_verified() {
    let sample = Sample::two_layers("x");
    let archive = oci_archive(&sample, Packing::Gzip, Some("app"));
    let lab = Lab::new();
    lab.load(&archive).unwrap();
    let again = lab.load(&archive).unwrap();
    assert_eq!(again[0].id, sample.id());
    // One byte of the second layer's compressed form is another.
    let needle = gzip(&sample.layers[1]);
    let at = archive
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    let mut damaged = archive;
    damaged[at + needle.len() / 2] ^= 1;
    assert!(lab.load(&damaged).is_err());
}

#[test]
fn parents_that_an_archive_states_are_taken_over_if_they_fit() {
    let base = Sample::new(vec![layer(&[("a", "1")])]);
    let mut child = Sample::two_layers("x");
    child.config["history"][0] = base.config["history"][0].clone();
    let unrelated = Sample::two_layers("y");
    let item = |sample: &Sample, number: usize, parent: Option<ImageId>| {
        let layers: Vec<String> = (0..sample.layers.len())
            .map(|l| format!("{number}/{l}"))
            .collect();
        json!({"Config": format!("{number}.json"), "RepoTags": [format!("image:{number}")],
            "Layers": layers, "Parent": parent.map(|id| id.to_string())})
    };
    let manifest = json!([
        item(&base, 0, None),
        item(&child, 1, Some(base.id())),
        item(&unrelated, 2, Some(child.id())),
    ]);
    let mut tar = Tar::new().file("manifest.json", &serde_json::to_vec(&manifest).unwrap());
    for (number, sample) in [&base, &child, &unrelated].into_iter().enumerate() {
        tar = tar.file(&format!("{number}.json"), &sample.raw_config());
        for (layer, bytes) in sample.layers.iter().enumerate() {
            tar = tar.file(&format!("{number}/{layer}"), bytes);
        }
    }
    let lab = Lab::new();
    lab.load(&tar.finish()).unwrap();
    assert_eq!(lab.images.get(&child.id()).unwrap().parent, Some(base.id()));
    assert_eq!(lab.images.get(&unrelated.id()).unwrap().parent, None);
}

#[test]
fn a_layer_that_the_archive_lacks_may_be_here_already() {
    let sample = Sample::two_layers("x");
    let lab = Lab::new();
    lab.load(&sample.docker_archive(&["one"].map(|_| "one:1")))
        .unwrap();
    let manifest = json!([{"Config": "c", "RepoTags": ["two:1"], "Layers": ["gone/1", "gone/2"]}]);
    let mut config = sample.clone();
    config.config["author"] = json!("another");
    let archive = Tar::new()
        .file("c", &config.raw_config())
        .file("manifest.json", &serde_json::to_vec(&manifest).unwrap())
        .finish();
    lab.load(&archive).unwrap();
    assert_is(&lab, "two:1", &config);
    assert!(
        Lab::new()
            .load(&archive)
            .unwrap_err()
            .to_string()
            .contains("gone/1 is missing")
    );
}

#[test]
fn layers_that_are_larger_than_all_buffers_together_are_loaded() {
    // Bytes that do not compress: 3 layers of 16 MiB, half as much again as the buffers hold.
    let mut state = 1u64;
    let mut noise = || {
        let words = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33).to_le_bytes()
        });
        let bytes: Vec<u8> = words.take(2 << 20).flatten().collect();
        Tar::new().file("noise", &bytes).finish()
    };
    let sample = Sample::new(vec![noise(), noise(), noise()]);
    for packing in [Packing::Plain, Packing::Gzip] {
        let lab = Lab::new();
        lab.load(&oci_archive(&sample, packing, Some("large:1")))
            .unwrap();
        assert_is(&lab, "large:1", &sample);
    }
}
