//! What can go wrong between a specification and a running program.

use std::fmt;
use std::io;

use crate::cgroup::CgroupError;
use crate::seccomp::SeccompError;

/// Why a container was not made or a program not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The specification asks for something that makes no sense.
    #[error("invalid specification: {field}: {reason}")]
    Spec {
        /// The field, named as in `config.json`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The specification asks for something that this runtime or this machine does not have.
    #[error("{field} is not supported{reason}")]
    Unsupported {
        /// The field, named as in `config.json`.
        field: String,
        /// Why, starting with `": "`; empty if there is nothing to add.
        reason: String,
    },
    /// A step of the set-up failed.
    #[error(transparent)]
    Setup(#[from] Failure),
    /// The program cannot be executed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The cgroup could not be made or limited.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The system call filter could not be compiled.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// Init ended without a word: killed, most likely for want of memory.
    #[error("the container's first process died before it was ready")]
    Died,
}

impl LaunchError {
    pub(crate) fn spec(field: impl Into<String>, reason: impl Into<String>) -> LaunchError {
        LaunchError::Spec {
            field: field.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>) -> LaunchError {
        LaunchError::Unsupported {
            field: field.into(),
            reason: String::new(),
        }
    }

    /// The failure to execute the program, if it was that.
    #[must_use]
    pub fn exec(&self) -> Option<&ExecError> {
        match self {
            LaunchError::Exec(error) => Some(error),
            _ => None,
        }
    }

    /// The exit status by the shells' custom: 127 for a program that is not there, 126 for one
    /// that cannot be executed, 125 for a container that could not be made.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        self.exec().map_or(125, ExecError::exit_code)
    }
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}{}: {}", quoted(.subject), errno_text(*.errno))]
pub struct Failure {
    /// What was being done.
    pub step: Step,
    /// The path, name or value it was about; may be empty.
    pub subject: String,
    /// The kernel's error number.
    pub errno: i32,
}

impl Failure {
    /// For `map_err` on a step about `subject`.
    pub(crate) fn at<E: Into<io::Error>>(
        step: Step,
        subject: impl fmt::Display,
    ) -> impl FnOnce(E) -> Failure {
        move |error| Failure {
            step,
            subject: subject.to_string(),
            errno: errno_of(&error.into()),
        }
    }
}

/// The error number inside an error, however deep.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    if let Some(errno) = error.raw_os_error() {
        return errno;
    }
    let mut source = error.get_ref().map(|inner| inner as &dyn std::error::Error);
    while let Some(inner) = source {
        if let Some(errno) = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return errno;
        }
        source = inner.source();
    }
    rustix::io::Errno::IO.raw_os_error()
}

fn quoted(subject: &str) -> String {
    if subject.is_empty() {
        String::new()
    } else {
        format!(" {subject}")
    }
}

/// A limit the kernel did not let us set; the container runs without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step} {subject}: {}", errno_text(*.errno))]
pub struct Warning {
    /// What was being done.
    pub step: Step,
    /// What it was about.
    pub subject: String,
    /// The kernel's error number.
    pub errno: i32,
}

/// Why a program cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecError {
    /// The program, as the specification names it.
    pub program: String,
    /// Which of the ways to fail it was.
    pub cause: ExecCause,
    /// The kernel's error number.
    pub errno: i32,
}

/// The ways in which a program cannot be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExecCause {
    /// A bare name that no directory of `PATH` has.
    NotInPath = 0,
    /// A path that leads nowhere.
    NotFound = 1,
    /// It is there, but may not be executed.
    Forbidden = 2,
    /// The kernel refused it: no program, or its interpreter is missing.
    Refused = 3,
}

impl ExecError {
    /// 127 if there is no such program, else 126.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        let missing = rustix::io::Errno::NOENT.raw_os_error();
        match self.cause {
            ExecCause::NotInPath | ExecCause::NotFound => 127,
            ExecCause::Refused if self.errno == missing => 127,
            ExecCause::Forbidden | ExecCause::Refused => 126,
        }
    }
}

