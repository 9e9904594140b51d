//! Where something is to be mounted, made if it is not there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use wharf_sys::rooted::{Handle, Root};

/// What to make if there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Directory,
    File,
}

/// As the kernel counts.
const LINKS_MAX: usize = 40;

/// A handle on what `path` leads to inside `root`; made if it is missing, with its parents.
///
/// A link that leads to nothing is followed to where its target would be (`/etc/resolv.conf ->
/// ../run/systemd/resolve/stub-resolv.conf` in an image whose `/run` is empty), inside the root.
pub(super) fn open(root: &Root, path: &Path, missing: Missing) -> io::Result<Handle> {
    match root.resolve(path) {
        Ok(found) => return Ok(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    // The usual case: only the last component is missing.
    if make(root, path, missing).is_ok()
        && let Ok(made) = root.resolve(path)
    {
        return Ok(made);
    }
    let mut todo: VecDeque<OsString> = parts(path);
    let mut done = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&name);
        let handle = match root.resolve_nofollow(&next) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(
                    root,
                    &next,
                    if todo.is_empty() {
                        missing
                    } else {
                        Missing::Directory
                    },
                )?;
                done = next;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if handle.kind()? == FileType::Symlink {
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::LOOP.into());
            }
            let target = PathBuf::from(handle.readlink()?);
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                todo.push_front(part);
            }
        } else {
            done = next;
        }
    }
    Ok(root.resolve_nofollow(&done)?)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn make(root: &Root, path: &Path, missing: Missing) -> io::Result<()> {
    let made = match missing {
        Missing::Directory => root.mkdir(path, Mode::from_raw_mode(0o755)),
        Missing::File => root.create_file(path, Mode::from_raw_mode(0o644)).map(drop),
    };
    match made {
        // Whoever shares this directory with us was faster; what it is shows later.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => Ok(made?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_to_nothing_is_followed_to_a_new_file_inside_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let dir = outside.path().join("root");
        fs::create_dir_all(dir.join("etc")).unwrap();
        symlink("../../../run/systemd/stub", dir.join("etc/resolv.conf")).unwrap();
        symlink("/run/systemd/other", dir.join("etc/hosts")).unwrap();
        let root = Root::open(&dir).unwrap();
        for name in ["/etc/resolv.conf", "/etc/hosts"] {
            let handle = open(&root, Path::new(name), Missing::File).unwrap();
            assert_eq!(handle.kind().unwrap(), FileType::RegularFile);
        }
        assert!(dir.join("run/systemd/stub").is_file());
        assert!(dir.join("run/systemd/other").is_file());
        assert!(!outside.path().join("run").exists());
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let error = open(&root, Path::new("/a/x"), Missing::Directory).unwrap_err();
        assert_eq!(error.raw_os_error().unwrap_or(40), 40);
    }

    #[test]
    fn what_is_there_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let handle = open(&root, Path::new("/d"), Missing::File).unwrap();
        assert_eq!(handle.kind().unwrap(), FileType::Directory);
    }
}
