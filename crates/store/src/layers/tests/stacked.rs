//! Layers over layers: whiteouts, opaque directories, and the way back from an upper.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use rustix::fs::{FileType, Mode};
use wharf_sys::rooted::{NodeKind, Root};

use super::support::*;
use crate::layers::{Layer, OverlayUpper, write_tar_of_upper, write_tar_of_upper_without};
use crate::tar::Kind;

/// Everything in an overlay of these layers, the lowest first.
fn stacked(place: &Place, layers: &[&Layer]) -> BTreeMap<String, Facts> {
    let ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    snapshot(&Root::from_fd(place.layers.overlay(&ids, None).unwrap()))
}

fn paths(shown: &BTreeMap<String, Facts>) -> Vec<&str> {
    shown
        .keys()
        .map(String::as_str)
        .filter(|path| !path.is_empty())
        .collect()
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_beside() {
    for form in forms() {
        let place = Place::new(form);
        let lower = [
            directory("d", 0o755),
            file("d/keep", 1),
            file("d/gone", 2),
            directory("e", 0o755),
            file("e/x", 3),
            file("top", 4),
            directory("whole", 0o755),
            file("whole/f", 1),
        ];
        let lower = place.import(&archive(&lower)).unwrap();
        let upper = [
            directory("d", 0o711),
            file("d/.wh.gone", 0),
            directory("e", 0o755),
            file("e/.wh..wh..opq", 0),
            file("e/y", 5),
            file(".wh.top", 0),
            file(".wh.whole", 0),
            file(".wh.never", 0),
        ];
        let upper = place.import(&archive(&upper)).unwrap();
        let shown = stacked(&place, &[&lower, &upper]);
        assert_eq!(paths(&shown), ["d", "d/keep", "e", "e/y"], "{form:?}");
        assert_eq!(shown["d"].mode, 0o711);
        // A third layer brings one of them back.
        let third = place
            .import(&archive(&[file("d/gone", 9), file("top", 8)]))
            .unwrap();
        let shown = stacked(&place, &[&lower, &upper, &third]);
        assert_eq!(paths(&shown), ["d", "d/gone", "d/keep", "e", "e/y", "top"]);
        assert_eq!(shown["d/gone"].size, 9);
    }
}

#[test]
fn a_whiteout_concerns_the_layers_below_in_whatever_order_it_stands() {
    for form in forms() {
        let place = Place::new(form);
        let lower = place
            .import(&archive(&[file("d/old", 1), file("f", 1)]))
            .unwrap();
        let objects = || vec![directory("d", 0o755), file("d/new", 2), file("f", 2)];
        let marks = || vec![file(".wh.d", 0), file(".wh.f", 0)];
        for entries in [[marks(), objects()].concat(), [objects(), marks()].concat()] {
            let upper = place.import(&archive(&entries)).unwrap();
            let shown = stacked(&place, &[&lower, &upper]);
            assert_eq!(paths(&shown), ["d", "d/new", "f"], "{form:?}");
            assert_eq!(shown["f"].size, 2);
        }
    }
}

#[test]
fn nothing_in_or_under_an_opaque_directory_is_listed_as_a_whiteout() {
    for form in forms() {
        let place = Place::new(form);
        let lower = place
            .import(&archive(&[file("o/below/a", 1), file("o/b", 1)]))
            .unwrap();
        let entries = [
            directory("o", 0o755),
            file("o/.wh..wh..opq", 0),
            file("o/.wh.b", 0),
            directory("o/below", 0o755),
            file("o/below/.wh.a", 0),
            file("o/below/n", 1),
        ];
        let upper = place.import(&archive(&entries)).unwrap();
        let shown = stacked(&place, &[&lower, &upper]);
        assert_eq!(paths(&shown), ["o", "o/below", "o/below/n"], "{form:?}");
    }
}

#[test]
fn old_notes_of_aufs_are_not_shown_but_links_to_them_are() {
    for form in forms() {
        let place = Place::new(form);
        let entries = [
            directory(".wh..wh.plnk", 0o700),
            file(".wh..wh.plnk/12.34", 5),
            file(".wh..wh.aufs", 0),
            link(Kind::HardLink, "one", ".wh..wh.plnk/12.34"),
            link(Kind::HardLink, "two", ".wh..wh.plnk/12.34"),
        ];
        let layer = place.import(&archive(&entries)).unwrap();
        let shown = snapshot(&place.root(&layer));
        assert_eq!(paths(&shown), ["one", "two"]);
        assert_eq!(
            (shown["two"].same_as.as_str(), shown["two"].links),
            ("one", 2)
        );
    }
}

#[test]
fn a_layer_alone_and_no_layer_at_all_can_be_seen_too() {
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&archive(&[file("f", 1)])).unwrap();
        assert_eq!(paths(&stacked(&place, &[&layer])), ["f"]);
        assert!(stacked(&place, &[]).len() == 1);
        let empty = place.import(&[0; 1024]).unwrap();
        assert_eq!((empty.entries, empty.content_bytes), (1, 0));
        assert_eq!(paths(&stacked(&place, &[&empty, &layer, &empty])), ["f"]);
    }
}