impl fmt::Display for ExecError {
    /// The words that runc uses: clients look for them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExecError {
            program,
            cause,
            errno,
        } = self;
        match cause {
            ExecCause::NotInPath => {
                write!(f, "exec: {program:?}: executable file not found in $PATH")
            }
            ExecCause::NotFound => write!(
                f,
                "exec: {program:?}: stat {program}: {}",
                errno_text(*errno)
            ),
            ExecCause::Forbidden => write!(f, "exec: {program:?}: {}", errno_text(*errno)),
            ExecCause::Refused => write!(f, "exec {program}: {}", errno_text(*errno)),
        }
    }
}

impl std::error::Error for ExecError {}

/// The text of an error number as Go programs print it: in lower case, without the number.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // "RPC failed" keeps its capitals.
        (Some(_), Some(second)) if second.is_uppercase() => text.to_owned(),
        (Some(first), _) => first.to_lowercase().chain(letters).collect(),
        (None, _) => format!("errno {errno}"),
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)+) => {
        /// The steps between `clone3` and `execve` that can fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Step {
            $($(#[$doc])* #[doc = $text] $name,)+
        }

        impl Step {
            const ALL: &'static [Step] = &[$(Step::$name,)+];
        }

        impl fmt::Display for Step {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Step::$name => $text,)+ })
            }
        }
    };
}

steps! {
    Clone => "clone the first process",
    Channel => "talk to the first process",
    JoinCgroup => "join the cgroup",
    OpenNamespace => "open the namespace",
    JoinNamespace => "join the namespace",
    UserNamespace => "set up the user namespace",
    OpenRootfs => "open the root file system",
    AttachRootfs => "attach the root file system",
    OpenSource => "open the source of the mount",
    MountPoint => "make the mount point",
    Mount => "error mounting",
    Attributes => "change the attributes of the mount",
    CopyUp => "copy into the tmpfs",
    OrdinaryDirectory => "must be an ordinary directory:",
    Device => "make the device",
    Console => "make the console",
    Mask => "mask the path",
    ReadOnly => "make read-only",
    Pivot => "change to the new root",
    HostName => "set the host name",
    Sysctl => "set the sysctl",
    OomScore => "set the OOM score",
    Rlimit => "set the limit",
    Session => "start a session",
    Loopback => "switch on the loopback device",
    Keyring => "join a session keyring",
    Streams => "set up the standard streams",
    User => "set the user",
    Home => "find the home directory",
    Capabilities => "set the capabilities",
    NoNewPrivileges => "set no_new_privs",
    Personality => "set the personality",
    IoPriority => "set the I/O priority",
    WorkingDirectory => "change to the working directory",
    Descriptors => "close descriptors",
    Filter => "load the system call filter",
    Hook => "run the hook",
}

impl Step {
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Step> {
        Step::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_told_in_the_words_clients_look_for() {
        let missing = ExecError {
            program: "nothing".to_owned(),
            cause: ExecCause::NotInPath,
            errno: 2,
        };
        assert_eq!(
            missing.to_string(),
            "exec: \"nothing\": executable file not found in $PATH"
        );
        assert_eq!(missing.exit_code(), 127);
        let directory = ExecError {
            program: "/etc".to_owned(),
            cause: ExecCause::Forbidden,
            errno: 21,
        };
        assert_eq!(directory.to_string(), "exec: \"/etc\": is a directory");
        assert_eq!(directory.exit_code(), 126);
        let absent = ExecError {
            program: "/x".to_owned(),
            cause: ExecCause::NotFound,
            errno: 2,
        };
        assert_eq!(
            absent.to_string(),
            "exec: \"/x\": stat /x: no such file or directory"
        );
    }

    #[test]
    fn every_step_survives_being_sent_as_a_number() {
        for &step in Step::ALL {
            assert_eq!(Step::from_number(step.number()), Some(step));
        }
        assert_eq!(Step::from_number(255), None);
    }

    #[test]
    fn the_error_number_is_found_however_deep_it_is() {
        let error = wharf_sys::rooted::Root::open("/no/such").unwrap_err();
        assert_eq!(errno_of(&io::Error::from(error)), 2);
    }
}
