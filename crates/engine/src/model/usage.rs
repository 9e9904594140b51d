//! What is used: by a container (`stats`), and of the disk (`system df`).

use std::collections::BTreeMap;

use super::container::ContainerSummary;
use super::image::ImageLine;
use super::volume::VolumeUsage;

/// What a container used, at one moment and the one before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatsSample {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Name without slash.
    pub name: String,
    /// When [`Self::now`] was read, nanoseconds since 1970; 0 when the container does not run.
    pub read_ns: i64,
    /// When [`Self::previous`] was read; 0 when there is none.
    pub preread_ns: i64,
    /// Now.
    pub now: Usage,
    /// The moment before, a second ago when streaming.
    pub previous: Option<Box<Usage>>,
}

/// One reading of a container's counters. All zero when it does not run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Cgroup version the counters come from, 1 or 2; 0 when there are none.
    pub cgroup_version: u8,
    /// Processes and threads there are.
    pub pids: u64,
    /// As many there may be; `None` when unlimited.
    pub pids_limit: Option<u64>,
    /// Memory.
    pub memory: MemoryUsage,
    /// Processor time.
    pub cpu: CpuUsage,
    /// Processor time of the whole host, idle included, in nanoseconds.
    pub system_cpu_ns: u64,
    /// Processors online.
    pub online_cpus: u32,
    /// Block devices.
    pub blkio: BlkioUsage,
    /// Counters of the interfaces, by name, without loopback. Empty for a container without a
    /// network of its own.
    pub networks: BTreeMap<String, NetworkUsage>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// In use, page cache included.
    pub usage: u64,
    /// The most that was ever in use, where the kernel says it.
    pub max_usage: Option<u64>,
    /// The limit; the host's memory when there is none.
    pub limit: u64,
    /// How often the limit was met, where the kernel says it.
    pub fail_count: Option<u64>,
    /// `memory.stat`, by the kernel's names.
    pub details: BTreeMap<String, u64>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuUsage {
    /// All of it.
    pub total_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub kernel_ns: u64,
    /// By processor; empty where the kernel does not say it (version 2).
    pub per_cpu_ns: Vec<u64>,
    /// Periods of a quota that have passed.
    pub periods: u64,
    /// Of these, how many made processes wait.
    pub throttled_periods: u64,
    /// How long they waited.
    pub throttled_ns: u64,
}

/// Block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlkioUsage {
    /// Bytes moved.
    pub service_bytes: Vec<BlkioEntry>,
    /// Operations done.
    pub serviced: Vec<BlkioEntry>,
}

/// A counter of one device and one kind of operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlkioEntry {
    /// Device number, high part.
    pub major: u64,
    /// Device number, low part.
    pub minor: u64,
    /// `Read`, `Write` … on version 1, `read` and `write` on version 2.
    pub operation: String,
    /// The count.
    pub value: u64,
}

/// Counters of a network interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkUsage {
    /// Received.
    pub rx_bytes: u64,
    /// See [`Self::rx_bytes`].
    pub rx_packets: u64,
    /// See [`Self::rx_bytes`].
    pub rx_errors: u64,
    /// See [`Self::rx_bytes`].
    pub rx_dropped: u64,
    /// Sent.
    pub tx_bytes: u64,
    /// See [`Self::tx_bytes`].
    pub tx_packets: u64,
    /// See [`Self::tx_bytes`].
    pub tx_errors: u64,
    /// See [`Self::tx_bytes`].
    pub tx_dropped: u64,
}

/// What of the disk's use to work out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DfQuery {
    /// Containers with the sizes of what they wrote.
    pub containers: bool,
    /// Images with what they share.
    pub images: bool,
    /// Volumes with their sizes.
    pub volumes: bool,
}

/// The disk's use. A list that was not asked for is `None`.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    /// Bytes of the files in all layers of all images.
    pub layers_size: i64,
    /// Images.
    pub images: Option<Vec<ImageLine>>,
    /// Containers.
    pub containers: Option<Vec<ContainerSummary>>,
    /// Volumes.
    pub volumes: Option<Vec<VolumeUsage>>,
}
