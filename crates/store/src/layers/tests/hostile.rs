//! Archives made to do harm: an error that names what is wrong, or a harmless layer; never a
//! file outside, never something left behind.

use std::io::Write;

use super::support::*;
use crate::layers::{LayerForm, Limits};
use crate::tar::{Entry, Kind, MAX_EXTENDED_HEADER, Segment};
use crate::{DiffId, Digest, StoreError};

/// Importing fails with this text in its message, and nothing is left.
fn refused(stream: &[u8], message: &str) {
    for form in forms() {
        let place = Place::new(form);
        let error = place.import(stream).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert!(place.names().is_empty(), "{form:?}: {:?}", place.names());
        assert_eq!(place.layers.total_bytes(), 0);
    }
}

#[test]
fn paths_that_climb_or_are_absolute_end_in_the_layer() {
    for form in forms() {
        let place = Place::new(form);
        let outside = tempfile::tempdir().unwrap();
        let absolute = outside.path().join("victim").display().to_string();
        let entries = [
            file("../../../../../../tmp/wharf-climbs", 3),
            file(&absolute, 4),
            file("a/../../b", 5),
            link(Kind::Symlink, "out", "../../../../.."),
            link(Kind::Symlink, "abs", outside.path().to_str().unwrap()),
            directory(absolute.trim_end_matches("/victim"), 0o755),
            file("abs/victim2", 6),
            file("out/through", 7),
        ];
        let layer = place.import(&archive(&entries)).unwrap();
        let shown = snapshot(&place.root(&layer));
        assert!(!std::path::Path::new("/tmp/wharf-climbs").exists());
        assert!(outside.path().read_dir().unwrap().next().is_none());
        assert_eq!(shown["tmp/wharf-climbs"].size, 3);
        assert_eq!(shown["b"].size, 5);
        assert_eq!(shown["through"].size, 7);
        let inside = absolute.trim_start_matches('/');
        assert_eq!(shown[inside].size, 4);
        assert_eq!(shown[&format!("{inside}2")].size, 6);
    }
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_refused_by_the_name_of_the_entry() {
    let symlink = |path, target| link(Kind::Symlink, path, target);
    let hard = |path, target| link(Kind::HardLink, path, target);
    refused(
        &archive(&[symlink("s", "/gone"), file("s/f", 1)]),
        "s/f: it is reached through",
    );
    refused(
        &archive(&[symlink("s", "s"), file("s/f", 1)]),
        "s/f: too many levels",
    );
    refused(
        &archive(&[symlink("a", "b"), symlink("b", "a"), file("a/f", 1)]),
        "too many levels",
    );
    refused(
        &archive(&[hard("h", "/etc/passwd")]),
        "h: the target of the hard link is not in",
    );
    refused(
        &archive(&[hard("h", "../../../../etc/passwd")]),
        "not in the layer",
    );
    refused(
        &archive(&[symlink("s", "/etc"), hard("h", "s/passwd")]),
        "not in the layer",
    );
    refused(
        &archive(&[directory("d", 0o755), hard("h", "d")]),
        "h: a hard link to a directory",
    );
    refused(&archive(&[hard("h", ".")]), "a hard link to a directory");
    refused(
        &archive(&[file("f", 1), file("f/g", 1)]),
        "f/g: not a directory",
    );
    refused(
        &archive(&[file(".", 1)]),
        "the root of a layer can only be a directory",
    );
    refused(&archive(&[symlink("/", "/etc")]), "the root of a layer");
    refused(&archive(&[file("a/.wh...", 0)]), "invalid whiteout");
    refused(&archive(&[file(&"n".repeat(256), 0)]), "file name too long");
    refused(
        &archive(&[file(&"n/".repeat(2048), 0)]),
        "file name too long",
    );
    let huge = Kind::BlockDevice {
        major: 4096,
        minor: 0,
    };
    refused(
        &archive(&[Entry::new("d", huge)]),
        "d: device number out of range",
    );
}

#[test]
fn links_through_links_work_as_they_would_in_the_container() {
    for form in forms() {
        let place = Place::new(form);
        let entries = [
            directory("usr/lib", 0o755),
            link(Kind::Symlink, "lib", "usr/lib"),
            link(Kind::Symlink, "usr/lib64", "/lib"),
            file("usr/lib64/libc.so", 9),
            link(Kind::HardLink, "same", "lib/../usr/lib64/libc.so"),
        ];
        let layer = place.import(&archive(&entries)).unwrap();
        let shown = snapshot(&place.root(&layer));
        assert_eq!(shown["usr/lib/libc.so"].size, 9);
        assert_eq!(shown["same"].same_as, shown["usr/lib/libc.so"].same_as);
        assert_eq!(shown["lib"].link, b"usr/lib");
    }
}

#[test]
fn a_chain_of_links_costs_no_more_than_forty_steps() {
    let mut entries = vec![directory("l0", 0o755)];
    for at in 1..=41 {
        entries.push(link(
            Kind::Symlink,
            &format!("l{at}"),
            &format!("l{}", at - 1),
        ));
    }
    let mut fits = entries.clone();
    fits.push(file("l40/f", 1));
    for form in forms() {
        Place::new(form).import(&archive(&fits)).unwrap();
    }
    entries.push(file("l41/f", 1));
    refused(&archive(&entries), "too many levels");
}

#[test]
fn marks_of_overlayfs_cannot_be_smuggled_in() {
    for form in forms() {
        let place = Place::new(form);
        let mut entry = directory("d", 0o755);
        entry.xattrs = [
            "system.nfs4_acl",
            "trusted.overlay.metacopy",
            "trusted.overlay.opaque",
            "trusted.overlay.redirect",
            "user.kept",
        ]
        .map(|name| (name.into(), b"/../x".to_vec()))
        .to_vec();
        let layer = place.import(&archive(&[entry])).unwrap();
        let xattrs = &snapshot(&place.root(&layer))["d"].xattrs;
        assert_eq!(
            xattrs.as_slice(),
            [("user.kept".to_owned(), b"/../x".to_vec())]
        );
    }
}

#[test]
fn attributes_of_every_size_are_kept_or_refused() {
    let with = |count: usize, length: usize| {
        let mut entry = file("f", 1);
        entry.xattrs = (0..count)
            .map(|at| (format!("user.{at:04}").into_bytes(), vec![at as u8; length]))
            .collect();
        archive(&[entry])
    };
    // What ext4 does not hold, an index does; so this looks at indexes only.
    if forms().first() == Some(&LayerForm::Index) {
        for (count, length) in [(1, 65535), (300, 100), (15, 65000), (260, 3)] {
            let place = Place::new(LayerForm::Index);
            let layer = place.import(&with(count, length)).unwrap();
            let xattrs = &snapshot(&place.root(&layer))["f"].xattrs;
            assert_eq!(xattrs.len(), count);
            assert!(xattrs.iter().all(|(_, value)| value.len() == length));
        }
    }
    refused(&with(1, 65536), "f: invalid extended attribute");
}

#[test]
fn an_archive_that_is_cut_or_damaged_leaves_nothing() {
    let mut plain = archive(&[directory("d", 0o755), file("d/f", 5000), file("g", 100)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    for cut in [1, 10, gzip.len() / 2, gzip.len() - 1] {
        refused(&gzip[..cut], "");
    }
    let mut flipped = gzip.clone();
    flipped[gzip.len() / 2] ^= 1;
    refused(&flipped, "");
    refused(&plain[..3000], "unexpected end of the archive");
    refused(&plain[..700], "unexpected end of the archive");
    plain[512 + 10] ^= 1;
    refused(&plain, "invalid tar header at byte 512");
    refused(b"this is no archive", "unexpected end of the archive");
    refused(&[b'x'; 4096], "wrong checksum");
    refused(b"\xfd7zXZ\0\0\0", "xz compression is not supported");
}

#[test]
fn a_layer_that_is_not_the_expected_one_leaves_nothing() {
    for form in forms() {
        let place = Place::new(form);
        let expected = DiffId(Digest::of(b"another"));
        let stream = archive(&[file("f", 1)]);
        let result = place.import_with(&stream, Some(&expected), &Limits::default());
        assert!(matches!(result, Err(StoreError::WrongDigest { .. })));
        assert!(place.names().is_empty());
    }
}

#[test]
fn bombs_end_at_the_limits() {
    let small = Limits {
        bytes: 1 << 20,
        entries: 100,
        metadata: 10_000,
        ratio: 1000,
    };
    let bounded = |stream: &[u8], limits: &Limits, message: &str| {
        for form in forms() {
            let place = Place::new(form);
            let error = place.import_with(stream, None, limits).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(place.names().is_empty());
        }
    };
    bounded(
        &archive(&[file("f", 2 << 20)]),
        &small,
        "larger than the limit of 1048576 bytes",
    );
    let many: Vec<Entry> = (0..101).map(|at| file(&format!("f{at}"), 0)).collect();
    bounded(&archive(&many), &small, "f100: too many entries");
    let long: Vec<Entry> = (0..50)
        .map(|at| file(&format!("{at}{}", "n".repeat(240)), 0))
        .collect();
    bounded(&archive(&long), &small, "too large altogether");
    // Parents that are made count as well.
    bounded(
        &archive(&[file(&"d/".repeat(200), 0), file(&"e/".repeat(101), 0)]),
        &small,
        "too many",
    );
    // A hundred megabytes of zeros in a few kilobytes.
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).unwrap();
    zstd.write_all(&archive(&[])[..0]).unwrap();
    let mut header = archive(&[file("zeros", 100 << 20)]);
    header[512..].fill(0);
    zstd.write_all(&header).unwrap();
    let limits = Limits {
        ratio: 1000,
        ..Limits::default()
    };
    bounded(&zstd.finish().unwrap(), &limits, "compressed ones");
}

/// A sparse file whose pieces the archive holds, in GNU's PAX form.
fn sparse(path: &str, size: u64, map: &[Segment]) -> Vec<u8> {
    let stored: u64 = map.iter().map(|piece| piece.length).sum();
    let list: Vec<String> = map
        .iter()
        .map(|piece| format!("{},{}", piece.offset, piece.length))
        .collect();
    let records = [
        format!("GNU.sparse.map={}", list.join(",")),
        format!("GNU.sparse.size={size}"),
    ];
    let mut text = String::new();
    for record in records {
        let mut length = record.len() + 3;
        while format!("{length} {record}\n").len() != length {
            length += 1;
        }
        text.push_str(&format!("{length} {record}\n"));
    }
    assert!(text.len() as u64 <= MAX_EXTENDED_HEADER);
    let mut header = file("pax", text.len() as u64);
    header.mode = 0o644;
    let mut stream = archive(&[header]);
    // Make the entry a PAX header: its type, its checksum, its data.
    stream[156] = b'x';
    stream[148..156].fill(b' ');
    let sum: u64 = stream[..512].iter().map(|&byte| u64::from(byte)).sum();
    stream[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    stream[512..512 + text.len()].copy_from_slice(text.as_bytes());
    stream.truncate(512 + text.len().next_multiple_of(512));
    stream.extend(archive(&[file(path, stored)]));
    stream
}

#[test]
fn a_sparse_file_takes_no_more_than_its_pieces() {
    let map = [
        Segment {
            offset: 5,
            length: 1000,
        },
        Segment {
            offset: 1 << 39,
            length: 7,
        },
    ];
    let stream = sparse("huge", (1 << 40) + 3, &map);
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&stream).unwrap();
        assert!(place.layers.total_bytes() < 1 << 20 || form == LayerForm::Directory);
        let root = place.root(&layer);
        let mut file = root.open_regular("huge").unwrap();
        assert_eq!(file.metadata().unwrap().len(), (1 << 40) + 3);
        let mut around = [1u8; 9];
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start((1 << 39) - 1)).unwrap();
        std::io::Read::read_exact(&mut file, &mut around).unwrap();
        assert_eq!(&around, b"\0ccccccc\0");
        assert!(read_all(place.layers.open_tar(&layer.diff_id).unwrap()) == stream);
        let state = place
            .layers
            .check(&layer.diff_id, crate::Repair::No)
            .unwrap();
        assert_eq!(state, crate::LayerState::Sound);
    }
    // Pieces of a byte each take a block each: they count as that.
    let map: Vec<Segment> = (0..2000)
        .map(|at| Segment {
            offset: at * 8192,
            length: 1,
        })
        .collect();
    let limits = Limits {
        bytes: 1 << 20,
        ..Limits::default()
    };
    for form in forms() {
        let place = Place::new(form);
        let error = place
            .import_with(&sparse("s", 1 << 30, &map), None, &limits)
            .unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
        assert!(place.names().is_empty());
    }
    // And beyond what block numbers can say there is no layer.
    let beyond = sparse(
        "s",
        1 << 42,
        &[Segment {
            offset: 0,
            length: 1,
        }],
    );
    if forms().first() == Some(&LayerForm::Index) {
        let error = Place::new(LayerForm::Index).import(&beyond).unwrap_err();
        assert!(error.to_string().contains("two tebibytes"), "{error}");
    }
}

