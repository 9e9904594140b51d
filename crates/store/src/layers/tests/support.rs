//! What the tests of layers share.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use wharf_sys::rooted::{Handle, Root};

use crate::StoreError;
use crate::digest::{DiffId, Digest, Hasher};
use crate::layers::{Layer, LayerForm, Layers, Limits};
use crate::lease::LeaseTable;
use crate::tar::{Entry, Kind, Time, Writer};

/// Layers stay attached when the store that attached them is gone; a test's must not.
struct Attached(PathBuf);

impl Drop for Attached {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = rustix::mount::unmount(entry.path(), rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// A store of layers only.
pub(super) struct Place {
    // Before the directory, which could not be removed with mounts in it.
    attached: Attached,
    pub(super) dir: tempfile::TempDir,
    pub(super) layers: Layers,
    leases: Arc<LeaseTable>,
}

/// Forms that can be used here: mounting and owners need privileges.
pub(super) fn forms() -> Vec<LayerForm> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let place = Place::new(LayerForm::Auto);
    match place.layers.form() {
        LayerForm::Index => vec![LayerForm::Index, LayerForm::Directory],
        _ => vec![LayerForm::Directory],
    }
}

impl Place {
    pub(super) fn new(form: LayerForm) -> Place {
        Place::at(&std::env::temp_dir(), form)
    }

    /// Below a directory.
    pub(super) fn at(parent: &Path, form: LayerForm) -> Place {
        let dir = tempfile::tempdir_in(parent).unwrap();
        let layers = Layers::open(dir.path(), form).unwrap();
        Place {
            attached: Attached(dir.path().join("mounts")),
            dir,
            layers,
            leases: Arc::default(),
        }
    }

    /// The same directory, opened again.
    pub(super) fn reopened(self, form: LayerForm) -> Place {
        let Place {
            attached,
            dir,
            layers,
            leases,
        } = self;
        drop(layers);
        let layers = Layers::open(dir.path(), form).unwrap();
        Place {
            attached,
            dir,
            layers,
            leases,
        }
    }

    pub(super) fn import(&self, stream: &[u8]) -> Result<Layer, StoreError> {
        self.import_with(stream, None, &Limits::default())
    }

    pub(super) fn import_with(
        &self,
        stream: &[u8],
        expect: Option<&DiffId>,
        limits: &Limits,
    ) -> Result<Layer, StoreError> {
        let lease = self.leases.lease();
        self.layers
            .import(&lease, &mut Cursor::new(stream), expect, limits)
    }

    /// The tree that a layer shows.
    pub(super) fn root(&self, layer: &Layer) -> Root {
        Root::from_fd(self.layers.mount(&layer.diff_id).unwrap())
    }

    /// What is in the layers' directory, but for what is always there, and where layers in use are
    /// attached if they must be.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "work" && name != "mounts" && !name.starts_with("empty"))
            .collect();
        let work = std::fs::read_dir(self.dir.path().join("work")).unwrap();
        names.extend(work.map(|entry| format!("work/{:?}", entry.unwrap().file_name())));
        names.sort();
        names
    }
}

/// Everything about an object that a layer must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, i64),
    pub(super) size: i64,
    pub(super) device: u64,
    pub(super) link: Vec<u8>,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    pub(super) content: Option<Digest>,
    /// The first path of the same object.
    pub(super) same_as: String,
    pub(super) links: u64,
}

/// Every object below a root, by path.
pub(super) fn snapshot(root: &Root) -> BTreeMap<String, Facts> {
    let mut found = BTreeMap::new();
    let mut first = std::collections::HashMap::new();
    let mut todo = vec![String::new()];
    while let Some(path) = todo.pop() {
        let handle = root
            .resolve_nofollow(OsStr::from_bytes(&latin(&path)))
            .unwrap();
        let stat = handle.stat().unwrap();
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            for entry in handle.read_dir().unwrap() {
                let name = unlatin(entry.unwrap().name.as_bytes());
                todo.push(if path.is_empty() {
                    name
                } else {
                    format!("{path}/{name}")
                });
            }
        }
        let same_as: &mut String = first.entry(stat.st_ino).or_insert_with(|| path.clone());
        if path < *same_as {
            same_as.clone_from(&path);
        }
        found.insert(path, (facts(&handle), stat.st_ino));
    }
    found
        .into_iter()
        .map(|(path, (mut facts, inode))| {
            facts.same_as.clone_from(&first[&inode]);
            (path, facts)
        })
        .collect()
}

