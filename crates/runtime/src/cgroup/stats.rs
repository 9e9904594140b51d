//! What the processes of a cgroup used, in one form for both versions.
//!
//! Everything is a counter or a gauge as the kernel keeps it; rates are the reader's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::CgroupError;
use super::files::{field, fields, read, read_if_there, read_number};
use super::{Cgroup, Version};

/// Ticks of `cpuacct.stat` in a second (`USER_HZ`, fixed by the kernel's ABI).
const TICKS_PER_SECOND: u64 = 100;
const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_US: u64 = 1_000;

/// From here on a version 1 limit means none: the kernel rounds its maximum down to a page.
const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupStats {
    /// Which version's names `memory.details` and the block operations have.
    pub version: Version,
    /// Memory.
    pub memory: MemoryStats,
    /// Processor time.
    pub cpu: CpuStats,
    /// Processes and threads.
    pub pids: PidsStats,
    /// Block devices.
    pub blkio: BlkioStats,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// In use, page cache included.
    pub usage: u64,
    /// The most that was ever in use (version 1, and version 2 from Linux 5.19).
    pub max_usage: Option<u64>,
    /// The limit; none if there is none.
    pub limit: Option<u64>,
    /// How often the limit was met.
    pub fail_count: Option<u64>,
    /// Swap in use (version 2), or memory and swap (version 1).
    pub swap_usage: Option<u64>,
    /// The limit that goes with it.
    pub swap_limit: Option<u64>,
    /// `memory.stat`, by the kernel's names.
    pub details: BTreeMap<String, u64>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All of it.
    pub usage_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// By processor (version 1).
    pub per_cpu_ns: Vec<u64>,
    /// What a quota held back.
    pub throttling: Throttling,
}

/// Effects of a CPU quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttling {
    /// Periods that have passed.
    pub periods: u64,
    /// Periods in which processes had to wait.
    pub throttled_periods: u64,
    /// How long they waited.
    pub throttled_ns: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsStats {
    /// There are now.
    pub current: u64,
    /// There may be; none if there is no limit.
    pub limit: Option<u64>,
}

/// Block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkioStats {
    /// Bytes moved.
    pub service_bytes: Vec<BlkioEntry>,
    /// Operations done.
    pub serviced: Vec<BlkioEntry>,
}

/// A counter of one device and one kind of operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlkioEntry {
    /// Device number, high part.
    pub major: u64,
    /// Device number, low part.
    pub minor: u64,
    /// `Read`, `Write` … as version 1 has them, `read` and `write` for version 2.
    pub operation: String,
    /// The count.
    pub value: u64,
}

/// Take a reading. A controller that is missing reads as zero.
pub(super) fn read_all(cgroup: &Cgroup) -> Result<CgroupStats, CgroupError> {
    let version = cgroup.layout.version();
    let (memory, cpu, blkio) = match version {
        Version::V1 => (v1_memory(cgroup)?, v1_cpu(cgroup)?, v1_blkio(cgroup)?),
        Version::V2 => {
            let Some(unified) = cgroup.layout.unified() else {
                return Ok(CgroupStats {
                    version,
                    memory: MemoryStats::default(),
                    cpu: CpuStats::default(),
                    pids: PidsStats::default(),
                    blkio: BlkioStats::default(),
                });
            };
            let directory = cgroup.directory(unified);
            (
                v2_memory(&directory)?,
                v2_cpu(&directory)?,
                v2_blkio(&directory)?,
            )
        }
    };
    let pids = match cgroup.with("pids") {
        None => PidsStats::default(),
        Some(directory) => PidsStats {
            current: read_number(&directory.join("pids.current"))?.unwrap_or_default(),
            limit: read_number(&directory.join("pids.max"))?,
        },
    };
    Ok(CgroupStats {
        version,
        memory,
        cpu,
        pids,
        blkio,
    })
}

fn details(directory: &Path) -> Result<BTreeMap<String, u64>, CgroupError> {
    let text = read(&directory.join("memory.stat"))?;
    Ok(fields(&text)
        .map(|(key, value)| (key.to_owned(), value))
        .collect())
}

/// A number from a file that this kernel or configuration may lack.
fn optional(path: &Path) -> Result<Option<u64>, CgroupError> {
    Ok(read_if_there(path)?.and_then(|text| text.trim().parse().ok()))
}

fn v1_memory(cgroup: &Cgroup) -> Result<MemoryStats, CgroupError> {
    let Some(directory) = cgroup.with("memory") else {
        return Ok(MemoryStats::default());
    };
    let file = |name: &str| directory.join(name);
    let limit = |value: Option<u64>| value.filter(|&value| value < V1_UNLIMITED);
    Ok(MemoryStats {
        usage: read_number(&file("memory.usage_in_bytes"))?.unwrap_or_default(),
        max_usage: optional(&file("memory.max_usage_in_bytes"))?,
        limit: limit(read_number(&file("memory.limit_in_bytes"))?),
        fail_count: optional(&file("memory.failcnt"))?,
        swap_usage: optional(&file("memory.memsw.usage_in_bytes"))?,
        swap_limit: limit(optional(&file("memory.memsw.limit_in_bytes"))?),
        details: details(&directory)?,
    })
}

fn v2_memory(directory: &Path) -> Result<MemoryStats, CgroupError> {
    let file = |name: &str| directory.join(name);
    let Some(usage) = optional(&file("memory.current"))? else {
        return Ok(MemoryStats::default());
    };
    let events = read(&file("memory.events"))?;
    Ok(MemoryStats {
        usage,
        max_usage: optional(&file("memory.peak"))?,
        limit: read_number(&file("memory.max"))?,
        fail_count: field(&events, "max"),
        swap_usage: optional(&file("memory.swap.current"))?,
        swap_limit: optional(&file("memory.swap.max"))?,
        details: details(directory)?,
    })
}

