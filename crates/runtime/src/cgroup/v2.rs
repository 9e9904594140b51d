//! Limits in the unified hierarchy.
//!
//! The specification speaks version 1; values are converted as other runtimes convert them, so
//! that a container weighs the same under each.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};
use wharf_sys::bpf;

use super::devices::Policy;
use super::error::{CgroupError, at};
use super::files::{read, write, write_if_there};
use super::layout::Hierarchy;
use super::{Cgroup, device_program, v1};

/// Let the children of `directory` have every controller the hierarchy has.
pub(super) fn enable_controllers(
    hierarchy: &Hierarchy,
    directory: &Path,
) -> Result<(), CgroupError> {
    const FILE: &str = "cgroup.subtree_control";
    let enabled = read(&directory.join(FILE))?;
    let enabled: Vec<&str> = enabled.split_whitespace().collect();
    let mut result = Ok(());
    // One at a time: a controller that cannot be enabled (cpu, beside a realtime process) must
    // not keep back the others; that it is missing shows when it is needed.
    for controller in hierarchy.controllers() {
        if !enabled.contains(&controller.as_str())
            && let Err(error) = write(directory, FILE, &format!("+{controller}"))
        {
            let needed = matches!(controller.as_str(), "cpu" | "memory" | "pids");
            if needed && result.is_ok() {
                result = Err(error);
            }
        }
    }
    result
}

/// Set limits.
pub(super) fn apply(
    cgroup: &Cgroup,
    resources: &LinuxResources,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let Some(hierarchy) = cgroup.layout.unified() else {
        left_out.push("cgroup".to_owned());
        return Ok(());
    };
    let directory = cgroup.directory(hierarchy);
    if let Some(memory) = resources.memory() {
        set_memory(&directory, memory, left_out)?;
    }
    if let Some(cpu) = resources.cpu() {
        set_cpu(&directory, cpu, left_out)?;
    }
    if let Some(pids) = resources.pids()
        && let Some(value) = v1::pids_max(pids.limit())
    {
        write_if_there(&directory, "pids.max", &value, left_out)?;
    }
    if let Some(block_io) = resources.block_io() {
        set_block_io(&directory, block_io, left_out)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let limit = page.limit().to_string();
        let file = |kind: &str| format!("hugetlb.{}.{kind}", page.page_size());
        write_if_there(&directory, &file("max"), &limit, left_out)?;
        // Also what is only reserved; older kernels lack it.
        write_if_there(&directory, &file("rsvd.max"), &limit, &mut Vec::new())?;
    }
    for (device, limits) in resources.rdma().iter().flatten() {
        let value =
            |limit: Option<u32>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        let line = format!(
            "{device} hca_handle={} hca_object={}",
            value(limits.hca_handles()),
            value(limits.hca_objects())
        );
        write_if_there(&directory, "rdma.max", &line, left_out)?;
    }
    if resources.network().is_some() {
        left_out.push("linux.resources.network".to_owned());
    }
    set_named(&directory, resources)
}

/// Files named by the specification itself.
fn set_named(directory: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
    let files: BTreeMap<_, _> = resources.unified().iter().flatten().collect();
    for (name, value) in files {
        let plain = name.contains('.') && !name.contains('/') && !name.starts_with("cgroup.");
        if !plain {
            return Err(CgroupError::limit(
                "linux.resources.unified",
                format!("{name:?} is no controller's file"),
            ));
        }
        for line in value.lines() {
            write(directory, name, line)?;
        }
    }
    Ok(())
}

fn set_memory(
    directory: &Path,
    memory: &LinuxMemory,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let value = |bytes: i64| match bytes {
        ..0 => "max".to_owned(),
        bytes => bytes.to_string(),
    };
    let given = |value: Option<i64>| value.filter(|&value| value != 0);
    if let Some(swap) = swap_alone(memory)? {
        write_if_there(directory, "memory.swap.max", &swap, left_out)?;
    }
    if let Some(limit) = given(memory.limit()) {
        if memory.check_before_update() == Some(true) {
            refuse_if_used(directory, limit)?;
        }
        write_if_there(directory, "memory.max", &value(limit), left_out)?;
    }
    if let Some(reservation) = given(memory.reservation()) {
        write_if_there(directory, "memory.low", &value(reservation), left_out)?;
    }
    for (given, name) in [
        (memory.swappiness().is_some(), "memory.swappiness"),
        (
            memory.disable_oom_killer() == Some(true),
            "memory.oom_control",
        ),
    ] {
        if given {
            left_out.push(name.to_owned());
        }
    }
    Ok(())
}

