//! Published ports: every form, every way to reach them, and what happens when they are taken.
//!
//! `WHARF_TEST_PEER=<dockerd>` runs these against Docker itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::time::Instant;

use wharf_tests::{Client, Daemon, Options, SILENCE, eventually};

/// A neighbour at 10.9.0.1 of a host at 10.9.0.2 and 10.9.0.3.
const NEIGHBOUR: &str = "
ip netns add neighbour; ip link add up0 type veth peer name up0 netns neighbour
ip addr add 10.9.0.2/24 dev up0; ip addr add 10.9.0.3/24 dev up0; ip link set up0 up
ip -n neighbour addr add 10.9.0.1/24 dev up0; ip -n neighbour link set up0 up; ip -n neighbour link set lo up
";

fn with_neighbour() -> Daemon {
    Daemon::start_with(Options {
        prepare: NEIGHBOUR.into(),
        ..Options::default()
    })
}

#[test]
fn a_published_port_is_reached_from_everywhere_it_is_published_on() {
    let daemon = with_neighbour();
    daemon.sleeper(
        "web",
        &[
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8081:80",
            "-p",
            "10.9.0.3:8082:80",
            "-p",
            "9000-9002:9000-9002",
        ],
    );
    let web = daemon.network_of("web");
    web.serve_tcp("0.0.0.0:80");
    web.serve_tcp("0.0.0.0:9001");
    let (host, neighbour) = (daemon.host_network(), daemon.named_network("neighbour"));
    assert_eq!(neighbour.seen_as("10.9.0.2:8080"), "10.9.0.1");
    assert_eq!(neighbour.seen_as("10.9.0.3:8080"), "10.9.0.1");
    assert_eq!(neighbour.seen_as("10.9.0.2:9001"), "10.9.0.1");
    assert_eq!(neighbour.seen_as("10.9.0.3:8082"), "10.9.0.1");
    assert!(
        !neighbour.reaches("10.9.0.2:8082"),
        "published on another address"
    );
    assert!(
        !neighbour.reaches("10.9.0.2:8081"),
        "published on loopback alone"
    );
    for port in [
        "127.0.0.1:8080",
        "127.0.0.1:8081",
        "10.9.0.2:8080",
        "10.9.0.3:8082",
        "127.0.0.1:9001",
    ] {
        host.seen_as(port);
    }
    // From a container, its own included, by the host's address.
    daemon.sleeper("other", &[]);
    daemon.network_of("other").seen_as("10.9.0.2:8080");
    web.seen_as("10.9.0.2:8080");
    // Nobody gets to a port that is not published, nor to the address behind it.
    let address = daemon.endpoint("web", "bridge", "IPAddress");
    web.serve_tcp("0.0.0.0:99");
    neighbour.run(|| ());
    daemon.host("ip -n neighbour route add 172.17.0.0/16 via 10.9.0.2");
    assert!(!neighbour.reaches(&format!("{address}:99")));
    daemon.docker(&["rm", "-f", "web"]);
    eventually("the port is let go", || {
        (!neighbour.reaches("10.9.0.2:8080")).then_some(())
    });
}

#[test]
fn port_and_ps_print_what_docker_prints() {
    let daemon = Daemon::start();
    daemon.sleeper(
        "web",
        &[
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8443:443",
            "-p",
            "5000-5003:5000-5003/udp",
            "--expose",
            "7",
        ],
    );
    for client in [Client::Docker, Client::Wharf] {
        assert_eq!(
            daemon.run(client, &["ps", "--format", "{{.Ports}}"]).ok(),
            "7/tcp, 0.0.0.0:5000-5003->5000-5003/udp, \
             0.0.0.0:8080->80/tcp, 127.0.0.1:8443->443/tcp"
        );
        assert_eq!(
            daemon.run(client, &["port", "web", "80"]).ok(),
            "0.0.0.0:8080"
        );
        assert_eq!(
            daemon.run(client, &["port", "web", "443/tcp"]).ok(),
            "127.0.0.1:8443"
        );
        let text = daemon.run(client, &["port", "web", "81"]).fails(1);
        assert!(
            text.contains("No public port '81' published for web"),
            "{text}"
        );
    }
    let ports = daemon.docker(&["inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"]);
    assert!(
        ports.contains("\"7/tcp\":null") || !ports.contains("\"7/tcp\""),
        "{ports}"
    );
    assert!(
        ports.contains("\"443/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8443\"}]"),
        "{ports}"
    );
}

