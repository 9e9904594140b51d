//! `diff`: what a container changed in its image.
//!
//! Read from the upper directory of its overlay, each object held against the image's of that
//! name, by handles. As dockerd has it: a directory is changed when something in it is, or its
//! owner, mode or time; a file that is there and is the same (opened for writing, and left) is
//! none. What the engine itself put there is not shown ([`crate::placeholders`]).

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use wharf_sys::rooted::{Handle, Root, RootedError};

use crate::blocking::blocking;
use crate::model::{Change, ChangeKind};
use crate::placeholders::Placeholders;
use crate::{Engine, Error, Result};

/// Directories in one another; each takes two descriptors while it is looked at.
const MAX_DEPTH: usize = 256;

/// Overlayfs's mark of a directory that hides the one below it.
const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// File capabilities: a change of these is one.
const CAPABILITY: &str = "security.capability";

impl Engine {
    /// Every path that differs, sorted.
    pub async fn changes(&self, container: &str) -> Result<Vec<Change>> {
        let snapshot = self.0.containers.resolve(container)?;
        let engine = self.clone();
        blocking(move || {
            let image = engine
                .0
                .store
                .layers()
                .overlay(&snapshot.record.layers, None)?;
            let upper = Root::open(snapshot.paths.upper());
            upper
                .and_then(|upper| between(&upper, &Root::from_fd(image)))
                .map_err(|error| {
                    Error::Internal(format!("compare container {}: {error}", snapshot.id()))
                })
        })
        .await
    }
}

