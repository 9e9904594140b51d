//! What makes a specification acceptable, in dockerd's words.
//!
//! Pure: what depends on other containers or on the disk is checked where it is used.

use crate::model::{ContainerSpec, NamespaceMode, NetworkMode, Resources, Ulimit};
use crate::oci;
use crate::{Error, Result};

const MIB: i64 = 1 << 20;
/// Less than this and no program starts.
const MIN_MEMORY: i64 = 6 * MIB;

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::InvalidArgument(message.into()))
}

/// A name, without slash: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub(crate) fn name(name: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let good = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(word);
    if good {
        return Ok(());
    }
    invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    ))
}

/// A specification with the image's defaults merged in.
pub(crate) fn spec(spec: &ContainerSpec, cpus: usize) -> Result<()> {
    if spec.entrypoint.iter().flatten().next().is_none()
        && spec.cmd.iter().flatten().next().is_none()
    {
        return invalid("no command specified");
    }
    if !spec.working_dir.is_empty() && !spec.working_dir.starts_with('/') {
        return invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.working_dir
        ));
    }
    if let Some(entry) = spec
        .env
        .iter()
        .find(|entry| entry.is_empty() || entry.starts_with('='))
    {
        return invalid(format!("invalid environment variable: {entry}"));
    }
    if let Some(entry) = spec.env.iter().find(|entry| entry.contains('\0')) {
        return invalid(format!("invalid environment variable: {entry:?}"));
    }
    if !spec.stop_signal.is_empty() {
        super::signal::parse(&spec.stop_signal)?;
    }
    hostname(spec)?;
    host(spec)?;
    resources(&spec.host.resources, cpus)
}

fn hostname(spec: &ContainerSpec) -> Result<()> {
    // The kernel's limit, minus its terminating zero.
    if spec.hostname.len() > 64 || spec.hostname.contains(['\0', '\n', '/']) {
        return invalid(format!("invalid hostname: {}", spec.hostname));
    }
    if spec.hostname.is_empty() && spec.domainname.is_empty() {
        return Ok(());
    }
    if matches!(spec.host.network, NetworkMode::Container(_)) && !spec.hostname.is_empty() {
        return invalid("conflicting options: hostname and the network mode");
    }
    if spec.host.uts == NamespaceMode::Host && !spec.hostname.is_empty() {
        return invalid("conflicting options: hostname and the UTS mode");
    }
    Ok(())
}

fn host(spec: &ContainerSpec) -> Result<()> {
    let host = &spec.host;
    if matches!(host.network, NetworkMode::Container(_)) {
        if !host.dns.is_empty() {
            return invalid("conflicting options: dns and the network mode");
        }
        if !host.extra_hosts.is_empty() {
            return invalid("conflicting options: custom host-to-IP mapping and the network mode");
        }
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        ));
    }
    for list in [&host.cap_add, &host.cap_drop] {
        if let Some(unknown) = oci::unknown_capability(list) {
            return invalid(format!("invalid capability: \"{unknown}\""));
        }
    }
    for line in &host.extra_hosts {
        extra_host(line)?;
    }
    for option in &host.security_opt {
        security_option(option)?;
    }
    for path in host
        .masked_paths
        .iter()
        .flatten()
        .chain(host.readonly_paths.iter().flatten())
    {
        if !path.starts_with('/') {
            return invalid(format!(
                "masked and read-only paths must be absolute: {path}"
            ));
        }
    }
    match host.log_driver.as_str() {
        "" | "json-file" | "none" => {}
        other => {
            return Err(Error::NotImplemented(format!(
                "HostConfig.LogConfig.Type: log driver {other} is not supported yet (json-file and none are)"
            )));
        }
    }
    ulimits(&host.resources.ulimits)
}

/// `name:address`, where the address may be `host-gateway`.
fn extra_host(line: &str) -> Result<()> {
    let Some((name, address)) = line.split_once([':', '=']) else {
        return invalid(format!("bad format for add-host: \"{line}\""));
    };
    if name.is_empty() {
        return invalid(format!("bad format for add-host: \"{line}\""));
    }
    if address == "host-gateway" {
        return Ok(());
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'))
        .unwrap_or(address);
    if bare.parse::<std::net::IpAddr>().is_err() {
        return invalid(format!("invalid IP address in add-host: \"{address}\""));
    }
    Ok(())
}

fn security_option(option: &str) -> Result<()> {
    let (key, value) = option.split_once(['=', ':']).unwrap_or((option, "true"));
    match (key, value) {
        ("no-new-privileges", "true" | "false") => Ok(()),
        ("no-new-privileges", _) => invalid(format!("invalid --security-opt 2: \"{option}\"")),
        // Unconfined is what a host without AppArmor or SELinux gives anyway.
        ("seccomp", _) | ("apparmor", "unconfined") | ("label", "disable") => Ok(()),
        ("apparmor" | "label" | "systempaths" | "writable-cgroups", _) => {
            Err(Error::NotImplemented(format!(
                "HostConfig.SecurityOpt: {option} is not supported yet"
            )))
        }
        _ => invalid(format!("invalid --security-opt 2: \"{option}\"")),
    }
}

fn ulimits(limits: &[Ulimit]) -> Result<()> {
    for limit in limits {
        if oci::rlimit_kind(&limit.name).is_none() {
            return invalid(format!("invalid ulimit type: {}", limit.name));
        }
        let above = limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard);
        if above {
            return invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            ));
        }
    }
    Ok(())
}

