//! `GET /containers/{id}/stats`

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model::{
    BlkioEntry, BlkioUsage, CpuUsage, MemoryUsage, NetworkUsage, StatsSample, Usage,
};

use crate::time;
use crate::version::ApiVersion;

/// A sample. What is not known is left out or null, by the kind of cgroup.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    read: String,
    preread: String,
    pids_stats: Pids,
    blkio_stats: Blkio,
    /// Windows', as the next.
    num_procs: u32,
    storage_stats: Nothing,
    cpu_stats: Cpu,
    precpu_stats: Cpu,
    memory_stats: Memory,
    name: String,
    id: String,
    /// Since 1.52.
    #[serde(skip_serializing_if = "Option::is_none")]
    os_type: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Network>,
}

#[derive(Debug, Serialize)]
struct Nothing {}

#[derive(Debug, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

type Entries = Option<Vec<Entry>>;

#[derive(Debug, Serialize)]
struct Blkio {
    io_service_bytes_recursive: Entries,
    io_serviced_recursive: Entries,
    io_queue_recursive: Entries,
    io_service_time_recursive: Entries,
    io_wait_time_recursive: Entries,
    io_merged_recursive: Entries,
    io_time_recursive: Entries,
    sectors_recursive: Entries,
}

#[derive(Debug, Serialize)]
struct Entry {
    major: u64,
    minor: u64,
    op: String,
    value: u64,
}

#[derive(Debug, Serialize)]
struct Cpu {
    cpu_usage: CpuTimes,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_cpu_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    online_cpus: Option<u32>,
    throttling_data: Throttling,
}

#[derive(Debug, Serialize)]
struct CpuTimes {
    total_usage: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_usage: Vec<u64>,
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Debug, Serialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Debug, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_usage: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stats: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failcnt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Network {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

/// Go leaves a zero out.
fn some<N: Default + PartialEq>(value: N) -> Option<N> {
    (value != N::default()).then_some(value)
}

impl Stats {
    pub(crate) fn of(from: StatsSample, version_of_api: ApiVersion) -> Self {
        let now = from.now;
        let version = now.cgroup_version;
        Self {
            read: time::rfc3339(from.read_ns),
            preread: time::rfc3339(from.preread_ns),
            pids_stats: Pids {
                current: some(now.pids),
                // An unlimited one is the largest number on version 1, and left out on version 2.
                limit: match now.pids_limit {
                    None if version == 1 => Some(u64::MAX),
                    limit => limit,
                },
            },
            blkio_stats: Blkio::of(now.blkio, version),
            num_procs: 0,
            storage_stats: Nothing {},
            cpu_stats: Cpu::of(now.cpu, now.system_cpu_ns, now.online_cpus),
            precpu_stats: from.previous.map_or_else(
                || Cpu::of(CpuUsage::default(), 0, 0),
                |previous: Box<Usage>| {
                    Cpu::of(previous.cpu, previous.system_cpu_ns, previous.online_cpus)
                },
            ),
            memory_stats: now.memory.into(),
            name: format!("/{}", from.name),
            id: from.id,
            os_type: version_of_api.at_least(52).then_some("linux"),
            networks: now
                .networks
                .into_iter()
                .map(|(name, counters)| (name, counters.into()))
                .collect(),
        }
    }
}

impl Blkio {
    fn of(from: BlkioUsage, version: u8) -> Self {
        let list = |entries: Vec<BlkioEntry>| -> Entries {
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|entry| Entry {
                    major: entry.major,
                    minor: entry.minor,
                    op: entry.operation,
                    value: entry.value,
                })
                .collect();
            (version == 1 || !entries.is_empty()).then_some(entries)
        };
        // Lists that nobody fills: empty on version 1, null on version 2.
        let none = || (version == 1).then(Vec::new);
        Self {
            io_service_bytes_recursive: list(from.service_bytes),
            io_serviced_recursive: list(from.serviced),
            io_queue_recursive: none(),
            io_service_time_recursive: none(),
            io_wait_time_recursive: none(),
            io_merged_recursive: none(),
            io_time_recursive: none(),
            sectors_recursive: none(),
        }
    }
}

impl Cpu {
    fn of(from: CpuUsage, system: u64, online: u32) -> Self {
        Self {
            cpu_usage: CpuTimes {
                total_usage: from.total_ns,
                percpu_usage: from.per_cpu_ns,
                usage_in_kernelmode: from.kernel_ns,
                usage_in_usermode: from.user_ns,
            },
            system_cpu_usage: some(system),
            online_cpus: some(online),
            throttling_data: Throttling {
                periods: from.periods,
                throttled_periods: from.throttled_periods,
                throttled_time: from.throttled_ns,
            },
        }
    }
}

impl From<MemoryUsage> for Memory {
    fn from(from: MemoryUsage) -> Self {
        Self {
            usage: some(from.usage),
            max_usage: from.max_usage.and_then(some),
            stats: from.details,
            failcnt: from.fail_count.and_then(some),
            limit: some(from.limit),
        }
    }
}

impl From<NetworkUsage> for Network {
    fn from(from: NetworkUsage) -> Self {
        Self {
            rx_bytes: from.rx_bytes,
            rx_packets: from.rx_packets,
            rx_errors: from.rx_errors,
            rx_dropped: from.rx_dropped,
            tx_bytes: from.tx_bytes,
            tx_packets: from.tx_packets,
            tx_errors: from.tx_errors,
            tx_dropped: from.tx_dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_does_not_run_prints_dockerds_zeros() {
        let sample = StatsSample {
            id: "abc".into(),
            name: "box".into(),
            ..StatsSample::default()
        };
        assert_eq!(
            serde_json::to_string(&Stats::of(sample, ApiVersion::v1(51))).unwrap(),
            concat!(
                r#"{"read":"0001-01-01T00:00:00Z","preread":"0001-01-01T00:00:00Z","pids_stats":{},"#,
                r#""blkio_stats":{"io_service_bytes_recursive":null,"io_serviced_recursive":null,"io_queue_recursive":null,"io_service_time_recursive":null,"io_wait_time_recursive":null,"io_merged_recursive":null,"io_time_recursive":null,"sectors_recursive":null},"#,
                r#""num_procs":0,"storage_stats":{},"#,
                r#""cpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"#,
                r#""precpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"#,
                r#""memory_stats":{},"name":"/box","id":"abc"}"#
            )
        );
    }

    #[test]
    fn lists_that_nobody_fills_are_empty_on_version_1_and_null_on_version_2() {
        let of = |version| {
            let mut sample = StatsSample::default();
            sample.now.cgroup_version = version;
            serde_json::to_value(Stats::of(sample, ApiVersion::v1(51))).unwrap()
        };
        assert_eq!(
            of(1)["blkio_stats"]["sectors_recursive"],
            serde_json::json!([])
        );
        assert_eq!(of(1)["pids_stats"]["limit"], u64::MAX);
        assert_eq!(
            of(2)["blkio_stats"]["sectors_recursive"],
            serde_json::Value::Null
        );
        assert!(of(2)["pids_stats"].get("limit").is_none());
    }
}
