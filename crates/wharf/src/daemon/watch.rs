//! Watches the files that the daemon was configured by.
//!
//! What is watched is directories, never files: files are replaced (`rename`), and what mounts
//! secrets replaces a link that is part of the path instead (`tls.crt -> ..data/tls.crt`,
//! `..data -> ..2026_11_21`). So every directory on the way of the links is watched, and for a
//! file that is not there, the nearest directory that is. An event only says "look": whether
//! something changed is decided by what each file is now, since others write there, too.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Editors and tools write in several steps: a certificate, then its key.
const SETTLING: Duration = Duration::from_millis(150);

/// More links than the kernel follows.
const LINKS_MAX: usize = 40;

/// See the module.
#[derive(Debug)]
pub(super) struct Watch {
    /// None where there is no inotify: then only a signal reloads.
    events: Option<AsyncFd<OwnedFd>>,
    files: Vec<PathBuf>,
    seen: Vec<Option<Print>>,
}

/// What tells a file from another, or from itself before.
#[derive(Debug, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Watch {
    /// From now on. In the daemon's runtime.
    pub(super) fn new(files: Vec<PathBuf>) -> Watch {
        let opened = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(io::Error::from)
            .and_then(register);
        let events = match opened {
            Ok(events) => Some(events),
            Err(error) => {
                tracing::warn!(%error, "configuration files are not watched: send SIGHUP after a change");
                None
            }
        };
        let mut watch = Watch {
            events,
            files,
            seen: Vec::new(),
        };
        watch.watch_directories();
        watch.take_note();
        watch
    }

    /// What the files are now is known.
    pub(super) fn take_note(&mut self) {
        self.seen = self.prints();
    }

    fn prints(&self) -> Vec<Option<Print>> {
        self.files.iter().map(|file| Print::of(file)).collect()
    }

    /// Until one of the files is another than it was. Dropped half way, it misses nothing.
    pub(super) async fn changed(&mut self) {
        loop {
            self.watch_directories();
            let now = self.prints();
            if now != self.seen {
                tokio::time::sleep(SETTLING).await;
                // Still being written: not yet.
                if self.prints() == now {
                    self.seen = now;
                    return;
                }
                continue;
            }
            match &self.events {
                Some(events) => {
                    if let Ok(mut ready) = events.readable().await {
                        drain(ready.get_inner());
                        ready.clear_ready();
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    fn watch_directories(&self) {
        let Some(events) = &self.events else { return };
        let wanted = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for directory in self.files.iter().flat_map(|file| directories(file)) {
            if let Err(error) = inotify::add_watch(events.get_ref(), &directory, wanted) {
                tracing::debug!(directory = %directory.display(), %error, "not watched");
            }
        }
    }
}

impl Print {
    fn of(file: &Path) -> Option<Print> {
        let metadata = std::fs::metadata(file).ok()?;
        Some(Print {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[allow(
    deprecated,
    reason = "its replacement is unsafe, for types that may close or change their descriptor; an OwnedFd does neither"
)]
fn register(events: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(events)
}

/// What the events say does not matter.
fn drain(events: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    loop {
        match rustix::io::read(events, &mut buffer) {
            Ok(1..) | Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// Those in which a change of a name could make `file` another.
fn directories(file: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut links = 0;
    let mut todo: Vec<PathBuf> = parts(file);
    let mut done = PathBuf::from("/");
    while let Some(part) = todo.pop() {
        if part == Path::new("..") {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        let target = std::fs::read_link(&next).ok();
        if target.is_some() || todo.is_empty() || !next.exists() {
            found.insert(done.clone());
        }
        match target {
            Some(target) if links < LINKS_MAX => {
                links += 1;
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                todo.extend(parts(&target));
            }
            _ if next.exists() => done = next,
            _ => break,
        }
    }
    found
}

/// The names of a path, last first.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.into()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Fails rather than waits for ever.
    async fn notices(watch: &mut Watch) {
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, watch.changed())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_comes_into_being_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().join("here.json");
        let later = dir.path().join("not/there/yet.json");
        fs::write(&here, "1").unwrap();
        let mut watch = Watch::new(vec![here.clone(), later.clone()]);
        fs::write(&here, "22").unwrap();
        notices(&mut watch).await;
        fs::write(dir.path().join("new"), "3").unwrap();
        fs::rename(dir.path().join("new"), &here).unwrap();
        notices(&mut watch).await;
        fs::create_dir_all(later.parent().unwrap()).unwrap();
        fs::write(&later, "4").unwrap();
        notices(&mut watch).await;
        fs::remove_file(&here).unwrap();
        notices(&mut watch).await;
    }

    #[tokio::test]
    async fn a_secret_whose_directory_is_swapped_is_noticed_and_its_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, text) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tls.crt"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let mut watch = Watch::new(vec![at("tls.crt")]);
        fs::write(at("neighbour"), "x").unwrap();
        let quiet = tokio::time::timeout(SETTLING * 3, watch.changed()).await;
        assert!(quiet.is_err(), "a neighbour is none of ours");
        symlink("..2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        notices(&mut watch).await;
        // The directory that the links lead to now is watched as well.
        fs::write(at("..2").join("tls.crt"), "newer still").unwrap();
        notices(&mut watch).await;
    }

    #[test]
    fn every_directory_on_the_way_of_the_links_counts() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "").unwrap();
        symlink("a/b", top.join("link")).unwrap();
        let found = directories(&top.join("link/file"));
        assert!(found.contains(&top), "{found:?}");
        assert!(found.contains(&top.join("a/b")), "{found:?}");
    }
}
