//! Archives of random entries over few names, so that they replace and link one another.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::*;
use crate::layers::LayerForm;
use crate::tar::{Entry, Kind};

fn name() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("c".to_owned()),
        Just("..".to_owned()),
        Just(".wh.a".to_owned()),
        Just(".wh..wh..opq".to_owned()),
        "[!-~]{1,60}".prop_filter("slash", |name| !name.contains('/')),
    ];
    prop::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        3 => Just(Kind::File),
        3 => Just(Kind::Directory),
        2 => Just(Kind::Symlink),
        2 => Just(Kind::HardLink),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::CharacterDevice { major: 1, minor: 3 }),
    ];
    let target = prop_oneof![
        2 => name(),
        1 => name().prop_map(|name| format!("/{name}")),
        1 => "[a-z]{1,600}",
    ];
    let owner = prop_oneof![Just(0u32), Just(65_536), any::<u16>().prop_map(u32::from)];
    (
        name(),
        kind,
        target,
        owner,
        0u32..0o10000,
        0u64..2000,
        0i64..4,
        0usize..700,
    )
        .prop_map(|(path, kind, target, owner, mode, size, time, value)| {
            let mut entry = Entry::new(path, kind);
            entry.link = target.into_bytes();
            entry.uid = owner;
            entry.mode = mode;
            entry.size = if kind == Kind::File { size } else { 0 };
            entry.mtime.seconds = time;
            if value % 3 == 0 && kind != Kind::HardLink {
                entry.xattrs = vec![(b"trusted.t".to_vec(), vec![b'v'; value])];
            }
            entry
        })
}

/// Entries that can follow those before them.
fn accepted(place: &Place, entries: Vec<Entry>) -> Vec<Entry> {
    let mut accepted: Vec<Entry> = Vec::new();
    for entry in entries {
        accepted.push(entry);
        if place.import(&archive(&accepted)).is_err() {
            accepted.pop();
        }
    }
    accepted
}

/// But for what the two forms may differ in.
fn comparable(mut shown: BTreeMap<String, Facts>) -> BTreeMap<String, Facts> {
    for facts in shown.values_mut() {
        // All whiteouts of an index are one object.
        if facts.device == 0 && facts.kind == rustix::fs::FileType::CharacterDevice {
            facts.links = 1;
            facts.same_as.clear();
            facts.mtime = (0, 0);
        }
    }
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn both_forms_show_the_same_of_any_archive(entries in prop::collection::vec(entry(), 1..25)) {
        if forms().first() == Some(&LayerForm::Index) {
            let place = Place::new(LayerForm::Index);
            let stream = archive(&accepted(&place, entries));
            let layer = place.import(&stream).unwrap();
            let indexed = comparable(snapshot(&place.root(&layer)));
            super::compare::check_index(&place);
            let unpacked = Place::new(LayerForm::Directory);
            let layer = unpacked.import(&stream).unwrap();
            assert_same(&comparable(snapshot(&unpacked.root(&layer))), &indexed);
            prop_assert!(read_all(unpacked.layers.open_tar(&layer.diff_id).unwrap()) == stream);
        }
    }
}
