//! Limits in version 1 hierarchies.

use std::fs;
use std::io;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources};
use rustix::io::Errno;

use super::Cgroup;
use super::devices::Policy;
use super::error::{CgroupError, at};
use super::files::{self, write, write_if_there};

/// A new cpuset has no processors and no memory, and takes no process until it has: it gets its
/// parent's, unless the kernel gave it those already.
pub(super) fn fill_cpuset(directory: &Path) -> Result<(), CgroupError> {
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        if files::read(&directory.join(name))?.trim().is_empty() {
            let inherited = files::read(&parent.join(name))?;
            write(directory, name, inherited.trim())?;
        }
    }
    Ok(())
}

/// Have the kernel do that for the children of a cpuset.
pub(super) fn let_children_inherit_cpuset(directory: &Path) -> Result<(), CgroupError> {
    write(directory, "cgroup.clone_children", "1")
}

/// Set limits.
pub(super) fn apply(
    cgroup: &Cgroup,
    resources: &LinuxResources,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    if resources
        .unified()
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        return Err(CgroupError::limit(
            "linux.resources.unified",
            "this host's controllers are in version 1 hierarchies",
        ));
    }
    if let Some(memory) = resources.memory() {
        let directory = cgroup.with("memory");
        in_controller(
            directory.as_deref(),
            "memory",
            left_out,
            |directory, left_out| set_memory(directory, memory, left_out),
        )?;
    }
    if let Some(cpu) = resources.cpu() {
        let directory = cgroup.with("cpu");
        in_controller(
            directory.as_deref(),
            "cpu",
            left_out,
            |directory, left_out| set_cpu(directory, cpu, left_out),
        )?;
        set_cpuset(cgroup, cpu, left_out)?;
    }
    if let Some(pids) = resources.pids()
        && let Some(value) = pids_max(pids.limit())
    {
        let directory = cgroup.with("pids");
        in_controller(directory.as_deref(), "pids", left_out, |directory, _| {
            write(directory, "pids.max", &value)
        })?;
    }
    if let Some(block_io) = resources.block_io() {
        let directory = cgroup.with("blkio");
        in_controller(
            directory.as_deref(),
            "blkio",
            left_out,
            |directory, left_out| set_block_io(directory, block_io, left_out),
        )?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let name = format!("hugetlb.{}.limit_in_bytes", page.page_size());
        let directory = cgroup.with("hugetlb");
        in_controller(
            directory.as_deref(),
            "hugetlb",
            left_out,
            |directory, left_out| {
                write_if_there(directory, &name, &page.limit().to_string(), left_out)
            },
        )?;
    }
    if let Some(network) = resources.network() {
        set_network(cgroup, network, left_out)?;
    }
    Ok(())
}

/// What `pids.max` gets for a limit; nothing if there is none to set.
pub(super) fn pids_max(limit: i64) -> Option<String> {
    match limit {
        0 => None,
        ..0 => Some("max".to_owned()),
        limit => Some(limit.to_string()),
    }
}

/// Act in a controller's directory, or note that there is no such controller.
pub(super) fn in_controller(
    directory: Option<&Path>,
    controller: &str,
    left_out: &mut Vec<String>,
    act: impl FnOnce(&Path, &mut Vec<String>) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    match directory {
        Some(directory) => act(directory, left_out),
        None => {
            left_out.push(controller.to_owned());
            Ok(())
        }
    }
}

fn set_memory(
    directory: &Path,
    memory: &LinuxMemory,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    const LIMIT: &str = "memory.limit_in_bytes";
    const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
    let given = |value: Option<i64>| value.filter(|&value| value != 0);
    let (limit, with_swap) = (given(memory.limit()), given(memory.swap()));
    let swap = |left_out: &mut Vec<String>| match with_swap {
        Some(value) => write_if_there(directory, WITH_SWAP, &value.to_string(), left_out),
        None => Ok(()),
    };
    // Memory may never be more than memory with swap, so which comes first depends on whether
    // they grow or shrink.
    match limit.map(|limit| write(directory, LIMIT, &limit.to_string())) {
        None | Some(Ok(())) => swap(left_out)?,
        Some(Err(error)) if is(&error, Errno::INVAL) && with_swap.is_some() => {
            swap(left_out)?;
            write(directory, LIMIT, &limit.unwrap_or_default().to_string())?;
        }
        Some(Err(error)) => return Err(in_use(directory, error)),
    }
    if let Some(value) = given(memory.reservation()) {
        write(directory, "memory.soft_limit_in_bytes", &value.to_string())?;
    }
    if let Some(value) = given(memory.kernel_tcp()) {
        let name = "memory.kmem.tcp.limit_in_bytes";
        write_if_there(directory, name, &value.to_string(), left_out)?;
    }
    if let Some(value) = memory.swappiness() {
        write_if_there(directory, "memory.swappiness", &value.to_string(), left_out)?;
    }
    if memory.disable_oom_killer() == Some(true) {
        write(directory, "memory.oom_control", "1")?;
    }
    Ok(())
}

/// A limit below what is used is refused with a bare `EBUSY`.
fn in_use(directory: &Path, error: CgroupError) -> CgroupError {
    if !is(&error, Errno::BUSY) {
        return error;
    }
    let used = files::read_number(&directory.join("memory.usage_in_bytes"))
        .ok()
        .flatten()
        .unwrap_or_default();
    CgroupError::limit(
        "linux.resources.memory.limit",
        format!("{used} bytes are in use, more than the new limit"),
    )
}

