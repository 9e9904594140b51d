//! That layers are there whole or not at all, and what becomes of them.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use rustix::fs::Mode;
use wharf_sys::mount::ErofsReads;
use wharf_sys::rooted::Root;

use super::support::*;
use crate::layers::mounts::{Attachment, Usage};
use crate::layers::work::Works;
use crate::layers::{Form, LayerForm, LayerState, Layers};
use crate::{DiffId, Digest, Repair, StoreError};

/// An archive whose content depends on `number`.
fn numbered(number: u64) -> Vec<u8> {
    let mut entries = vec![directory("d", 0o755)];
    for at in 0..50 {
        entries.push(file(&format!("d/{number}-{at}"), number * 100 + at));
    }
    archive(&entries)
}

#[test]
fn imports_of_the_same_and_of_other_layers_run_side_by_side() {
    for form in forms() {
        let place = Arc::new(Place::new(form));
        let threads: Vec<_> = (0..8u64)
            .map(|thread| {
                let place = Arc::clone(&place);
                std::thread::spawn(move || {
                    let stream = numbered(thread % 3);
                    let layer = place.import(&stream).unwrap();
                    assert_eq!(layer.diff_id.0, Digest::of(&stream));
                    let shown = snapshot(&place.root(&layer));
                    assert_eq!(shown.len(), 52);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(place.layers.list().unwrap().len(), 3);
        let files = if form == LayerForm::Index { 6 } else { 3 };
        assert_eq!(place.names().len(), files, "{:?}", place.names());
    }
}

#[test]
fn a_layer_that_is_there_is_not_read_again() {
    struct Untouchable;
    impl Read for Untouchable {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("read")
        }
    }
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&numbered(1)).unwrap();
        let table = Arc::<crate::lease::LeaseTable>::default();
        let limits = crate::Limits::default();
        let again = place
            .layers
            .import(
                &table.lease(),
                &mut Untouchable,
                Some(&layer.diff_id),
                &limits,
            )
            .unwrap();
        assert_eq!(again, layer);
    }
}

#[test]
fn a_source_that_fails_leaves_nothing_and_its_error_is_told() {
    struct Failing(Vec<u8>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the wire broke",
                ));
            }
            let length = buffer.len().min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0.drain(..length);
            Ok(length)
        }
    }
    for form in forms() {
        let place = Place::new(form);
        // Whole as an archive, but not as a stream.
        for length in [0, 100, 10_000, numbered(3).len()] {
            let mut source = Failing(numbered(3)[..length].to_vec());
            let table = Arc::<crate::lease::LeaseTable>::default();
            let limits = crate::Limits::default();
            let result = place
                .layers
                .import(&table.lease(), &mut source, None, &limits);
            let error = result.unwrap_err();
            assert!(
                matches!(error, StoreError::Source { .. }),
                "{length}: {error}"
            );
            assert!(error.to_string().contains("the wire broke"));
            assert!(place.names().is_empty());
        }
    }
}

#[test]
fn what_was_interrupted_is_gone_after_the_next_start() {
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&numbered(2)).unwrap();
        let total = place.layers.total_bytes();
        let other = Digest::of(b"other").hex();
        let dir = place.dir.path();
        fs::write(dir.join(format!("{other}.tar")), "half").unwrap();
        fs::write(dir.join(format!("{other}.side")), "half").unwrap();
        fs::create_dir_all(dir.join("work/17/layer/fs")).unwrap();
        let before = place.names().len();
        let place = place.reopened(form);
        assert_eq!(place.names().len(), before - 3, "{:?}", place.names());
        assert_eq!(place.layers.get(&layer.diff_id).unwrap(), Some(layer));
        assert_eq!(place.layers.list().unwrap(), [layer.diff_id]);
        assert_eq!(place.layers.total_bytes(), total);
    }
}

#[test]
fn a_removed_layer_is_out_of_sight_at_once_and_what_is_mounted_goes_on() {
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&numbered(2)).unwrap();
        let kept = place.import(&numbered(1)).unwrap();
        let mounted = place.root(&layer);
        let total = place.layers.total_bytes();
        let hidden = place.layers.hide(&layer.diff_id).unwrap().unwrap();
        assert_eq!(place.layers.get(&layer.diff_id).unwrap(), None);
        assert_eq!(place.layers.list().unwrap(), [kept.diff_id]);
        assert!(matches!(
            place.layers.mount(&layer.diff_id),
            Err(StoreError::NoSuchLayer(_))
        ));
        let freed = hidden.delete().unwrap();
        assert_eq!(place.layers.total_bytes(), total - freed);
        assert!(freed > 0);
        assert!(place.layers.hide(&layer.diff_id).unwrap().is_none());
        if form == LayerForm::Index {
            let content = read_all(mounted.open_regular("d/2-7").unwrap());
            assert_eq!(content, [b'c'; 207]);
        }
        // And it can come again.
        place.import(&numbered(2)).unwrap();
        assert_eq!(place.layers.total_bytes(), total);
    }
}

