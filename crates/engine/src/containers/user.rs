//! Who runs in a container: names looked up in the container's own tree.
//!
//! Before a start the tree is not mounted anywhere, and to mount it costs a millisecond or more: an
//! overlay that goes writes out the file system of its upper. Two files need no mount. They are
//! looked up in the writable layer and the image's layers one by one, as overlayfs would; whatever
//! is not plain about them (a link, an empty file that may be a mark) is left to a mount after all.

use std::io;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use wharf_runtime::user::{AccountFiles, FILE_MAX, Identity, UserError};
use wharf_sys::rooted::{Root, RootedError};

use super::snapshot::Snapshot;
use crate::oci::ProcessUser;
use crate::{Engine, Error, Result};

/// Marks a directory that hides what lower layers have of it.
const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// `user[:group]` and the container's additional groups. Blocks.
pub(crate) fn resolve(engine: &Engine, snapshot: &Snapshot, wanted: &str) -> Result<ProcessUser> {
    let find = |files: &dyn AccountFiles| -> std::result::Result<Identity, UserError> {
        wharf_runtime::user::resolve(files, wanted, &snapshot.record.spec.host.group_add)
    };
    let user = if snapshot.is_running() {
        find(&engine.rootfs(snapshot)?)
    } else {
        find(&Unmounted::of(engine, snapshot)?)
    };
    let user = user.map_err(|error| Error::InvalidArgument(error.to_string()))?;
    Ok(ProcessUser {
        uid: user.uid,
        gid: user.gid,
        additional_gids: user.additional_gids,
        // What the C library and runc take for who has none.
        home: user.home.unwrap_or_else(|| "/".to_owned()),
    })
}

/// The tree of a container that does not run, as far as it can be read without being mounted.
struct Unmounted<'a> {
    engine: &'a Engine,
    snapshot: &'a Snapshot,
    /// The writable layer, then the image's, the highest first.
    layers: Vec<Root>,
}

/// What the layers say of a file.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File(Vec<u8>),
    Nothing,
    /// Only the kernel can say.
    Unclear,
}

impl<'a> Unmounted<'a> {
    fn of(engine: &'a Engine, snapshot: &'a Snapshot) -> Result<Unmounted<'a>> {
        super::create::ensure_dirs(&snapshot.paths)?;
        let upper = Root::open(snapshot.paths.upper())
            .map_err(|error| Error::Internal(error.to_string()))?;
        let lower = engine.0.store.layers().lower(&snapshot.record.layers)?;
        let lower = lower.into_iter().map(|(_, mount)| Root::from_fd(mount));
        Ok(Unmounted {
            engine,
            snapshot,
            layers: std::iter::once(upper).chain(lower).collect(),
        })
    }

    fn mounted(&self, path: &str) -> std::result::Result<Root, RootedError> {
        self.engine
            .rootfs(self.snapshot)
            .map_err(|error| RootedError {
                operation: "mount the tree of",
                path: path.into(),
                source: io::Error::other(error.to_string()),
            })
    }
}

impl AccountFiles for Unmounted<'_> {
    fn read(&self, path: &str) -> std::result::Result<Option<Vec<u8>>, RootedError> {
        match find(&self.layers, Path::new(path))? {
            Found::File(bytes) => Ok(Some(bytes)),
            Found::Nothing => Ok(None),
            Found::Unclear => self.mounted(path)?.read(path),
        }
    }
}

/// Looks a file up that is in a directory of the top, layer by layer.
fn find(layers: &[Root], path: &Path) -> std::result::Result<Found, RootedError> {
    let Some(directory) = path.parent() else {
        return Ok(Found::Unclear);
    };
    for layer in layers {
        let Some(stat) = existing(layer.lstat(directory))? else {
            continue;
        };
        match kind(&stat) {
            FileType::Directory => {}
            _ if is_whiteout(&stat) => return Ok(Found::Nothing),
            _ => return Ok(Found::Unclear),
        }
        match existing(layer.lstat(path))? {
            // An empty file may be a mark that only its attributes tell apart.
            Some(stat) if kind(&stat) == FileType::RegularFile && stat.st_size > 0 => {
                return Ok(Found::File(layer.read_bounded(path, FILE_MAX)?));
            }
            Some(stat) if is_whiteout(&stat) => return Ok(Found::Nothing),
            Some(_) => return Ok(Found::Unclear),
            None if is_opaque(layer, directory)? => return Ok(Found::Nothing),
            None => {}
        }
    }
    Ok(Found::Nothing)
}

