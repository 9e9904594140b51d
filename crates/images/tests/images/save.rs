//! What `save` writes, and that it is what was loaded.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use wharf_images::{ImageError, Platform};
use wharf_store::Digest;

use crate::fixture::{Lab, Layout, Packing, Sample, diff_id, files, oci_archive};

fn document(archive: &[u8], name: &str) -> Value {
    serde_json::from_slice(&files(archive)[name]).unwrap()
}

#[test]
fn an_image_of_every_form_survives_save_and_load() {
    let sample = Sample::two_layers("x");
    let archives = [
        sample.docker_archive(&["app:1"]),
        oci_archive(&sample, Packing::Plain, Some("app:1")),
        oci_archive(&sample, Packing::Gzip, Some("app:1")),
        oci_archive(&sample, Packing::Zstd, Some("app:1")),
    ];
    for archive in archives {
        let first = Lab::new();
        first.load(&archive).unwrap();
        let saved = first.save(&["app:1"]);
        let second = Lab::new();
        second.load(&saved).unwrap();
        let image = second.images.resolve("app:1").unwrap();
        assert_eq!(image.id, sample.id());
        assert_eq!(
            image.diff_ids(),
            sample.layers.iter().map(|l| diff_id(l)).collect::<Vec<_>>()
        );
        // From here on nothing changes any more, not a byte.
        assert_eq!(second.save(&["app:1"]), saved);
        assert_eq!(first.save(&["app:1"]), saved);
    }
}

#[test]
fn an_archive_reads_as_docker_and_as_an_oci_layout() {
    let sample = Sample::two_layers("x");
    let lab = Lab::new();
    lab.load(&sample.docker_archive(&["app:1", "registry.local:5000/team/app:2"]))
        .unwrap();
    let archive = lab.save(&["app:1", "registry.local:5000/team/app:2"]);
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let manifest = document(&archive, "manifest.json");
    assert_eq!(manifest[0]["Config"], blob(&sample.id().0));
    assert_eq!(manifest[0]["RepoTags"][0], "app:1");
    assert_eq!(manifest[0]["RepoTags"][1], "registry.local:5000/team/app:2");
    assert_eq!(
        manifest[0]["Layers"][1],
        blob(&diff_id(&sample.layers[1]).0)
    );
    let top = diff_id(&sample.layers[1]).hex();
    assert_eq!(document(&archive, "repositories")["app"]["1"], top);
    assert_eq!(
        document(&archive, "oci-layout")["imageLayoutVersion"],
        "1.0.0"
    );
    let index = document(&archive, "index.json");
    let annotations = &index["manifests"][1]["annotations"];
    assert_eq!(
        annotations["io.containerd.image.name"],
        "registry.local:5000/team/app:2"
    );
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "2");
    // Every blob is what its name says.
    for (name, bytes) in files(&archive) {
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&bytes).hex(), hex);
        }
    }
}

#[test]
fn a_name_without_a_tag_means_all_its_tags_and_an_id_means_none() {
    let (one, two) = (Sample::two_layers("x"), Sample::two_layers("y"));
    let lab = Lab::new();
    lab.load(&one.docker_archive(&["app:1", "app:latest"]))
        .unwrap();
    lab.load(&two.docker_archive(&["app:2", "other:2"]))
        .unwrap();
    let manifest = document(&lab.save(&["app"]), "manifest.json");
    let tags: Vec<&Value> = manifest
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|i| i["RepoTags"].as_array().unwrap())
        .collect();
    assert_eq!(tags, ["app:1", "app:latest", "app:2"]);
    let archive = lab.save(&[&one.id().to_string()]);
    let manifest = document(&archive, "manifest.json");
    assert_eq!(manifest[0]["RepoTags"], Value::Null);
    assert!(!files(&archive).contains_key("repositories"));
    let other = Lab::new();
    assert_eq!(other.load(&archive).unwrap()[0].name, None);
    // A layer that two images have is there once.
    let layers = files(&lab.save(&["app"]))
        .keys()
        .filter(|n| n.starts_with("blobs/"))
        .count();
    assert_eq!(layers, 3 + 2 + 2, "layers, configurations, manifests");
}

#[test]
fn a_multi_platform_image_is_saved_with_all_its_machines() {
    let host = Platform::host().architecture;
    let other = if host == "amd64" { "arm64" } else { "amd64" };
    let mine = Sample::two_layers("mine").for_machine(&host);
    let foreign = Sample::two_layers("foreign").for_machine(other);
    for packing in [Packing::Plain, Packing::Gzip] {
        let mut layout = Layout::default();
        let manifests = [
            layout.image(&foreign, packing),
            layout.image(&mine, packing),
        ];
        let index = layout.index(&manifests);
        let digest = index["digest"].clone();
        let first = Lab::new();
        first
            .load(&layout.list(index, Some("multi:1")).finish())
            .unwrap();
        let saved = first.save(&["multi:1"]);
        let kept = document(&saved, "index.json")["manifests"][0]["digest"] == digest;
        assert_eq!(
            kept,
            matches!(packing, Packing::Plain),
            "an index of what is saved is kept"
        );
        let second = Lab::new();
        second.load(&saved).unwrap();
        assert_eq!(second.images.resolve_id("multi:1").unwrap(), mine.id());
        let platform = Platform::of("linux", other, "");
        assert_eq!(
            second.images.resolve_for("multi:1", &platform).unwrap().id,
            foreign.id()
        );
        assert_eq!(second.save(&["multi:1"]), saved);

        let mut one = Vec::new();
        first
            .images
            .save(&["multi:1".to_owned()], Some(&platform), &mut one)
            .unwrap();
        let third = Lab::new();
        third.load(&one).unwrap();
        assert_eq!(third.images.resolve_id("multi:1").unwrap(), foreign.id());
        assert!(third.images.get(&mine.id()).is_err());
    }
}

#[test]
fn what_does_not_exist_cannot_be_saved_and_writes_nothing() {
    let lab = Lab::new();
    let mut out = Vec::new();
    let error = lab
        .images
        .save(&["nothing".to_owned()], None, &mut out)
        .unwrap_err();
    assert!(matches!(error, ImageError::NoSuchImage(_)));
    assert_eq!(error.to_string(), "No such image: nothing:latest");
    assert!(out.is_empty());
}

#[test]
fn a_receiver_that_goes_away_is_an_error_and_no_more() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(std::io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lab = Lab::new();
    lab.load(&Sample::two_layers("x").docker_archive(&["app:1"]))
        .unwrap();
    let error = lab
        .images
        .save(&["app:1".to_owned()], None, &mut Full(3000))
        .unwrap_err();
    assert!(matches!(error, ImageError::Write { .. }), "{error}");
    assert_eq!(lab.collect(), (0, 0));
}