pub(super) fn facts(handle: &Handle) -> Facts {
    let stat = handle.stat().unwrap();
    let kind = FileType::from_raw_mode(stat.st_mode);
    let directory = kind == FileType::Directory;
    Facts {
        kind,
        mode: stat.st_mode & 0o7777,
        owner: (stat.st_uid, stat.st_gid),
        mtime: (stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
        // That of a directory is the file system's own affair.
        size: if directory { 0 } else { stat.st_size },
        device: stat.st_rdev,
        link: if kind == FileType::Symlink {
            handle.readlink().unwrap().as_bytes().to_vec()
        } else {
            Vec::new()
        },
        xattrs: handle
            .list_xattrs()
            .unwrap()
            .into_iter()
            .map(|name| {
                let value = handle.get_xattr(&name).unwrap().unwrap();
                (name.into_string().unwrap(), value)
            })
            .collect(),
        content: (kind == FileType::RegularFile).then(|| {
            let mut file = handle.open_regular(rustix::fs::OFlags::RDONLY).unwrap();
            let mut hasher = Hasher::new();
            std::io::copy(&mut file, &mut hasher).unwrap();
            hasher.finish()
        }),
        same_as: String::new(),
        links: if directory { 0 } else { stat.st_nlink },
    }
}

/// Names that are not UTF-8 as text, each byte a character.
pub(super) fn unlatin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|char| char as u8).collect()
}

/// Both must hold the same objects; a difference is told by its path.
pub(super) fn assert_same(expected: &BTreeMap<String, Facts>, got: &BTreeMap<String, Facts>) {
    for (path, expected) in expected {
        let got = got
            .get(path)
            .unwrap_or_else(|| panic!("{path:?} is missing"));
        assert_eq!(got, expected, "{path:?}");
    }
    for path in got.keys() {
        assert!(expected.contains_key(path), "{path:?} should not be there");
    }
}

/// A file of root's.
pub(super) fn file(path: &str, size: u64) -> Entry {
    let mut entry = Entry::new(path, Kind::File);
    entry.mode = 0o644;
    entry.size = size;
    entry.mtime = Time {
        seconds: 1000 + size.cast_signed(),
        nanoseconds: 0,
    };
    entry
}

/// A directory of root's.
pub(super) fn directory(path: &str, mode: u32) -> Entry {
    let mut entry = Entry::new(path, Kind::Directory);
    entry.mode = mode;
    entry.mtime = Time {
        seconds: 2000,
        nanoseconds: 0,
    };
    entry
}

/// A symbolic or hard link.
pub(super) fn link(kind: Kind, path: &str, target: &str) -> Entry {
    let mut entry = Entry::new(path, kind);
    entry.mode = 0o777;
    entry.link = target.into();
    entry.mtime = Time {
        seconds: 3000,
        nanoseconds: 0,
    };
    entry
}

/// An archive of these entries, each file with the content `c` repeated.
pub(super) fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for entry in entries {
        writer.append(entry, &mut std::io::repeat(b'c')).unwrap();
    }
    writer.finish().unwrap()
}

/// Run a program of the host and take what it prints.
pub(super) fn run(program: &str, arguments: &[&OsStr], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use std::process::Stdio;
    #[allow(
        clippy::disallowed_methods,
        reason = "tools of the host are what is compared with"
    )]
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that has seen enough closes its end.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// What `tar -x` makes of an archive, in a new directory.
pub(super) fn extracted(archive: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "-x",
        "-p",
        "--same-owner",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "-C",
    ];
    let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    arguments.push(dir.path().as_os_str());
    run("tar", &arguments, archive);
    dir
}

/// The archive that GNU tar makes of a directory.
pub(super) fn archived(directory: &Path, options: &[&str]) -> Vec<u8> {
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.extend([
        OsStr::new("-c"),
        OsStr::new("-C"),
        directory.as_os_str(),
        OsStr::new("."),
    ]);
    run("tar", &arguments, b"")
}

/// A tool that understands blocks of 512 bytes, if there is one: the variable names it, else it
/// is looked for on the path. erofs-utils learnt them in 1.6.
pub(super) fn fsck_erofs() -> Option<std::ffi::OsString> {
    let program = std::env::var_os("WHARF_FSCK_EROFS").unwrap_or_else(|| "fsck.erofs".into());
    #[allow(
        clippy::disallowed_methods,
        reason = "an independent reader of the format"
    )]
    let output = std::process::Command::new(&program)
        .arg("--version")
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let version = said
        .split_whitespace()
        .find(|word| word.starts_with("1."))?;
    let minor: u32 = version[2..].split('.').next()?.parse().ok()?;
    (minor >= 6).then_some(program)
}

/// Read all of a stream.
pub(super) fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}