fn existing(
    stat: std::result::Result<Stat, RootedError>,
) -> std::result::Result<Option<Stat>, RootedError> {
    match stat {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_opaque(layer: &Root, directory: &Path) -> std::result::Result<bool, RootedError> {
    let handle = layer.resolve_nofollow(directory)?;
    for name in OPAQUE {
        if handle.get_xattr(name)?.as_deref() == Some(b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::fs;

    use rustix::fs::Mode;
    use wharf_sys::rooted::{NodeKind, makedev};

    use super::*;

    /// Layers, the highest first, each made by its closure.
    fn found(layers: &[&dyn Fn(&Path)]) -> Found {
        let top = tempfile::tempdir().unwrap();
        let roots: Vec<Root> = layers
            .iter()
            .enumerate()
            .map(|(number, make)| {
                let place = top.path().join(number.to_string());
                fs::create_dir(&place).unwrap();
                make(&place);
                Root::open(&place).unwrap()
            })
            .collect();
        find(&roots, Path::new("/etc/passwd")).unwrap()
    }

    fn passwd(text: &'static str) -> impl Fn(&Path) {
        move |layer| {
            fs::create_dir(layer.join("etc")).unwrap();
            fs::write(layer.join("etc/passwd"), text).unwrap();
        }
    }

    fn node(layer: &Path, path: &str) {
        Root::open(layer)
            .unwrap()
            .mknod(path, NodeKind::Character(makedev(0, 0)), Mode::empty())
            .unwrap();
    }

    #[test]
    fn the_highest_layer_that_has_the_file_decides() {
        let empty: &dyn Fn(&Path) = &|layer| fs::create_dir(layer.join("etc")).unwrap();
        let nothing: &dyn Fn(&Path) = &|_| {};
        let layers: [&dyn Fn(&Path); 4] = [nothing, empty, &passwd("new"), &passwd("old")];
        assert_eq!(found(&layers), Found::File(b"new".to_vec()));
        assert_eq!(found(&[nothing, empty]), Found::Nothing);
    }

    #[test]
    fn what_a_layer_took_away_is_not_found_below_it() {
        let old = passwd("old");
        let file_gone: &dyn Fn(&Path) = &|layer| {
            fs::create_dir(layer.join("etc")).unwrap();
            node(layer, "etc/passwd");
        };
        let directory_gone: &dyn Fn(&Path) = &|layer| node(layer, "etc");
        let directory_new: &dyn Fn(&Path) = &|layer| {
            fs::create_dir(layer.join("etc")).unwrap();
            let etc = Root::open(layer).unwrap().resolve("etc").unwrap();
            etc.set_xattr("trusted.overlay.opaque", b"y").unwrap();
        };
        for layer in [file_gone, directory_gone, directory_new] {
            assert_eq!(found(&[layer, &old]), Found::Nothing);
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_kernel() {
        let old = passwd("old");
        let file_linked: &dyn Fn(&Path) = &|layer| {
            fs::create_dir(layer.join("etc")).unwrap();
            std::os::unix::fs::symlink("shadow", layer.join("etc/passwd")).unwrap();
        };
        let directory_linked: &dyn Fn(&Path) =
            &|layer| std::os::unix::fs::symlink("usr/etc", layer.join("etc")).unwrap();
        let empty = passwd("");
        for layer in [file_linked, directory_linked, &empty] {
            assert_eq!(found(&[layer, &old]), Found::Unclear);
        }
    }
}
