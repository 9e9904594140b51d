//! `run`: what a user's first ten minutes hold, with every client that must work unmodified.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use wharf_tests::{Client, Daemon, eventually};

const CLIENTS: [Client; 4] = [
    Client::Docker,
    Client::Docker20,
    Client::Wharf,
    Client::WharfAsDocker,
];

#[test]
fn every_client_runs_a_container_and_gets_its_output_and_exit_code() {
    let daemon = Daemon::start();
    for client in CLIENTS {
        let hello = daemon.run(client, &["run", "--rm", "busybox", "echo", "hello"]);
        assert_eq!(hello.ok(), "hello", "{client:?}");
        let code = daemon.run(client, &["run", "--rm", "busybox", "sh", "-c", "exit 42"]);
        code.fails(42);
        let streams = daemon.run(
            client,
            &[
                "run",
                "--rm",
                "busybox",
                "sh",
                "-c",
                "echo out; echo err >&2",
            ],
        );
        assert_eq!(
            (streams.stdout.as_str(), streams.stderr.as_str()),
            ("out\n", "err\n"),
            "{client:?}"
        );
    }
    assert_eq!(daemon.docker(&["ps", "-aq"]), "", "--rm left something");
}

#[test]
fn standard_input_reaches_the_container_and_its_end_too() {
    let daemon = Daemon::start();
    for client in CLIENTS {
        let ran = daemon.feed(
            client,
            &["run", "--rm", "-i", "busybox", "wc", "-c"],
            &vec![b'x'; 300_000],
        );
        assert_eq!(ran.ok().trim(), "300000", "{client:?}");
    }
}

#[test]
fn a_large_output_arrives_whole() {
    let daemon = Daemon::start();
    let ran = daemon.run(
        Client::Docker,
        &["run", "--rm", "busybox", "seq", "1", "200000"],
    );
    let text = ran.ok();
    assert_eq!(text.lines().count(), 200_000);
    assert!(text.ends_with("200000"));
}

#[test]
fn a_command_that_does_not_exist_exits_127_and_one_that_cannot_run_126() {
    let daemon = Daemon::start();
    for client in CLIENTS {
        let missing = daemon.run(client, &["run", "--rm", "busybox", "nosuchprogram"]);
        let text = missing.fails(127);
        assert!(
            text.contains("nosuchprogram") && text.contains("executable file not found in $PATH"),
            "{client:?}: {text}"
        );
        let text = daemon
            .run(client, &["run", "--rm", "busybox", "/etc/passwd"])
            .fails(126);
        assert!(text.contains("permission denied"), "{client:?}: {text}");
        let text = daemon
            .run(client, &["run", "--rm", "--no-such-flag", "busybox"])
            .fails(125);
        assert!(
            text.contains("unknown flag: --no-such-flag"),
            "{client:?}: {text}"
        );
    }
}

#[test]
fn a_missing_image_is_named_and_exits_125() {
    let daemon = Daemon::empty();
    for client in CLIENTS {
        let text = daemon
            .run(client, &["run", "--rm", "nosuch:tag", "true"])
            .fails(125);
        assert!(text.contains("nosuch:tag"), "{client:?}: {text}");
    }
}

#[test]
fn a_signal_that_ends_the_process_shows_as_128_and_its_number() {
    let daemon = Daemon::start();
    daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--rm",
                "busybox",
                "sh",
                "-c",
                // Not of itself: PID 1 of a namespace is deaf to what it sends to itself.
                "sh -c 'kill -9 $$'; exit $?",
            ],
        )
        .fails(137);
    daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--rm",
                "--init=false",
                "busybox",
                "sh",
                "-c",
                "kill -TERM $$; sleep 5; exit 3",
            ],
        )
        .fails(3);
}

#[test]
fn the_process_sees_what_was_asked_for() {
    let daemon = Daemon::start();
    let out = daemon.docker(&[
        "run",
        "--rm",
        "--name",
        "asked",
        "-h",
        "wharfhost",
        "-w",
        "/tmp/deep",
        "-u",
        "user",
        "-e",
        "A=1",
        "-e",
        "B=two words",
        "--group-add",
        "3000",
        "--label",
        "x=y",
        "busybox",
        "sh",
        "-c",
        "hostname; pwd; id -u; id -g; id -G; echo $A; echo $B; echo $HOME; cat /etc/hostname",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "wharfhost",
            "/tmp/deep",
            "1000",
            "1000",
            "1000 2000 2001 3000",
            "1",
            "two words",
            "/home/user",
            "wharfhost"
        ]
    );
}

