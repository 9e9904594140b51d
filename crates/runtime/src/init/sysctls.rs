//! Writing kernel parameters, through a procfs that nobody else can reach.
//!
//! The container's `/proc` may be covered by anything, and may be changed while it is written to
//! (CVE-2025-52881). So each set of writes gets a procfs mount of its own that is attached
//! nowhere; paths in it may cross no mount and follow no link, and the file that is opened must
//! be of procfs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use wharf_sys::mount::FileSystem;

use super::Caller;
use super::mounts::is_procfs;
use crate::launch::error::{Failure, Step, errno_of};
use crate::launch::mount_failure;

fn refused(error: &io::Error) -> bool {
    let refusals = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
    refusals
        .iter()
        .any(|refusal| error.raw_os_error() == Some(refusal.raw_os_error()))
}

/// Set each parameter, a path below `sys`, to its value.
pub(super) fn set_all(
    parameters: &[(PathBuf, String)],
    caller: &Caller<'_>,
) -> Result<(), Failure> {
    if parameters.is_empty() {
        return Ok(());
    }
    let private = || {
        let context = FileSystem::open("proc")?;
        context.create()?;
        context.mount(MountAttrFlags::empty())
    };
    let proc = private().map_err(mount_failure(Step::Sysctl, "procfs".to_owned()))?;
    for (path, value) in parameters {
        let path = Path::new("sys").join(path);
        let write = || -> io::Result<()> {
            let file = openat2(
                &proc,
                &path,
                OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                Mode::empty(),
                ResolveFlags::BENEATH
                    | ResolveFlags::NO_XDEV
                    | ResolveFlags::NO_SYMLINKS
                    | ResolveFlags::NO_MAGICLINKS,
            )?;
            if !is_procfs(&file)? {
                return Err(Errno::NXIO.into());
            }
            std::fs::File::from(file).write_all(value.as_bytes())
        };
        match write() {
            // It is there, but not for us to set on this host: the container gets what there is.
            Err(error) if refused(&error) => {
                caller.warn(Step::Sysctl, path.display().to_string(), errno_of(&error));
            }
            written => written.map_err(Failure::at(Step::Sysctl, path.display()))?,
        }
    }
    Ok(())
}
