//! `events`: what a container uses, and when the kernel kills one of its processes for memory.

use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::CliError;
use super::args::Events;
use super::state::{Status, Store};
use crate::cgroup::{BlkioEntry, Cgroup, CgroupStats};

pub(super) fn events(root: &Path, arguments: &Events) -> Result<(), CliError> {
    let interval = interval(&arguments.interval)?;
    let store = Store::at(root, &arguments.id)?;
    let record = store.load()?;
    if store.status(&record) == Status::Stopped {
        return Err(CliError::Usage(format!(
            "container with id {} is not running",
            arguments.id
        )));
    }
    let Some(cgroup) = &record.cgroup else {
        return Err(CliError::Usage("the container has no cgroup".into()));
    };
    if arguments.stats {
        return print_stats(&arguments.id, cgroup);
    }
    let Some(pid) = Pid::from_raw(record.pid) else {
        return Ok(());
    };
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut kills = cgroup.oom_kills()?;
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&interval)) {
            Ok(0) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            // It has ended.
            Ok(_) => return Ok(()),
        }
        let now = cgroup.oom_kills()?;
        if now > kills {
            println!("{}", json!({"type": "oom", "id": arguments.id}));
            kills = now;
        }
        print_stats(&arguments.id, cgroup)?;
    }
}

fn print_stats(id: &str, cgroup: &Cgroup) -> Result<(), CliError> {
    let data = as_json(&cgroup.stats()?);
    println!("{}", json!({"type": "stats", "id": id, "data": data}));
    Ok(())
}

/// As runc prints it.
fn as_json(stats: &CgroupStats) -> Value {
    let memory = &stats.memory;
    let blkio = |entries: &[BlkioEntry]| -> Vec<Value> {
        entries
            .iter()
            .map(|entry| {
                json!({"major": entry.major, "minor": entry.minor, "op": entry.operation,
                    "value": entry.value})
            })
            .collect()
    };
    json!({
        "cpu": {
            "usage": {
                "total": stats.cpu.usage_ns,
                "percpu": stats.cpu.per_cpu_ns,
                "kernel": stats.cpu.system_ns,
                "user": stats.cpu.user_ns,
            },
            "throttling": {
                "periods": stats.cpu.throttling.periods,
                "throttledPeriods": stats.cpu.throttling.throttled_periods,
                "throttledTime": stats.cpu.throttling.throttled_ns,
            },
        },
        "memory": {
            "usage": {
                "limit": memory.limit.unwrap_or(u64::MAX),
                "usage": memory.usage,
                "max": memory.max_usage.unwrap_or_default(),
                "failcnt": memory.fail_count.unwrap_or_default(),
            },
            "swap": {
                "limit": memory.swap_limit.unwrap_or(u64::MAX),
                "usage": memory.swap_usage.unwrap_or_default(),
            },
            "raw": memory.details,
        },
        "pids": {
            "current": stats.pids.current,
            "limit": stats.pids.limit.unwrap_or_default(),
        },
        "blkio": {
            "ioServiceBytesRecursive": blkio(&stats.blkio.service_bytes),
            "ioServicedRecursive": blkio(&stats.blkio.serviced),
        },
    })
}

/// A duration as Go writes it, as far as anybody types one here.
fn interval(text: &str) -> Result<Timespec, CliError> {
    let wrong = || CliError::Usage(format!("--interval: {text:?} is no duration"));
    let (number, unit_ms) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1000)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60_000)
    } else {
        return Err(wrong());
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let ms = number
        .checked_mul(unit_ms)
        .filter(|&ms| ms > 0)
        .ok_or_else(wrong)?;
    Ok(Timespec {
        tv_sec: ms / 1000,
        tv_nsec: ms % 1000 * 1_000_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_duration_above_nothing() {
        assert_eq!(interval("1500ms").unwrap().tv_sec, 1);
        assert_eq!(interval("1500ms").unwrap().tv_nsec, 500_000_000);
        assert_eq!(interval("2m").unwrap().tv_sec, 120);
        for text in ["0s", "-1s", "5", "s", "fast"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
