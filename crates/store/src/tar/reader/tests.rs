#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::super::Writer;
use super::*;

/// Every entry with its content.
fn read_all(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(archive);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader
            .content(&entry)
            .take(1 << 20)
            .read_to_end(&mut content)
            .map_err(TarError::Io)?;
        entries.push((entry, content));
    }
    Ok(entries)
}

/// What GNU tar makes of `dir` in a format.
fn gnu_tar(dir: &Path, options: &[&str]) -> Vec<u8> {
    #[allow(
        clippy::disallowed_methods,
        reason = "GNU tar is what is compared with"
    )]
    let output = std::process::Command::new("tar")
        .args(["--sort=name", "-C"])
        .arg(dir)
        .args(options)
        .args(["-c", "."])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Files of every kind that needs no privilege.
fn sample_tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "content").unwrap();
    fs::set_permissions(path("file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(path("file"), path("hard")).unwrap();
    symlink("../some/where", path("soft")).unwrap();
    fs::create_dir(path("sub")).unwrap();
    fs::set_permissions(path("sub"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(path("sub/block"), vec![b'x'; 512]).unwrap();
    fs::write(path("sub/empty"), "").unwrap();
    dir
}

#[test]
fn every_format_of_gnu_tar_reads_the_same() {
    let dir = sample_tree();
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        let archive = gnu_tar(dir.path(), &["--format", format]);
        let entries = read_all(&archive).unwrap();
        let names: Vec<_> = entries
            .iter()
            .map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "./",
                "./file",
                "./hard",
                "./soft",
                "./sub/",
                "./sub/block",
                "./sub/empty"
            ],
            "{format}"
        );
        let (file, content) = &entries[1];
        assert_eq!(
            (file.kind, file.mode, content.as_slice()),
            (Kind::File, 0o4751, &b"content"[..])
        );
        let metadata = fs::metadata(dir.path().join("file")).unwrap();
        assert_eq!((file.uid, file.gid), (metadata.uid(), metadata.gid()));
        assert_eq!(file.mtime.seconds, metadata.mtime());
        let nanoseconds = if format == "posix" {
            metadata.mtime_nsec()
        } else {
            0
        };
        assert_eq!(i64::from(file.mtime.nanoseconds), nanoseconds);
        assert_eq!(
            (entries[2].0.kind, entries[2].0.link.as_slice()),
            (Kind::HardLink, &b"./file"[..])
        );
        assert_eq!(
            (entries[3].0.kind, entries[3].0.link.as_slice()),
            (Kind::Symlink, &b"../some/where"[..])
        );
        assert_eq!(
            (entries[4].0.kind, entries[4].0.mode),
            (Kind::Directory, 0o1777)
        );
        // The offset is where the data is.
        let block = &entries[5].0;
        let start = usize::try_from(block.data_offset).unwrap();
        assert_eq!(&archive[start..start + 512], [b'x'; 512]);
        assert!(start.is_multiple_of(BLOCK));
    }
}

#[test]
fn names_and_links_of_any_length_are_read_in_gnu_and_pax_form() {
    let dir = tempfile::tempdir().unwrap();
    let long: String = (0..12).map(|_| format!("{}/", "n".repeat(50))).collect();
    fs::create_dir_all(dir.path().join(&long)).unwrap();
    let target = format!("{long}{}", "t".repeat(200));
    symlink(&target, dir.path().join("link")).unwrap();
    let odd = dir.path().join("späße \u{1f980}\n");
    fs::write(&odd, "x").unwrap();
    for format in ["gnu", "oldgnu", "posix"] {
        let entries = read_all(&gnu_tar(dir.path(), &["--format", format])).unwrap();
        let by_path = |path: &str| {
            entries
                .iter()
                .find(|(entry, _)| entry.path == format!("./{path}").as_bytes())
                .unwrap_or_else(|| panic!("{format} {path}"))
        };
        assert_eq!(by_path("link").0.link, target.as_bytes());
        assert_eq!(by_path(&long).0.kind, Kind::Directory);
        by_path("späße \u{1f980}\n");
    }
}

