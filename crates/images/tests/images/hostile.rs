//! Archives that are broken or mean harm: each an error that names the thing, and nothing left.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Read;

use serde_json::{Value, json};
use wharf_images::LoadOptions;
use wharf_store::Digest;
use wharf_store::tar::Kind;

use crate::fixture::{Lab, Layout, Lines, Packing, Sample, Tar, gzip, layer, oci_archive};

/// The archive is refused with a message that contains `words`, and leaves nothing.
#[track_caller]
fn refused(archive: &[u8], words: &str) {
    let lab = Lab::new();
    let error = lab.load(archive).unwrap_err().to_string();
    assert!(
        error.contains(words),
        "{error:?} does not contain {words:?}"
    );
    lab.assert_empty();
    let entries = std::fs::read_dir(lab.root()).unwrap().count();
    assert_eq!(entries, 1, "something was written beside the store");
}

fn manifest(layers: &[&str]) -> Vec<u8> {
    serde_json::to_vec(&json!([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": layers}]))
        .unwrap()
}

#[test]
fn names_that_leave_the_archive_are_refused() {
    let sample = Sample::two_layers("x");
    let good = sample.raw_config();
    refused(
        &Tar::new().file("../../../etc/cron.d/evil", b"x").finish(),
        "leads out of the archive",
    );
    refused(
        &Tar::new().file("a/../../b", b"x").finish(),
        "leads out of the archive",
    );
    let link = Tar::new().link("c.json", Kind::Symlink, "../../../../etc/passwd");
    refused(
        &link.file("manifest.json", &manifest(&[])).finish(),
        "leads out of the archive",
    );
    let hard = Tar::new().link("c.json", Kind::HardLink, "/etc/passwd");
    refused(
        &hard.file("manifest.json", &manifest(&[])).finish(),
        "c.json is missing",
    );
    let config = json!([{"Config": "../../../../etc/shadow", "RepoTags": ["x:1"], "Layers": []}]);
    let config = Tar::new().file("manifest.json", &serde_json::to_vec(&config).unwrap());
    refused(&config.finish(), "leads out of the archive");
    let outside = Tar::new()
        .file("c.json", &good)
        .file("manifest.json", &manifest(&["../1", "/etc/passwd"]))
        .finish();
    refused(&outside, "leads out of the archive");
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let sample = Sample::two_layers(&"x".repeat(2000));
    let (docker, oci) = (
        sample.docker_archive(&["x:1"]),
        oci_archive(&sample, Packing::Gzip, Some("x:1")),
    );
    let packed = gzip(&docker);
    // Without the blocks that end it and the padding before, a plain archive is complete all the
    // same; a packed one has its checksum at the very end.
    for (archive, needed) in [
        (&docker, docker.len() - 1536),
        (&oci, oci.len() - 1536),
        (&packed, packed.len() - 1),
    ] {
        let lab = Lab::new();
        for part in (1..=needed).rev().step_by(needed / 12) {
            let result = lab.load(&archive[..part]);
            assert!(
                result.is_err(),
                "cut at {part} of {}: {result:?}",
                archive.len()
            );
        }
        lab.assert_empty();
    }
}

#[test]
fn a_bit_flipped_anywhere_never_gives_another_image() {
    let sample = Sample::two_layers("x");
    let archive = oci_archive(&sample, Packing::Plain, Some("x:1"));
    let good = sample.id();
    for at in (0..archive.len()).step_by(331) {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x10;
        let lab = Lab::new();
        // Padding and names may be hit, which harms nothing; content may not.
        match lab.load(&damaged) {
            Ok(loaded) => assert!(loaded.iter().all(|image| image.id == good), "byte {at}"),
            Err(_) => lab.assert_empty(),
        }
    }
}

#[test]
fn content_that_is_not_what_a_digest_says_is_refused() {
    let sample = Sample::two_layers("x");
    let other = layer(&[("other", "layer")]);
    let swapped = Tar::new()
        .file("c.json", &sample.raw_config())
        .file("1", &sample.layers[0])
        .file("2", &other)
        .file("manifest.json", &manifest(&["1", "2"]))
        .finish();
    refused(&swapped, "invalid diffID for layer 1");
    let fewer = Tar::new()
        .file("c.json", &sample.raw_config())
        .file("1", &sample.layers[0])
        .file("manifest.json", &manifest(&["1"]))
        .finish();
    refused(&fewer, "layers length mismatch: expected 1, got 2");
    let missing = Tar::new()
        .file("c.json", &sample.raw_config())
        .file("1", &sample.layers[0])
        .file("manifest.json", &manifest(&["1", "2"]))
        .finish();
    refused(&missing, "2 is missing");
    let no_config = Tar::new().file("manifest.json", &manifest(&[])).finish();
    refused(&no_config, "c.json is missing");

    let mut layout = Layout::default();
    let descriptor = layout.image(&sample, Packing::Gzip);
    let config = sample.id().0.hex();
    let mut changed = sample.clone();
    changed.config["config"]["Cmd"] = json!(["evil"]);
    layout.blobs.insert(config, changed.raw_config());
    refused(
        &layout.list(descriptor, Some("x:1")).finish(),
        "is not what its descriptor says",
    );

    let mut layout = Layout::default();
    let mut descriptor = layout.image(&sample, Packing::Plain);
    descriptor["size"] = json!(1);
    refused(
        &layout.list(descriptor, None).finish(),
        "is not what its descriptor says",
    );

    // A configuration named by its digest that is another's.
    let named = format!("{}.json", sample.id().0.hex());
    let manifest = json!([{"Config": named, "RepoTags": [], "Layers": ["1", "2"]}]);
    let archive = Tar::new()
        .file(&named, &changed.raw_config())
        .file("1", &sample.layers[0])
        .file("2", &sample.layers[1])
        .file("manifest.json", &serde_json::to_vec(&manifest).unwrap())
        .finish();
    refused(&archive, "has the digest");
}

#[test]
fn cve_2021_41190_a_document_that_is_both_index_and_manifest_is_refused() {
    let sample = Sample::two_layers("x");
    let mut layout = Layout::default();
    let image = layout.image(&sample, Packing::Plain);
    let hex = image["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let mut both: Value = serde_json::from_slice(&layout.blobs[&hex]).unwrap();
    both["manifests"] = json!([image]);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let both = layout.blob(kind, &serde_json::to_vec(&both).unwrap());
    refused(
        &layout.list(both, Some("x:1")).finish(),
        "both an index and a manifest",
    );
}

#[test]
fn indexes_nested_deeply_or_listing_endlessly_are_refused() {
    let mut layout = Layout::default();
    let mut descriptor = layout.image(&Sample::two_layers("x"), Packing::Plain);
    for _ in 0..20 {
        descriptor = layout.index(&[descriptor]);
    }
    refused(
        &layout.list(descriptor, Some("x:1")).finish(),
        "nested deeper",
    );

    // Each index lists the one below it many times: millions of visits from a few kilobytes.
    let mut layout = Layout::default();
    let mut descriptor = layout.image(&Sample::two_layers("x"), Packing::Plain);
    for _ in 0..3 {
        descriptor = layout.index(&vec![descriptor; 200]);
    }
    refused(
        &layout.list(descriptor, Some("x:1")).finish(),
        "more than 4096 manifests",
    );
}

#[test]
fn a_configuration_of_10_megabytes_is_refused() {
    let mut sample = Sample::two_layers("x");
    sample.config["config"]["Labels"] = json!({"long": "x".repeat(10 << 20)});
    refused(&sample.docker_archive(&["x:1"]), "larger than the limit");
    refused(
        &oci_archive(&sample, Packing::Plain, None),
        "larger than the limit",
    );
}

#[test]
fn what_is_no_archive_of_images_is_said_to_be_none() {
    refused(b"", "unrecognized image format");
    refused(&layer(&[("bin/sh", "x")]), "unrecognized image format");
    refused(&b"this is no tar archive at all. ".repeat(100), "invalid");
    refused(&gzip(b"neither is this"), "invalid");
    refused(
        &Tar::new().file("manifest.json", b"null").finish(),
        "manifest cannot be null",
    );
    refused(
        &Tar::new().file("manifest.json", b"{").finish(),
        "manifest.json",
    );
    refused(
        &Tar::new()
            .file("index.json", br#"{"manifests":7}"#)
            .finish(),
        "index.json",
    );
    let mut windows = Sample::two_layers("x");
    windows.config["os"] = json!("windows");
    refused(
        &windows.docker_archive(&["x:1"]),
        "cannot load windows image on linux",
    );
    refused(
        &oci_archive(&windows, Packing::Plain, None),
        "cannot load windows image on linux",
    );
}

#[test]
fn bad_names_are_refused_in_dockers_words() {
    let sample = Sample::two_layers("x");
    refused(&sample.docker_archive(&["UPPER:1"]), "must be lowercase");
    refused(
        &sample.docker_archive(&["no-tag"]),
        "invalid tag \"no-tag\"",
    );
    refused(
        &sample.docker_archive(&["a b:1"]),
        "invalid reference format",
    );
    let digest = format!("x@{}", Digest::of(b""));
    refused(&sample.docker_archive(&[&digest]), "invalid tag");
    refused(
        &oci_archive(&sample, Packing::Plain, Some("a//b")),
        "invalid reference format",
    );
}

#[test]
fn two_members_of_one_name_are_refused() {
    let sample = Sample::two_layers("x");
    let archive = Tar::new()
        .file("manifest.json", &manifest(&[]))
        .file("c.json", &sample.raw_config())
        .file("./manifest.json", &manifest(&["1"]))
        .finish();
    refused(&archive, "two members named");
    let layers = Tar::new()
        .file("1", &sample.layers[0])
        .file("1", &sample.layers[1])
        .finish();
    refused(&layers, "two members named");
}

#[test]
fn links_that_go_round_in_a_circle_are_refused() {
    let archive = Tar::new()
        .link("c.json", Kind::Symlink, "d.json")
        .link("d.json", Kind::Symlink, "c.json")
        .file("manifest.json", &manifest(&[]))
        .finish();
    refused(&archive, "too many links");
    let json = |text: Value| serde_json::to_vec(&text).unwrap();
    let circle = Tar::new()
        .file("a/json", &json(json!({"parent": "b"})))
        .file("b/json", &json(json!({"parent": "a"})))
        .file("repositories", &json(json!({"x": {"1": "a"}})))
        .finish();
    refused(&circle, "more than 500 layers");
}

#[test]
fn a_layer_that_is_none_fails_the_load_only_if_it_is_needed() {
    let sample = Sample::two_layers("x");
    let rubbish = gzip(b"no tar, but compressed like a layer");
    let unneeded = Tar::new()
        .file("stray.gz", &rubbish)
        .file("c.json", &sample.raw_config())
        .file("1", &sample.layers[0])
        .file("2", &sample.layers[1])
        .file("manifest.json", &manifest(&["1", "2"]))
        .finish();
    Lab::new().load(&unneeded).unwrap();
    let needed = Tar::new()
        .file("c.json", &sample.raw_config())
        .file("1", &rubbish)
        .file("2", &sample.layers[1])
        .file("manifest.json", &manifest(&["1", "2"]))
        .finish();
    refused(&needed, "1: ");
}

#[test]
fn devices_and_pipes_in_the_outer_archive_make_nothing() {
    let sample = Sample::two_layers("x");
    let archive = Tar::new()
        .link("dev", Kind::CharacterDevice { major: 1, minor: 3 }, "")
        .link("pipe", Kind::Fifo, "")
        .link("c.json", Kind::Fifo, "")
        .file("manifest.json", &manifest(&[]))
        .finish();
    refused(&archive, "c.json is missing");
    let fine = Tar::new()
        .link("dev", Kind::BlockDevice { major: 8, minor: 0 }, "")
        .file("c.json", &sample.raw_config())
        .file("1", &sample.layers[0])
        .file("2", &sample.layers[1])
        .file("manifest.json", &manifest(&["1", "2"]))
        .finish();
    Lab::new().load(&fine).unwrap();
}

#[test]
fn more_members_than_any_archive_has_are_refused() {
    let mut tar = Tar::new();
    for number in 0..100_001 {
        tar = tar.file(&number.to_string(), b"");
    }
    refused(&tar.finish(), "more than 100000 members");
}

#[test]
fn a_source_that_fails_is_an_error_and_leaves_nothing() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer) {
                Ok(0) => Err(std::io::ErrorKind::ConnectionReset.into()),
                result => result,
            }
        }
    }
    let archive = Sample::two_layers(&"x".repeat(100_000)).docker_archive(&["x:1"]);
    let lab = Lab::new();
    let mut source = Failing(&archive[..archive.len() / 2]);
    let error = lab
        .images
        .load(&mut source, &LoadOptions::default(), &mut Lines::default());
    assert!(error.unwrap_err().to_string().contains("read the archive"));
    lab.assert_empty();
}
