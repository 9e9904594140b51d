use std::fs::{self, File};
use std::io::{self, Cursor};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::mount::MountAttrFlags;
use wharf_store::tar::{Entry, Kind, Segment, Time, Writer};
use wharf_sys::mount::{self, Depth, FileSystem};
use wharf_sys::rooted::Root;

use super::failure::Failure;
use super::locate::{Located, evaluate, extraction_point};
use super::mounts::over;
use super::unpack::unpack;
use super::view::Tree;
use crate::containers::record::Paths;
use crate::model::{MountPoint, PathStat, PutOptions};
use crate::mounts::{Mount, MountSource};

/// A container's tree, beside something that nothing done to the tree may reach.
struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::new_in(&std::env::temp_dir())
    }

    fn new_in(parent: &Path) -> Fixture {
        let dir = tempfile::tempdir_in(parent).unwrap();
        fs::create_dir_all(dir.path().join("root/dir")).unwrap();
        fs::create_dir(dir.path().join("secret")).unwrap();
        fs::write(dir.path().join("secret/canary"), "canary").unwrap();
        Fixture { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn tree(&self) -> Tree {
        Tree::of(Root::open(self.path("")).unwrap())
    }

    fn put(&self, target: &str, archive: &[u8]) -> Result<(), Failure> {
        self.put_with(target, archive, PutOptions::default())
    }

    fn put_with(&self, target: &str, archive: &[u8], options: PutOptions) -> Result<(), Failure> {
        let tree = self.tree();
        let target = extraction_point(&tree, target)?;
        unpack(&tree.root, &target, Cursor::new(archive), options)
    }

    fn stat(&self, path: &str) -> Result<PathStat, Failure> {
        let tree = self.tree();
        Located::find(&tree, path)?.stat(&tree)
    }

    /// What is outside is as it was.
    fn outside_is_untouched(&self) {
        let names = |path: &Path| {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(self.dir.path()), ["root", "secret"]);
        assert_eq!(names(&self.dir.path().join("secret")), ["canary"]);
        let canary = self.dir.path().join("secret/canary");
        assert_eq!(fs::read(&canary).unwrap(), b"canary");
        assert_eq!(fs::metadata(&canary).unwrap().nlink(), 1);
    }
}

/// An archive in the making.
struct Archive(Writer<Vec<u8>>);

impl Archive {
    fn new() -> Archive {
        Archive(Writer::new(Vec::new()))
    }

    fn entry(mut self, entry: &Entry, content: &[u8]) -> Archive {
        self.0.append(entry, &mut Cursor::new(content)).unwrap();
        self
    }

    fn file(self, path: &str, content: &str) -> Archive {
        let mut entry = Entry::new(path, Kind::File);
        entry.mode = 0o644;
        entry.size = content.len() as u64;
        self.entry(&entry, content.as_bytes())
    }

    fn directory(self, path: &str) -> Archive {
        let mut entry = Entry::new(path, Kind::Directory);
        entry.mode = 0o755;
        self.entry(&entry, b"")
    }

    fn link(self, path: &str, target: &str, kind: Kind) -> Archive {
        let mut entry = Entry::new(path, kind);
        entry.mode = 0o777;
        entry.link = target.as_bytes().to_vec();
        self.entry(&entry, b"")
    }

    fn finish(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

fn text(result: Result<(), Failure>) -> String {
    result.unwrap_err().about("/asked/for", "web").to_string()
}

#[test]
fn what_is_unpacked_is_owned_dated_and_marked_as_the_archive_says() {
    let fixture = Fixture::new();
    let mut file = Entry::new("sub/file", Kind::File);
    (file.mode, file.size) = (0o4755, 4);
    if rustix::process::geteuid().is_root() {
        (file.uid, file.gid) = (1000, 2000);
    } else {
        (file.uid, file.gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
    }
    file.mtime = Time {
        seconds: 1_000_000,
        nanoseconds: 7,
    };
    file.xattrs = vec![
        (b"trusted.overlay.opaque".to_vec(), b"y".to_vec()),
        (b"user.note".to_vec(), b"kept".to_vec()),
    ];
    let mut sub = Entry::new("sub", Kind::Directory);
    (sub.mode, sub.uid, sub.gid) = (0o1751, file.uid, file.gid);
    sub.mtime.seconds = 2_000_000;
    let archive = Archive::new()
        .entry(&sub, b"")
        .entry(&file, b"text")
        .link("sub/soft", "/etc/passwd", Kind::Symlink)
        .link("sub/hard", "sub/file", Kind::HardLink)
        .finish();
    // Links are of whoever runs this.
    let result = fixture.put("/dir", &archive);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    result.unwrap();
    let made = fs::metadata(fixture.path("dir/sub/file")).unwrap();
    assert_eq!(fs::read(fixture.path("dir/sub/file")).unwrap(), b"text");
    assert_eq!(made.mode() & 0o7777, 0o4755);
    assert_eq!((made.uid(), made.gid()), (1000, 2000));
    assert_eq!((made.mtime(), made.mtime_nsec()), (1_000_000, 7));
    assert_eq!(
        made.ino(),
        fs::metadata(fixture.path("dir/sub/hard")).unwrap().ino()
    );
    assert_eq!(
        fs::read_link(fixture.path("dir/sub/soft")).unwrap(),
        Path::new("/etc/passwd")
    );
    let sub = fs::metadata(fixture.path("dir/sub")).unwrap();
    assert_eq!((sub.mode() & 0o7777, sub.mtime()), (0o1751, 2_000_000));
    let object = Root::open(fixture.path("")).unwrap();
    let object = object.resolve("dir/sub/file").unwrap();
    assert_eq!(object.get_xattr("trusted.overlay.opaque").unwrap(), None);
    if let Some(note) = object.get_xattr("user.note").unwrap() {
        assert_eq!(note, b"kept");
    }
}

#[test]
fn missing_parents_are_made_and_directories_are_merged() {
    let fixture = Fixture::new();
    fs::write(fixture.path("dir/kept"), "kept").unwrap();
    fs::write(fixture.path("dir/old"), "old and longer").unwrap();
    let archive = Archive::new()
        .directory("dir")
        .file("dir/old", "new")
        .file("made/on/the/way", "x")
        .directory("./")
        .finish();
    fixture.put("/", &archive).unwrap();
    assert_eq!(fs::read(fixture.path("dir/kept")).unwrap(), b"kept");
    assert_eq!(fs::read(fixture.path("dir/old")).unwrap(), b"new");
    let implied = fs::metadata(fixture.path("made/on/the")).unwrap();
    assert_eq!(implied.mode() & 0o7777, 0o755);
}

#[test]
fn what_is_in_the_way_is_replaced_or_the_request_is_refused_by_dockers_words() {
    let careful = PutOptions {
        no_overwrite_dir_non_dir: true,
        ..PutOptions::default()
    };
    let fixture = Fixture::new();
    fs::write(fixture.path("dir/deep"), "").unwrap();
    let file_over_directory = Archive::new().file("dir", "f").finish();
    assert_eq!(
        text(fixture.put_with("/", &file_over_directory, careful)),
        "cannot overwrite directory \"/dir\" with non-directory \"/\""
    );
    assert!(fixture.path("dir/deep").exists());
    fixture.put("/", &file_over_directory).unwrap();
    assert_eq!(fs::read(fixture.path("dir")).unwrap(), b"f");
    let directory_over_file = Archive::new().directory("dir").finish();
    assert_eq!(
        text(fixture.put_with("/", &directory_over_file, careful)),
        "cannot overwrite non-directory \"/dir\" with directory \"/\""
    );
    fixture.put("/", &directory_over_file).unwrap();
    assert!(fixture.path("dir").is_dir());
}

#[test]
fn a_pipe_or_a_link_in_the_way_is_replaced_and_never_opened_or_followed() {
    let fixture = Fixture::new();
    let root = Root::open(fixture.path("")).unwrap();
    root.mknod("dir/pipe", wharf_sys::rooted::NodeKind::Fifo, 0o644.into())
        .unwrap();
    symlink(
        fixture.dir.path().join("secret/canary"),
        fixture.path("dir/link"),
    )
    .unwrap();
    let archive = Archive::new()
        .file("pipe", "was a pipe")
        .file("link", "was a link")
        .finish();
    fixture.put("/dir", &archive).unwrap();
    assert_eq!(fs::read(fixture.path("dir/pipe")).unwrap(), b"was a pipe");
    assert!(!fixture.path("dir/link").is_symlink());
    fixture.outside_is_untouched();
}

#[test]
fn names_that_climb_are_refused_and_absolute_ones_stay_below() {
    let fixture = Fixture::new();
    for name in ["../x", "a/../../x", "../../../../secret/x"] {
        let archive = Archive::new().file(name, "x").finish();
        assert_eq!(
            text(fixture.put("/dir", &archive)),
            format!("{name:?} is outside of \"/dir\"")
        );
    }
    let absolute = Archive::new().file("/etc/x", "x").finish();
    fixture.put("/dir", &absolute).unwrap();
    assert!(fixture.path("dir/etc/x").exists());
    assert!(!fixture.path("x").exists());
    fixture.outside_is_untouched();
}

#[test]
fn links_of_the_archive_lead_nowhere_outside() {
    let fixture = Fixture::new();
    let outside = fixture.dir.path().join("secret");
    let outside = outside.to_str().unwrap();
    for target in [
        outside,
        "../../../secret",
        "/../secret",
        "../../../../../..",
    ] {
        let archive = Archive::new()
            .link("way", target, Kind::Symlink)
            .file("way/out", "x")
            .file("way/canary", "overwritten")
            .finish();
        // It may end inside the root, or nowhere.
        let _ = fixture.put("/dir", &archive);
        fixture.outside_is_untouched();
    }
    let climbing = Archive::new()
        .link("hard", "../../secret/canary", Kind::HardLink)
        .finish();
    assert_eq!(
        text(fixture.put("/dir", &climbing)),
        "invalid hardlink \"/dir/hard\" -> \"../../secret/canary\""
    );
    let through = Archive::new()
        .link("way", outside, Kind::Symlink)
        .link("hard", "way/canary", Kind::HardLink)
        .finish();
    assert!(fixture.put("/dir", &through).is_err());
    fixture.outside_is_untouched();
}

#[test]
fn a_path_may_lead_through_links_of_the_container() {
    let fixture = Fixture::new();
    symlink("/dir", fixture.path("link")).unwrap();
    let archive = Archive::new().file("f", "x").finish();
    fixture.put("/link", &archive).unwrap();
    assert!(fixture.path("dir/f").exists());
    let below = Archive::new().file("link/g", "x").finish();
    fixture.put("/", &below).unwrap();
    assert!(fixture.path("dir/g").exists());
    assert!(fixture.path("link").is_symlink());
}

#[test]
fn archives_may_be_compressed_by_gzip_and_zstd_and_by_nothing_else() {
    let plain = Archive::new().file("f", &"text ".repeat(1000)).finish();
    let mut gzip = flate2_gzip(&plain);
    let zstd = zstd_of(&plain);
    for archive in [&plain, &gzip, &zstd] {
        let fixture = Fixture::new();
        fixture.put("/dir", archive).unwrap();
        assert_eq!(fs::metadata(fixture.path("dir/f")).unwrap().len(), 5000);
    }
    let fixture = Fixture::new();
    for (magic, name) in [(&b"BZh91AY"[..], "bzip2"), (b"\xfd7zXZ\0\0", "xz")] {
        assert_eq!(
            text(fixture.put("/dir", magic)),
            format!("{name} compression is not supported")
        );
    }
    gzip.truncate(gzip.len() / 2);
    assert!(fixture.put("/dir", &gzip).is_err());
    assert!(fixture.put("/dir", &plain[..1000]).is_err());
    assert!(fixture.put("/dir", &[0x5a; 2048]).is_err());
}

/// gzip by hand: one stored block per 65535 bytes.
fn flate2_gzip(content: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = content.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).unwrap();
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    let mut crc = u32::MAX;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    out
}

/// zstd by hand: raw blocks.
fn zstd_of(content: &[u8]) -> Vec<u8> {
    // One segment, content size in eight bytes.
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
    out.extend((content.len() as u64).to_le_bytes());
    let mut blocks = content.chunks(100_000).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let header = (u32::try_from(block.len()).unwrap() << 3) | last;
        out.extend(&header.to_le_bytes()[..3]);
        out.extend(block);
    }
    out
}

#[test]
fn the_extraction_point_is_a_directory_that_exists() {
    let fixture = Fixture::new();
    fs::write(fixture.path("file"), "").unwrap();
    assert_eq!(
        text(fixture.put("/file", &Archive::new().finish())),
        "extraction point is not a directory"
    );
    assert_eq!(
        text(fixture.put("/nothing", &Archive::new().finish())),
        "Could not find the file /asked/for in container web"
    );
}

#[test]
fn holes_of_an_archive_stay_holes() {
    // What `tar --sparse` makes of 64 MiB with three bytes at the end, in its old GNU form.
    let mut entry = Entry::new("sparse", Kind::File);
    entry.mode = 0o644;
    entry.size = 64 << 20;
    let segment = Segment {
        offset: entry.size - 3,
        length: 3,
    };
    let archive = old_gnu_sparse(&entry, segment, b"end");
    let fixture = Fixture::new();
    fixture.put("/dir", &archive).unwrap();
    let made = fs::metadata(fixture.path("dir/sparse")).unwrap();
    assert_eq!(made.len(), 64 << 20);
    assert!(made.blocks() * 512 < 1 << 20, "{} blocks", made.blocks());
}

fn old_gnu_sparse(entry: &Entry, segment: Segment, content: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.path);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"S");
    put(257, b"ustar  \0");
    put(386, format!("{:011o}\0", segment.offset).as_bytes());
    put(398, format!("{:011o}\0", segment.length).as_bytes());
    put(483, format!("{:011o}\0", entry.size).as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    let mut data = content.to_vec();
    data.resize(512, 0);
    archive.extend(data);
    archive.extend([0; 1024]);
    archive
}

#[test]
fn a_path_is_described_in_gos_terms() {
    let fixture = Fixture::new();
    fs::write(fixture.path("dir/file"), "12345").unwrap();
    fs::set_permissions(fixture.path("dir/file"), fs::Permissions::from_mode(0o4640)).unwrap();
    fs::set_permissions(fixture.path("dir"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("dir/../dir/file", fixture.path("link")).unwrap();
    symlink("/dir", fixture.path("to-dir")).unwrap();
    let file = fixture.stat("/dir/file").unwrap();
    assert_eq!((file.name.as_str(), file.size), ("file", 5));
    assert_eq!(file.mode, (1 << 23) | 0o640);
    assert!(file.mtime > 1_500_000_000_000_000_000);
    assert_eq!(
        fixture.stat("/dir").unwrap().mode,
        (1 << 31) | (1 << 20) | 0o777
    );
    let link = fixture.stat("/link").unwrap();
    assert_eq!(link.mode, (1 << 27) | 0o777);
    assert_eq!(link.link_target, "/dir/file");
    // What ends as a directory is followed.
    for (given, name) in [("/to-dir/", "to-dir"), ("/to-dir/.", "."), ("/", "/")] {
        let stat = fixture.stat(given).unwrap();
        assert_eq!(stat.name, name);
        assert_ne!(stat.mode & (1 << 31), 0, "{given}");
    }
    assert!(matches!(
        fixture.stat("/dir/file/"),
        Err(Failure::Refused(_) | Failure::Object(_))
    ));
    assert!(matches!(fixture.stat("/nothing"), Err(Failure::Missing)));
}

#[test]
fn an_archive_is_named_after_the_last_component_that_was_given() {
    let fixture = Fixture::new();
    symlink("dir", fixture.path("link")).unwrap();
    let tree = fixture.tree();
    for (given, name) in [
        ("/dir", "dir"),
        ("dir", "dir"),
        ("/dir/", "dir"),
        ("/dir/.", "."),
        ("/link/", "link"),
        ("/", ""),
        ("/.", "."),
        ("/dir/..", ""),
    ] {
        let located = Located::find(&tree, given).unwrap();
        assert_eq!(located.archive_name, name.as_bytes(), "{given}");
    }
}

#[test]
fn a_path_is_evaluated_inside_the_root_as_far_as_it_exists() {
    let fixture = Fixture::new();
    symlink("/../../secret", fixture.path("up")).unwrap();
    symlink("../gone/away", fixture.path("dir/broken")).unwrap();
    symlink("loop", fixture.path("loop")).unwrap();
    let tree = fixture.tree();
    let evaluated = |path: &str| evaluate(&tree.root, Path::new(path));
    assert_eq!(evaluated("/up/x").unwrap(), Path::new("/secret/x"));
    assert_eq!(evaluated("/dir/broken").unwrap(), Path::new("/gone/away"));
    assert_eq!(evaluated("/../../dir/.").unwrap(), Path::new("/dir"));
    assert!(evaluated("/loop/x").is_err());
}

#[test]
fn cve_2018_15664_a_racing_link_swap_gains_nothing() {
    const COPIES: usize = 2000;
    let fixture = Fixture::new();
    let root = fixture.path("");
    fs::create_dir(root.join("swap")).unwrap();
    symlink(fixture.dir.path().join("secret"), root.join("away")).unwrap();
    let done = AtomicBool::new(false);
    let archive = Archive::new()
        .file("canary", "overwritten")
        .file("sub/new", "made")
        .finish();
    thread::scope(|scope| {
        scope.spawn(|| {
            // The directory and the link change places for as long as it takes.
            while !done.load(Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(
                    rustix::fs::CWD,
                    root.join("swap"),
                    rustix::fs::CWD,
                    root.join("away"),
                    rustix::fs::RenameFlags::EXCHANGE,
                );
            }
        });
        for _ in 0..COPIES {
            let _ = fixture.put("/swap", &archive);
            let tree = fixture.tree();
            if let Ok(found) = Located::find(&tree, "/swap/canary") {
                let mut seen = String::new();
                let file = found.handle.open_regular(rustix::fs::OFlags::RDONLY);
                if let Ok(mut file) = file {
                    let _ = io::Read::read_to_string(&mut file, &mut seen);
                }
                assert_ne!(seen, "canary", "the host's file was read");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    fixture.outside_is_untouched();
}

/// Runs something in a mount namespace of its own, if this process may have one.
fn in_private_namespace(work: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    thread::spawn(|| {
        mount::enter_private_namespace().unwrap();
        work();
    })
    .join()
    .unwrap();
}

#[test]
fn the_kernels_file_systems_are_empty_directories_to_cp() {
    in_private_namespace(|| {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path("proc")).unwrap();
        symlink("/proc/sys/kernel", fixture.path("way")).unwrap();
        let proc = mount::clone_tree(File::open("/proc").unwrap().as_fd(), Depth::One).unwrap();
        let target = File::open(fixture.path("proc")).unwrap();
        mount::attach(proc.as_fd(), target.as_fd()).unwrap();
        assert_ne!(fixture.stat("/proc").unwrap().mode & (1 << 31), 0);
        assert!(matches!(
            fixture.stat("/proc/version"),
            Err(Failure::Missing)
        ));
        for target in ["/proc", "/proc/sys/kernel", "/way"] {
            let archive = Archive::new().file("domainname", "x").finish();
            assert!(
                matches!(fixture.put(target, &archive), Err(Failure::Missing)),
                "{target}"
            );
        }
        for name in ["proc/sys/kernel/domainname", "way/domainname"] {
            let archive = Archive::new().file(name, "x").finish();
            assert!(
                text(fixture.put("/", &archive)).contains("is no place for files"),
                "{name}"
            );
        }
    });
}

fn volume(source: &Path, destination: &str, rw: bool) -> Mount {
    Mount {
        point: MountPoint {
            kind: "volume".into(),
            source: source.display().to_string(),
            destination: destination.into(),
            rw,
            ..MountPoint::default()
        },
        source: MountSource::Volume,
    }
}

#[test]
fn a_stopped_container_shows_its_volumes_where_its_own_links_cannot_move_them() {
    in_private_namespace(|| {
        let fixture = Fixture::new();
        let host = |name: &str| fixture.dir.path().join(name);
        let paths = Paths::new(&host("data"), &host("exec"), "id");
        fs::create_dir_all(paths.work()).unwrap();
        fs::write(paths.etc("hosts"), "hosts").unwrap();
        for name in ["one", "two", "three"] {
            fs::create_dir(host(name)).unwrap();
            fs::write(host(name).join("who"), name).unwrap();
        }
        let tree = FileSystem::open("tmpfs").unwrap();
        tree.create().unwrap();
        let tree = tree.mount(MountAttrFlags::empty()).unwrap();
        let inside = Root::from_fd(tree.try_clone().unwrap());
        inside.symlink("../../../../..", "up").unwrap();
        let mounts = [
            volume(&host("one"), "/data", true),
            volume(&host("two"), "/data/inner/ro", false),
            volume(&host("three"), "/up/secret", true),
            volume(&host("gone"), "/gone", true),
        ];
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let (root, inner) = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let root = over(tree, &mounts, &paths).unwrap();
                    let read = |path: &str| root.read_to_string_bounded(path, 99).ok();
                    let seen = [
                        read("/data/who"),
                        read("/data/inner/ro/who"),
                        read("/secret/who"),
                        read("/etc/hosts"),
                        read("/gone/who"),
                    ];
                    let written = unpack(
                        &root,
                        Path::new("/data/inner/ro"),
                        Cursor::new(Archive::new().file("f", "x").finish()),
                        PutOptions::default(),
                    );
                    (seen, written.unwrap_err().about("", "").class())
                })
                .join()
                .unwrap()
        });
        let expected = ["one", "two", "three", "hosts"].map(|text| Some(text.to_owned()));
        assert_eq!(root[..4], expected);
        assert_eq!(root[4], None);
        assert_eq!(inner, crate::Class::Forbidden);
        assert_eq!(
            fs::read_to_string("/proc/self/mountinfo").unwrap(),
            before,
            "mounts were seen outside"
        );
        assert_eq!(
            fs::read(fixture.dir.path().join("secret/canary")).unwrap(),
            b"canary"
        );
    });
}

#[test]
fn ten_thousand_entries_are_unpacked() {
    const ENTRIES: usize = 10_000;
    // Not on a disk that others are using.
    let fixture = Fixture::new_in(Path::new("/dev/shm"));
    let mut archive = Archive::new();
    for number in 0..ENTRIES {
        archive = archive.directory(&format!("d{}/e{number}", number % 100));
    }
    fixture.put("/dir", &archive.finish()).unwrap();
    let made: usize = (0..100)
        .map(|number| {
            fs::read_dir(fixture.path(&format!("dir/d{number}")))
                .unwrap()
                .count()
        })
        .sum();
    assert_eq!(made, ENTRIES);
}

#[test]
fn device_nodes_are_made_and_nothing_is_written_to_them() {
    let fixture = Fixture::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut null = Entry::new("null", Kind::CharacterDevice { major: 1, minor: 3 });
    null.mode = 0o666;
    let archive = Archive::new()
        .entry(&null, b"")
        .file("null/below", "x")
        .finish();
    assert!(fixture.put("/dir", &archive).is_err());
    let made = fs::metadata(fixture.path("dir/null")).unwrap();
    assert!(made.file_type().is_char_device());
    assert_eq!(made.mode() & 0o777, 0o666);
}
