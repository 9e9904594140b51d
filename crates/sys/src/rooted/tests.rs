//! Every test runs on both resolvers: the kernel's and our walk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::{CWD, Timespec};

use super::*;

/// A tree beside a file that nothing in the tree may reach.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        Fixture { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn outside(&self) -> String {
        fs::read_to_string(self.dir.path().join("secret")).unwrap()
    }
}

fn on_both_resolvers(test: impl Fn(&Fixture, Root)) {
    for walk in [false, true] {
        let fixture = Fixture::new();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(fixture.root(), flags, Mode::empty()).unwrap();
        let root = if walk {
            Root::walking(fd)
        } else {
            Root::from_fd(fd)
        };
        test(&fixture, root);
        assert_eq!(fixture.outside(), "outside");
    }
}

fn kind_of<T: std::fmt::Debug>(result: Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn dots_above_the_root_stay_in_the_root() {
    on_both_resolvers(|fixture, root| {
        fs::write(fixture.root().join("secret"), "inside").unwrap();
        fs::create_dir(fixture.root().join("a")).unwrap();
        for path in [
            "../secret",
            "/../../secret",
            "a/../../../secret",
            "/secret",
            "./secret",
        ] {
            assert_eq!(
                root.read_to_string_bounded(path, 99).unwrap(),
                "inside",
                "{path}"
            );
        }
    });
}

#[test]
fn absolute_and_climbing_symlinks_end_inside_the_root() {
    on_both_resolvers(|fixture, root| {
        let outside = fixture.dir.path().join("secret");
        symlink(&outside, fixture.root().join("absolute")).unwrap();
        symlink("../secret", fixture.root().join("climbing")).unwrap();
        symlink("..", fixture.root().join("up")).unwrap();
        for path in ["absolute", "climbing", "up/secret", "up/up/../secret"] {
            let error = root.read_to_string_bounded(path, 99);
            assert_eq!(kind_of(error), io::ErrorKind::NotFound, "{path}");
        }
        fs::write(fixture.root().join("secret"), "inside").unwrap();
        assert_eq!(
            root.read_to_string_bounded("climbing", 99).unwrap(),
            "inside"
        );
        assert_eq!(
            root.read_to_string_bounded("up/up/secret", 99).unwrap(),
            "inside"
        );
    });
}

#[test]
fn links_through_links_are_followed_and_loops_are_refused() {
    on_both_resolvers(|fixture, root| {
        fs::create_dir_all(fixture.root().join("a/b")).unwrap();
        fs::write(fixture.root().join("a/b/file"), "x").unwrap();
        symlink("/a", fixture.root().join("one")).unwrap();
        symlink("one/b", fixture.root().join("two")).unwrap();
        symlink("/two/../../one/b", fixture.root().join("three")).unwrap();
        assert_eq!(root.read_to_string_bounded("three/file", 9).unwrap(), "x");
        symlink("loop", fixture.root().join("loop")).unwrap();
        let error = root.resolve("loop").unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::LOOP.raw_os_error())
        );
        root.resolve_nofollow("loop").unwrap();
    });
}

#[test]
fn writing_through_a_planted_symlink_never_leaves_the_root() {
    on_both_resolvers(|fixture, root| {
        symlink(fixture.dir.path(), fixture.root().join("etc")).unwrap();
        symlink(
            fixture.dir.path().join("secret"),
            fixture.root().join("file"),
        )
        .unwrap();
        let mode = Mode::from_raw_mode(0o644);
        assert!(root.create_file("file", mode).is_err());
        assert!(root.create_file("etc/secret", mode).is_err());
        assert!(root.mkdir("etc/new", mode).is_err());
        assert!(root.symlink("x", "etc/new").is_err());
        assert!(root.mknod("etc/new", NodeKind::Fifo, mode).is_err());
        assert!(root.remove_file("etc/secret").is_err());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        assert!(root.open_file("file", flags, mode).is_err());
        assert!(!fixture.dir.path().join("new").exists());
    });
}

#[test]
fn a_hard_link_is_made_to_a_symlink_and_not_to_its_target() {
    on_both_resolvers(|fixture, root| {
        symlink("/nowhere", fixture.root().join("link")).unwrap();
        root.hardlink("link", "second").unwrap();
        assert_eq!(root.readlink("second").unwrap(), "/nowhere");
    });
}

#[test]
fn mkdir_all_makes_only_what_is_missing_with_the_exact_mode() {
    on_both_resolvers(|fixture, root| {
        fs::create_dir(fixture.root().join("real")).unwrap();
        fs::set_permissions(
            fixture.root().join("real"),
            fs::Permissions::from_mode(0o700),
        )
        .unwrap();
        symlink("/real", fixture.root().join("link")).unwrap();
        root.mkdir_all("link/x/y", Mode::from_raw_mode(0o777), None)
            .unwrap();
        root.mkdir_all("/link/../real/x/y", Mode::from_raw_mode(0o700), None)
            .unwrap();
        let mode = |path: &str| fs::metadata(fixture.root().join(path)).unwrap().mode() & 0o7777;
        assert_eq!(mode("real"), 0o700);
        assert_eq!(mode("real/x"), 0o777);
        assert_eq!(mode("real/x/y"), 0o777);
        fs::write(fixture.root().join("file"), "").unwrap();
        assert!(
            root.mkdir_all("file/x", Mode::from_raw_mode(0o777), None)
                .is_err()
        );
        symlink("/dangling", fixture.root().join("broken")).unwrap();
        assert!(
            root.mkdir_all("broken/x", Mode::from_raw_mode(0o777), None)
                .is_err()
        );
    });
}

