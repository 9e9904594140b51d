//! Finding the program to execute, as its user and inside its root.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};
use rustix::io::Errno;

use crate::launch::error::{ExecCause, ExecError};
use crate::launch::process::ProcessPlan;

/// The path of the program: as it is if it has a slash, else the first of that name in `PATH`
/// that may be executed. Directories of `PATH` that are not absolute are passed over, so that
/// what the working directory holds is never run by a bare name.
pub(super) fn find(plan: &ProcessPlan) -> Result<CString, ExecError> {
    let Some(name) = plan.arguments.first() else {
        return Err(error(c"", ExecCause::NotFound, Errno::NOENT));
    };
    if name.to_bytes().contains(&b'/') {
        return match check(name) {
            Ok(()) => Ok(name.clone()),
            Err(Errno::NOENT | Errno::NOTDIR) if missing(name) => {
                Err(error(name, ExecCause::NotFound, Errno::NOENT))
            }
            Err(errno) => Err(error(name, ExecCause::Forbidden, errno)),
        };
    }
    let mut forbidden = None;
    let path = plan.variable("PATH").unwrap_or_default();
    for directory in path.split(|&byte| byte == b':') {
        if !directory.starts_with(b"/") || name.is_empty() {
            continue;
        }
        let candidate =
            Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name.to_bytes()));
        let Ok(candidate) = CString::new(candidate.into_os_string().as_bytes()) else {
            continue;
        };
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS | Errno::PERM) => forbidden = Some(candidate),
            Err(_) => {}
        }
    }
    match forbidden {
        Some(_) => Err(error(name, ExecCause::Forbidden, Errno::ACCESS)),
        None => Err(error(name, ExecCause::NotInPath, Errno::NOENT)),
    }
}

fn check(path: &CStr) -> Result<(), Errno> {
    let metadata = stat(path)?;
    match FileType::from_raw_mode(metadata.st_mode) {
        FileType::Directory => return Err(Errno::ISDIR),
        FileType::RegularFile => {}
        _ => return Err(Errno::ACCESS),
    }
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

fn missing(path: &CStr) -> bool {
    stat(path).is_err()
}

pub(super) fn error(program: &CStr, cause: ExecCause, errno: Errno) -> ExecError {
    ExecError {
        program: program.to_string_lossy().into_owned(),
        cause,
        errno: errno.raw_os_error(),
    }
}
