//! Which images are listed, found and named.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::json;
use wharf_images::{ErrorKind, ImageSummary, ListQuery, Reference};

use crate::fixture::{Lab, Sample, layer};

fn lab() -> Lab {
    let lab = Lab::new();
    let old = Sample::two_layers("old")
        .created("2020-01-01T00:00:00Z")
        .labelled(json!({"a": "1"}));
    let new = Sample::two_layers("new")
        .created("2024-01-01T00:00:00Z")
        .labelled(json!({"a": "2"}));
    let bare = Sample::new(vec![layer(&[("z", "z")])]).created("2022-01-01T00:00:00Z");
    lab.load(&old.docker_archive(&["team/app:1", "team/app:latest", "other:x"]))
        .unwrap();
    lab.load(&new.docker_archive(&["app:2"])).unwrap();
    lab.load(&bare.docker_archive(&[])).unwrap();
    lab
}

fn names(images: &[ImageSummary]) -> Vec<String> {
    let familiar = |image: &ImageSummary| {
        let names: Vec<String> = image.tags.iter().map(Reference::familiar).collect();
        if names.is_empty() {
            "<none>".to_owned()
        } else {
            names.join(" ")
        }
    };
    images.iter().map(familiar).collect()
}

#[test]
fn images_are_listed_newest_first_with_all_their_names() {
    let listed = lab().images.list(&ListQuery::default()).unwrap();
    assert_eq!(
        names(&listed),
        ["app:2", "<none>", "other:x team/app:1 team/app:latest"]
    );
}

#[test]
fn every_filter_does_what_docker_says() {
    let lab = lab();
    let list = |query: ListQuery<'_>| names(&lab.images.list(&query).unwrap());
    let all = ListQuery::default;
    assert_eq!(
        list(ListQuery {
            dangling: Some(true),
            ..all()
        }),
        ["<none>"]
    );
    assert_eq!(
        list(ListQuery {
            dangling: Some(false),
            ..all()
        })
        .len(),
        2
    );
    assert_eq!(
        list(ListQuery {
            before: Some("app:2"),
            ..all()
        })
        .len(),
        2
    );
    assert_eq!(
        list(ListQuery {
            since: Some("other:x"),
            ..all()
        }),
        ["app:2", "<none>"]
    );
    let until = Some("2021-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(list(ListQuery { until, ..all() }).len(), 1);
    let patterns = |patterns: &[&str]| patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>();
    let reference = |p: &[&str]| {
        list(ListQuery {
            references: &patterns(p),
            ..all()
        })
    };
    assert_eq!(reference(&["team/app"]), ["team/app:1 team/app:latest"]);
    assert_eq!(
        reference(&["*/*:latest", "app"]),
        ["app:2", "team/app:latest"]
    );
    assert_eq!(reference(&["nothing"]), Vec::<String>::new());
    let labels = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get("a").is_some_and(|v| v == "2")
    };
    assert_eq!(
        list(ListQuery {
            labels: Some(&labels),
            ..all()
        }),
        ["app:2"]
    );
    let error = lab
        .images
        .list(&ListQuery {
            before: Some("gone"),
            ..all()
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "No such image: gone:latest");
    let error = lab
        .images
        .list(&ListQuery {
            references: &patterns(&["["]),
            ..all()
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "syntax error in pattern");
}

#[test]
fn shared_bytes_are_those_of_layers_that_two_images_have() {
    let lab = lab();
    let listed = lab
        .images
        .list(&ListQuery {
            shared_size: true,
            ..ListQuery::default()
        })
        .unwrap();
    let base = "the same".len() as u64;
    assert_eq!(listed[0].size, base + 3);
    assert_eq!(listed[0].shared_size, Some(base));
    assert_eq!(listed[1].shared_size, Some(0));
    assert_eq!(lab.images.layers_size(), base + 3 + 3 + 1);
}

#[test]
fn an_image_is_found_by_name_by_id_and_by_the_first_digits() {
    let lab = lab();
    let id = lab.images.resolve_id("app:2").unwrap();
    let hex = id.0.hex();
    for text in [
        "app:2",
        "docker.io/library/app:2",
        "index.docker.io/app:2",
        &hex,
        &id.to_string(),
        &hex[..12],
        &format!("sha256:{}", &hex[..20]),
    ] {
        assert_eq!(lab.images.resolve_id(text).unwrap(), id, "{text}");
    }
    for (text, message) in [
        ("app", "No such image: app:latest"),
        ("0000000", "No such image: 0000000:latest"),
        (
            &"0".repeat(64),
            &format!("No such image: sha256:{}", "0".repeat(64)),
        ),
    ] {
        let error = lab.images.resolve_id(text).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.kind()),
            (message, ErrorKind::NotFound)
        );
    }
    let error = lab.images.resolve_id("APP").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn digits_that_two_ids_begin_with_are_ambiguous() {
    let lab = Lab::new();
    // Of 17 images two begin with the same digit.
    for number in 0..17 {
        lab.load(
            &Sample::new(vec![])
                .created(&number.to_string())
                .docker_archive(&[]),
        )
        .unwrap();
    }
    let all = lab.images.list(&ListQuery::default()).unwrap();
    let first = |image: &ImageSummary| image.id.0.hex()[..1].to_owned();
    let twice = all
        .iter()
        .map(first)
        .find(|digit| all.iter().filter(|i| first(i) == *digit).count() > 1);
    let error = lab.images.resolve_id(&twice.unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "ambiguous reference");
}

#[test]
fn a_tag_moves_and_the_image_it_leaves_becomes_nameless() {
    let lab = lab();
    let app = lab.images.resolve_id("app:2").unwrap();
    let name = Reference::parse("other:x").unwrap();
    let before = lab.images.resolve_id("other:x").unwrap();
    lab.images.tag(&app, &name).unwrap();
    lab.images
        .tag(&app, &Reference::parse("fresh").unwrap())
        .unwrap();
    let lab = lab.reopen();
    assert_eq!(lab.images.resolve_id("other:x").unwrap(), app);
    assert_eq!(lab.images.resolve_id("fresh:latest").unwrap(), app);
    assert!(
        lab.images
            .get(&before)
            .unwrap()
            .tags
            .iter()
            .all(|tag| *tag != name)
    );
    assert!(lab.images.get(&app).unwrap().last_tagged.is_some());
    let digest = format!("x@{app}").parse::<Reference>().unwrap();
    let error = lab.images.tag(&app, &digest).unwrap_err();
    assert_eq!(
        error.to_string(),
        "refusing to create a tag with a digest reference"
    );
}

#[test]
fn history_tells_the_steps_newest_first_with_the_sizes_of_their_layers() {
    let lab = Lab::new();
    let mut sample = Sample::two_layers("x");
    let empty =
        json!({"created": "2024-01-01T00:00:01Z", "created_by": "CMD", "empty_layer": true});
    sample.config["history"].as_array_mut().unwrap().push(empty);
    lab.load(&sample.docker_archive(&["app:1"])).unwrap();
    let history = lab.images.history(&sample.id()).unwrap();
    let steps: Vec<_> = history
        .iter()
        .map(|item| (item.created_by.as_str(), item.size))
        .collect();
    assert_eq!(steps, [("CMD", 0), ("step 1", 1), ("step 0", 8)]);
    assert_eq!((history[0].id, history[1].id), (Some(sample.id()), None));
    assert_eq!(history[0].tags, ["app:1"]);
}