/// What the upper directory of an overlay changes in what is below it.
fn between(upper: &Root, lower: &Root) -> std::result::Result<Vec<Change>, RootedError> {
    let mut comparison = Comparison {
        placeholders: Placeholders::find(upper, lower)?,
        changes: Vec::new(),
    };
    let below = lower.resolve(".")?;
    comparison.directory(&upper.resolve(".")?, Some(&below), Path::new(""), 0)?;
    let mut changes = comparison.changes;
    changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

struct Comparison {
    placeholders: Placeholders,
    changes: Vec<Change>,
}

impl Comparison {
    /// Compares what is in a directory; says whether anything in it changed.
    fn directory(
        &mut self,
        upper: &Handle,
        lower: Option<&Handle>,
        path: &Path,
        depth: usize,
    ) -> std::result::Result<bool, RootedError> {
        if depth > MAX_DEPTH {
            tracing::warn!(path = %path.display(), "too deep to be compared");
            return Ok(true);
        }
        let before = self.changes.len();
        let names = names(upper)?;
        for name in &names {
            let child = match upper.child(name) {
                // Gone while we looked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                child => child?,
            };
            let below = lower.map(|lower| look(lower, name)).transpose()?.flatten();
            self.object(&child, below.as_ref(), &path.join(name), depth)?;
        }
        if let Some(lower) = lower
            && is_opaque(upper)?
        {
            for name in self::names(lower)? {
                if names.binary_search(&name).is_err() {
                    self.add(&path.join(name), ChangeKind::Deleted);
                }
            }
        }
        Ok(self.changes.len() > before)
    }

    fn object(
        &mut self,
        object: &Handle,
        below: Option<&Handle>,
        path: &Path,
        depth: usize,
    ) -> std::result::Result<(), RootedError> {
        let now = object.stat()?;
        if is_whiteout(&now) {
            if below.is_some() {
                self.add(path, ChangeKind::Deleted);
            }
            return Ok(());
        }
        if self.placeholders.contains(path) {
            return Ok(());
        }
        let is_directory = |stat: &Stat| kind(stat) == FileType::Directory;
        let then = below.map(Handle::stat).transpose()?;
        let merged = below.filter(|_| then.as_ref().is_some_and(is_directory));
        let inside =
            is_directory(&now) && self.directory(object, merged, path, depth.saturating_add(1))?;
        let Some((then, below)) = then.zip(below) else {
            self.add(path, ChangeKind::Added);
            return Ok(());
        };
        let untimed = is_directory(&now) && self.placeholders.are_in(path);
        let differs = inside
            || differ(&now, &then)
            || !(untimed || same_time(&now, &then))
            || object.get_xattr(CAPABILITY)? != below.get_xattr(CAPABILITY)?;
        if differs {
            self.add(path, ChangeKind::Modified);
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, kind: ChangeKind) {
        self.changes.push(Change {
            path: format!("/{}", path.display()),
            kind,
        });
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_opaque(directory: &Handle) -> std::result::Result<bool, RootedError> {
    for name in OPAQUE {
        if directory.get_xattr(name)?.as_deref() == Some(b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// In anything but the time. The size of a directory says how it is stored, no more.
fn differ(now: &Stat, then: &Stat) -> bool {
    let facts = |stat: &Stat| {
        let size = match kind(stat) {
            FileType::RegularFile | FileType::Symlink => stat.st_size,
            _ => 0,
        };
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, size)
    };
    facts(now) != facts(then)
}

/// Archives often keep whole seconds only.
fn same_time(now: &Stat, then: &Stat) -> bool {
    now.st_mtime == then.st_mtime
        && (now.st_mtime_nsec == then.st_mtime_nsec
            || now.st_mtime_nsec == 0
            || then.st_mtime_nsec == 0)
}

fn look(directory: &Handle, name: &OsStr) -> std::result::Result<Option<Handle>, RootedError> {
    match directory.child(name) {
        Ok(child) => Ok(Some(child)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sorted.
fn names(directory: &Handle) -> std::result::Result<Vec<OsString>, RootedError> {
    let mut names: Vec<OsString> = directory
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.name))
        .collect::<std::result::Result<_, _>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use rustix::fs::Timespec;
    use wharf_sys::rooted::NodeKind;

    use super::*;

    /// An image and a container's upper directory. Both have the same times, unless touched.
    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Fixture {
            let dir = tempfile::tempdir().unwrap();
            for side in ["lower", "upper"] {
                fs::create_dir_all(dir.path().join(side).join("etc/sub")).unwrap();
            }
            let fixture = Fixture { dir };
            fixture.age("etc/sub");
            fixture.age("etc");
            fixture
        }

        fn path(&self, side: &str, path: &str) -> PathBuf {
            self.dir.path().join(side).join(path)
        }

        fn root(&self, side: &str) -> Root {
            Root::open(self.dir.path().join(side)).unwrap()
        }

        /// Makes the times of a path the same on both sides.
        fn age(&self, path: &str) {
            let then = Timespec {
                tv_sec: 1_000_000,
                tv_nsec: 0,
            };
            for side in ["lower", "upper"] {
                if let Ok(object) = self.root(side).resolve_nofollow(path) {
                    object.set_times(then, then).unwrap();
                }
            }
        }

        fn changes(&self) -> Vec<String> {
            between(&self.root("upper"), &self.root("lower"))
                .unwrap()
                .into_iter()
                .map(|change| {
                    let letter = match change.kind {
                        ChangeKind::Modified => 'C',
                        ChangeKind::Added => 'A',
                        ChangeKind::Deleted => 'D',
                    };
                    format!("{letter} {}", change.path)
                })
                .collect()
        }
    }

    #[test]
    fn directories_that_were_only_passed_through_are_no_change() {
        assert!(Fixture::new().changes().is_empty());
    }

    #[test]
    fn what_is_new_or_changed_is_shown_with_every_directory_above_it() {
        let fixture = Fixture::new();
        for side in ["lower", "upper"] {
            fs::write(fixture.path(side, "etc/same"), "same").unwrap();
            fs::write(fixture.path(side, "etc/sub/mode"), "").unwrap();
            fs::write(fixture.path(side, "etc/text"), side.repeat(3)).unwrap();
        }
        fs::write(fixture.path("upper", "etc/text"), "longer than before").unwrap();
        fs::set_permissions(
            fixture.path("upper", "etc/sub/mode"),
            fs::Permissions::from_mode(0o777),
        )
        .unwrap();
        fs::create_dir(fixture.path("upper", "new")).unwrap();
        symlink("x", fixture.path("upper", "new/link")).unwrap();
        for path in ["etc/same", "etc/sub/mode", "etc/text", "etc/sub", "etc"] {
            fixture.age(path);
        }
        assert_eq!(
            fixture.changes(),
            [
                "C /etc",
                "C /etc/sub",
                "C /etc/sub/mode",
                "C /etc/text",
                "A /new",
                "A /new/link",
            ]
        );
    }

    #[test]
    fn a_whiteout_is_a_deletion_of_what_was_there_and_of_nothing_else() {
        let fixture = Fixture::new();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        fs::write(fixture.path("lower", "etc/gone"), "").unwrap();
        let upper = fixture.root("upper");
        for name in ["etc/gone", "etc/never-was"] {
            upper
                .mknod(name, NodeKind::Character(0), 0o000.into())
                .unwrap();
        }
        fixture.age("etc");
        assert_eq!(fixture.changes(), ["C /etc", "D /etc/gone"]);
    }

    #[test]
    fn a_directory_made_anew_hides_what_the_old_one_had() {
        let fixture = Fixture::new();
        fs::write(fixture.path("lower", "etc/sub/old"), "").unwrap();
        fs::write(fixture.path("upper", "etc/sub/new"), "").unwrap();
        let sub = fixture.root("upper").resolve("etc/sub").unwrap();
        if sub.set_xattr(OPAQUE[1], b"y").is_err() {
            return;
        }
        fixture.age("etc");
        assert_eq!(
            fixture.changes(),
            ["C /etc", "C /etc/sub", "A /etc/sub/new", "D /etc/sub/old"]
        );
    }

    #[test]
    fn a_directory_in_place_of_a_link_is_not_compared_with_what_the_link_led_to() {
        let fixture = Fixture::new();
        symlink("etc", fixture.path("lower", "link")).unwrap();
        fs::write(fixture.path("lower", "etc/file"), "").unwrap();
        fs::create_dir(fixture.path("upper", "link")).unwrap();
        fs::write(fixture.path("upper", "link/file"), "").unwrap();
        fixture.age("etc");
        assert_eq!(fixture.changes(), ["C /link", "A /link/file"]);
    }

    #[test]
    fn what_the_engine_put_there_is_not_shown_and_what_the_container_did_beside_it_is() {
        let fixture = Fixture::new();
        for name in ["proc", "dev", "sys"] {
            fs::create_dir(fixture.path("upper", name)).unwrap();
        }
        for name in ["hosts", "resolv.conf", "hostname"] {
            fs::write(fixture.path("upper", "etc").join(name), "").unwrap();
        }
        assert!(fixture.changes().is_empty(), "{:?}", fixture.changes());
        fs::write(fixture.path("upper", "etc/own"), "").unwrap();
        assert_eq!(fixture.changes(), ["C /etc", "A /etc/own"]);
        fs::remove_file(fixture.path("upper", "etc/own")).unwrap();
        fs::write(fixture.path("upper", "etc/hosts"), "written past the mount").unwrap();
        assert_eq!(fixture.changes(), ["C /etc", "A /etc/hosts"]);
    }

    #[test]
    fn an_image_whose_etc_is_a_link_has_its_placeholders_where_it_leads() {
        let fixture = Fixture::new();
        for side in ["lower", "upper"] {
            fixture.root(side).remove_all("etc").unwrap();
        }
        symlink("/../real", fixture.path("lower", "etc")).unwrap();
        fs::create_dir(fixture.path("upper", "real")).unwrap();
        fs::write(fixture.path("upper", "real/hosts"), "").unwrap();
        assert!(fixture.changes().is_empty(), "{:?}", fixture.changes());
    }
}
