//! Docker's rules of what is untagged, what is deleted and what is in the way.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use wharf_images::{
    CommitRequest, CommitTree, ContainerUse, ErrorKind, Force, ImageError, ImageId, Parents,
    PruneRequest, Pruned, Reference, RemoveRequest, Removed, RunConfig,
};
use wharf_store::Digest;

use crate::fixture::{Lab, Layout, Packing, Sample, layer};

fn lab(names: &[&str]) -> (Lab, ImageId) {
    let lab = Lab::new();
    let sample = Sample::two_layers("x");
    lab.load(&sample.docker_archive(names)).unwrap();
    (lab, sample.id())
}

fn unused(_: &ImageId) -> Option<ContainerUse> {
    None
}

fn container(running: bool) -> Option<ContainerUse> {
    Some(ContainerUse {
        id: "0123456789abcdef0123".to_owned(),
        running,
    })
}

type InUse = dyn Fn(&ImageId) -> Option<ContainerUse>;

fn remove(lab: &Lab, name: &str, force: Force, in_use: &InUse) -> Result<Vec<Removed>, ImageError> {
    lab.images.remove(&RemoveRequest {
        name,
        force,
        parents: Parents::Remove,
        in_use,
    })
}

fn conflict(lab: &Lab, name: &str, force: Force, in_use: &InUse) -> String {
    let before = lab.images.count();
    let error = remove(lab, name, force, in_use).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(lab.images.count(), before);
    error.to_string()
}

/// As `docker rmi` prints it, without the digests.
fn words(removed: &[Removed]) -> Vec<String> {
    let word = |removed: &Removed| match removed {
        Removed::Untagged(name, _) => format!("Untagged {name}"),
        Removed::Image(_) => "Deleted image".to_owned(),
        Removed::Layer(_) => "Deleted layer".to_owned(),
    };
    removed.iter().map(word).collect()
}

fn commit(lab: &Lab, parent: ImageId, name: Option<&str>, text: &str) -> ImageId {
    let tar = layer(&[("committed", text)]);
    let request = CommitRequest {
        parent: Some(parent),
        tree: CommitTree::Tar(&mut &*tar),
        config: RunConfig::default(),
        container: "c",
        container_config: None,
        author: "",
        comment: "",
        name: name.map(|name| Reference::parse(name).unwrap()),
    };
    lab.images.commit(request).unwrap()
}

#[test]
fn the_last_name_takes_the_image_with_it_and_the_others_do_not() {
    let (lab, id) = lab(&["app:1", "app:2"]);
    assert_eq!(
        words(&remove(&lab, "app:1", Force::No, &unused).unwrap()),
        ["Untagged app:1"]
    );
    assert_eq!(lab.collect(), (0, 0));
    let removed = remove(&lab, "app:2", Force::No, &unused).unwrap();
    assert_eq!(
        words(&removed),
        [
            "Untagged app:2",
            "Deleted image",
            "Deleted layer",
            "Deleted layer"
        ]
    );
    assert_eq!(removed[1], Removed::Image(id));
    lab.assert_empty();
}

#[test]
fn the_chain_ids_of_freed_layers_are_told_top_first_and_shared_ones_are_not() {
    let lab = Lab::new();
    let (one, two) = (Sample::two_layers("x"), Sample::two_layers("y"));
    lab.load(&one.docker_archive(&["one:1"])).unwrap();
    lab.load(&two.docker_archive(&["two:1"])).unwrap();
    let removed = remove(&lab, "one:1", Force::No, &unused).unwrap();
    let [base, own] = [0, 1].map(|layer| Digest::of(&one.layers[layer]));
    let chain = Digest::of(format!("{base} {own}").as_bytes());
    assert_eq!(removed[2..], [Removed::Layer(chain)]);
    let removed = remove(&lab, "two:1", Force::No, &unused).unwrap();
    assert_eq!(removed.last(), Some(&Removed::Layer(base)));
}

#[test]
fn an_id_takes_the_names_with_it_if_they_are_in_one_repository() {
    let (lab, id) = lab(&["app:1"]);
    let removed = remove(&lab, &id.short(), Force::No, &unused).unwrap();
    assert_eq!(words(&removed)[..2], ["Untagged app:1", "Deleted image"]);

    let (lab, id) = self::lab(&["app:1", "other:1"]);
    let message = conflict(&lab, &id.short(), Force::No, &unused);
    let expected = format!(
        "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
        id.short()
    );
    assert_eq!(message, expected);
    let removed = remove(&lab, &id.short(), Force::Yes, &unused).unwrap();
    assert_eq!(
        words(&removed)[..3],
        ["Untagged app:1", "Untagged other:1", "Deleted image"]
    );
    lab.assert_empty();
}

#[test]
fn an_image_in_use_is_kept_and_docker_says_why() {
    let (lab, id) = lab(&["app:1"]);
    let short = id.short();
    let stopped = |_: &ImageId| container(false);
    let running = |_: &ImageId| container(true);
    assert_eq!(
        conflict(&lab, "app:1", Force::No, &stopped),
        format!(
            "conflict: unable to remove repository reference \"app:1\" (must force) - container 0123456789ab is using its referenced image {short}"
        )
    );
    assert_eq!(
        conflict(&lab, &short, Force::No, &stopped),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container 0123456789ab"
        )
    );
    for force in [Force::No, Force::Yes] {
        assert_eq!(
            conflict(&lab, &short, force, &running),
            format!(
                "conflict: unable to delete {short} (cannot be forced) - image is being used by running container 0123456789ab"
            )
        );
    }
    // Forced, a running container's image loses its name and stays.
    let removed = remove(&lab, "app:1", Force::Yes, &running).unwrap();
    assert_eq!(words(&removed), ["Untagged app:1"]);
    assert!(lab.images.get(&id).is_ok());
    // A stopped one's goes, and its layers are not said to be gone.
    let removed = remove(&lab, &short, Force::Yes, &stopped).unwrap();
    assert_eq!(words(&removed), ["Deleted image"]);
}