#[test]
fn sparse_files_of_every_format_read_as_the_file_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("sparse")).unwrap();
    // More pieces than a header holds, and than an extension block holds.
    for piece in 0..30u64 {
        file.write_all_at(&[b'a' + piece as u8; 4096], piece * 20_480)
            .unwrap();
    }
    file.write_all_at(b"end", 700_000).unwrap();
    file.set_len(800_001).unwrap();
    drop(file);
    let content = fs::read(dir.path().join("sparse")).unwrap();
    for options in [
        &["--format=gnu"][..],
        &["--format=oldgnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let options = [&["--sparse", "--hole-detection=raw"], options].concat();
        let entries = read_all(&gnu_tar(dir.path(), &options)).unwrap();
        let (entry, read) = &entries[1];
        assert_eq!(entry.path, b"./sparse", "{options:?}");
        assert_eq!(entry.size, 800_001, "{options:?}");
        assert!(
            entry.sparse.is_some() && entry.data_size < 200_000,
            "{options:?}"
        );
        assert!(*read == content, "{options:?}");
    }
}

/// A header block by hand.
fn block(path: &str, type_flag: u8, size: u64) -> Vec<u8> {
    let mut block = [0u8; BLOCK];
    block[..path.len()].copy_from_slice(path.as_bytes());
    block[header::MODE].copy_from_slice(b"0000644\0");
    block[header::SIZE].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[header::TYPE] = type_flag;
    block[header::MAGIC].copy_from_slice(header::POSIX_MAGIC);
    seal(&mut block);
    block.to_vec()
}

fn seal(block: &mut [u8]) {
    block[header::CHECKSUM].fill(b' ');
    let sum: u64 = block[..BLOCK].iter().map(|&byte| u64::from(byte)).sum();
    block[header::CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// A PAX header of `key=value` records.
fn pax(records: &[&str], type_flag: u8) -> Vec<u8> {
    let mut text = Vec::new();
    for record in records {
        let (key, value) = record.split_once('=').unwrap();
        pax::record(&mut text, key.as_bytes(), value.as_bytes());
    }
    let mut header = block("pax", type_flag, text.len() as u64);
    header.extend(padded(&text));
    header
}

#[test]
fn numbers_in_base_256_and_in_pax_records_are_read() {
    let mut header = block("big", b'0', 0);
    header[header::UID].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe]);
    header[header::MTIME].copy_from_slice(&[0xff; 12]);
    seal(&mut header);
    let (entry, _) = read_all(&header).unwrap().remove(0);
    assert_eq!((entry.uid, entry.mtime.seconds), (4_294_967_294, -1));

    let archive = [
        pax(&["uid=4000000", "mtime=1.00000001"], b'x'),
        block("file", b'0', 0),
    ]
    .concat();
    let (entry, _) = read_all(&archive).unwrap().remove(0);
    assert_eq!((entry.uid, entry.mtime.nanoseconds), (4_000_000, 10));
    let archive = [pax(&["gid=4294967296"], b'x'), block("file", b'0', 0)].concat();
    assert!(matches!(
        read_all(&archive),
        Err(TarError::BadHeader { .. })
    ));
}

#[test]
fn a_size_in_a_pax_record_counts_and_moves_the_next_header() {
    let archive = [
        pax(&["size=513"], b'x'),
        block("file", b'0', 1),
        padded(&[b'z'; 513]),
        block("next", b'0', 0),
    ]
    .concat();
    let entries = read_all(&archive).unwrap();
    assert_eq!(entries[0].1, [b'z'; 513]);
    assert_eq!(entries[1].0.path, b"next");
}

#[test]
fn global_headers_hold_until_changed_and_entries_override_them() {
    let archive = [
        pax(&["uname=all", "SCHILY.xattr.user.a=1"], b'g'),
        block("one", b'0', 0),
        pax(&["uname=own"], b'x'),
        block("two", b'0', 0),
        pax(&["uname="], b'g'),
        block("three", b'0', 0),
    ]
    .concat();
    let entries = read_all(&archive).unwrap();
    let users: Vec<_> = entries
        .iter()
        .map(|(entry, _)| entry.user.as_slice())
        .collect();
    assert_eq!(users, [&b"all"[..], b"own", b""]);
    assert!(entries.iter().all(|(entry, _)| entry.xattrs.len() == 1));
}

#[test]
fn a_directory_of_old_tar_is_a_file_with_a_slash() {
    let mut header = block("dir/", 0, 0);
    header[header::MAGIC].fill(0);
    seal(&mut header);
    assert_eq!(read_all(&header).unwrap()[0].0.kind, Kind::Directory);
}

#[test]
fn links_and_devices_have_no_data_whatever_their_size_says() {
    let archive = [
        block("link", b'1', 1000),
        block("device", b'3', 1000),
        block("dir", b'5', 1000),
        block("end", b'0', 0),
    ]
    .concat();
    assert_eq!(read_all(&archive).unwrap().len(), 4);
}

