//! What cannot be is refused in Docker's words, and leaves nothing half made.
//!
//! `WHARF_TEST_PEER=<dockerd>` runs these against Docker itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use wharf_tests::{Client, Daemon, Options};

/// Insists on the daemon's words after `Error response from daemon: `, and on an unchanged host.
#[track_caller]
fn refused(daemon: &Daemon, args: &[&str], words: &str) {
    let before = daemon.host_state();
    let code = if args[0] == "run" { 125 } else { 1 };
    let text = daemon.run(Client::Docker, args).fails(code);
    let said = text
        .split_once("Error response from daemon: ")
        .map_or(text.as_str(), |(_, said)| said);
    assert!(
        said.contains(words),
        "{args:?}\nsaid:   {said}\nwanted: {words}"
    );
    assert_eq!(daemon.host_state(), before, "{args:?} left something");
}

#[test]
fn a_network_that_cannot_be_is_refused_in_dockers_words() {
    let daemon = Daemon::empty();
    daemon.docker(&["network", "create", "--subnet", "10.50.0.0/24", "taken"]);
    let create = |args: &[&str], words: &str| {
        let mut line = vec!["network", "create"];
        line.extend(args);
        refused(&daemon, &line, words);
    };
    create(&["taken"], "network with name taken already exists");
    create(
        &["--subnet", "10.50.0.0/16", "over"],
        "invalid pool request: Pool overlaps with other one on this address space",
    );
    create(
        &["--subnet", "10.50.0.0/24", "same"],
        "invalid pool request: Pool overlaps with other one on this address space",
    );
    create(&["-d", "nosuch", "odd"], "plugin \"nosuch\" not found");
    create(
        &["-d", "host", "odd"],
        "only one instance of \"host\" network is allowed",
    );
    create(
        &["-d", "null", "odd"],
        "only one instance of \"null\" network is allowed",
    );
    create(
        &["--subnet", "10.51.0.1/24", "bits"],
        "invalid subnet 10.51.0.1/24: it should be 10.51.0.0/24",
    );
    create(
        &["host"],
        "operation is not permitted on predefined host network",
    );
    create(&["-o", "com.docker.network.driver.mtu=much", "odd"], "much");
    create(
        &["-o", "com.docker.network.bridge.enable_icc=perhaps", "odd"],
        "perhaps",
    );
    create(
        &[
            "-o",
            "com.docker.network.bridge.gateway_mode_ipv4=sideways",
            "odd",
        ],
        "unknown gateway mode sideways",
    );
    create(
        &["-d", "macvlan", "-o", "parent=lo", "odd"],
        "loopback interface is not a valid macvlan parent link",
    );
    create(&["--ipv4=false", "odd"], "IPv4 or IPv6 must be enabled");
    assert_eq!(
        daemon
            .docker(&["network", "ls", "-q", "-f", "type=custom"])
            .lines()
            .count(),
        1
    );
}

#[test]
fn pools_that_are_used_up_say_so() {
    let daemon = Daemon::with(Options {
        flags: vec![
            "--default-address-pool".into(),
            "base=10.60.0.0/23,size=24".into(),
        ],
        ..Options::default()
    });
    // The default bridge took the first.
    daemon.docker(&["network", "create", "one"]);
    refused(
        &daemon,
        &["network", "create", "two"],
        "all predefined address pools have been fully subnetted",
    );
    daemon.docker(&["network", "rm", "one"]);
    daemon.docker(&["network", "create", "two"]);
}

#[test]
fn addresses_that_cannot_be_had_are_named() {
    let daemon = Daemon::start();
    daemon.docker(&["network", "create", "--subnet", "10.61.0.0/29", "tiny"]);
    daemon.docker(&["network", "create", "auto"]);
    daemon.sleeper("holder", &["--network", "tiny", "--ip", "10.61.0.5"]);
    let run = |args: &[&str], words: &str| {
        let mut line = vec!["run", "-d", "--name", "fails"];
        line.extend(args);
        line.extend(["busybox", "sleep", "9"]);
        let text = daemon.run(Client::Docker, &line).fails(125);
        assert!(
            text.contains(words),
            "{args:?}\nsaid:   {text}\nwanted: {words}"
        );
        daemon.run(Client::Docker, &["rm", "-f", "fails"]);
    };
    run(
        &["--network", "tiny", "--ip", "10.61.0.5"],
        "Address already in use",
    );
    run(
        &["--network", "tiny", "--ip", "10.62.0.5"],
        "no configured subnet or ip-range contain the IP address 10.62.0.5",
    );
    run(
        &["--ip", "172.17.0.9"],
        "user specified IP address is supported on user defined networks only",
    );
    run(
        &["--network", "auto", "--ip", "10.1.1.1"],
        "user specified IP address is supported only when connecting to networks with user configured subnets",
    );
    run(&["--network", "nosuch"], "network nosuch not found");
    run(
        &["--network-alias", "x"],
        "network-scoped aliases are only supported for user-defined networks",
    );
    run(
        &["--network", "host", "-P", "--ip", "1.2.3.4"],
        "user specified IP address is supported",
    );
    run(
        &["--network", "tiny", "--mac-address", "nonsense"],
        "nonsense is not a valid mac address",
    );
    // .1 is the gateway, .5 is held: four are left.
    for n in 0..4 {
        daemon.sleeper(&format!("full{n}"), &["--network", "tiny"]);
    }
    run(
        &["--network", "tiny"],
        "no available IPv4 addresses on this network's address pools: tiny",
    );
    let used: Vec<String> = (0..4)
        .map(|n| daemon.endpoint(&format!("full{n}"), "tiny", "IPAddress"))
        .collect();
    assert_eq!(used, ["10.61.0.2", "10.61.0.3", "10.61.0.4", "10.61.0.6"]);
}

#[test]
fn joining_and_leaving_that_cannot_be_is_refused() {
    let daemon = Daemon::start();
    daemon.docker(&["network", "create", "web"]);
    daemon.sleeper("inside", &["--network", "web"]);
    daemon.sleeper("hosted", &["--network", "host"]);
    daemon.sleeper("plain", &[]);
    refused(
        &daemon,
        &["network", "connect", "web", "inside"],
        "endpoint with name inside already exists in network web",
    );
    refused(
        &daemon,
        &["network", "connect", "web", "nobody"],
        "No such container: nobody",
    );
    refused(
        &daemon,
        &["network", "connect", "nosuch", "inside"],
        "network nosuch not found",
    );
    refused(
        &daemon,
        &["network", "disconnect", "web", "plain"],
        "is not connected to network web",
    );
    refused(
        &daemon,
        &["network", "connect", "web", "hosted"],
        "container sharing network namespace with another container or host cannot be connected to any other network",
    );
    refused(
        &daemon,
        &["network", "disconnect", "host", "hosted"],
        "cannot disconnect container from host network - container was created in host network mode",
    );
    refused(
        &daemon,
        &["network", "connect", "--ip", "10.9.9.9", "web", "plain"],
        "user configured subnets",
    );
    refused(&daemon, &["network", "rm", "web"], "has active endpoints");
    refused(
        &daemon,
        &["network", "inspect", "nosuch"],
        "network nosuch not found",
    );
}
