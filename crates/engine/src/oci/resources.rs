//! Resource limits as the runtime reads them. The same for a start and for a live update.

use oci_spec::runtime::{LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxPids, LinuxResources};

use crate::model::Resources;

/// Microseconds of the period that `--cpus` is expressed in.
const CPU_PERIOD: u64 = 100_000;

/// The limits that are set; what is zero in the API is left alone.
pub(crate) fn resources(limits: &Resources) -> LinuxResources {
    let mut resources = LinuxResources::default();
    resources
        .set_memory(Some(memory(limits)))
        .set_cpu(Some(cpu(limits)))
        .set_pids(pids(limits))
        .set_devices(None);
    resources
}

/// The limits and the device filter.
pub(super) fn with_devices(limits: &Resources, rules: Vec<LinuxDeviceCgroup>) -> LinuxResources {
    let mut resources = resources(limits);
    resources.set_devices(Some(rules));
    resources
}

fn memory(limits: &Resources) -> LinuxMemory {
    let mut memory = LinuxMemory::default();
    memory
        .set_limit((limits.memory > 0).then_some(limits.memory))
        .set_reservation((limits.memory_reservation > 0).then_some(limits.memory_reservation))
        .set_swap((limits.memory_swap != 0).then_some(limits.memory_swap))
        .set_swappiness(
            limits
                .memory_swappiness
                .and_then(|value| u64::try_from(value).ok()),
        )
        .set_disable_oom_killer(limits.oom_kill_disable);
    memory
}

fn cpu(limits: &Resources) -> LinuxCpu {
    let mut cpu = LinuxCpu::default();
    let period = u64::try_from(limits.cpu_period).ok().filter(|p| *p > 0);
    let quota = (limits.cpu_quota != 0).then_some(limits.cpu_quota);
    if limits.nano_cpus > 0 {
        let period_ns = i64::try_from(CPU_PERIOD).unwrap_or(i64::MAX);
        cpu.set_period(Some(CPU_PERIOD)).set_quota(Some(
            limits.nano_cpus.saturating_mul(period_ns) / 1_000_000_000,
        ));
    } else {
        cpu.set_period(period).set_quota(quota);
    }
    cpu.set_shares(u64::try_from(limits.cpu_shares).ok().filter(|s| *s > 0))
        .set_cpus((!limits.cpuset_cpus.is_empty()).then(|| limits.cpuset_cpus.clone()))
        .set_mems((!limits.cpuset_mems.is_empty()).then(|| limits.cpuset_mems.clone()));
    cpu
}

fn pids(limits: &Resources) -> Option<LinuxPids> {
    let limit = limits.pids_limit?;
    let mut pids = LinuxPids::default();
    // Docker's "0 or -1 is unlimited" is the runtime specification's -1.
    pids.set_limit(if limit > 0 { limit } else { -1 });
    Some(pids)
}