#[test]
fn every_use_of_a_layer_is_of_one_mount() {
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&numbered(1)).unwrap();
        let (one, other) = (place.root(&layer), place.root(&layer));
        let device = |root: &wharf_sys::rooted::Root| root.stat("d").unwrap().st_dev;
        assert_eq!(device(&one), device(&other));
        assert!(one.create_file("new", Mode::RUSR).is_err() || form == LayerForm::Directory);
        // A mount that outlived the daemon is taken up again.
        let kept = place.layers.mount(&layer.diff_id).unwrap();
        let place = place.reopened(form);
        place.layers.adopt(&layer.diff_id, kept);
        assert_eq!(device(&place.root(&layer)), device(&one));
    }
}

#[test]
fn a_layer_that_was_indexed_is_unpacked_where_indexes_cannot_be_mounted() {
    if forms().first() != Some(&LayerForm::Index) {
        return;
    }
    let place = Place::new(LayerForm::Index);
    let stream = numbered(4);
    let layer = place.import(&stream).unwrap();
    let expected = snapshot(&place.root(&layer));
    let place = place.reopened(LayerForm::Directory);
    assert_eq!(place.layers.get(&layer.diff_id).unwrap(), Some(layer));
    let got = snapshot(&place.root(&layer));
    assert_same(&expected, &got);
    assert_eq!(place.names(), [layer.diff_id.hex()]);
    assert!(read_all(place.layers.open_tar(&layer.diff_id).unwrap()) == stream);
    // The way back is not needed: a directory serves everywhere.
    let place = place.reopened(LayerForm::Index);
    assert_same(&expected, &snapshot(&place.root(&layer)));
}

/// Change one byte of a file.
fn flip(path: &std::path::Path, at: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0u8];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_damaged_index_is_made_again_and_a_damaged_tar_is_told() {
    if forms().first() != Some(&LayerForm::Index) {
        return;
    }
    let place = Place::new(LayerForm::Index);
    let layer = place.import(&numbered(5)).unwrap();
    let expected = snapshot(&place.root(&layer));
    let part = |suffix: &str| {
        place
            .dir
            .path()
            .join(format!("{}.{suffix}", layer.diff_id.hex()))
    };
    let length = part("idx").metadata().unwrap().len();
    for at in [0, 1030, 1600, length - 1] {
        flip(&part("idx"), at);
        let check = |repair| place.layers.check(&layer.diff_id, repair).unwrap();
        assert!(
            matches!(check(Repair::No), LayerState::IndexBroken(_)),
            "{at}"
        );
        assert_eq!(check(Repair::Yes), LayerState::IndexRepaired);
        assert_eq!(check(Repair::No), LayerState::Sound);
        assert_same(&expected, &snapshot(&place.root(&layer)));
    }
    flip(&part("tar"), 513 * 20);
    let state = place.layers.check(&layer.diff_id, Repair::Yes).unwrap();
    assert!(matches!(state, LayerState::Corrupt { .. }), "{state:?}");
    let aside = tempfile::tempdir().unwrap();
    place
        .layers
        .quarantine(&layer.diff_id, aside.path())
        .unwrap();
    assert!(place.names().is_empty());
    assert_eq!(fs::read_dir(aside.path()).unwrap().count(), 2);
    assert_eq!(place.layers.total_bytes(), 0);
}

#[test]
fn a_file_changed_in_an_unpacked_layer_is_told() {
    if forms().is_empty() {
        return;
    }
    let place = Place::new(LayerForm::Directory);
    let layer = place.import(&numbered(5)).unwrap();
    let files = place.dir.path().join(layer.diff_id.hex()).join("fs");
    flip(&files.join("d/5-3"), 7);
    let state = place.layers.check(&layer.diff_id, Repair::No).unwrap();
    assert!(matches!(state, LayerState::Corrupt { .. }));
    fs::remove_file(files.join("d/5-3")).unwrap();
    let state = place.layers.check(&layer.diff_id, Repair::No).unwrap();
    assert!(matches!(state, LayerState::Corrupt { .. }));
}

#[test]
fn a_missing_layer_is_told_by_its_name() {
    let place = Place::new(LayerForm::Directory);
    let missing = DiffId(Digest::of(b"missing"));
    assert_eq!(place.layers.get(&missing).unwrap(), None);
    for error in [
        place.layers.mount(&missing).unwrap_err(),
        place.layers.open_tar(&missing).err().unwrap(),
        place.layers.check(&missing, Repair::No).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), format!("no such layer: {missing}"));
    }
}

