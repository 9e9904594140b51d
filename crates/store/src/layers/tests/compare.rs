//! Against `tar -x`, entry by entry.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use rustix::fs::{FileType, Mode, Timespec, makedev};
use wharf_sys::rooted::{NodeKind, Root};

use super::support::*;
use crate::tar::Kind;

/// Every kind of object with every odd property that a file system here can hold.
fn crafted_tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let root = Root::open(dir.path()).unwrap();
    for size in [0usize, 1, 511, 512, 513, 4095, 4096, 4097, 100_000] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        fs::write(path(&format!("file{size}")), content).unwrap();
    }
    fs::create_dir_all(path("a/b/c")).unwrap();
    fs::write(path("a/b/c/deep"), "deep").unwrap();
    fs::hard_link(path("a/b/c/deep"), path("a/linked")).unwrap();
    fs::hard_link(path("a/b/c/deep"), path("zlinked")).unwrap();
    for length in [
        1usize, 59, 60, 400, 440, 448, 450, 480, 511, 512, 513, 1024, 4000,
    ] {
        symlink("t".repeat(length), path(&format!("link{length}"))).unwrap();
    }
    fs::hard_link(path("link60"), path("second-link60")).unwrap();
    root.mknod("pipe", NodeKind::Fifo, Mode::from_raw_mode(0o640))
        .unwrap();
    root.mknod(
        "null",
        NodeKind::Character(makedev(1, 3)),
        Mode::from_raw_mode(0o666),
    )
    .unwrap();
    root.mknod(
        "large",
        NodeKind::Block(makedev(4095, 1_048_575)),
        Mode::from_raw_mode(0o600),
    )
    .unwrap();
    // Directories of every size around whole blocks, and names around the dots in the order.
    for count in 0..40usize {
        let name = format!("dir{count}");
        fs::create_dir(path(&name)).unwrap();
        for entry in 0..count {
            fs::write(path(&name).join(format!("entry-{entry:03}")), "").unwrap();
        }
    }
    fs::create_dir(path("names")).unwrap();
    for name in [
        "!", "-", "--", "..a", ".a", "+", "A", "a b", "\u{e9}", "\n", "~",
    ] {
        fs::write(path("names").join(name), name).unwrap();
    }
    for name in [
        vec![0xffu8; 255],
        vec![b'n'; 255],
        b"\xff\xfe".to_vec(),
        b"\x01".to_vec(),
    ] {
        fs::write(path("names").join(std::ffi::OsStr::from_bytes(&name)), "x").unwrap();
    }
    fs::create_dir(path("many")).unwrap();
    for entry in 0..3000 {
        fs::write(path(&format!("many/{entry}")), "").unwrap();
    }
    let sparse = fs::File::create(path("sparse")).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.set_len((3 << 20) + 5).unwrap();
    odd_metadata(&root);
    dir
}

fn odd_metadata(root: &Root) {
    let owners = [
        ("file1", 1, 65535),
        ("file511", 65536, 2),
        ("file512", 4_294_967_294, 70_000),
    ];
    for (name, uid, gid) in owners {
        root.resolve_nofollow(name)
            .unwrap()
            .chown(uid, gid)
            .unwrap();
    }
    root.resolve_nofollow("link59")
        .unwrap()
        .chown(12, 100_000)
        .unwrap();
    for (name, mode) in [
        ("file1", 0o6755),
        ("file513", 0),
        ("a", 0o1777),
        ("file4096", 0o7777),
    ] {
        root.resolve_nofollow(name)
            .unwrap()
            .chmod(Mode::from_raw_mode(mode))
            .unwrap();
    }
    let value = vec![b'v'; 900];
    for (name, attribute, value) in [
        ("file1", "user.one", &b"1"[..]),
        ("file1", "user.empty", b""),
        ("file511", "trusted.binary", b"\0\xff\n="),
        ("file512", "user.long", &value),
        ("file513", "user.long", &value),
        ("a", "user.directory", b"d"),
        ("null", "trusted.device", b"c"),
        ("link60", "trusted.link", b"l"),
        ("file4096", "security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        (
            "a/b",
            "system.posix_acl_default",
            b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff",
        ),
    ] {
        root.resolve_nofollow(name).unwrap().set_xattr(attribute, value).unwrap();
    }
    let at = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    for (name, time) in [
        ("file0", at(0, 0)),
        ("file1", at(1, 1)),
        ("file511", at(-1, 999_999_999)),
        ("file512", at(-1_000_000, 0)),
        ("file513", at(5_000_000_000, 123_456_789)),
        ("null", at(77, 7)),
        ("link60", at(66, 6)),
        ("a/b", at(55, 5)),
        ("names", at(44, 4)),
    ] {
        root.resolve_nofollow(name)
            .unwrap()
            .set_times(time, time)
            .unwrap();
    }
}

/// An archive must show, in every form, what `tar -x` makes of it.
fn shows_what_tar_makes(archive: &[u8]) {
    let reference = extracted(archive);
    let mut expected = snapshot(&Root::open(reference.path()).unwrap());
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(archive).unwrap();
        let got = snapshot(&place.root(&layer));
        if !has_root(archive) {
            // tar leaves the directory it extracts into as it was.
            expected.get_mut("").unwrap().clone_from(&got[""]);
        }
        assert_same(&expected, &got);
        assert!(
            read_all(place.layers.open_tar(&layer.diff_id).unwrap()) == archive,
            "{form:?}"
        );
        let state = place
            .layers
            .check(&layer.diff_id, crate::Repair::No)
            .unwrap();
        assert_eq!(state, crate::LayerState::Sound);
        let content: i64 = got
            .iter()
            .filter(|(path, facts)| facts.same_as == **path)
            .map(|(_, facts)| facts.size)
            .sum();
        assert_eq!(layer.content_bytes, u64::try_from(content).unwrap());
        assert_eq!(layer.tar_bytes, archive.len() as u64);
        check_index(&place);
    }
}

