//! This program, in a form that no container can write to.
//!
//! A process that is about to become a container's program can be found by the container as
//! `/proc/<pid>/exe`, and a container whose program is `/proc/self/exe` executes us once more,
//! with that link leading to the file we were started from (CVE-2019-5736). So everything that
//! enters a container is started from a copy that cannot be written even by the host's root:
//!
//! 1. a file in an overlay of read-only layers, attached nowhere. It shares its pages with the
//!    file it shows, costs a fraction of a millisecond once, and, having no upper layer, cannot
//!    be made writable by any mount call, unlike a read-only bind mount, which who has
//!    `CAP_SYS_ADMIN` can remount;
//! 2. where that is not to be had (no overlay, old kernel), a sealed memfd: a copy in memory.
//!
//! The processes are not dumpable besides, so that the link cannot be followed at all by a
//! container without `CAP_SYS_PTRACE`.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create,
};
use rustix::mount::MountAttrFlags;
use wharf_sys::mount::{FileSystem, MountError, Overlay, overlay};
use wharf_sys::program::Program;

const OWN: &str = "/proc/self/exe";

/// The file this program runs from, sealed.
#[derive(Debug)]
pub struct Exe {
    file: OwnedFd,
}

impl AsFd for Exe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Exe {
    /// Make the sealed form of this program. Needs the privileges to mount, or memory for a copy.
    pub fn sealed() -> io::Result<Exe> {
        Exe::sealed_from(Path::new(OWN))
    }

    /// Make the sealed form of the program with this path.
    pub fn sealed_from(path: &Path) -> io::Result<Exe> {
        let original = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let file = in_overlay(&original).or_else(|_| in_memory(&original))?;
        Ok(Exe { file })
    }

    /// To execute it by (`execveat` with an empty path).
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// A path to execute it by, in this process and its children and as long as this value lives:
    /// for `std::process::Command`, which takes no descriptor.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Become it, with these arguments and this environment. Returns only to say why not.
    #[must_use]
    pub fn execute(&self, arguments: Vec<CString>, environment: Vec<CString>) -> io::Error {
        Program::new(arguments, environment)
            .execute_file(self.fd())
            .into()
    }
}

/// The same file in an overlay that has nothing writable.
fn in_overlay(original: &OwnedFd) -> io::Result<OwnedFd> {
    let path = std::fs::read_link(by_descriptor(original))?;
    let (directory, name) = split(&path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let below = rustix::fs::open(directory, flags, Mode::empty())?;
    // An overlay without an upper layer wants two lower ones.
    let nothing = empty().map_err(|error| error.source)?;
    let mount = overlay(&Overlay {
        lower: &[below.as_fd(), nothing.as_fd()],
        upper: None,
        user_xattr: false,
        attributes: MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV,
    })
    .map_err(|error| error.source)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&mount, name, flags, Mode::empty())?;
    let (shown, wanted) = (fstat(&file)?, fstat(original)?);
    // Replaced by a newer version meanwhile: that is a different program.
    if (shown.st_ino, shown.st_size) != (wanted.st_ino, wanted.st_size) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

fn by_descriptor(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn split(path: &Path) -> io::Result<(PathBuf, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) if !name.as_bytes().ends_with(b" (deleted)") => {
            Ok((directory.to_path_buf(), name))
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn empty() -> Result<OwnedFd, MountError> {
    let context = FileSystem::open("tmpfs")?;
    context.create()?;
    context.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)
}

const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// A copy in memory that is sealed for ever.
fn in_memory(original: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("wharf", flags)?;
    let mut copy = File::from(memory);
    io::copy(&mut File::open(by_descriptor(original))?, &mut copy)?;
    fcntl_add_seals(&copy, SEALS)?;
    if !fcntl_get_seals(&copy)?.contains(SEALS) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn it_can_be_executed_by_its_path() {
        let exe = Exe::sealed().unwrap();
        #[allow(
            clippy::disallowed_methods,
            reason = "this test program, listing its tests"
        )]
        let out = std::process::Command::new(exe.path())
            .arg("--list")
            .output()
            .unwrap();
        let list = String::from_utf8(out.stdout).unwrap();
        assert!(list.contains("it_can_be_executed_by_its_path"), "{list}");
    }

    fn own() -> OwnedFd {
        File::open(OWN).unwrap().into()
    }

    fn cannot_be_written(file: &OwnedFd) -> Errno {
        match rustix::fs::open(by_descriptor(file), OFlags::RDWR, Mode::empty()) {
            Err(error) => error,
            Ok(opened) => rustix::io::write(opened, b"#!").unwrap_err(),
        }
    }

    #[test]
    fn cve_2019_5736_the_program_cannot_be_written_by_root_itself() {
        match in_overlay(&own()) {
            Ok(file) => assert_eq!(cannot_be_written(&file), Errno::ROFS),
            Err(error) => assert!(!rustix::process::geteuid().is_root(), "{error}"),
        }
    }

    #[test]
    fn cve_2019_5736_nor_its_copy_in_memory() {
        assert_eq!(cannot_be_written(&in_memory(&own()).unwrap()), Errno::PERM);
    }
}
