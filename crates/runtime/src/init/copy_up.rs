//! A tmpfs that starts with what it hides (`tmpcopyup`).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use wharf_sys::rooted::{Handle, NodeKind, Root};

/// Deeper than any directory tree of an image that means well.
const DEPTH_MAX: usize = 256;

/// Copy the directory at `path` in `root`, if there is one, into `tree`.
pub(super) fn copy_up(root: &Root, path: &Path, tree: &OwnedFd) -> io::Result<()> {
    let from = match root.resolve(path) {
        Ok(handle) => handle,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if from.kind()? != FileType::Directory {
        return Ok(());
    }
    directory(&from, &Root::from_fd(tree.try_clone()?), Path::new("/"), 0)
}

fn directory(from: &Handle, to: &Root, at: &Path, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::from(rustix::io::Errno::NAMETOOLONG));
    }
    for entry in from.read_dir()? {
        let name = entry?.name;
        let source = from.child(&name)?;
        let target = at.join(&name);
        let stat = source.stat()?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                to.mkdir(&target, mode)?;
                directory(&source, to, &target, depth + 1)?;
            }
            FileType::RegularFile => {
                let mut content = source.open_regular(OFlags::RDONLY)?;
                let mut file: File = to.create_file(&target, mode)?;
                io::copy(&mut content, &mut file)?;
            }
            FileType::Symlink => to.symlink(source.readlink()?, &target)?,
            FileType::CharacterDevice => {
                to.mknod(&target, NodeKind::Character(stat.st_rdev), mode)?;
            }
            FileType::BlockDevice => to.mknod(&target, NodeKind::Block(stat.st_rdev), mode)?,
            FileType::Fifo => to.mknod(&target, NodeKind::Fifo, mode)?,
            FileType::Socket | FileType::Unknown => continue,
        }
        let made = to.resolve_nofollow(&target)?;
        made.chown(stat.st_uid, stat.st_gid)?;
        // Changing the owner takes the set-user-ID bit away.
        made.chmod(mode)?;
    }
    Ok(())
}