fn refuse_if_used(directory: &Path, limit: i64) -> Result<(), CgroupError> {
    let used = super::files::read_number(&directory.join("memory.current"))?.unwrap_or_default();
    if u64::try_from(limit).is_ok_and(|limit| limit < used) {
        return Err(CgroupError::limit(
            "linux.resources.memory.limit",
            format!("{used} bytes are in use, more than the new limit"),
        ));
    }
    Ok(())
}

/// Version 1 limits memory and swap together, version 2 swap alone.
fn swap_alone(memory: &LinuxMemory) -> Result<Option<String>, CgroupError> {
    let wrong = |reason: &str| CgroupError::limit("linux.resources.memory.swap", reason);
    match (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0)) {
        (_, 0) => Ok(None),
        (_, ..0) => Ok(Some("max".to_owned())),
        (..=0, _) => Err(wrong("a limit of memory with swap needs one of memory")),
        (limit, swap) if swap < limit => Err(wrong("less than the limit of memory")),
        (limit, swap) => Ok(Some((swap - limit).to_string())),
    }
}

fn set_cpu(
    directory: &Path,
    cpu: &LinuxCpu,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    if let Some(idle) = cpu.idle() {
        write_if_there(directory, "cpu.idle", &idle.to_string(), left_out)?;
    }
    if let Some(shares) = cpu.shares().filter(|&shares| shares != 0) {
        write_if_there(
            directory,
            "cpu.weight",
            &weight_of_shares(shares).to_string(),
            left_out,
        )?;
    }
    let quota = cpu.quota().filter(|&quota| quota != 0);
    let period = cpu.period().filter(|&period| period != 0);
    if let Some(value) = cpu_max(quota, period) {
        write_if_there(directory, "cpu.max", &value, left_out)?;
    }
    if let Some(burst) = cpu.burst() {
        write_if_there(directory, "cpu.max.burst", &burst.to_string(), left_out)?;
    }
    for (name, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            write_if_there(directory, name, value, left_out)?;
        }
    }
    let realtime = cpu.realtime_runtime().is_some_and(|runtime| runtime != 0)
        || cpu.realtime_period().is_some_and(|period| period != 0);
    if realtime {
        left_out.push("linux.resources.cpu.realtimeRuntime".to_owned());
    }
    Ok(())
}

/// Shares (2 to 262144, 1024 by default) as a weight (1 to 10000, 100 by default), by the curve
/// that runtimes have agreed on: defaults meet defaults, and the ends meet the ends.
fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144) as f64;
    let log = shares.log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

fn cpu_max(quota: Option<i64>, period: Option<u64>) -> Option<String> {
    let quota = match quota {
        None if period.is_none() => return None,
        None | Some(..0) => "max".to_owned(),
        Some(quota) => quota.to_string(),
    };
    Some(match period {
        Some(period) => format!("{quota} {period}"),
        None => quota,
    })
}

fn set_block_io(
    directory: &Path,
    block_io: &LinuxBlockIo,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let bfq = directory.join("io.bfq.weight").exists();
    let (file, weight_of): (&str, fn(u16) -> u64) = if bfq {
        ("io.bfq.weight", u64::from)
    } else {
        ("io.weight", weight_of_blkio)
    };
    if let Some(weight) = block_io.weight().filter(|&weight| weight != 0) {
        write_if_there(directory, file, &weight_of(weight).to_string(), left_out)?;
    }
    for device in block_io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight().filter(|&weight| weight != 0) {
            let line = format!(
                "{}:{} {}",
                device.major(),
                device.minor(),
                weight_of(weight)
            );
            write_if_there(directory, file, &line, left_out)?;
        }
    }
    for (key, devices) in [
        ("rbps", block_io.throttle_read_bps_device()),
        ("wbps", block_io.throttle_write_bps_device()),
        ("riops", block_io.throttle_read_iops_device()),
        ("wiops", block_io.throttle_write_iops_device()),
    ] {
        for device in devices.iter().flatten() {
            let rate = match device.rate() {
                0 => "max".to_owned(),
                rate => rate.to_string(),
            };
            let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
            write_if_there(directory, "io.max", &line, left_out)?;
        }
    }
    Ok(())
}

/// 10 to 1000 as 1 to 10000.
fn weight_of_blkio(weight: u16) -> u64 {
    let weight = u64::from(weight.clamp(10, 1000));
    1 + (weight - 10) * 9999 / 990
}

