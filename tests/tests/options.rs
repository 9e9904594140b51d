//! Options of containers, filters and events that docker's clients send, seen from inside and out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use serde_json::json;
use wharf_tests::{Client, Daemon, eventually, request};

fn run(daemon: &Daemon, options: &str, script: &str) -> String {
    let mut args = vec!["run", "--rm"];
    args.extend(options.split_whitespace());
    args.extend(["busybox", "sh", "-c", script]);
    daemon.docker(&args)
}

#[test]
fn names_entrypoints_and_signals_are_the_requests() {
    let daemon = Daemon::start();
    assert_eq!(
        run(
            &daemon,
            "--domainname example.org -h box",
            "hostname; cat /proc/sys/kernel/domainname"
        ),
        "box\nexample.org"
    );
    let out = daemon.docker(&[
        "run",
        "--rm",
        "--entrypoint",
        "echo",
        "busybox",
        "one",
        "two",
    ]);
    assert_eq!(out, "one two");
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "slow",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "20",
        "busybox",
        "sh",
        "-c",
        "trap 'echo told; exit 5' USR1; echo ready; while :; do sleep 0.1; done",
    ]);
    eventually("its trap", || {
        (daemon.docker(&["logs", "slow"]) == "ready").then_some(())
    });
    daemon.docker(&["stop", "slow"]);
    assert_eq!(daemon.docker(&["logs", "slow"]), "ready\ntold");
    assert_eq!(
        daemon.docker(&[
            "inspect",
            "-f",
            "{{.State.ExitCode}} {{.Config.StopSignal}} {{.Config.StopTimeout}}",
            "slow"
        ]),
        "5 USR1 20"
    );
    let created = daemon.post(
        "/containers/create?name=quiet",
        &json!({"Image": "busybox", "Cmd": ["ls", "/sys/class/net"], "NetworkDisabled": true,
            "Shell": ["/bin/sh", "-ec"], "OnBuild": ["RUN true"]}),
    );
    assert_eq!(created.status, 201, "{}", created.message());
    assert_eq!(daemon.docker(&["start", "-a", "quiet"]), "lo");
}