#[test]
fn only_a_regular_file_is_opened_as_one() {
    on_both_resolvers(|fixture, root| {
        root.mknod("pipe", NodeKind::Fifo, Mode::from_raw_mode(0o600))
            .unwrap();
        fs::create_dir(fixture.root().join("dir")).unwrap();
        fs::write(fixture.root().join("file"), "12345").unwrap();
        assert!(root.open_regular("pipe").is_err());
        assert!(root.open_regular("dir").is_err());
        assert_eq!(root.read_bounded("file", 5).unwrap(), b"12345");
        assert_eq!(
            kind_of(root.read_bounded("file", 4)),
            io::ErrorKind::FileTooLarge
        );
    });
}

#[test]
fn a_handle_changes_the_symlink_itself() {
    on_both_resolvers(|fixture, root| {
        fs::write(fixture.root().join("target"), "").unwrap();
        symlink("target", fixture.root().join("link")).unwrap();
        let before = fs::metadata(fixture.root().join("target")).unwrap();
        let time = Timespec {
            tv_sec: -5,
            tv_nsec: 7,
        };
        let link = root.resolve_nofollow("link").unwrap();
        link.set_times(time, time).unwrap();
        link.chmod(Mode::from_raw_mode(0o111)).unwrap();
        let after = fs::metadata(fixture.root().join("target")).unwrap();
        assert_eq!(
            (before.mtime(), before.mode()),
            (after.mtime(), after.mode())
        );
        let own = fs::symlink_metadata(fixture.root().join("link")).unwrap();
        assert_eq!((own.mtime(), own.mtime_nsec()), (-5, 7));
    });
}

#[test]
fn extended_attributes_read_back_as_written() {
    on_both_resolvers(|fixture, root| {
        fs::write(fixture.root().join("file"), "").unwrap();
        let file = root.resolve_nofollow("file").unwrap();
        match file.set_xattr("user.wharf", b"\0value\xff") {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
            set => set.unwrap(),
        }
        assert_eq!(
            file.get_xattr("user.wharf").unwrap().unwrap(),
            b"\0value\xff"
        );
        assert_eq!(file.get_xattr("user.other").unwrap(), None);
        assert_eq!(file.list_xattrs().unwrap(), ["user.wharf"]);
    });
}

#[test]
fn a_tree_deeper_than_any_path_is_removed_and_links_in_it_are_not_followed() {
    on_both_resolvers(|fixture, root| {
        fs::create_dir(fixture.root().join("deep")).unwrap();
        let mut here = root.subroot("deep").unwrap();
        for level in 0..3000 {
            here.mkdir("d", Mode::from_raw_mode(0o755)).unwrap();
            if level % 500 == 0 {
                here.symlink(fixture.dir.path(), "out").unwrap();
                here.create_file("file", Mode::from_raw_mode(0o644))
                    .unwrap();
            }
            here = here.subroot("d").unwrap();
        }
        fs::write(fixture.root().join("beside"), "").unwrap();
        root.remove_all("deep").unwrap();
        root.remove_all("deep").unwrap();
        let left: Vec<_> = root
            .read_dir("/")
            .unwrap()
            .map(|e| e.unwrap().name)
            .collect();
        assert_eq!(left, ["beside"]);
    });
}

#[test]
fn removing_a_symlink_to_a_directory_removes_the_symlink() {
    on_both_resolvers(|fixture, root| {
        symlink(fixture.dir.path(), fixture.root().join("link")).unwrap();
        root.remove_all("link").unwrap();
        assert!(fixture.root().read_dir().unwrap().next().is_none());
    });
}

#[test]
fn a_path_that_names_no_entry_cannot_be_made_or_removed() {
    on_both_resolvers(|_, root| {
        for path in ["", "/", ".", "..", "a/..", "a/."] {
            assert_eq!(
                kind_of(root.remove_all(path)),
                io::ErrorKind::InvalidInput,
                "{path}"
            );
            assert_eq!(
                kind_of(root.mkdir(path, Mode::from_raw_mode(0o755))),
                io::ErrorKind::InvalidInput,
                "{path}"
            );
        }
        assert!(root.stat("").is_ok());
        assert!(root.stat("/").is_ok());
    });
}

#[test]
fn magic_links_are_refused() {
    let directory = rustix::fs::openat(
        CWD,
        "/proc/self",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    let root = Root::from_fd(directory);
    assert!(root.resolve("cwd").is_err());
    assert!(root.resolve("root/etc").is_err());
}

#[test]
fn the_failure_names_the_path_and_the_operation() {
    on_both_resolvers(|_, root| {
        let error = root.stat("no/such").unwrap_err();
        assert!(
            error.to_string().starts_with("resolve no/such: "),
            "{error}"
        );
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    });
}
