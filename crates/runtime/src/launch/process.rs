//! The process part of a specification, checked: what both a first process and a further one
//! of a container need.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{IOPriorityClass, PosixRlimit, PosixRlimitType, Process};
use rustix::process::{Resource, Rlimit};

use super::capabilities::Capabilities;
use super::error::LaunchError;
use super::plan::{c_string, inner_path};

/// Bits that a process's umask takes from new files, if the specification does not say.
const UMASK: u32 = 0o022;

/// A checked process.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) working_directory: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privileges: bool,
    pub(crate) limits: Vec<(&'static str, Resource, Rlimit)>,
    pub(crate) oom_score_adj: Option<i32>,
    /// Class and priority.
    pub(crate) io_priority: Option<(u8, u16)>,
}

impl ProcessPlan {
    pub(crate) fn of(process: &Process) -> Result<ProcessPlan, LaunchError> {
        let arguments = process.args().as_deref().unwrap_or_default();
        if arguments.is_empty() {
            return Err(LaunchError::spec("process.args", "no program"));
        }
        refuse_unsupported(process)?;
        let strings = |field: &str, strings: &[String]| {
            strings
                .iter()
                .map(|string| c_string(field, string))
                .collect::<Result<Vec<_>, _>>()
        };
        let cwd = process.cwd();
        if !cwd.as_os_str().is_empty() && !cwd.is_absolute() {
            return Err(LaunchError::spec(
                "process.cwd",
                format!("{} is not absolute", cwd.display()),
            ));
        }
        let user = process.user();
        for (field, id) in [("uid", user.uid()), ("gid", user.gid())] {
            if id == u32::MAX {
                return Err(LaunchError::spec(
                    format!("process.user.{field}"),
                    "4294967295 is no identity",
                ));
            }
        }
        Ok(ProcessPlan {
            arguments: strings("process.args", arguments)?,
            environment: strings("process.env", process.env().as_deref().unwrap_or_default())?,
            working_directory: working_directory(cwd)?,
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask().unwrap_or(UMASK) & 0o777,
            capabilities: Capabilities::of(process.capabilities().as_ref()),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            limits: process
                .rlimits()
                .iter()
                .flatten()
                .map(limit)
                .collect::<Result<Vec<_>, _>>()?,
            oom_score_adj: process.oom_score_adj(),
            io_priority: io_priority(process)?,
        })
    }

    /// The value of a variable of its environment.
    pub(crate) fn variable(&self, name: &str) -> Option<&[u8]> {
        self.environment.iter().rev().find_map(|entry| {
            let (key, value) = entry.to_bytes().split_at_checked(name.len())?;
            (key == name.as_bytes())
                .then(|| value.strip_prefix(b"="))
                .flatten()
        })
    }
}

/// Not cleaned by text: it is resolved component by component inside the container.
fn working_directory(cwd: &Path) -> Result<PathBuf, LaunchError> {
    if cwd.as_os_str().is_empty() {
        return Ok(PathBuf::from("/"));
    }
    inner_path("process.cwd", cwd).map(|_| cwd.to_path_buf())
}

fn refuse_unsupported(process: &Process) -> Result<(), LaunchError> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let unsupported = [
        (given(process.apparmor_profile()), "process.apparmorProfile"),
        (given(process.selinux_label()), "process.selinuxLabel"),
        (process.scheduler().is_some(), "process.scheduler"),
        (
            process.exec_cpu_affinity().is_some(),
            "process.execCPUAffinity",
        ),
    ];
    match unsupported.iter().find(|(wanted, _)| *wanted) {
        Some((_, field)) => Err(LaunchError::unsupported(*field)),
        None => Ok(()),
    }
}

fn io_priority(process: &Process) -> Result<Option<(u8, u16)>, LaunchError> {
    let Some(io) = process.io_priority() else {
        return Ok(None);
    };
    let class = match io.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u16::try_from(io.priority()) {
        Ok(priority @ 0..=7) => Ok(Some((class, priority))),
        _ => Err(LaunchError::spec(
            "process.ioPriority.priority",
            "not between 0 and 7",
        )),
    }
}

fn limit(limit: &PosixRlimit) -> Result<(&'static str, Resource, Rlimit), LaunchError> {
    use PosixRlimitType as Kind;
    let (name, resource) = match limit.typ() {
        Kind::RlimitCpu => ("RLIMIT_CPU", Resource::Cpu),
        Kind::RlimitFsize => ("RLIMIT_FSIZE", Resource::Fsize),
        Kind::RlimitData => ("RLIMIT_DATA", Resource::Data),
        Kind::RlimitStack => ("RLIMIT_STACK", Resource::Stack),
        Kind::RlimitCore => ("RLIMIT_CORE", Resource::Core),
        Kind::RlimitRss => ("RLIMIT_RSS", Resource::Rss),
        Kind::RlimitNproc => ("RLIMIT_NPROC", Resource::Nproc),
        Kind::RlimitNofile => ("RLIMIT_NOFILE", Resource::Nofile),
        Kind::RlimitMemlock => ("RLIMIT_MEMLOCK", Resource::Memlock),
        Kind::RlimitAs => ("RLIMIT_AS", Resource::As),
        Kind::RlimitLocks => ("RLIMIT_LOCKS", Resource::Locks),
        Kind::RlimitSigpending => ("RLIMIT_SIGPENDING", Resource::Sigpending),
        Kind::RlimitMsgqueue => ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
        Kind::RlimitNice => ("RLIMIT_NICE", Resource::Nice),
        Kind::RlimitRtprio => ("RLIMIT_RTPRIO", Resource::Rtprio),
        Kind::RlimitRttime => ("RLIMIT_RTTIME", Resource::Rttime),
    };
    if limit.soft() > limit.hard() {
        return Err(LaunchError::spec(
            format!("process.rlimits: {name}"),
            "the soft limit is above the hard one",
        ));
    }
    let value = |value: u64| (value != u64::MAX).then_some(value);
    let limit = Rlimit {
        current: value(limit.soft()),
        maximum: value(limit.hard()),
    };
    Ok((name, resource, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<ProcessPlan, LaunchError> {
        ProcessPlan::of(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_process_without_a_program_is_refused() {
        let error = plan(r#"{"user":{"uid":0,"gid":0},"cwd":"/"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid specification: process.args: no program"
        );
    }

    #[test]
    fn the_last_of_two_variables_counts() {
        let plan = plan(
            r#"{"user":{"uid":0,"gid":0},"cwd":"/","args":["x"],
                "env":["PATH=/a","PATHS=/c","PATH=/b"]}"#,
        )
        .unwrap();
        assert_eq!(plan.variable("PATH"), Some(&b"/b"[..]));
        assert_eq!(plan.variable("PAT"), None);
    }

    #[test]
    fn a_relative_working_directory_is_refused() {
        assert!(plan(r#"{"user":{"uid":0,"gid":0},"cwd":"tmp","args":["x"]}"#).is_err());
    }

    #[test]
    fn the_identity_that_means_none_is_refused() {
        assert!(plan(r#"{"user":{"uid":4294967295,"gid":0},"cwd":"/","args":["x"]}"#).is_err());
    }

    #[test]
    fn a_limit_without_bound_is_unlimited() {
        let plan = plan(
            r#"{"user":{"uid":0,"gid":0},"cwd":"/","args":["x"],
                "rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}]}"#,
        )
        .unwrap();
        let (_, resource, limit) = plan.limits.first().unwrap();
        assert_eq!(*resource, Resource::Core);
        assert_eq!(limit.current, Some(0));
        assert_eq!(limit.maximum, None);
    }
}