/// Replace the cgroup's device filter. The new one is attached before the old ones go: all that
/// are attached must agree, so at no moment is more allowed than by one of the two.
pub(super) fn apply_devices(cgroup: &Cgroup, policy: &Policy) -> Result<(), CgroupError> {
    let Some(hierarchy) = cgroup.layout.unified() else {
        return Ok(());
    };
    let path = cgroup.directory(hierarchy);
    let directory = File::open(&path).map_err(at("open", &path))?;
    let fail = at("filter the devices of", &path);
    let replace = || {
        let old = bpf::device_filters(directory.as_fd())?;
        let program = bpf::load_device_filter(&device_program::compile(policy))?;
        bpf::attach_device_filter(directory.as_fd(), program.as_fd())?;
        for program in old {
            bpf::detach_device_filter(directory.as_fd(), program.as_fd())?;
        }
        Ok(())
    };
    replace().map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        fn new(files: &[&str]) -> Fixture {
            let dir = tempfile::tempdir().unwrap();
            for file in files {
                fs::write(dir.path().join(file), "").unwrap();
            }
            Fixture { dir }
        }

        fn set(&self, resources: &str) -> Result<Vec<String>, CgroupError> {
            let resources: LinuxResources = serde_json::from_str(resources).unwrap();
            let mut left_out = Vec::new();
            fs::write(self.dir.path().join("cgroup.controllers"), "cpu memory").unwrap();
            let layout = super::super::Layout::unified_at(self.dir.path()).unwrap();
            let cgroup = Cgroup::open(&layout, Path::new(""));
            apply(&cgroup, &resources, &mut left_out)?;
            Ok(left_out)
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.dir.path().join(file)).unwrap()
        }
    }

    #[test]
    fn memory_with_swap_becomes_swap_alone() {
        let fixture = Fixture::new(&["memory.max", "memory.swap.max", "memory.low"]);
        fixture
            .set(r#"{"memory":{"limit":1000,"swap":3000,"reservation":500}}"#)
            .unwrap();
        assert_eq!(fixture.read("memory.max"), "1000");
        assert_eq!(fixture.read("memory.swap.max"), "2000");
        assert_eq!(fixture.read("memory.low"), "500");
        assert!(
            fixture
                .set(r#"{"memory":{"limit":1000,"swap":10}}"#)
                .is_err()
        );
        let fixture = Fixture::new(&["memory.max", "memory.swap.max"]);
        fixture
            .set(r#"{"memory":{"limit":1000,"swap":-1}}"#)
            .unwrap();
        assert_eq!(fixture.read("memory.swap.max"), "max");
    }

    #[test]
    fn the_default_share_is_the_default_weight() {
        assert_eq!(weight_of_shares(1024), 100);
        assert_eq!(weight_of_shares(2), 1);
        assert_eq!(weight_of_shares(262_144), 10_000);
        assert_eq!(weight_of_blkio(10), 1);
        assert_eq!(weight_of_blkio(1000), 10_000);
    }

    #[test]
    fn a_quota_comes_with_its_period() {
        assert_eq!(
            cpu_max(Some(50_000), Some(100_000)).as_deref(),
            Some("50000 100000")
        );
        assert_eq!(
            cpu_max(Some(-1), Some(100_000)).as_deref(),
            Some("max 100000")
        );
        assert_eq!(cpu_max(Some(5), None).as_deref(), Some("5"));
        assert_eq!(cpu_max(None, None), None);
    }

    #[test]
    fn a_limit_without_a_file_is_named() {
        let fixture = Fixture::new(&["memory.max"]);
        let left_out = fixture
            .set(r#"{"memory":{"limit":5,"swap":9,"swappiness":3},"pids":{"limit":4}}"#)
            .unwrap();
        assert_eq!(
            left_out,
            ["memory.swap.max", "memory.swappiness", "pids.max"]
        );
    }

    #[test]
    fn named_files_are_controllers_and_nothing_else() {
        let fixture = Fixture::new(&["memory.high"]);
        fixture.set(r#"{"unified":{"memory.high":"7"}}"#).unwrap();
        assert_eq!(fixture.read("memory.high"), "7");
        for name in ["../x.y", "cgroup.procs", "plain"] {
            assert!(
                fixture
                    .set(&format!(r#"{{"unified":{{"{name}":"1"}}}}"#))
                    .is_err()
            );
        }
    }

    #[test]
    fn io_limits_name_their_device() {
        let fixture = Fixture::new(&["io.max", "io.weight"]);
        fixture
            .set(r#"{"blockIO":{"weight":1000,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":77}]}}"#)
            .unwrap();
        assert_eq!(fixture.read("io.max"), "8:0 rbps=77");
        assert_eq!(fixture.read("io.weight"), "10000");
    }
}
