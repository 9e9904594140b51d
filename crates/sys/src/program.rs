//! `execve` with everything prepared beforehand.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// The arguments and environment of a program to be executed.
#[derive(Debug)]
pub struct Program {
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// A program with these arguments, the first being its name, and this environment.
    #[must_use]
    pub fn new(arguments: Vec<CString>, environment: Vec<CString>) -> Program {
        Program {
            arguments,
            environment,
        }
    }

    /// Become the program at `path`. Returns only to say why not.
    #[must_use]
    pub fn execute(&self, path: &CStr) -> Errno {
        let arguments = pointers(&self.arguments);
        let environment = pointers(&self.environment);
        // SAFETY: all strings are NUL-terminated and outlive the call, as do both arrays, which
        // end in a null pointer.
        unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        errno()
    }

    /// Become the program that `file` is.
    #[must_use]
    pub fn execute_file(&self, file: BorrowedFd<'_>) -> Errno {
        let arguments = pointers(&self.arguments);
        let environment = pointers(&self.environment);
        // SAFETY: as above; the empty path makes the kernel take the descriptor itself.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                file.as_raw_fd(),
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        errno()
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_reported() {
        let program = Program::new(vec![c"nothing".into()], Vec::new());
        assert_eq!(program.execute(c"/no/such/program"), Errno::NOENT);
        let directory = std::fs::File::open("/").unwrap();
        use std::os::fd::AsFd;
        assert_eq!(program.execute_file(directory.as_fd()), Errno::ACCESS);
    }
}