fn set_cpu(
    directory: &Path,
    cpu: &LinuxCpu,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    if let Some(shares) = cpu.shares().filter(|&shares| shares != 0) {
        write(directory, "cpu.shares", &shares.to_string())?;
    }
    if let Some(idle) = cpu.idle() {
        write_if_there(directory, "cpu.idle", &idle.to_string(), left_out)?;
    }
    let given = |value: Option<u64>| value.filter(|&value| value != 0);
    let period = given(cpu.period()).map(|period| period.to_string());
    let quota = cpu.quota().filter(|&quota| quota != 0);
    if let Some(period) = &period {
        let set = || write(directory, "cpu.cfs_period_us", period);
        match (set(), quota) {
            // With the quota there is, the new period would be too much; the new quota fits it.
            (Err(error), Some(quota)) if is(&error, Errno::INVAL) => {
                write(directory, "cpu.cfs_quota_us", &quota.to_string())?;
                set()?;
            }
            (set, _) => set?,
        }
    }
    if let Some(quota) = quota {
        write(directory, "cpu.cfs_quota_us", &quota.to_string())?;
    }
    if let Some(burst) = cpu.burst() {
        write_if_there(directory, "cpu.cfs_burst_us", &burst.to_string(), left_out)?;
    }
    if let Some(period) = given(cpu.realtime_period()) {
        write_if_there(directory, "cpu.rt_period_us", &period.to_string(), left_out)?;
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|&runtime| runtime != 0) {
        write_if_there(
            directory,
            "cpu.rt_runtime_us",
            &runtime.to_string(),
            left_out,
        )?;
    }
    Ok(())
}

fn set_cpuset(
    cgroup: &Cgroup,
    cpu: &LinuxCpu,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    for (name, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            let directory = cgroup.with("cpuset");
            in_controller(directory.as_deref(), "cpuset", left_out, |directory, _| {
                write(directory, name, value)
            })?;
        }
    }
    Ok(())
}

fn set_block_io(
    directory: &Path,
    block_io: &LinuxBlockIo,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    // The file is named after the I/O scheduler that implements it.
    let weight_file = if directory.join("blkio.weight").exists() {
        "blkio.weight"
    } else {
        "blkio.bfq.weight"
    };
    if let Some(weight) = block_io.weight().filter(|&weight| weight != 0) {
        write_if_there(directory, weight_file, &weight.to_string(), left_out)?;
    }
    for device in block_io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight().filter(|&weight| weight != 0) {
            let line = format!("{}:{} {weight}", device.major(), device.minor());
            write_if_there(directory, &format!("{weight_file}_device"), &line, left_out)?;
        }
    }
    for (file, devices) in [
        (
            "blkio.throttle.read_bps_device",
            block_io.throttle_read_bps_device(),
        ),
        (
            "blkio.throttle.write_bps_device",
            block_io.throttle_write_bps_device(),
        ),
        (
            "blkio.throttle.read_iops_device",
            block_io.throttle_read_iops_device(),
        ),
        (
            "blkio.throttle.write_iops_device",
            block_io.throttle_write_iops_device(),
        ),
    ] {
        for device in devices.iter().flatten() {
            let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            write_if_there(directory, file, &line, left_out)?;
        }
    }
    Ok(())
}

fn set_network(
    cgroup: &Cgroup,
    network: &LinuxNetwork,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    if let Some(class) = network.class_id() {
        let directory = cgroup.with("net_cls");
        in_controller(directory.as_deref(), "net_cls", left_out, |directory, _| {
            write(directory, "net_cls.classid", &class.to_string())
        })?;
    }
    for priority in network.priorities().iter().flatten() {
        let line = format!("{} {}", priority.name(), priority.priority());
        let directory = cgroup.with("net_prio");
        in_controller(
            directory.as_deref(),
            "net_prio",
            left_out,
            |directory, _| write(directory, "net_prio.ifpriomap", &line),
        )?;
    }
    Ok(())
}

/// Put a device policy into the files `devices.allow` and `devices.deny`.
pub(super) fn apply_devices(cgroup: &Cgroup, policy: &Policy) -> Result<(), CgroupError> {
    let Some(directory) = cgroup.with("devices") else {
        return Err(CgroupError::limit(
            "linux.resources.devices",
            "this host has no devices controller",
        ));
    };
    let (all, except) = if policy.allow_by_default {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    write(&directory, all, "a")?;
    // One descriptor for all: a line a write, as the kernel wants it.
    let path = directory.join(except);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .map_err(at("open", &path))?;
    for exception in &policy.exceptions {
        rustix::io::write(&file, exception.line().as_bytes())
            .map_err(|error| at("write", &path)(io::Error::from(error)))?;
    }
    Ok(())
}

fn is(error: &CgroupError, errno: Errno) -> bool {
    matches!(error, CgroupError::File { source, .. }
        if source.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpuset_gets_its_parents_processors() {
        let dir = tempfile::tempdir().unwrap();
        let child = dir.path().join("child");
        fs::create_dir(&child).unwrap();
        for name in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(dir.path().join(name), "0-1\n").unwrap();
            fs::write(child.join(name), "\n").unwrap();
        }
        fill_cpuset(&child).unwrap();
        assert_eq!(
            fs::read_to_string(child.join("cpuset.cpus")).unwrap(),
            "0-1"
        );
    }

    #[test]
    fn a_limit_of_pids_below_zero_is_none_and_zero_is_not_given() {
        assert_eq!(pids_max(-1).as_deref(), Some("max"));
        assert_eq!(pids_max(0), None);
        assert_eq!(pids_max(7).as_deref(), Some("7"));
    }
}