#[test]
fn a_hundred_thousand_entries_are_no_burden() {
    let mut entries = Vec::new();
    for at in 0..100_000u32 {
        let path = format!("{}/{}/{at}", at % 7, at % 331);
        entries.push(match at % 50 {
            0 => link(Kind::Symlink, &path, "../target"),
            1 => Entry::new(path, Kind::Fifo),
            2 => Entry::new(
                path,
                Kind::CharacterDevice {
                    major: 1,
                    minor: at % 256,
                },
            ),
            _ => file(&path, 0),
        });
    }
    let stream = archive(&entries);
    if forms().first() == Some(&LayerForm::Index) {
        let place = Place::new(LayerForm::Index);
        let layer = place.import(&stream).unwrap();
        // With the root and the directories.
        assert_eq!(layer.entries, 100_000 + 1 + 7 + 7 * 331);
        let root = place.root(&layer);
        let sum: usize = (0..7)
            .flat_map(|a| (0..331).map(move |b| format!("{a}/{b}")))
            .map(|path| root.read_dir(path).unwrap().count())
            .sum();
        assert_eq!(sum, 100_000);
        assert!(root.lstat("3/10/10").is_ok());
    }
}

#[test]
fn one_name_replaced_over_and_over_stays_one_file() {
    let entries: Vec<Entry> = (0..2000).map(|at| file("f", at % 10)).collect();
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&archive(&entries)).unwrap();
        assert_eq!((layer.entries, layer.content_bytes), (2, 9));
    }
}
