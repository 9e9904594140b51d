//! `stats`: what a container uses.
//!
//! Counters are read from its cgroup when somebody asks, and once a second while somebody
//! watches; nothing is collected for nobody. Rates are the client's: a sample carries the reading
//! before it. A container that does not run gives samples of zeros, as dockerd does, until it is
//! removed.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use wharf_runtime::cgroup::CgroupStats;

use crate::blocking::blocking;
use crate::containers::{Snapshot, cgroup};
use crate::model::{
    BlkioEntry, BlkioUsage, CpuUsage, MemoryUsage, NetworkMode, NetworkUsage, StatsSample, Usage,
};
use crate::process::Process;
use crate::{Engine, Error, Result, clock};

/// Between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Nanoseconds of a tick in `/proc/stat` (`USER_HZ` is 100 by the kernel's ABI).
const TICK_NS: u64 = 10_000_000;

/// Columns of the first line of `/proc/stat` that count: user, nice, system, idle, iowait, irq
/// and softirq, as dockerd adds them.
const CPU_COLUMNS: usize = 7;

impl Engine {
    /// One sample. Unless `one_shot`, with the reading of a second before, so that rates can be
    /// told.
    pub async fn stats(&self, container: &str, one_shot: bool) -> Result<StatsSample> {
        let snapshot = self.0.containers.resolve(container)?;
        if one_shot || !snapshot.is_running() {
            return self.sample(&snapshot, None).await;
        }
        let first = self.sample(&snapshot, None).await?;
        tokio::time::sleep(INTERVAL).await;
        let snapshot = self.0.containers.resolve(snapshot.id())?;
        self.sample(&snapshot, Some(first)).await
    }

    /// A sample a second, until the container is removed or the reader leaves.
    pub async fn stats_stream(&self, container: &str) -> Result<mpsc::Receiver<StatsSample>> {
        let task = self.0.containers.find(container)?;
        let (sink, stream) = mpsc::channel(1);
        let engine = self.clone();
        let mut snapshots = task.watch();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut previous = None;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = sink.closed() => return,
                    () = engine.0.stopping.cancelled() => return,
                }
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                if snapshot.gone {
                    return;
                }
                let sample = match engine.sample(&snapshot, previous.take()).await {
                    Ok(sample) => sample,
                    Err(error) => {
                        tracing::warn!(id = snapshot.id(), %error, "no stats");
                        return;
                    }
                };
                if sink.send(sample.clone()).await.is_err() {
                    return;
                }
                previous = (sample.read_ns != 0).then_some(sample);
            }
        });
        Ok(stream)
    }

    async fn sample(
        &self,
        snapshot: &Arc<Snapshot>,
        previous: Option<StatsSample>,
    ) -> Result<StatsSample> {
        let mut sample = StatsSample {
            id: snapshot.id().to_owned(),
            name: snapshot.name().to_owned(),
            ..StatsSample::default()
        };
        if let Some(previous) = previous {
            sample.preread_ns = previous.read_ns;
            sample.previous = Some(Box::new(previous.now));
        }
        if !snapshot.is_running() {
            return Ok(sample);
        }
        let (engine, snapshot) = (self.clone(), Arc::clone(snapshot));
        if let Some(usage) = blocking(move || usage(&engine, &snapshot)).await? {
            sample.read_ns = clock::now();
            sample.now = usage;
        }
        Ok(sample)
    }
}