#[test]
fn an_archive_may_end_with_two_one_or_no_zero_blocks() {
    let file = [block("file", b'0', 3), padded(b"abc")].concat();
    for zeros in 0..4 {
        let archive = [file.clone(), vec![0; zeros * BLOCK]].concat();
        assert_eq!(read_all(&archive).unwrap().len(), 1, "{zeros}");
    }
    let archive = [file.clone(), vec![0; BLOCK], file.clone()].concat();
    assert!(matches!(
        read_all(&archive),
        Err(TarError::BadHeader { .. })
    ));
    let archive = [file.clone(), vec![0; 2 * BLOCK], b"anything".to_vec()].concat();
    assert_eq!(read_all(&archive).unwrap().len(), 1);
    assert_eq!(read_all(&[]).unwrap().len(), 0);
    // Padding that is missing at the end loses nothing.
    assert_eq!(read_all(&file[..BLOCK + 3]).unwrap().len(), 1);
}

#[test]
fn a_truncated_archive_is_an_error_wherever_it_is_cut() {
    let archive = [
        pax(&["uname=own"], b'x'),
        block("file", b'0', 1000),
        padded(&[1; 1000]),
    ]
    .concat();
    for cut in 1..archive.len() - 24 {
        assert!(read_all(&archive[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn headers_larger_than_anyone_needs_are_refused_before_they_are_read() {
    for type_flag in [b'x', b'g', b'L', b'K'] {
        let archive = block("huge", type_flag, MAX_EXTENDED_HEADER + 1);
        assert!(matches!(read_all(&archive), Err(TarError::TooLarge { .. })));
    }
    let mut header = block("huge", b'0', 0);
    header[header::SIZE].copy_from_slice(&[
        0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ]);
    seal(&mut header);
    assert!(matches!(read_all(&header), Err(TarError::BadHeader { .. })));
}

#[test]
fn a_sparse_map_that_lies_is_refused() {
    let sound = [
        pax(&["GNU.sparse.map=5,4", "GNU.sparse.size=9"], b'x'),
        block("s", b'0', 4),
    ];
    assert_eq!(
        read_all(&[sound.concat(), padded(b"abcd")].concat()).unwrap()[0]
            .1
            .len(),
        9
    );
    for map in ["0,2,1,2", "0", "0,9", "9,4", "6,4", ",", "0,2,3,2,"] {
        let records = [&format!("GNU.sparse.map={map}"), "GNU.sparse.size=9"];
        let archive = [pax(&records, b'x'), block("s", b'0', 4), padded(b"abcd")].concat();
        assert!(read_all(&archive).is_err(), "{map}");
    }
}

#[test]
fn what_the_writer_writes_the_reader_reads_and_so_does_gnu_tar() {
    let mut entries = Vec::new();
    let mut add = |path: &[u8], kind, change: &dyn Fn(&mut Entry)| {
        let mut entry = Entry::new(path, kind);
        entry.mode = 0o755;
        change(&mut entry);
        entries.push(entry);
    };
    add(b"dir", Kind::Directory, &|_| {});
    add(
        &[b"d/".repeat(60), b"n".to_vec()].concat(),
        Kind::File,
        &|entry| entry.size = 700,
    );
    add(&[b'l'; 300], Kind::File, &|entry| {
        entry.mtime = Time {
            seconds: -2,
            nanoseconds: 500_000_000,
        };
    });
    add(b"bin\xff\xfe", Kind::Symlink, &|entry| {
        entry.link = vec![b'\xfd'; 150];
    });
    add(b"hard", Kind::HardLink, &|entry| {
        entry.link = b"dir/x".to_vec();
    });
    add("üñí".as_bytes(), Kind::Fifo, &|entry| {
        entry.uid = 4_000_000_000;
    });
    add(
        b"dev",
        Kind::CharacterDevice { major: 5, minor: 1 },
        &|entry| {
            entry.mtime = Time {
                seconds: 9,
                nanoseconds: 120,
            };
            entry.user = "ö".into();
        },
    );
    add(b"x", Kind::File, &|entry| {
        entry.xattrs = vec![
            (b"security.capability".to_vec(), b"\x01\0\n=".to_vec()),
            (b"user.a=%b".to_vec(), Vec::new()),
        ];
    });
    let mut writer = Writer::new(Vec::new());
    for entry in &entries {
        writer.append(entry, &mut io::repeat(b'r')).unwrap();
    }
    let archive = writer.finish().unwrap();
    let read = read_all(&archive).unwrap();
    assert_eq!(read.len(), entries.len());
    for (mut expected, (mut got, content)) in entries.into_iter().zip(read) {
        assert_eq!(content.len() as u64, expected.size);
        assert!(content.iter().all(|&byte| byte == b'r'));
        if expected.kind == Kind::Directory {
            expected.path.push(b'/');
        }
        (got.data_offset, got.data_size) = (0, 0);
        assert_eq!(got, expected);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.tar"), &archive).unwrap();
    #[allow(
        clippy::disallowed_methods,
        reason = "GNU tar is what is compared with"
    )]
    let listing = std::process::Command::new("tar")
        .arg("-tvf")
        .arg(dir.path().join("a.tar"))
        .output()
        .unwrap();
    assert!(
        listing.status.success(),
        "{}",
        String::from_utf8_lossy(&listing.stderr)
    );
    assert_eq!(
        listing.stdout.iter().filter(|&&byte| byte == b'\n').count(),
        8
    );
}

#[test]
fn the_writer_never_leaves_an_archive_out_of_step() {
    let mut entry = Entry::new("file", Kind::File);
    entry.size = 5;
    let mut writer = Writer::new(Vec::new());
    writer.entry(&entry).unwrap();
    assert!(writer.write_data(b"123456").is_err());
    writer.write_data(b"1234").unwrap();
    assert!(writer.entry(&entry).is_err());
    // A file that shrank is filled up, one that grew is cut.
    let mut writer = Writer::new(Vec::new());
    writer.append(&entry, &mut &b"ab"[..]).unwrap();
    writer.append(&entry, &mut &b"abcdefgh"[..]).unwrap();
    let entries = read_all(&writer.finish().unwrap()).unwrap();
    assert_eq!(entries[0].1, b"ab\0\0\0");
    assert_eq!(entries[1].1, b"abcde");
}

/// An archive of many features, to damage.
fn rich_archive() -> Vec<u8> {
    let mut sparse = block("sparse", b'S', 4);
    sparse[header::SPARSE][..24].copy_from_slice(b"00000000010\x0000000000004\0");
    sparse[header::SPARSE_SIZE].copy_from_slice(b"00000000100\0");
    sparse[header::MAGIC].copy_from_slice(b"ustar  \0");
    seal(&mut sparse);
    let long = "l".repeat(300);
    [
        pax(&["uname=all"], b'g'),
        pax(&["SCHILY.xattr.user.a=1", "mtime=1.00000001"], b'x'),
        block("file", b'0', 600),
        padded(&[7; 600]),
        block("././@LongLink", b'L', 300),
        padded(long.as_bytes()),
        block("short", b'2', 0),
        sparse,
        padded(b"abcd"),
        pax(
            &[
                "GNU.sparse.major=1",
                "GNU.sparse.minor=0",
                "GNU.sparse.realsize=100",
            ],
            b'x',
        ),
        block("s1", b'0', 516),
        padded(b"1\n10\n4\n"),
        padded(b"wxyz"),
        vec![0; 2 * BLOCK],
    ]
    .concat()
}

#[test]
fn the_archive_that_is_damaged_below_is_sound() {
    let entries = read_all(&rich_archive()).unwrap();
    assert_eq!(entries.len(), 4);
    assert_eq!(&entries[2].1[6..14], b"\0\0abcd\0\0");
    assert_eq!(&entries[3].1[8..16], b"\0\0wxyz\0\0");
}

proptest! {
    #[test]
    fn any_bytes_give_entries_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn a_damaged_archive_gives_entries_inside_it_or_an_error(
        damage in prop::collection::vec((0usize..8192, any::<u8>()), 1..8),
        repair in any::<bool>(),
    ) {
        let mut archive = rich_archive();
        let length = archive.len();
        for (at, byte) in damage {
            archive[at % length] = byte;
        }
        if repair {
            // With right checksums the damage gets further in.
            for block in archive.chunks_exact_mut(BLOCK) {
                if &block[257..262] == b"ustar" {
                    seal(block);
                }
            }
        }
        let mut reader = Reader::new(archive.as_slice());
        while let Ok(Some(entry)) = reader.next_entry() {
            prop_assert!(entry.data_offset <= length as u64);
            prop_assert!(!entry.path.contains(&0) && !entry.link.contains(&0));
            let mut content = Vec::new();
            let _ = reader.content(&entry).take(1 << 16).read_to_end(&mut content);
        }
    }
}
