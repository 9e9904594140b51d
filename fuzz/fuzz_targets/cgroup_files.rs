//! Any text as what the kernel says in a cgroup's files, of both versions. The kernel is trusted;
//! a container that is given a cgroup of its own to write to, or a kernel of another day, less so.
//! Input: the contents of the files below, separated by bytes of 0.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use wharf_runtime::cgroup::{Cgroup, Layout};

const UNIFIED: [&str; 12] = [
    "memory.current",
    "memory.events",
    "memory.max",
    "memory.stat",
    "cpu.stat",
    "io.stat",
    "pids.current",
    "pids.max",
    "cgroup.procs",
    "cgroup.events",
    "cgroup.freeze",
    "memory.swap.current",
];

const SEVERAL: [&str; 12] = [
    "memory.usage_in_bytes",
    "memory.oom_control",
    "memory.limit_in_bytes",
    "memory.stat",
    "cpu.stat",
    "blkio.throttle.io_service_bytes_recursive",
    "pids.current",
    "pids.max",
    "cgroup.procs",
    "cpuacct.stat",
    "freezer.state",
    "cpuacct.usage_percpu",
];

static PLACE: OnceLock<TempDir> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let place = PLACE.get_or_init(|| {
        let place = wharf_fuzz::scratch();
        for version in ["unified", "several"] {
            std::fs::create_dir(place.path().join(version)).expect("a directory");
        }
        place
    });
    let unified = place.path().join("unified");
    let several = place.path().join("several");
    put(&unified, &UNIFIED, data);
    put(&several, &SEVERAL, data);
    std::fs::write(unified.join("cgroup.controllers"), "cpu io memory pids").expect("a file");
    std::fs::write(several.join("cpuacct.usage"), "77\n").expect("a file");
    look(&Layout::unified_at(&unified).expect("a layout"));
    look(&version_one(&several));
});

fn put(directory: &Path, names: &[&str], data: &[u8]) {
    let mut fields = wharf_fuzz::fields(data);
    for name in names {
        std::fs::write(directory.join(name), fields.next().unwrap_or_default()).expect("a file");
    }
}

fn version_one(mount: &Path) -> Layout {
    let controllers = ["memory", "cpu", "cpuacct", "blkio", "pids", "freezer"];
    let layout = serde_json::json!({ "hierarchies": [{
        "kind": { "V1": controllers },
        "mount": mount,
        "controllers": controllers,
    }]});
    serde_json::from_value(layout).expect("a layout")
}

fn look(layout: &Layout) {
    let cgroup = Cgroup::open(layout, Path::new(""));
    let _ = cgroup.stats();
    let _ = cgroup.oom_kills();
    let _ = cgroup.processes();
    let _ = cgroup.is_frozen();
}