fn v1_cpu(cgroup: &Cgroup) -> Result<CpuStats, CgroupError> {
    let mut cpu = CpuStats::default();
    if let Some(directory) = cgroup.with("cpuacct") {
        cpu.usage_ns = read_number(&directory.join("cpuacct.usage"))?.unwrap_or_default();
        let ticks = read(&directory.join("cpuacct.stat"))?;
        let ns = |key| field(&ticks, key).unwrap_or(0) * (NS_PER_SECOND / TICKS_PER_SECOND);
        cpu.user_ns = ns("user");
        cpu.system_ns = ns("system");
        cpu.per_cpu_ns = read(&directory.join("cpuacct.usage_percpu"))?
            .split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect();
    }
    if let Some(directory) = cgroup.with("cpu") {
        let text = read(&directory.join("cpu.stat"))?;
        cpu.throttling = Throttling {
            periods: field(&text, "nr_periods").unwrap_or(0),
            throttled_periods: field(&text, "nr_throttled").unwrap_or(0),
            throttled_ns: field(&text, "throttled_time").unwrap_or(0),
        };
    }
    Ok(cpu)
}

fn v2_cpu(directory: &Path) -> Result<CpuStats, CgroupError> {
    let text = read(&directory.join("cpu.stat"))?;
    let ns = |key| field(&text, key).unwrap_or(0) * NS_PER_US;
    Ok(CpuStats {
        usage_ns: ns("usage_usec"),
        user_ns: ns("user_usec"),
        system_ns: ns("system_usec"),
        per_cpu_ns: Vec::new(),
        throttling: Throttling {
            periods: field(&text, "nr_periods").unwrap_or(0),
            throttled_periods: field(&text, "nr_throttled").unwrap_or(0),
            throttled_ns: ns("throttled_usec"),
        },
    })
}

fn v1_blkio(cgroup: &Cgroup) -> Result<BlkioStats, CgroupError> {
    let Some(directory) = cgroup.with("blkio") else {
        return Ok(BlkioStats::default());
    };
    let file = |counter: &str| -> Result<Vec<BlkioEntry>, CgroupError> {
        // What the BFQ scheduler counts is finer; the throttling layer counts everything.
        for prefix in ["blkio.bfq", "blkio.throttle"] {
            let path = directory.join(format!("{prefix}.{counter}_recursive"));
            if let Some(text) = read_if_there(&path)? {
                let entries: Vec<BlkioEntry> = text.lines().filter_map(v1_entry).collect();
                if !entries.is_empty() {
                    return Ok(entries);
                }
            }
        }
        Ok(Vec::new())
    };
    Ok(BlkioStats {
        service_bytes: file("io_service_bytes")?,
        serviced: file("io_serviced")?,
    })
}

/// `8:0 Read 4096`; the last line, `Total 4096`, has no device.
fn v1_entry(line: &str) -> Option<BlkioEntry> {
    let mut words = line.split(' ');
    let (major, minor) = words.next()?.split_once(':')?;
    Some(BlkioEntry {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        operation: words.next()?.to_owned(),
        value: words.next()?.parse().ok()?,
    })
}

fn v2_blkio(directory: &Path) -> Result<BlkioStats, CgroupError> {
    let mut stats = BlkioStats::default();
    let Some(text) = read_if_there(&directory.join("io.stat"))? else {
        return Ok(stats);
    };
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, operation) = match key {
                "rbytes" => (&mut stats.service_bytes, "read"),
                "wbytes" => (&mut stats.service_bytes, "write"),
                "rios" => (&mut stats.serviced, "read"),
                "wios" => (&mut stats.serviced, "write"),
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                list.push(BlkioEntry {
                    major,
                    minor,
                    operation: operation.to_owned(),
                    value,
                });
            }
        }
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;
    use std::fs;

    fn put(directory: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            fs::write(directory.join(name), content).unwrap();
        }
    }

    #[test]
    fn a_reading_of_version_2() {
        let dir = tempfile::tempdir().unwrap();
        put(
            dir.path(),
            &[
                ("cgroup.controllers", "cpu io memory pids"),
                ("memory.current", "4096\n"),
                ("memory.max", "max\n"),
                ("memory.events", "low 0\nmax 3\noom_kill 1\n"),
                ("memory.stat", "anon 1000\ninactive_file 24\n"),
                (
                    "cpu.stat",
                    "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 2\nnr_throttled 1\nthrottled_usec 5\n",
                ),
                (
                    "io.stat",
                    "8:0 rbytes=512 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n254:0 \n",
                ),
                ("pids.current", "3\n"),
                ("pids.max", "max\n"),
            ],
        );
        let layout = Layout::unified_at(dir.path()).unwrap();
        let stats = Cgroup::open(&layout, Path::new("")).stats().unwrap();
        assert_eq!(stats.memory.usage, 4096);
        assert_eq!(stats.memory.limit, None);
        assert_eq!(stats.memory.fail_count, Some(3));
        assert_eq!(stats.memory.details["inactive_file"], 24);
        assert_eq!(stats.cpu.usage_ns, 10_000);
        assert_eq!(stats.cpu.throttling.throttled_ns, 5_000);
        assert_eq!(stats.pids.current, 3);
        assert_eq!(stats.blkio.service_bytes.len(), 2);
        assert_eq!(stats.blkio.service_bytes[0].operation, "read");
    }

    #[test]
    fn a_block_counter_of_version_1() {
        let entry = v1_entry("8:16 Write 77").unwrap();
        assert_eq!((entry.major, entry.minor, entry.value), (8, 16, 77));
        assert!(v1_entry("Total 77").is_none());
    }
}
