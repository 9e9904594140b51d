//! New images from trees: `commit` and `import`.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use wharf_images::{
    CommitRequest, CommitTree, ErrorKind, ImageError, ImageId, ImportRequest, Platform, Reference,
    RunConfig,
};

use crate::fixture::{Lab, Sample, diff_id, files, gzip, layer, zstd};

fn request(parent: Option<ImageId>, tree: CommitTree<'_>) -> CommitRequest<'_> {
    CommitRequest {
        parent,
        tree,
        config: RunConfig {
            cmd: Some(vec!["new".into()]),
            ..RunConfig::default()
        },
        container: "0123",
        container_config: Some(RunConfig {
            cmd: Some(vec!["sh".into(), "-c".into()]),
            ..RunConfig::default()
        }),
        author: "me",
        comment: "why",
        name: Some(Reference::parse("made").unwrap()),
    }
}

#[test]
fn a_commit_is_its_image_and_what_the_container_changed() {
    let lab = Lab::new();
    let sample = Sample::two_layers("x");
    lab.load(&sample.docker_archive(&["base:1"])).unwrap();
    let upper = tempfile::tempdir().unwrap();
    fs::create_dir(upper.path().join("etc")).unwrap();
    fs::write(upper.path().join("etc/made"), "12345").unwrap();
    let id = lab
        .images
        .commit(request(Some(sample.id()), CommitTree::Upper(upper.path())))
        .unwrap();
    let image = lab.images.resolve("made:latest").unwrap();
    assert_eq!((image.id, image.parent), (id, Some(sample.id())));
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.size, sample.layers.len() as u64 + 8 - 1 + 5);
    assert_eq!(image.config.run_config().cmd.unwrap(), ["new"]);
    assert_eq!(
        (image.config.author.as_str(), image.config.comment.as_str()),
        ("me", "why")
    );
    assert_eq!(image.platform.architecture, "amd64");
    let step = image.config.history.last().unwrap();
    assert_eq!(
        (step.created_by.as_str(), step.empty_layer),
        ("sh -c", false)
    );
    let mut tar = Vec::new();
    lab.images
        .store()
        .layers()
        .open_tar(&image.layers[2].diff_id)
        .unwrap()
        .read_to_end(&mut tar)
        .unwrap();
    assert_eq!(files(&tar)["etc/made"], b"12345");
    // It is a whole image: it can be saved, and loaded where its parent is not.
    let elsewhere = Lab::new();
    elsewhere.load(&lab.save(&["made"])).unwrap();
    assert_eq!(elsewhere.images.resolve_id("made").unwrap(), id);
}

#[test]
fn a_container_that_changed_nothing_makes_no_layer() {
    let lab = Lab::new();
    let sample = Sample::two_layers("x");
    lab.load(&sample.docker_archive(&["base:1"])).unwrap();
    let upper = tempfile::tempdir().unwrap();
    lab.images
        .commit(request(Some(sample.id()), CommitTree::Upper(upper.path())))
        .unwrap();
    let image = lab.images.resolve("made").unwrap();
    assert_eq!(image.layers.len(), 2);
    assert!(image.config.history.last().unwrap().empty_layer);
    assert_eq!(lab.collect(), (0, 1));
}

#[test]
fn a_tree_that_cannot_be_read_makes_no_image() {
    let lab = Lab::new();
    let gone = std::path::Path::new("/nonexistent/upper");
    let error = lab
        .images
        .commit(request(None, CommitTree::Upper(gone)))
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/upper"), "{error}");
    lab.assert_empty();
}

#[test]
fn labels_of_10_megabytes_make_no_image() {
    let lab = Lab::new();
    let tree = layer(&[("a", "b")]);
    let mut source = &*tree;
    let mut request = request(None, CommitTree::Tar(&mut source));
    request
        .config
        .labels
        .insert("long".into(), "x".repeat(10 << 20));
    let error = lab.images.commit(request).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    lab.assert_empty();
}

#[test]
fn an_archive_of_a_file_system_becomes_an_image_of_one_layer() {
    let tree = layer(&[("bin/sh", "#!"), ("etc/passwd", "root:")]);
    for packed in [tree.clone(), gzip(&tree), zstd(&tree)] {
        let lab = Lab::new();
        let changes = ["CMD [\"/bin/sh\"]".to_owned(), "ENV A=1".to_owned()];
        let request = ImportRequest {
            name: Some(Reference::parse("imported").unwrap()),
            changes: &changes,
            message: "from a tar",
            platform: Some("linux/arm64".parse::<Platform>().unwrap()),
        };
        let id = lab.images.import(&mut &*packed, &request).unwrap();
        let image = lab.images.resolve("imported:latest").unwrap();
        assert_eq!(image.id, id);
        assert_eq!(image.diff_ids(), [diff_id(&tree)]);
        assert_eq!(image.size, 7);
        assert_eq!(image.platform.to_string(), "linux/arm64");
        assert_eq!(image.config.run_config().env, ["A=1"]);
        assert_eq!(image.config.history[0].comment, "from a tar");
        assert_eq!(lab.collect(), (0, 0));
    }
}

#[test]
fn what_cannot_be_imported_leaves_nothing() {
    let lab = Lab::new();
    let tree = layer(&[("a", &"b".repeat(5000))]);
    let import = |bytes: &[u8], changes: &[String]| {
        let request = ImportRequest {
            changes,
            ..ImportRequest::default()
        };
        lab.images.import(&mut &*bytes, &request).unwrap_err()
    };
    let error = import(&tree, &["RUN true".to_owned()]);
    assert_eq!(error.to_string(), "RUN is not a valid change command");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        import(b"no archive at all", &[]).kind(),
        ErrorKind::InvalidArgument
    );
    import(&tree[..2000], &[]);
    let packed = gzip(&tree);
    import(&packed[..packed.len() - 4], &[]);
    lab.assert_empty();
}