#[test]
fn limits_are_the_requests_and_can_be_changed() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "held",
        "-m",
        "64m",
        "--memory-reservation",
        "32m",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "25000",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "--ulimit",
        "nofile=100:200",
        "--oom-score-adj",
        "500",
        "busybox",
        "sleep",
        "1000",
    ]);
    let inside = |script: &str| daemon.docker(&["exec", "held", "sh", "-c", script]);
    assert_eq!(inside("ulimit -n; ulimit -Hn"), "100\n200");
    assert_eq!(inside("cat /proc/1/oom_score_adj"), "500");
    assert_eq!(
        inside("grep Cpus_allowed_list /proc/1/status | cut -f2"),
        "0"
    );
    let v1 = fs::metadata("/sys/fs/cgroup/memory").is_ok();
    let read = |one: &str, two: &str| {
        inside(&format!(
            "cat /sys/fs/cgroup/{}",
            if v1 { one } else { two }
        ))
    };
    assert_eq!(
        read("memory/memory.soft_limit_in_bytes", "memory.low"),
        (32 << 20).to_string()
    );
    if v1 {
        assert_eq!(inside("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "25000");
        assert_eq!(inside("cat /sys/fs/cgroup/cpu/cpu.shares"), "512");
    } else {
        assert_eq!(inside("cat /sys/fs/cgroup/cpu.max"), "25000 50000");
    }
    daemon.docker(&[
        "update",
        "--cpu-quota",
        "30000",
        "--memory-reservation",
        "16m",
        "--cpuset-cpus",
        "0-1",
        "held",
    ]);
    assert_eq!(
        inside("grep Cpus_allowed_list /proc/1/status | cut -f2"),
        "0-1"
    );
    assert_eq!(
        read("memory/memory.soft_limit_in_bytes", "memory.low"),
        (16 << 20).to_string()
    );
    if v1 {
        assert_eq!(inside("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "30000");
    }
    assert_eq!(
        daemon.docker(&[
            "inspect",
            "-f",
            "{{.HostConfig.CpuQuota}} {{.HostConfig.CpusetCpus}}",
            "held"
        ]),
        "30000 0-1"
    );
    daemon.docker(&["rm", "-f", "held"]);
    let parent = format!("{}/below", daemon.cgroup());
    let paths = run(
        &daemon,
        &format!("--cgroup-parent {parent} --cgroupns host"),
        "cat /proc/self/cgroup",
    );
    assert!(paths.contains(&parent), "{paths}");
}

#[test]
fn namespaces_are_private_shared_or_the_hosts_as_asked() {
    let daemon = Daemon::start();
    let host = |kind: &str| {
        fs::read_link(format!("/proc/{}/ns/{kind}", daemon.pid()))
            .unwrap()
            .display()
            .to_string()
    };
    daemon.docker(&[
        "run",
        "-d",
        "--name",
        "first",
        "--ipc",
        "shareable",
        "busybox",
        "sleep",
        "1000",
    ]);
    let of = |options: &str, kind: &str| {
        run(&daemon, options, &format!("readlink /proc/self/ns/{kind}"))
    };
    let first =
        |kind: &str| daemon.docker(&["exec", "first", "readlink", &format!("/proc/1/ns/{kind}")]);
    for (option, kind) in [("--ipc", "ipc"), ("--cgroupns", "cgroup")] {
        assert_eq!(of(&format!("{option} host"), kind), host(kind), "{option}");
        assert_ne!(
            of(&format!("{option} private"), kind),
            host(kind),
            "{option}"
        );
    }
    for (option, kind) in [("--pid", "pid"), ("--uts", "uts")] {
        assert_eq!(of(&format!("{option} host"), kind), host(kind), "{option}");
        assert_ne!(of("", kind), host(kind), "{option}");
    }
    assert_eq!(of("--userns host", "user"), host("user"));
    assert_eq!(of("--pid container:first", "pid"), first("pid"));
    assert_eq!(of("--ipc container:first", "ipc"), first("ipc"));
    assert_eq!(
        run(
            &daemon,
            "--shm-size 1m",
            "df -k /dev/shm | tail -1 | awk '{print $2}'"
        ),
        "1024"
    );
    let text = daemon
        .run(
            Client::Docker,
            &["run", "--rm", "--userns", "private", "busybox", "true"],
        )
        .fails(125);
    assert!(
        text.contains("invalid USER mode") || text.contains("userns"),
        "{text}"
    );
}

#[test]
fn name_resolution_is_what_was_asked_for() {
    let daemon = Daemon::start();
    let out = run(
        &daemon,
        "--dns 192.0.2.53 --dns-search example.org --dns-option ndots:2 --add-host db:192.0.2.7",
        "cat /etc/resolv.conf; grep db /etc/hosts",
    );
    for line in [
        "nameserver 192.0.2.53",
        "search example.org",
        "options ndots:2",
        "192.0.2.7\tdb",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let file = daemon.dir().join("cid");
    let id = daemon.docker(&[
        "create",
        "--cidfile",
        file.to_str().unwrap(),
        "--annotation",
        "a=b",
        "busybox",
    ]);
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.HostConfig.Annotations.a}}", &id]),
        "b"
    );
}

#[test]
fn binds_and_memory_take_their_options() {
    let daemon = Daemon::start();
    let dir = daemon.dir().join("shown");
    fs::create_dir(&dir).unwrap();
    let dir = dir.to_str().unwrap();
    let out = run(
        &daemon,
        &format!("--mount type=bind,src={dir},dst=/b,bind-propagation=rslave,consistency=cached"),
        "grep ' /b ' /proc/self/mountinfo",
    );
    assert!(out.contains("master:") || !out.contains("shared:"), "{out}");
    let missing = format!("{dir}/made/here");
    let created = daemon.post(
        "/containers/create?name=made",
        &json!({"Image": "busybox", "Cmd": ["ls", "-d", "/m"], "HostConfig": {"Mounts": [
            {"Type": "bind", "Source": missing, "Target": "/m",
             "BindOptions": {"CreateMountpoint": true, "NonRecursive": true}},
            {"Type": "volume", "Source": "tagged", "Target": "/v",
             "VolumeOptions": {"Labels": {"k": "v"}}}]}}),
    );
    assert_eq!(created.status, 201, "{}", created.message());
    assert_eq!(daemon.docker(&["start", "-a", "made"]), "/m");
    assert!(fs::metadata(&missing).unwrap().is_dir());
    assert_eq!(
        daemon.docker(&["volume", "ls", "-q", "-f", "label=k=v"]),
        "tagged"
    );
    let out = run(
        &daemon,
        "--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700",
        "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'",
    );
    assert_eq!(out, "700\n1024");
}

#[test]
fn security_options_that_are_there_work_and_others_are_named() {
    let daemon = Daemon::start();
    let profile = daemon.dir().join("profile.json");
    fs::write(
        &profile,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
            [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#,
    )
    .unwrap();
    let seccomp = format!("--security-opt seccomp={}", profile.display());
    assert!(run(&daemon, &seccomp, "mkdir /x 2>&1 || true").contains("not permitted"));
    assert_eq!(
        run(
            &daemon,
            "--security-opt seccomp=unconfined",
            "grep Seccomp: /proc/self/status"
        ),
        "Seccomp:\t0"
    );
    run(
        &daemon,
        "--security-opt apparmor=unconfined --security-opt label=disable",
        "true",
    );
    for option in ["apparmor=mine", "systempaths=unconfined"] {
        let ran = daemon.run(
            Client::Docker,
            &["run", "--rm", "--security-opt", option, "busybox", "true"],
        );
        assert!(
            ran.code == 0 || ran.stderr.contains("not supported yet"),
            "{option}: {}",
            ran.stderr
        );
    }
    daemon.docker(&["run", "-d", "--name", "plain", "busybox", "sleep", "1000"]);
    let effective = |args: &[&str]| {
        let all = [
            &["exec"],
            args,
            &["plain", "grep", "CapEff", "/proc/self/status"],
        ]
        .concat();
        daemon.docker(&all)
    };
    assert_ne!(effective(&["--privileged"]), effective(&[]));
}

#[test]
fn listings_and_prunes_filter_by_everything_they_know() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "create", "--name", "web", "--label", "tier=web", "--expose", "80", "busybox",
    ]);
    daemon.docker(&["create", "--name", "db", "--label", "tier=db", "busybox"]);
    let names = |filter: &str| {
        let mut found: Vec<String> = daemon
            .docker(&["ps", "-a", "--format", "{{.Names}}", "-f", filter])
            .lines()
            .map(str::to_owned)
            .collect();
        found.sort();
        found.join(" ")
    };
    let id = daemon.docker(&["inspect", "-f", "{{.Id}}", "web"]);
    assert_eq!(names("expose=80"), "web");
    assert_eq!(names(&format!("id={}", &id[..12])), "web");
    assert_eq!(names("health=none"), "db web");
    assert_eq!(names("is-task=false"), "db web");
    assert_eq!(names("is-task=true"), "");
    assert_eq!(names("publish=80"), "");
    let pruned = |filter: &str| {
        daemon.docker(&["container", "prune", "-f", "--filter", filter]);
        names("name=")
    };
    assert_eq!(pruned("until=1h"), "db web");
    assert_eq!(pruned("label=tier=nothing"), "db web");
    assert_eq!(pruned("label!=tier=db"), "db");
    assert_eq!(pruned("label=tier=db"), "");

    daemon.docker(&["create", "--name", "base", "busybox"]);
    daemon.docker(&["commit", "-c", "LABEL stage=test", "base", "newer:1"]);
    daemon.docker(&["rm", "base"]);
    let images =
        |filter: &str| daemon.docker(&["images", "--format", "{{.Repository}}", "-f", filter]);
    assert_eq!(images("before=newer:1"), "busybox");
    assert_eq!(images("since=busybox"), "newer");
    assert_eq!(images("until=1h"), "busybox");
    assert_eq!(images("label=stage=test"), "newer");
    daemon.docker(&[
        "image",
        "prune",
        "-af",
        "--filter",
        "label!=stage=test",
        "--filter",
        "until=1h",
    ]);
    assert_eq!(
        daemon.docker(&["images", "--format", "{{.Repository}}"]),
        "newer"
    );
    daemon.docker(&["image", "prune", "-af", "--filter", "label=stage=test"]);
    assert_eq!(daemon.docker(&["images", "-q"]), "");
}