#[test]
fn a_store_holds_its_layers_for_nobody_else() {
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&numbered(1)).unwrap();
        for name in place.names() {
            let metadata = fs::metadata(place.dir.path().join(&name)).unwrap();
            assert_eq!(metadata.mode() & 0o077, 0, "{name} of {}", layer.diff_id);
        }
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    if forms().is_empty() {
        return;
    }
    std::thread::spawn(|| {
        use std::os::fd::AsFd;
        use wharf_sys::mount;
        mount::enter_private_namespace().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let context = mount::FileSystem::open("tmpfs").unwrap();
        context.string("size", "1m").unwrap();
        context.create().unwrap();
        let tree = context.mount(mount::MountAttrFlags::empty()).unwrap();
        let target = fs::File::open(dir.path()).unwrap();
        mount::attach(tree.as_fd(), target.as_fd()).unwrap();
        let place = Place::at(dir.path(), LayerForm::Directory);
        let error = place.import(&archive(&[file("f", 4 << 20)])).unwrap_err();
        assert!(error.is_no_space(), "{error}");
        assert!(place.names().is_empty());
        place.import(&archive(&[file("f", 4 << 10)])).unwrap();
        drop(place);
        drop(target);
    })
    .join()
    .unwrap();
}

/// As on Linux 6.12 to 6.14.
fn attaching(place: &Place) -> Layers {
    let works = Works::open(place.dir.path()).unwrap();
    let usage = Usage {
        reads: ErofsReads::Buffered,
        layers: Attachment::Attached,
    };
    Layers::with_form(place.dir.path(), works, Form::Index(usage)).unwrap()
}

#[test]
fn where_a_layer_must_be_attached_it_is_and_is_found_there_again() {
    if forms().first() != Some(&LayerForm::Index) {
        return;
    }
    let run = || {
        wharf_sys::mount::enter_private_namespace().unwrap();
        let mut place = Place::new(LayerForm::Index);
        let layer = place.import(&numbered(1)).unwrap();
        let other = place.import(&numbered(2)).unwrap();
        let unpacked = Place::new(LayerForm::Directory);
        let expected = snapshot(&unpacked.root(&unpacked.import(&numbered(1)).unwrap()));
        place.layers = attaching(&place);
        let places = place.dir.path().join("mounts").display().to_string();
        let attached = || {
            fs::read_to_string("/proc/thread-self/mounts")
                .unwrap()
                .lines()
                .filter(|line| line.contains(&places))
                .count()
        };
        assert_eq!(attached(), 0);
        let mount = place.root(&layer);
        let device = mount.stat("d").unwrap().st_dev;
        assert_same(&expected, &snapshot(&mount));
        drop(mount);
        assert_eq!(attached(), 1);
        let both = [layer.diff_id, other.diff_id];
        let merged = Root::from_fd(place.layers.overlay(&both, None).unwrap());
        assert_eq!(snapshot(&merged).len(), 102);
        assert_eq!(attached(), 2);
        // The next daemon finds what this one attached.
        place.layers = attaching(&place);
        assert_eq!(place.root(&layer).stat("d").unwrap().st_dev, device);
        assert_eq!(attached(), 2);
        place
            .layers
            .hide(&layer.diff_id)
            .unwrap()
            .unwrap()
            .delete()
            .unwrap();
        assert_eq!(attached(), 1);
        // One whose layer is gone is taken away.
        for suffix in ["idx", "tar"] {
            let name = format!("{}.{suffix}", other.diff_id.hex());
            fs::remove_file(place.dir.path().join(name)).unwrap();
        }
        place.layers = attaching(&place);
        assert_eq!(attached(), 0);
        // The overlay made before all that goes on.
        assert_eq!(snapshot(&merged).len(), 102);
    };
    std::thread::spawn(run).join().unwrap();
}

#[test]
fn a_compressed_layer_is_the_layer_that_it_was_before() {
    for form in forms() {
        let place = Place::new(form);
        let plain = numbered(7);
        let layer = place.import(&plain).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, &plain).unwrap();
        for stream in [
            gzip.finish().unwrap(),
            zstd::encode_all(&plain[..], 1).unwrap(),
        ] {
            assert_eq!(place.import(&stream).unwrap(), layer);
        }
        // What follows the end of the archive belongs to the layer, too.
        let longer = [plain, b"and more".to_vec()].concat();
        let other = place.import(&longer).unwrap();
        assert_eq!(other.diff_id.0, Digest::of(&longer));
        assert!(read_all(place.layers.open_tar(&other.diff_id).unwrap()) == longer);
    }
}
