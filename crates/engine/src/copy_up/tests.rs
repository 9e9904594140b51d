use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use super::*;

const MARK: &str = "filling";

/// An image's tree and a volume, beside a file that neither may reach.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("image/data")).unwrap();
        fs::create_dir_all(dir.path().join("volume/_data")).unwrap();
        fs::create_dir(dir.path().join("secret")).unwrap();
        fs::write(dir.path().join("secret/canary"), "canary").unwrap();
        Fixture { dir }
    }

    fn image(&self, path: &str) -> PathBuf {
        self.dir.path().join("image").join(path)
    }

    fn volume(&self, path: &str) -> PathBuf {
        self.dir.path().join("volume/_data").join(path)
    }

    fn copy_up(&self, path: &str) -> Result<()> {
        let root = |path: PathBuf| Root::open(path).unwrap();
        let mark = self.dir.path().join("volume").join(MARK);
        copy_up(&root(self.image("")), path, &root(self.volume("")), &mark)
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.volume("")).unwrap().next().is_none()
    }
}

#[test]
fn a_tree_is_copied_with_everything_that_belongs_to_it() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.image("data/sub")).unwrap();
    fs::write(fixture.image("data/sub/file"), "content").unwrap();
    fs::set_permissions(
        fixture.image("data/sub/file"),
        fs::Permissions::from_mode(0o4751),
    )
    .unwrap();
    fs::hard_link(
        fixture.image("data/sub/file"),
        fixture.image("data/sub/again"),
    )
    .unwrap();
    symlink("/etc/passwd", fixture.image("data/link")).unwrap();
    let root = Root::open(fixture.image("data")).unwrap();
    root.mknod("pipe", NodeKind::Fifo, Mode::from_raw_mode(0o640))
        .unwrap();
    let file = root.resolve("sub/file").unwrap();
    let labelled = file.set_xattr("user.note", b"kept").is_ok();
    let old = Timespec {
        tv_sec: 1_000_000,
        tv_nsec: 5,
    };
    root.resolve("sub").unwrap().set_times(old, old).unwrap();

    fixture.copy_up("/data").unwrap();

    assert_eq!(fs::read(fixture.volume("sub/file")).unwrap(), b"content");
    let copied = fs::metadata(fixture.volume("sub/file")).unwrap();
    assert_eq!(copied.mode() & 0o7777, 0o4751);
    assert_eq!(copied.nlink(), 2);
    assert_eq!(
        copied.ino(),
        fs::metadata(fixture.volume("sub/again")).unwrap().ino()
    );
    assert_eq!(
        fs::read_link(fixture.volume("link")).unwrap(),
        Path::new("/etc/passwd")
    );
    let sub = fs::metadata(fixture.volume("sub")).unwrap();
    assert_eq!((sub.mtime(), sub.mtime_nsec()), (1_000_000, 5));
    let volume = Root::open(fixture.volume("")).unwrap();
    assert_eq!(
        volume.resolve_nofollow("pipe").unwrap().kind().unwrap(),
        FileType::Fifo
    );
    if labelled {
        let file = volume.resolve("sub/file").unwrap();
        assert_eq!(file.get_xattr("user.note").unwrap().unwrap(), b"kept");
    }
    assert!(!fixture.dir.path().join("volume").join(MARK).exists());
}

#[test]
fn an_empty_directory_gives_its_mode_and_a_missing_one_nothing() {
    let fixture = Fixture::new();
    fs::set_permissions(fixture.image("data"), fs::Permissions::from_mode(0o1770)).unwrap();
    fixture.copy_up("/nothing/here").unwrap();
    assert_ne!(
        fs::metadata(fixture.volume("")).unwrap().mode() & 0o7777,
        0o1770
    );
    fixture.copy_up("/data").unwrap();
    assert_eq!(
        fs::metadata(fixture.volume("")).unwrap().mode() & 0o7777,
        0o1770
    );
}

#[test]
fn a_volume_that_has_something_is_left_alone() {
    let fixture = Fixture::new();
    fs::write(fixture.image("data/seed"), "seed").unwrap();
    fs::write(fixture.volume("own"), "own").unwrap();
    fixture.copy_up("/data").unwrap();
    assert!(!fixture.volume("seed").exists());
}

#[test]
fn a_volume_that_the_daemon_died_over_is_filled_again() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.image("data/sub")).unwrap();
    fs::write(fixture.image("data/sub/whole"), "whole").unwrap();
    fs::create_dir(fixture.volume("sub")).unwrap();
    fs::write(fixture.volume("sub/whole"), "who").unwrap();
    fs::write(fixture.dir.path().join("volume").join(MARK), "").unwrap();
    fixture.copy_up("/data").unwrap();
    assert_eq!(fs::read(fixture.volume("sub/whole")).unwrap(), b"whole");
}

#[test]
fn a_file_cannot_be_covered_by_a_volume() {
    let fixture = Fixture::new();
    fs::write(fixture.image("file"), "").unwrap();
    let error = fixture.copy_up("/file").unwrap_err();
    assert!(error.to_string().contains("/file"), "{error}");
    assert!(fixture.is_empty());
}

#[test]
fn cve_2022_23648_a_volume_of_dots_or_of_links_takes_nothing_of_the_host() {
    let fixture = Fixture::new();
    symlink("../../secret", fixture.image("up")).unwrap();
    symlink(fixture.dir.path().join("secret"), fixture.image("away")).unwrap();
    for path in [
        "/../../secret",
        "../../../secret",
        "/up",
        "/away",
        "/up/../../secret",
    ] {
        fixture.copy_up(path).unwrap();
        assert!(fixture.is_empty(), "{path}");
    }
}

#[test]
fn holes_stay_holes() {
    let fixture = Fixture::new();
    let sparse = File::create(fixture.image("data/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_at(b"end", (64 << 20) - 3).unwrap();
    fixture.copy_up("/data").unwrap();
    let copied = fs::metadata(fixture.volume("sparse")).unwrap();
    assert_eq!(copied.len(), 64 << 20);
    assert!(
        copied.blocks() * 512 < 1 << 20,
        "{} blocks",
        copied.blocks()
    );
    let mut end = [0; 3];
    File::open(fixture.volume("sparse"))
        .unwrap()
        .read_exact_at(&mut end, (64 << 20) - 3)
        .unwrap();
    assert_eq!(&end, b"end");
}