#[test]
fn any_free_port_will_do_when_none_is_named() {
    let daemon = Daemon::start();
    daemon.sleeper("web", &["-p", "80", "-p", "10000-10001:81"]);
    daemon.sleeper("more", &["-P", "--expose", "82", "-p", "10000-10001:81"]);
    let port = |name: &str, inner: &str| -> u16 {
        let shown = daemon.docker(&["port", name, inner]);
        shown
            .lines()
            .next()
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let (low, high) = {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let mut ends = range
            .split_whitespace()
            .map(|end| end.parse::<u16>().unwrap());
        (ends.next().unwrap(), ends.next().unwrap())
    };
    let range = low..=high;
    assert!(range.contains(&port("web", "80")));
    assert!(range.contains(&port("more", "82")));
    assert_eq!((port("web", "81"), port("more", "81")), (10_000, 10_001));
    daemon.network_of("web").serve_tcp("0.0.0.0:80");
    daemon
        .host_network()
        .seen_as(&format!("127.0.0.1:{}", port("web", "80")));
}

#[test]
fn a_port_in_use_is_refused_and_a_freed_one_is_free_at_once() {
    let daemon = Daemon::start();
    daemon.sleeper("first", &["-p", "8080:80"]);
    daemon.docker(&["rm", "-f", "first"]);
    let before = daemon.host_state();
    let listener = daemon
        .host_network()
        .run(|| std::net::TcpListener::bind("0.0.0.0:8080"))
        .unwrap();
    let taken = daemon.run(
        Client::Docker,
        &[
            "run", "-d", "--name", "late", "-p", "8080:80", "busybox", "sleep", "9",
        ],
    );
    let text = taken.fails(125);
    assert!(text.contains("failed to bind host port"), "{text}");
    assert!(
        text.contains("0.0.0.0:8080") && text.contains("address already in use"),
        "{text}"
    );
    daemon.docker(&["rm", "-f", "late"]);
    eventually("nothing is half made", || {
        (daemon.host_state() == before).then_some(())
    });
    drop(listener);
    for round in 0..5 {
        let name = format!("web{round}");
        daemon.sleeper(&name, &["-p", "8080:80"]);
        let second = daemon.run(
            Client::Docker,
            &[
                "run", "-d", "--name", "second", "-p", "8080:80", "busybox", "sleep", "9",
            ],
        );
        let text = second.fails(125);
        assert!(
            text.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"),
            "{text}"
        );
        daemon.docker(&["rm", "-f", "second"]);
        daemon.docker(&["rm", "-f", &name]);
    }
}

#[test]
fn ports_are_kept_and_let_go_with_the_containers_life() {
    let daemon = Daemon::start();
    daemon.sleeper("web", &["-p", "8080:80"]);
    daemon.docker(&["stop", "-t", "0", "web"]);
    assert_eq!(daemon.docker(&["port", "web"]), "");
    daemon.docker(&["start", "web"]);
    assert_eq!(daemon.docker(&["port", "web", "80"]), "0.0.0.0:8080");
    daemon.network_of("web").serve_tcp("0.0.0.0:80");
    daemon.host_network().seen_as("127.0.0.1:8080");
}

/// Docker takes minutes: it runs a process and a rule for each.
#[test]
fn sixty_five_thousand_ports_in_one_range_are_one_element() {
    let daemon = with_neighbour();
    let begun = Instant::now();
    daemon.docker(&[
        "create",
        "--name",
        "wide",
        "-p",
        "500-65499:500-65499",
        "busybox",
        "sleep",
        "1000",
    ]);
    let made = begun.elapsed();
    let begun = Instant::now();
    daemon.docker(&["start", "wide"]);
    let took = begun.elapsed();
    eprintln!("create {made:?}, start {took:?}");
    assert!(took.as_secs() < 5, "{took:?}");
    let wide = daemon.network_of("wide");
    let neighbour = daemon.named_network("neighbour");
    for port in [500, 30_000, 65_499] {
        wide.serve_tcp(&format!("0.0.0.0:{port}"));
        assert_eq!(neighbour.seen_as(&format!("10.9.0.2:{port}")), "10.9.0.1");
    }
    assert!(neighbour.ask_udp("10.9.0.2:500", SILENCE).is_err());
    let rules = daemon.host("nft list ruleset | wc -l");
    assert!(
        rules.trim().parse::<u32>().unwrap() < 500,
        "{rules} lines of rules"
    );
}

/// No engine has it: ports of a container that runs come and go.
#[test]
fn a_running_containers_ports_change() {
    let daemon = with_neighbour();
    daemon.sleeper("web", &["-p", "8080:80"]);
    daemon.network_of("web").serve_tcp("0.0.0.0:80");
    let neighbour = daemon.named_network("neighbour");
    daemon.wharf(&[
        "update",
        "--publish-add",
        "9090:80",
        "--publish-rm",
        "8080:80",
        "web",
    ]);
    assert_eq!(neighbour.seen_as("10.9.0.2:9090"), "10.9.0.1");
    assert!(!neighbour.reaches("10.9.0.2:8080"));
    assert_eq!(daemon.docker(&["port", "web", "80"]), "0.0.0.0:9090");
    daemon.sleeper("next", &["-p", "8080:80"]);
    let text = daemon
        .run(
            Client::Wharf,
            &["update", "--publish-add", "8080:80", "web"],
        )
        .fails(1);
    assert!(text.contains("port is already allocated"), "{text}");
}