#[test]
fn a_container_has_its_own_processes_hostname_and_interfaces() {
    let daemon = Daemon::start();
    let out = daemon.docker(&[
        "run", "--rm", "busybox", "sh", "-c",
        "echo $$; ls /proc | grep -c '^[0-9]'; ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "1", "the shell is PID 1");
    assert!(
        lines[1].parse::<u32>().unwrap() <= 4,
        "processes of the host show: {out}"
    );
    assert_eq!(&lines[2..], ["2", "1"], "eth0, and loopback, up");
}

#[test]
fn host_network_is_the_daemons_and_none_has_loopback_only() {
    let daemon = Daemon::start();
    let host = daemon.docker(&[
        "run",
        "--rm",
        "--network",
        "host",
        "busybox",
        "readlink",
        "/proc/self/ns/net",
    ]);
    let daemons = std::fs::read_link(format!("/proc/{}/ns/net", daemon.pid())).unwrap();
    assert_eq!(host, daemons.to_string_lossy());
    let none = daemon.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "ip",
        "-o",
        "link",
    ]);
    assert_eq!(none.lines().count(), 1, "{none}");
}

#[test]
fn a_container_joins_the_network_of_another_and_a_named_namespace() {
    let daemon = Daemon::start_with(wharf_tests::Options {
        prepare: "ip netns add blue; ip -n blue link add marker type veth peer name other".into(),
        ..Default::default()
    });
    let first = daemon.docker(&["run", "-d", "--name", "first", "busybox", "sleep", "1000"]);
    assert_eq!(first.len(), 64);
    let a = daemon.docker(&["exec", "first", "readlink", "/proc/self/ns/net"]);
    let b = daemon.docker(&[
        "run",
        "--rm",
        "--network",
        "container:first",
        "busybox",
        "readlink",
        "/proc/self/ns/net",
    ]);
    assert_eq!(a, b);
    let named = daemon.docker(&[
        "run",
        "--rm",
        "--network",
        "ns:/run/netns/blue",
        "busybox",
        "ip",
        "-o",
        "link",
    ]);
    assert!(named.contains("marker"), "{named}");
    let text = daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--rm",
                "--network",
                "ns:/run/netns/red",
                "busybox",
                "true",
            ],
        )
        .fails(125);
    assert!(text.contains("/run/netns/red"), "{text}");
}

#[test]
fn a_published_port_is_shown_and_refused_to_a_second_container() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sleep", "1000",
    ]);
    assert_eq!(daemon.docker(&["port", "web"]), "80/tcp -> 0.0.0.0:8080");
    let text = daemon
        .run(
            Client::Docker,
            &["run", "--rm", "-p", "8080:80", "busybox", "true"],
        )
        .fails(125);
    assert!(
        text.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"),
        "{text}"
    );
    daemon.docker(&["rm", "-f", "web"]);
    daemon.docker(&["run", "--rm", "-p", "8080:80", "busybox", "true"]);
}

#[test]
fn memory_beyond_the_limit_is_an_oom_kill_that_inspect_tells() {
    let daemon = Daemon::start();
    daemon
        .run(
            Client::Docker,
            &[
                "run",
                "--name",
                "hungry",
                "-m",
                "16m",
                "--memory-swap",
                "16m",
                "busybox",
                "sh",
                "-c",
                "x=$(yes | head -c 100000000); echo $?",
            ],
        )
        .fails(137);
    let state = daemon.docker(&[
        "inspect",
        "-f",
        "{{.State.OOMKilled}} {{.State.ExitCode}}",
        "hungry",
    ]);
    assert_eq!(state, "true 137");
}