#[test]
fn every_event_is_told_and_found_by_each_filter() {
    let daemon = Daemon::start();
    let id = daemon.docker(&[
        "run", "-d", "--name", "told", "-v", "vol:/v", "--label", "k=v", "busybox", "sleep", "1000",
    ]);
    daemon.docker(&["exec", "told", "true"]);
    daemon.docker(&["pause", "told"]);
    daemon.docker(&["unpause", "told"]);
    daemon.docker(&["update", "-m", "64m", "--memory-swap", "-1", "told"]);
    daemon.docker(&["top", "told"]);
    let copied = daemon.dir().join("hosts");
    daemon.docker(&["cp", "told:/etc/hosts", copied.to_str().unwrap()]);
    daemon.docker(&["cp", copied.to_str().unwrap(), "told:/tmp/hosts"]);
    daemon.docker(&[
        "export",
        "-o",
        daemon.dir().join("tar").to_str().unwrap(),
        "told",
    ]);
    daemon.docker(&["commit", "told", "image:1"]);
    daemon.docker(&["restart", "-t", "0", "told"]);
    daemon.docker(&["stop", "-t", "0", "told"]);
    daemon.docker(&["rm", "told"]);
    daemon.docker(&["tag", "image:1", "image:2"]);
    daemon.docker(&[
        "save",
        "-o",
        daemon.dir().join("saved").to_str().unwrap(),
        "image:1",
    ]);
    daemon.docker(&["load", "-i", daemon.dir().join("saved").to_str().unwrap()]);
    daemon.docker(&[
        "import",
        daemon.dir().join("tar").to_str().unwrap(),
        "imported:1",
    ]);
    daemon.docker(&["rmi", "image:1", "image:2", "imported:1"]);
    daemon.docker(&["container", "prune", "-f"]);
    daemon.docker(&["image", "prune", "-f"]);
    daemon.docker(&["volume", "rm", "vol"]);
    daemon.docker(&["volume", "prune", "-f"]);
    let told = |filters: &[&str]| {
        let mut args = vec![
            "events",
            "--since",
            "10m",
            "--until",
            "0s",
            "--format",
            "{{.Type}} {{.Action}}",
        ];
        for filter in filters {
            args.extend(["--filter", filter]);
        }
        daemon.docker(&args)
    };
    // The client asks for whole seconds.
    eventually("the last of them", || {
        told(&["type=volume"])
            .ends_with("volume prune")
            .then_some(())
    });
    let all = told(&[]);
    for event in [
        "container create",
        "container start",
        "container exec_create: true",
        "container exec_start: true",
        "container exec_die",
        "container pause",
        "container unpause",
        "container update",
        "container top",
        "container archive-path",
        "container extract-to-dir",
        "container export",
        "container commit",
        "container kill",
        "container die",
        "container stop",
        "container restart",
        "container destroy",
        "container prune",
        "image tag",
        "image save",
        "image load",
        "image import",
        "image untag",
        "image delete",
        "image prune",
        "volume create",
        "volume mount",
        "volume unmount",
        "volume destroy",
        "volume prune",
    ] {
        assert!(
            all.lines().any(|line| line == event),
            "no {event:?} in\n{all}"
        );
    }
    let of_container = told(&[&format!("container={id}")]);
    assert!(
        of_container
            .lines()
            .all(|line| line.starts_with("container")),
        "{of_container}"
    );
    assert!(of_container.lines().count() > 10);
    assert_eq!(
        told(&["container=told", "event=pause"]),
        "container pause
container pause",
        "ours, and that of the commit"
    );
    assert_eq!(told(&["label=k=v", "event=unpause"]).lines().count(), 2);
    assert!(told(&["image=busybox"]).contains("container create"));
    assert!(
        told(&["volume=vol"])
            .lines()
            .all(|line| line.starts_with("volume"))
    );
    assert!(told(&["scope=local"]).contains("volume mount"));
    for nothing in [
        "daemon=x",
        "network=x",
        "plugin=x",
        "config=x",
        "secret=x",
        "service=x",
        "node=x",
    ] {
        assert_eq!(told(&[nothing]), "", "{nothing}");
    }
}

