//! Cgroups of the host the tests run on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bundle;

use std::fs;

use bundle::{Bundle, able, until};
use serde_json::{Value, json};

/// The first of two files that is there: version 1's, version 2's.
fn limit(bundle: &Bundle, controller: &str, v1: &str, v2: &str) -> String {
    let directory = bundle.cgroup(controller);
    fs::read_to_string(directory.join(v1))
        .or_else(|_| fs::read_to_string(directory.join(v2)))
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn running_out_of_memory_kills_with_137_and_is_counted() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script("tail /dev/zero");
    bundle.spec["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    assert_eq!(bundle.run().status, 137);
    // The first process lives on when a child is killed, and the count can be read.
    bundle.spec["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    assert_eq!(bundle.exec("tail /dev/zero").status, 137);
    let directory = bundle.cgroup("memory");
    let events = fs::read_to_string(directory.join("memory.oom_control"))
        .or_else(|_| fs::read_to_string(directory.join("memory.events")))
        .unwrap();
    assert!(events.contains("oom_kill 1"), "{events}");
}

#[test]
fn a_fork_bomb_meets_its_limit() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::script(
        "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done 2>/dev/null; echo not reached",
    );
    bundle.spec["linux"]["resources"]["pids"] = json!({"limit": 4});
    let said = bundle.run();
    assert_ne!(said.status, 0, "{}", said.out);
}

#[test]
fn limits_are_written_and_can_be_changed() {
    if !able() {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.spec["process"]["args"] = json!(["sleep", "1000"]);
    bundle.spec["linux"]["resources"]["cpu"] =
        json!({"shares": 2048, "quota": 50_000, "period": 100_000, "cpus": "0"});
    bundle.spec["linux"]["resources"]["pids"] = json!({"limit": 50});
    bundle.start();
    assert_eq!(limit(&bundle, "pids", "pids.max", "pids.max"), "50");
    let quota = limit(&bundle, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(quota.starts_with("50000"), "{quota}");
    assert_eq!(limit(&bundle, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(bundle.exec("nproc").ok(), "1");
    bundle
        .say(&[
            "update",
            "--memory",
            "64m",
            "--pids-limit",
            "20",
            "--cpu-quota",
            "-1",
            &bundle.id,
        ])
        .ok();
    assert_eq!(limit(&bundle, "pids", "pids.max", "pids.max"), "20");
    let memory = limit(&bundle, "memory", "memory.limit_in_bytes", "memory.max");
    assert_eq!(memory, (64 << 20).to_string());
    let quota = limit(&bundle, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(
        quota.starts_with("-1") || quota.starts_with("max"),
        "{quota}"
    );
    // Less than is in use.
    let error = bundle.say(&["update", "--memory", "4096", &bundle.id]);
    assert!(error.status != 0 || bundle.cgroup("memory").join("memory.max").exists());
}

#[test]
fn what_is_used_can_be_read() {
    if !able() {
        return;
    }
    let bundle =
        Bundle::script("dd if=/dev/zero of=/tmp/file bs=1M count=4 2>/dev/null; sleep 1000");
    bundle.start();
    let file = bundle.root().join("tmp/file");
    until("its work", || {
        fs::metadata(&file).is_ok_and(|file| file.len() == 4 << 20)
    });
    let out = bundle.say(&["events", "--stats", &bundle.id]).ok();
    let event: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(event["type"], "stats");
    let data = &event["data"];
    assert!(
        data["cpu"]["usage"]["total"].as_u64().unwrap() > 0,
        "{data}"
    );
    assert!(
        data["memory"]["usage"]["usage"].as_u64().unwrap() > 1 << 20,
        "{data}"
    );
    assert!(
        data["memory"]["raw"].as_object().unwrap().len() > 10,
        "{data}"
    );
    assert!(data["pids"]["current"].as_u64().unwrap() >= 1, "{data}");
}

#[test]
fn everything_in_the_cgroup_ends_with_the_container() {
    if !able() {
        return;
    }
    // Without a pid namespace of its own nothing ends with the first process.
    let mut bundle = Bundle::script("setsid sleep 1000 & setsid sleep 1000 & exit 0");
    bundle.share("pid");
    bundle.run().ok();
    assert!(!bundle.cgroup("pids").exists());
}

#[test]
fn cgroups_a_container_made_itself_are_removed_with_it() {
    if !able() {
        return;
    }
    let bundle = Bundle::new();
    let mut bundle = bundle;
    bundle.spec["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    fs::create_dir_all(bundle.cgroup("memory").join("inner/most")).unwrap();
    bundle.say(&["delete", "--force", &bundle.id]).ok();
    assert!(!bundle.cgroup("memory").exists());
}