/// What a container could do to its files.
fn change(root: &Root) {
    root.remove_file("d/gone").unwrap();
    root.remove_all("whole").unwrap();
    root.remove_all("again").unwrap();
    root.mkdir("again", Mode::from_raw_mode(0o750)).unwrap();
    root.create_file("again/new", Mode::from_raw_mode(0o640))
        .unwrap();
    let mut file = root
        .create_file("d/new", Mode::from_raw_mode(0o4755))
        .unwrap();
    std::io::Write::write_all(&mut file, b"new content").unwrap();
    root.hardlink("d/new", "d/second").unwrap();
    root.symlink("d/new", "soft").unwrap();
    root.mknod("pipe", NodeKind::Fifo, Mode::from_raw_mode(0o600))
        .unwrap();
    root.mknod("socket", NodeKind::Socket, Mode::from_raw_mode(0o600))
        .unwrap();
    let kept = root.resolve_nofollow("d/keep").unwrap();
    kept.chown(1000, 1_000_000).unwrap();
    kept.set_xattr("user.note", b"\x00binary\n").unwrap();
    kept.set_xattr("trusted.other", b"t").unwrap();
    root.rename("dir-to-move", "dir-moved").unwrap_err();
    let long = format!("{}/{}", "p".repeat(120), "q".repeat(180));
    root.mkdir_all(&long, Mode::from_raw_mode(0o755), None)
        .unwrap();
}

#[test]
fn what_an_upper_changed_comes_back_as_a_layer() {
    for form in forms() {
        let place = Place::new(form);
        let lower = [
            directory("d", 0o755),
            file("d/keep", 1),
            file("d/gone", 2),
            file("whole/f", 1),
            file("again/old", 1),
            file("dir-to-move/f", 1),
        ];
        let lower = place.import(&archive(&lower)).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let upper = OverlayUpper {
            upper: scratch.path().join("upper"),
            work: scratch.path().join("work"),
        };
        std::fs::create_dir(&upper.upper).unwrap();
        std::fs::create_dir(&upper.work).unwrap();
        let mount = place
            .layers
            .overlay(&[lower.diff_id], Some(&upper))
            .unwrap();
        let root = Root::from_fd(mount);
        change(&root);
        let mut expected = snapshot(&root);
        drop(root);

        let mut tar = Vec::new();
        write_tar_of_upper(&upper.upper, &mut tar).unwrap();
        let mut again = Vec::new();
        write_tar_of_upper(&upper.upper, &mut again).unwrap();
        assert!(tar == again, "the same upper gives the same tar");
        let committed = place.import(&tar).unwrap();
        let mut got = stacked(&place, &[&lower, &committed]);
        // The root is the upper's own; sockets are not archived.
        assert_eq!(expected.remove("socket").unwrap().kind, FileType::Socket);
        let root = got.get_mut("").unwrap();
        root.clone_from(&expected[""]);
        assert_same(&expected, &got);

        let listing = run("tar", &["-tf".as_ref(), "-".as_ref()], &tar);
        let listing = String::from_utf8(listing).unwrap();
        for mark in ["d/.wh.gone\n", ".wh.whole\n", "again/.wh..wh..opq\n"] {
            assert!(listing.contains(mark), "{mark} in {listing}");
        }
        assert!(!listing.contains("socket"));
    }
}

#[test]
fn whiteouts_kept_in_attributes_are_understood() {
    if forms().is_empty() {
        return;
    }
    let upper = tempfile::tempdir().unwrap();
    let root = Root::open(upper.path()).unwrap();
    std::fs::create_dir(upper.path().join("d")).unwrap();
    std::fs::write(upper.path().join("d/hidden"), "").unwrap();
    std::fs::write(upper.path().join("plain"), "").unwrap();
    symlink("x", upper.path().join(".wh.odd")).unwrap();
    let set = |path: &str, name: &str, value: &[u8]| {
        root.resolve_nofollow(path)
            .unwrap()
            .set_xattr(name, value)
            .unwrap();
    };
    set("d", "trusted.overlay.opaque", b"x");
    set("d/hidden", "trusted.overlay.whiteout", b"");
    set("plain", "security.selinux", b"label");
    let mut tar = Vec::new();
    write_tar_of_upper(upper.path(), &mut tar).unwrap();
    let listing = run("tar", &["-tf".as_ref(), "-".as_ref()], &tar);
    assert_eq!(
        String::from_utf8(listing).unwrap(),
        "d/\nd/.wh.hidden\nplain\n"
    );
}

#[test]
fn what_is_left_out_takes_what_is_below_it_along() {
    let upper = tempfile::tempdir().unwrap();
    std::fs::create_dir(upper.path().join("own")).unwrap();
    std::fs::write(upper.path().join("own/file"), "").unwrap();
    std::fs::write(upper.path().join("plain"), "").unwrap();
    let mut tar = Vec::new();
    let left_out = |path: &std::path::Path| path == std::path::Path::new("own");
    write_tar_of_upper_without(upper.path(), &left_out, &mut tar).unwrap();
    let listing = run("tar", &["-tf".as_ref(), "-".as_ref()], &tar);
    assert_eq!(String::from_utf8(listing).unwrap(), "plain\n");
}
