//! What the engine knows of itself and its host.

use std::fs;

use crate::blocking::blocking;
use crate::model::{NamespaceMode, Status, SystemInfo};
use crate::stats::host_memory;
use crate::{Engine, Result};

impl Engine {
    /// Facts for `info` and `version`.
    pub async fn info(&self) -> Result<SystemInfo> {
        let engine = self.clone();
        blocking(move || Ok(engine.facts())).await
    }

    fn facts(&self) -> SystemInfo {
        let inner = &self.0;
        let host = &inner.host;
        let count = |wanted: &dyn Fn(Status) -> bool| {
            let all = inner.containers.all();
            all.iter().filter(|c| wanted(c.state.status)).count()
        };
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let (operating_system, os_version) = os_release();
        let ipv4_forwarding = switched_on("/proc/sys/net/ipv4/ip_forward");
        let cgroup_v2 = host.is_cgroup_v2();
        let mut info = SystemInfo {
            id: inner.identity.id.clone(),
            running: count(&|status| status == Status::Running),
            paused: count(&|status| status == Status::Paused),
            stopped: count(&|status| !matches!(status, Status::Running | Status::Paused)),
            images: inner.images.count(),
            storage_form: inner.storage_form().to_owned(),
            data_root: inner.options.data_root.display().to_string(),
            cgroup_version: if cgroup_v2 { 2 } else { 1 },
            memory_limit: host.controls("memory"),
            swap_limit: host.swap_limit,
            cpu_cfs: host.controls("cpu"),
            cpu_shares: host.controls("cpu"),
            cpuset: host.controls("cpuset"),
            pids_limit: host.controls("pids"),
            oom_kill_disable: !cgroup_v2 && host.controls("memory"),
            kernel: text(uname.release()),
            operating_system,
            os_version,
            machine: text(uname.machine()),
            cpus: host.cpus,
            memory: i64::try_from(host_memory()).unwrap_or(i64::MAX),
            hostname: text(uname.nodename()),
            labels: inner.options.labels.clone(),
            warnings: host.warnings.clone(),
            ipv4_forwarding,
            security: self.security(),
            event_listeners: inner.events.readers(),
        };
        info.warnings.extend(missing(&info));
        info
    }

    fn security(&self) -> Vec<String> {
        let inner = &self.0;
        let mut security = Vec::new();
        if let Some(profile) = inner.host.seccomp_name() {
            security.push(format!("name=seccomp,profile={profile}"));
        }
        let private = match &inner.options.default_cgroupns {
            Some(mode) => *mode == NamespaceMode::Private,
            None => inner.host.is_cgroup_v2(),
        };
        if private {
            security.push("name=cgroupns".to_owned());
        }
        if inner.options.no_new_privileges {
            security.push("name=no-new-privileges".to_owned());
        }
        security
    }
}

/// dockerd's sentences about what a host lacks.
fn missing(info: &SystemInfo) -> Vec<String> {
    [
        (info.memory_limit, "WARNING: No memory limit support"),
        (info.swap_limit, "WARNING: No swap limit support"),
        (info.pids_limit, "WARNING: No pids limit support"),
        (info.cpu_cfs, "WARNING: No cpu cfs quota support"),
        (info.cpu_shares, "WARNING: No cpu shares support"),
        (info.cpuset, "WARNING: No cpuset support"),
        (info.ipv4_forwarding, "WARNING: IPv4 forwarding is disabled"),
    ]
    .into_iter()
    .filter(|(there, _)| !there)
    .map(|(_, sentence)| sentence.to_owned())
    .collect()
}

fn switched_on(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}

/// The name and the version of the distribution.
fn os_release() -> (String, String) {
    ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .map_or_else(|| ("Linux".to_owned(), String::new()), |text| parse(&text))
}

/// os-release(5): shell assignments, quoted or not.
fn parse(text: &str) -> (String, String) {
    let value = |key: &str| {
        text.lines().rev().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
            let bare = ['"', '\'']
                .iter()
                .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
            Some(match bare {
                Some(bare) => unescape(bare),
                None => value.to_owned(),
            })
        })
    };
    let name = value("PRETTY_NAME")
        .or_else(|| value("NAME"))
        .unwrap_or_else(|| "Linux".to_owned());
    (name, value("VERSION_ID").unwrap_or_default())
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_read_from_os_release() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 \\\"trixie\\\"\"\nVERSION_ID=13\n";
        assert_eq!(
            parse(text),
            ("Debian GNU/Linux 13 \"trixie\"".to_owned(), "13".to_owned())
        );
        assert_eq!(parse("NAME='Alpine'\n").0, "Alpine");
        assert_eq!(parse("").0, "Linux");
    }

    #[test]
    fn what_a_host_lacks_is_said_in_dockerds_words() {
        let mut info = SystemInfo {
            memory_limit: true,
            swap_limit: true,
            cpu_cfs: true,
            cpu_shares: true,
            cpuset: true,
            pids_limit: true,
            ipv4_forwarding: true,
            ..SystemInfo::default()
        };
        assert!(missing(&info).is_empty());
        info.swap_limit = false;
        assert_eq!(missing(&info), ["WARNING: No swap limit support"]);
    }
}