/// A reading; `None` when the container ended meanwhile. Blocks.
fn usage(engine: &Engine, snapshot: &Snapshot) -> Result<Option<Usage>> {
    let mut usage = match cgroup::of(engine, snapshot) {
        // A host without cgroups: only what is counted elsewhere.
        None => Usage::default(),
        Some(cgroup) => match cgroup.stats() {
            Ok(stats) => of_cgroup(stats),
            Err(_) if !cgroup.exists() => return Ok(None),
            Err(error) => return Err(Error::Internal(error.to_string())),
        },
    };
    if usage.memory.limit == 0 || usage.memory.limit > host_memory() {
        usage.memory.limit = host_memory();
    }
    (usage.system_cpu_ns, usage.online_cpus) = read("/proc/stat").map_or((0, 0), |s| host_cpu(&s));
    let spec = &snapshot.record.spec;
    if spec.host.network != NetworkMode::Host && !spec.network_disabled {
        usage.networks = Process::of(engine, snapshot)
            .ok()
            .and_then(|process| process.read_text("net/dev").ok())
            .map(|text| interfaces(&text))
            .unwrap_or_default();
    }
    Ok(Some(usage))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn of_cgroup(stats: CgroupStats) -> Usage {
    use wharf_runtime::cgroup::Version;

    let entries = |list: Vec<wharf_runtime::cgroup::BlkioEntry>| {
        list.into_iter()
            .map(|entry| BlkioEntry {
                major: entry.major,
                minor: entry.minor,
                operation: entry.operation,
                value: entry.value,
            })
            .collect()
    };
    Usage {
        cgroup_version: match stats.version {
            Version::V1 => 1,
            Version::V2 => 2,
        },
        pids: stats.pids.current,
        pids_limit: stats.pids.limit,
        memory: MemoryUsage {
            usage: stats.memory.usage,
            max_usage: stats.memory.max_usage,
            limit: stats.memory.limit.unwrap_or(0),
            fail_count: stats.memory.fail_count,
            details: stats.memory.details,
        },
        cpu: CpuUsage {
            total_ns: stats.cpu.usage_ns,
            user_ns: stats.cpu.user_ns,
            kernel_ns: stats.cpu.system_ns,
            per_cpu_ns: stats.cpu.per_cpu_ns,
            periods: stats.cpu.throttling.periods,
            throttled_periods: stats.cpu.throttling.throttled_periods,
            throttled_ns: stats.cpu.throttling.throttled_ns,
        },
        blkio: BlkioUsage {
            service_bytes: entries(stats.blkio.service_bytes),
            serviced: entries(stats.blkio.serviced),
        },
        ..Usage::default()
    }
}

/// Bytes of memory that the host has.
pub(crate) fn host_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

/// The host's processor time in nanoseconds, and its processors, of the text of `/proc/stat`.
fn host_cpu(stat: &str) -> (u64, u32) {
    let mut ticks: u64 = 0;
    let mut online = 0;
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("cpu") => {
                ticks = words
                    .take(CPU_COLUMNS)
                    .filter_map(|word| word.parse::<u64>().ok())
                    .sum();
            }
            Some(name) if name.starts_with("cpu") => online += 1,
            _ => {}
        }
    }
    (ticks.saturating_mul(TICK_NS), online)
}

/// The interfaces of the text of `/proc/<pid>/net/dev`, without loopback.
fn interfaces(text: &str) -> BTreeMap<String, NetworkUsage> {
    text.lines()
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let counters: Vec<u64> = counters
                .split_whitespace()
                .map_while(|word| word.parse().ok())
                .collect();
            let at = |column: usize| counters.get(column).copied();
            let usage = NetworkUsage {
                rx_bytes: at(0)?,
                rx_packets: at(1)?,
                rx_errors: at(2)?,
                rx_dropped: at(3)?,
                tx_bytes: at(8)?,
                tx_packets: at(9)?,
                tx_errors: at(10)?,
                tx_dropped: at(11)?,
            };
            Some((name.trim().to_owned(), usage))
        })
        .filter(|(name, _)| name != "lo")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_time_is_the_sum_of_seven_columns() {
        let stat = "cpu  1 2 3 4 5 6 7 100 100 100\ncpu0 1 0 0 0\ncpu1 0 0 0 0\nintr 5\nctxt 1\n";
        assert_eq!(host_cpu(stat), (28 * TICK_NS, 2));
    }

    #[test]
    fn interfaces_are_read_without_loopback() {
        let text = "Inter-|   Receive    |  Transmit\n \
            face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n    \
            lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  \
            eth0:100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n";
        let found = interfaces(text);
        assert_eq!(found.len(), 1);
        let eth0 = found["eth0"];
        assert_eq!(
            (
                eth0.rx_bytes,
                eth0.rx_dropped,
                eth0.tx_bytes,
                eth0.tx_dropped
            ),
            (100, 4, 200, 7)
        );
    }

    #[test]
    fn the_host_has_memory() {
        assert!(host_memory() > 1 << 20);
    }
}