#[test]
fn limits_land_in_the_cgroup() {
    let daemon = Daemon::start();
    let out = daemon.docker(&[
        "run", "--rm", "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "--cpu-shares", "512", "busybox", "sh", "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares 2>/dev/null || cat memory.max pids.max cpu.max cpu.weight",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "67108864");
    assert_eq!(lines[1], "50");
    assert!(lines[2].starts_with("50000"), "{out}");
}

#[test]
fn the_default_confinement_is_in_place() {
    let daemon = Daemon::start();
    let status = daemon.docker(&["run", "--rm", "busybox", "cat", "/proc/self/status"]);
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name} in {status}"))
            .trim()
            .to_owned()
    };
    assert_eq!(field("CapInh:"), "0000000000000000");
    assert_eq!(field("CapEff:"), "00000000a80425fb");
    assert_eq!(field("CapBnd:"), "00000000a80425fb");
    assert_eq!(field("Seccomp:"), "2");
    let text = daemon
        .run(
            Client::Docker,
            &[
                "run", "--rm", "busybox", "mount", "-t", "tmpfs", "x", "/mnt",
            ],
        )
        .stderr;
    assert!(
        text.contains("ermission denied") || text.contains("not permitted"),
        "{text}"
    );
    let masked = daemon.docker(&[
        "run", "--rm", "busybox", "sh", "-c",
        "wc -c </proc/kcore; echo x >/proc/sys/kernel/domainname && echo wrote; ls /proc/acpi 2>/dev/null | wc -l; touch /sys/x 2>/dev/null || echo ro",
    ]);
    assert!(
        masked.starts_with('0') && masked.ends_with("ro") && !masked.contains("wrote"),
        "{masked}"
    );
}

#[test]
fn capabilities_privilege_and_new_privileges_follow_the_flags() {
    let daemon = Daemon::start();
    let eff = |flags: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend([
            "busybox",
            "grep",
            "-E",
            "CapEff|NoNewPrivs",
            "/proc/self/status",
        ]);
        daemon.docker(&args)
    };
    assert!(eff(&["--cap-drop", "ALL"]).contains("0000000000000000"));
    assert!(eff(&["--cap-drop", "ALL", "--cap-add", "NET_RAW"]).contains("0000000000002000"));
    assert!(eff(&["--security-opt", "no-new-privileges"]).contains("NoNewPrivs:\t1"));
    let all = eff(&["--privileged"]);
    assert!(!all.contains("00000000a80425fb"), "{all}");
}

#[test]
fn a_read_only_root_refuses_writes_but_tmpfs_takes_them() {
    let daemon = Daemon::start();
    let out = daemon.docker(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/scratch:size=1m",
        "busybox",
        "sh",
        "-c",
        "touch /x 2>&1; touch /scratch/y && echo yes; df -k /scratch | tail -1 | awk '{print $2}'",
    ]);
    assert!(
        out.contains("Read-only file system") && out.contains("yes\n1024"),
        "{out}"
    );
}

#[test]
fn a_detached_container_prints_its_id_and_runs_on() {
    let daemon = Daemon::start();
    for client in CLIENTS {
        let id = daemon
            .run(client, &["run", "-d", "busybox", "sleep", "1000"])
            .ok();
        assert_eq!(id.len(), 64, "{client:?}: {id}");
        assert_eq!(
            daemon
                .run(client, &["inspect", "-f", "{{.State.Running}}", &id])
                .ok(),
            "true"
        );
        daemon.run(client, &["rm", "-f", &id]).ok();
    }
    eventually("no process is left", || {
        daemon.processes().is_empty().then_some(())
    });
}

#[test]
fn a_small_init_reaps_and_forwards_when_asked_for() {
    let daemon = Daemon::start();
    let out = daemon.docker(&[
        "run",
        "--rm",
        "--init",
        "busybox",
        "sh",
        "-c",
        "echo $$; cat /proc/1/comm",
    ]);
    let lines: Vec<&str> = out.lines().collect();
    assert_ne!(lines[0], "1", "{out}");
    daemon
        .run(
            Client::Docker,
            &["run", "--rm", "--init", "busybox", "sh", "-c", "exit 7"],
        )
        .fails(7);
}

#[test]
fn unsupported_options_are_refused_by_name() {
    let daemon = Daemon::start();
    for (flags, name) in [
        (&["--restart", "always"][..], "RestartPolicy"),
        (&["--blkio-weight", "300"], "BlkioWeight"),
        (&["--sysctl", "net.ipv4.ip_forward=1"], "Sysctls"),
        (&["--health-cmd", "true"], "Healthcheck"),
        (&["--log-driver", "syslog"], "LogConfig"),
        (&["--gpus", "all"], "DeviceRequests"),
    ] {
        let mut args = vec!["run", "-d"];
        args.extend(flags);
        args.extend(["busybox", "true"]);
        let text = daemon.run(Client::Docker, &args).fails(125);
        assert!(text.contains(name), "{flags:?}: {text}");
    }
    assert_eq!(daemon.docker(&["ps", "-aq"]), "");
}