fn has_root(archive: &[u8]) -> bool {
    let mut reader = crate::tar::Reader::new(archive);
    while let Some(entry) = reader.next_entry().unwrap() {
        if matches!(entry.path.as_slice(), b"." | b"./" | b"/") {
            return true;
        }
    }
    false
}

/// An independent reader of the format must find nothing wrong, and read every file.
pub(super) fn check_index(place: &Place) {
    let Some(fsck) = fsck_erofs() else { return };
    let parts = |suffix: &str| -> Vec<std::path::PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(place.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == suffix)
            })
            .collect();
        paths.sort();
        paths
    };
    for (at, index) in parts("idx").iter().enumerate() {
        let device = |path: &Path| format!("--device={}", path.display());
        let mut arguments = vec![device(&parts("tar")[at])];
        if index.with_extension("side").exists() {
            arguments.push(device(&index.with_extension("side")));
        }
        arguments.push("--extract".to_owned());
        arguments.push(index.display().to_string());
        let arguments: Vec<_> = arguments.iter().map(std::ffi::OsStr::new).collect();
        run(fsck.to_str().unwrap(), &arguments, b"");
    }
}

#[test]
fn a_crafted_tree_in_every_format_of_gnu_tar() {
    if forms().is_empty() {
        return;
    }
    let dir = crafted_tree();
    let xattrs = [
        "--format=posix",
        "--xattrs",
        "--xattrs-include=*",
        "--sparse",
    ];
    shows_what_tar_makes(&archived(dir.path(), &xattrs));
    // The older formats cannot say everything; what they say must be right.
    fs::remove_file(dir.path().join("file512")).unwrap();
    fs::remove_file(dir.path().join("file511")).unwrap();
    shows_what_tar_makes(&archived(dir.path(), &["--format=gnu", "--sparse"]));
    shows_what_tar_makes(&archived(dir.path(), &["--format=oldgnu"]));
}

/// A whole distribution (debootstrap's, say) is compared too if the variable names one; the
/// trees that every machine has will do otherwise.
#[test]
fn real_trees_of_this_machine() {
    if forms().is_empty() {
        return;
    }
    let mut trees = vec![
        "/usr/sbin".into(),
        "/usr/share/zoneinfo".into(),
        "/etc".into(),
    ];
    trees.push("/var/lib/dpkg".into());
    trees.extend(std::env::var_os("WHARF_TEST_ROOTFS").map(std::path::PathBuf::from));
    for tree in trees {
        if tree.is_dir() {
            let options = ["--format=posix", "--xattrs", "--one-file-system"];
            shows_what_tar_makes(&archived(&tree, &options));
        }
    }
}

#[test]
fn later_entries_replace_earlier_ones_as_extraction_would() {
    if forms().is_empty() {
        return;
    }
    let symlink = |path, target| link(Kind::Symlink, path, target);
    let hard = |path, target| link(Kind::HardLink, path, target);
    let root = || directory(".", 0o755);
    for entries in [
        vec![root(), file("f", 1), file("f", 600)],
        vec![root(), file("f", 1), symlink("f", "x"), file("f", 3)],
        vec![root(), file("f", 1), hard("g", "f"), file("f", 2)],
        vec![
            root(),
            file("f", 1),
            hard("g", "f"),
            hard("h", "g"),
            file("g", 2),
        ],
        vec![root(), file("f", 1), hard("f", "f")],
        vec![
            root(),
            symlink("s", "nowhere"),
            hard("t", "s"),
            file("s", 4),
        ],
        vec![
            root(),
            directory("d", 0o700),
            file("d/f", 1),
            directory("d", 0o711),
        ],
        vec![root(), file("d", 1), directory("d", 0o755), file("d/f", 1)],
        vec![root(), directory("d", 0o755), file("d", 9)],
        vec![
            root(),
            directory("e", 0o755),
            symlink("d", "e"),
            directory("d", 0o750),
            file("d/f", 1),
        ],
        // tar forgets the time of a directory that is written to through a link.
        vec![
            root(),
            directory("e", 0o755),
            symlink("d", "e"),
            file("d/f", 1),
            directory("e", 0o755),
        ],
        vec![
            root(),
            directory("a", 0o755),
            directory("a/b", 0o755),
            symlink("l", "a/b"),
            symlink("m", "l"),
            file("m/f", 7),
            hard("x", "l/f"),
            directory("a/b", 0o755),
        ],
        vec![
            root(),
            directory("d", 0o755),
            file("d//g", 6),
            file("./d/./h", 5),
            file("/i", 7),
            directory("d", 0o755),
        ],
    ] {
        shows_what_tar_makes(&archive(&entries));
    }
}

#[test]
fn parents_without_an_entry_are_plain_directories() {
    for form in forms() {
        let place = Place::new(form);
        let layer = place.import(&archive(&[file("a/b/f", 3)])).unwrap();
        let shown = snapshot(&place.root(&layer));
        for path in ["a", "a/b"] {
            let facts = &shown[path];
            assert_eq!(
                (facts.kind, facts.mode, facts.owner, facts.mtime),
                (FileType::Directory, 0o755, (0, 0), (1003, 0))
            );
        }
        // Named afterwards they become what the archive says.
        let entries = [file("a/b/f", 3), directory("a", 0o700)];
        let layer = place.import(&archive(&entries)).unwrap();
        assert_eq!(snapshot(&place.root(&layer))["a"].mode, 0o700);
    }
}
