//! The process: arguments, environment, user, limits.

use std::path::PathBuf;

use oci_spec::runtime::{
    Box as ConsoleSize, BoxBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, User,
};

use super::{Assembly, capabilities, init_program};
use crate::model::{ContainerSpec, ExecSpec, Ulimit};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the init of `--init` appears inside the container.
pub(crate) const INIT_PATH: &str = "/sbin/docker-init";

/// A user as resolved inside the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProcessUser {
    /// User id.
    pub(crate) uid: u32,
    /// Primary group.
    pub(crate) gid: u32,
    /// Other groups.
    pub(crate) additional_gids: Vec<u32>,
    /// Home directory.
    pub(crate) home: String,
}

impl ProcessUser {
    fn to_spec(&self) -> User {
        // As dockerd: the primary group is a member of the list, too (CVE-2022-36109).
        let mut groups = vec![self.gid];
        groups.extend(self.additional_gids.iter().filter(|gid| **gid != self.gid));
        let mut user = User::default();
        user.set_uid(self.uid)
            .set_gid(self.gid)
            .set_additional_gids(Some(groups));
        user
    }
}

pub(super) fn process(from: &Assembly<'_>) -> Process {
    let spec = from.spec;
    let host = &spec.host;
    let mut args = from.command.words();
    if init_program(from).is_some() {
        args.splice(0..0, [INIT_PATH.to_owned(), "--".to_owned()]);
    }
    let set = capabilities::effective(&host.cap_add, &host.cap_drop, host.privileged);
    let mut process = Process::default();
    process
        .set_terminal(Some(spec.tty))
        .set_console_size(console_size(Some(host.console_size)))
        .set_user(from.user.to_spec())
        .set_args(Some(args))
        .set_env(Some(environment(spec, from.hostname, &from.user.home)))
        .set_cwd(working_dir(&spec.working_dir))
        .set_capabilities(Some(capabilities::capabilities(&set)))
        .set_rlimits(Some(rlimits(
            &from.defaults.ulimits,
            &host.resources.ulimits,
        )))
        .set_no_new_privileges(Some(no_new_privileges(
            spec,
            from.defaults.no_new_privileges,
        )))
        .set_oom_score_adj(Some(host.oom_score_adj));
    process
}

/// A process that an exec puts into a running container.
pub(crate) fn exec_process(
    container: &ContainerSpec,
    hostname: &str,
    exec: &ExecSpec,
    user: &ProcessUser,
    defaults: &super::Defaults,
) -> Process {
    let host = &container.host;
    // A privileged exec has all capabilities, also in a container that has not.
    let set = capabilities::effective(
        &host.cap_add,
        &host.cap_drop,
        host.privileged || exec.privileged,
    );
    let cwd = if exec.working_dir.is_empty() {
        &container.working_dir
    } else {
        &exec.working_dir
    };
    let mut spec = container.clone();
    spec.tty = exec.tty;
    spec.env = merge_environment(spec.env, &exec.env);
    let mut process = Process::default();
    process
        .set_terminal(Some(exec.tty))
        .set_console_size(console_size(exec.console_size))
        .set_user(user.to_spec())
        .set_args(Some(exec.cmd.clone()))
        .set_env(Some(environment(&spec, hostname, &user.home)))
        .set_cwd(working_dir(cwd))
        .set_capabilities(Some(capabilities::capabilities(&set)))
        .set_rlimits(Some(rlimits(&defaults.ulimits, &host.resources.ulimits)))
        .set_no_new_privileges(Some(no_new_privileges(
            container,
            defaults.no_new_privileges,
        )))
        .set_oom_score_adj(Some(host.oom_score_adj));
    process
}

fn console_size(size: Option<(u16, u16)>) -> Option<ConsoleSize> {
    let (height, width) = size.filter(|(height, width)| *height > 0 && *width > 0)?;
    BoxBuilder::default()
        .height(height)
        .width(width)
        .build()
        .ok()
}

fn working_dir(dir: &str) -> PathBuf {
    PathBuf::from(if dir.is_empty() { "/" } else { dir })
}

fn no_new_privileges(spec: &ContainerSpec, default: bool) -> bool {
    spec.host
        .security_opt
        .iter()
        .rev()
        .find_map(|option| match option.replace(':', "=").as_str() {
            "no-new-privileges" | "no-new-privileges=true" => Some(true),
            "no-new-privileges=false" => Some(false),
            _ => None,
        })
        .unwrap_or(default)
}

/// `PATH`, `HOSTNAME` and `TERM` of the engine's, the container's own over them, and `HOME`
/// where nobody said otherwise.
pub(crate) fn environment(spec: &ContainerSpec, hostname: &str, home: &str) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if spec.tty {
        env.push("TERM=xterm".to_owned());
    }
    let mut env = merge_environment(env, &spec.env);
    if !env.iter().any(|entry| key(entry) == "HOME") && !home.is_empty() {
        env.push(format!("HOME={home}"));
    }
    env
}

fn key(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

/// Docker's rule: an override takes the place of what it overrides; a name without `=` removes.
fn merge_environment(mut env: Vec<String>, overrides: &[String]) -> Vec<String> {
    for entry in overrides {
        let at = env.iter().position(|old| key(old) == key(entry));
        match (at, entry.contains('=')) {
            (Some(at), true) => env[at].clone_from(entry),
            (Some(at), false) => {
                env.remove(at);
            }
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
    env
}

/// The resource of that name (`nofile`).
pub(crate) fn rlimit_kind(name: &str) -> Option<PosixRlimitType> {
    Some(match name {
        "as" => PosixRlimitType::RlimitAs,
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}

fn rlimits(defaults: &[Ulimit], own: &[Ulimit]) -> Vec<PosixRlimit> {
    let overridden = |limit: &&Ulimit| !own.iter().any(|other| other.name == limit.name);
    // -1 is the kernel's RLIM_INFINITY, bit for bit.
    own.iter()
        .chain(defaults.iter().filter(overridden))
        .filter_map(|limit| {
            PosixRlimitBuilder::default()
                .typ(rlimit_kind(&limit.name)?)
                .soft(limit.soft.cast_unsigned())
                .hard(limit.hard.cast_unsigned())
                .build()
                .ok()
        })
        .collect()
}