#[test]
fn of_two_names_of_an_image_in_use_one_can_go() {
    let (lab, _) = lab(&["app:1", "app:2"]);
    let running = |_: &ImageId| container(true);
    assert_eq!(
        words(&remove(&lab, "app:1", Force::No, &running).unwrap()),
        ["Untagged app:1"]
    );
    assert!(conflict(&lab, "app:2", Force::No, &running).contains("(must force)"));
}

#[test]
fn an_image_that_others_were_committed_from_cannot_be_deleted() {
    let (lab, base) = lab(&["base:1"]);
    let child = commit(&lab, base, Some("child:1"), "1");
    for force in [Force::No, Force::Yes] {
        let message = conflict(&lab, &base.short(), force, &unused);
        let short = base.short();
        assert_eq!(
            message,
            format!(
                "conflict: unable to delete {short} (cannot be forced) - image has dependent child images"
            )
        );
    }
    // By its name it is untagged and quietly kept; the child then takes it along.
    assert_eq!(
        words(&remove(&lab, "base:1", Force::No, &unused).unwrap()),
        ["Untagged base:1"]
    );
    assert!(
        lab.images
            .list(&wharf_images::ListQuery::default())
            .unwrap()
            .len()
            == 1
    );
    let removed = remove(&lab, "child:1", Force::No, &unused).unwrap();
    assert!(removed.contains(&Removed::Image(child)) && removed.contains(&Removed::Image(base)));
    lab.assert_empty();
}

#[test]
fn with_no_prune_a_nameless_parent_stays() {
    let (lab, base) = lab(&[]);
    let child = commit(&lab, base, None, "1");
    let name = child.short();
    let request = RemoveRequest {
        name: &name,
        force: Force::No,
        parents: Parents::Keep,
        in_use: &unused,
    };
    lab.images.remove(&request).unwrap();
    assert!(lab.images.get(&base).is_ok());
}

#[test]
fn a_multi_platform_image_goes_with_all_its_machines() {
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
    let lab = Lab::new();
    lab.load(&layout.list(index, Some("multi:1")).finish())
        .unwrap();
    let main = lab.images.resolve_id("multi:1").unwrap();
    lab.images
        .tag(&main, &Reference::parse("second:1").unwrap())
        .unwrap();
    remove(&lab, "multi:1", Force::No, &unused).unwrap();
    assert_eq!(lab.images.count(), 2);
    remove(&lab, "second:1", Force::No, &unused).unwrap();
    lab.assert_empty();
}

fn prune(lab: &Lab, dangling_only: bool, in_use: &InUse) -> Pruned {
    let labels = |_: &BTreeMap<String, String>| true;
    let request = PruneRequest {
        dangling_only,
        until: None,
        labels: &labels,
        in_use,
    };
    lab.images.prune(&request).unwrap()
}

#[test]
fn pruning_removes_what_has_no_name_or_what_no_container_uses() {
    let (lab, base) = lab(&["base:1"]);
    let nameless = commit(&lab, base, None, "12345");
    let named = commit(&lab, base, Some("named:1"), "67");
    let pruned = prune(&lab, true, &unused);
    assert_eq!(pruned.removed[0], Removed::Image(nameless));
    assert_eq!(pruned.bytes, 5);
    assert_eq!(lab.images.count(), 2);
    let used = move |id: &ImageId| if *id == named { container(true) } else { None };
    // The used one's parent has a child and stays, too.
    assert_eq!(
        prune(&lab, false, &used).removed,
        [Removed::Untagged("base:1".into(), base)]
    );
    assert_eq!(lab.images.count(), 2);
    prune(&lab, false, &unused);
    lab.assert_empty();
}

#[test]
fn pruning_minds_labels_and_times() {
    let (lab, _) = lab(&[]);
    let never = |_: &BTreeMap<String, String>| false;
    let always = |_: &BTreeMap<String, String>| true;
    let request = |until: &str, labels| PruneRequest {
        dangling_only: true,
        until: Some(until.parse().unwrap()),
        labels,
        in_use: &unused,
    };
    assert!(
        lab.images
            .prune(&request("2030-01-01T00:00:00Z", &never))
            .unwrap()
            .removed
            .is_empty()
    );
    assert!(
        lab.images
            .prune(&request("2020-01-01T00:00:00Z", &always))
            .unwrap()
            .removed
            .is_empty()
    );
    assert_eq!(
        lab.images
            .prune(&request("2030-01-01T00:00:00Z", &always))
            .unwrap()
            .removed
            .len(),
        3
    );
}

#[test]
fn what_does_not_exist_cannot_be_removed() {
    let (lab, _) = lab(&["app:1"]);
    let error = remove(&lab, "gone", Force::Yes, &unused).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("No such image: gone:latest", ErrorKind::NotFound)
    );
}