/// Limits, for a new container or an update.
pub(crate) fn resources(limits: &Resources, cpus: usize) -> Result<()> {
    memory(limits)?;
    processors(limits, cpus)
}

fn memory(limits: &Resources) -> Result<()> {
    if limits.memory < 0 {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if limits.memory != 0 && limits.memory < MIN_MEMORY {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if limits.memory > 0 && limits.memory_swap > 0 && limits.memory_swap < limits.memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if limits.memory == 0 && limits.memory_swap > 0 {
        return invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if let Some(swappiness) = limits.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        return invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        ));
    }
    if limits.memory_reservation != 0 && limits.memory_reservation < MIN_MEMORY {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if limits.memory > 0 && limits.memory_reservation > limits.memory {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    Ok(())
}

fn processors(limits: &Resources, cpus: usize) -> Result<()> {
    if limits.nano_cpus > 0 && limits.cpu_period > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if limits.nano_cpus > 0 && limits.cpu_quota > 0 {
        return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    let available = i64::try_from(cpus).unwrap_or(i64::MAX);
    if limits.nano_cpus < 0 || limits.nano_cpus > available.saturating_mul(1_000_000_000) {
        return invalid(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        ));
    }
    if limits.cpu_shares < 0 {
        return invalid(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            limits.cpu_shares
        ));
    }
    if limits.cpu_period != 0 && !(1_000..=1_000_000).contains(&limits.cpu_period) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if limits.cpu_quota > 0 && limits.cpu_quota < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    cpu_list("cpuset cpus", &limits.cpuset_cpus, Some(cpus))?;
    cpu_list("cpuset mems", &limits.cpuset_mems, None)
}

/// `0-2,4`.
fn cpu_list(what: &str, list: &str, available: Option<usize>) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let mut highest = 0;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < 8192 => highest = highest.max(last),
            _ => return invalid(format!("Invalid value {list} for {what}")),
        }
    }
    if let Some(cpus) = available
        && highest >= cpus
    {
        return invalid(format!(
            "Requested CPUs are not available - requested {list}, available: 0-{}",
            cpus.saturating_sub(1)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> ContainerSpec {
        ContainerSpec {
            cmd: Some(vec!["sh".into()]),
            ..ContainerSpec::default()
        }
    }

    fn refused(change: impl FnOnce(&mut ContainerSpec)) -> String {
        let mut changed = base();
        change(&mut changed);
        spec(&changed, 4).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_specification_is_accepted() {
        spec(&base(), 1).unwrap();
    }

    #[test]
    fn names_follow_dockers_pattern() {
        for good in ["a1", "web_1", "A.b-c", "0x"] {
            name(good).unwrap();
        }
        for bad in ["", "a", "-a", "a b", ".a", "é1", "a/b"] {
            assert_eq!(
                name(bad).unwrap_err().to_string(),
                format!(
                    "Invalid container name ({bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
                )
            );
        }
    }

    #[test]
    fn a_container_without_a_command_is_refused() {
        assert_eq!(refused(|s| s.cmd = None), "no command specified");
        assert_eq!(
            refused(|s| s.cmd = Some(Vec::new())),
            "no command specified"
        );
    }

    #[test]
    fn a_relative_working_directory_is_refused() {
        assert_eq!(
            refused(|s| s.working_dir = "w".into()),
            "the working directory 'w' is invalid, it needs to be an absolute path"
        );
    }

    #[test]
    fn limits_are_refused_in_dockers_words() {
        let limits = |change: fn(&mut Resources)| refused(move |s| change(&mut s.host.resources));
        assert_eq!(
            limits(|r| r.memory = MIN_MEMORY - 1),
            "Minimum memory limit allowed is 6MB"
        );
        assert_eq!(
            limits(|r| r.memory = -1),
            "Minimum memory limit allowed is 6MB"
        );
        assert_eq!(
            limits(|r| (r.memory, r.memory_swap) = (16 * MIB, 8 * MIB)),
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        );
        assert_eq!(
            limits(|r| r.nano_cpus = 5_000_000_000),
            "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available"
        );
        assert_eq!(
            limits(|r| (r.nano_cpus, r.cpu_quota) = (1, 1000)),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set"
        );
        assert_eq!(
            limits(|r| r.cpuset_cpus = "2-1".into()),
            "Invalid value 2-1 for cpuset cpus"
        );
        assert_eq!(
            limits(|r| r.cpuset_cpus = "0,9".into()),
            "Requested CPUs are not available - requested 0,9, available: 0-3"
        );
    }

    #[test]
    fn modes_that_contradict_each_other_are_refused() {
        assert_eq!(
            refused(|s| {
                s.hostname = "h".into();
                s.host.network = NetworkMode::Container("x".into());
            }),
            "conflicting options: hostname and the network mode"
        );
        assert_eq!(
            refused(|s| {
                s.hostname = "h".into();
                s.host.uts = NamespaceMode::Host;
            }),
            "conflicting options: hostname and the UTS mode"
        );
    }

    #[test]
    fn unknown_names_are_said() {
        assert_eq!(
            refused(|s| s.host.cap_add = vec!["CAP_NOPE".into()]),
            "invalid capability: \"CAP_NOPE\""
        );
        assert_eq!(
            refused(|s| s.stop_signal = "NOPE".into()),
            "invalid signal: NOPE"
        );
        assert_eq!(
            refused(|s| s.host.extra_hosts = vec!["a:b".into()]),
            "invalid IP address in add-host: \"b\""
        );
    }
}