#[test]
fn small_doors_answer_as_dockerd() {
    let daemon = Daemon::start();
    let ask = |method: &str, path: &str| request(&daemon.socket(), method, path, &[], b"");
    assert_eq!(ask("OPTIONS", "/containers/json").status, 200);
    assert_eq!(ask("DELETE", "/networks/bridge").status, 403);
    assert_eq!(ask("DELETE", "/networks/nothing").status, 404);
    assert_eq!(ask("POST", "/networks/prune").status, 200);
    assert_eq!(ask("GET", "/networks/none").json()["Driver"], "null");
    let listed =
        |filter: &str| daemon.docker(&["network", "ls", "--format", "{{.Name}}", "-f", filter]);
    assert_eq!(listed("driver=host"), "host");
    assert_eq!(listed("name=non"), "none");
    assert_eq!(listed("type=custom"), "");
    assert_eq!(listed("scope=local").lines().count(), 3);
    assert_eq!(
        daemon.docker(&[
            "run",
            "--rm",
            "--platform",
            "linux/amd64",
            "busybox",
            "echo",
            "mine"
        ]),
        "mine"
    );
    for platform in ["linux", "linux/amd64"] {
        let path = format!(
            "/containers/create?platform={}",
            platform.replace('/', "%2F")
        );
        let created = daemon.post(&path, &json!({"Image": "busybox"}));
        assert_eq!(created.status, 201, "{platform}: {}", created.message());
    }
    let cluster = daemon.post(
        "/volumes/create",
        &json!({"ClusterVolumeSpec": {"Group": "x"}}),
    );
    assert_eq!(cluster.status, 503);
    let gateway = daemon.post(
        "/containers/create",
        &json!({"Image": "busybox", "HostConfig": {"ExtraHosts": ["h:host-gateway"]}}),
    );
    assert!(matches!(gateway.status, 201 | 501), "{}", gateway.message());
}
