//! Networks: how containers are attached, reach each other and the world, and are let go.
//!
//! `WHARF_TEST_PEER=<dockerd>` runs these against Docker itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use wharf_tests::{Client, Daemon, Options, eventually};

/// client 10.8.0.2 -- 10.8.0.1 router 10.9.0.1 -- 10.9.0.2 host, and the same in fd08 and fd09.
const ROUTED: &str = "
ip netns add router; ip netns add client
ip link add up0 type veth peer name down0 netns router
ip -n client link add up1 type veth peer name down1 netns router
ip addr add 10.9.0.2/24 dev up0; ip -6 addr add fd09::2/64 dev up0 nodad; ip link set up0 up
for l in lo down0 down1; do ip -n router link set $l up; done
ip -n router addr add 10.9.0.1/24 dev down0; ip -n router -6 addr add fd09::1/64 dev down0 nodad
ip -n router addr add 10.8.0.1/24 dev down1; ip -n router -6 addr add fd08::1/64 dev down1 nodad
ip -n client link set lo up; ip -n client link set up1 up
ip -n client addr add 10.8.0.2/24 dev up1; ip -n client -6 addr add fd08::2/64 dev up1 nodad
ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n client route add default via 10.8.0.1; ip -n client -6 route add default via fd08::1
ip route add default via 10.9.0.1; ip -6 route add default via fd09::1
";

fn routed() -> Daemon {
    Daemon::start_with(Options {
        prepare: ROUTED.into(),
        ..Options::default()
    })
}

#[test]
fn a_server_behind_a_published_port_sees_who_asks_from_afar() {
    let daemon = routed();
    daemon.docker(&[
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "fd55::/64",
        "six",
    ]);
    daemon.sleeper(
        "web",
        &["--network", "six", "-p", "8080:80", "-p", "5300:53/udp"],
    );
    let web = daemon.network_of("web");
    web.serve_tcp("[::]:80");
    web.serve_udp("[::]:53");
    let client = daemon.named_network("client");
    assert_eq!(client.seen_as("10.9.0.2:8080"), "10.8.0.2");
    assert_eq!(client.seen_as("[fd09::2]:8080"), "fd08::2");
    assert_eq!(client.seen_as_udp("10.9.0.2:5300"), "10.8.0.2");
    assert_eq!(client.seen_as_udp("[fd09::2]:5300"), "fd08::2");
}

#[test]
fn a_container_reaches_the_world_as_its_host() {
    let daemon = routed();
    daemon.docker(&[
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "fd55::/64",
        "six",
    ]);
    daemon.sleeper("box", &["--network", "six"]);
    daemon.sleeper("plain", &[]);
    let client = daemon.named_network("client");
    client.serve_tcp("[::]:7");
    client.serve_udp("[::]:7");
    let container = daemon.network_of("box");
    assert_eq!(container.seen_as("10.8.0.2:7"), "10.9.0.2");
    assert_eq!(container.seen_as_udp("10.8.0.2:7"), "10.9.0.2");
    assert_eq!(container.seen_as("[fd08::2]:7"), "fd09::2");
    assert_eq!(container.seen_as_udp("[fd08::2]:7"), "fd09::2");
    assert_eq!(
        daemon.network_of("plain").seen_as("10.8.0.2:7"),
        "10.9.0.2",
        "the default bridge"
    );
}

#[test]
fn the_default_bridge_is_dockers() {
    let daemon = Daemon::start();
    daemon.sleeper("one", &[]);
    let out = daemon.docker(&["exec", "one", "ip", "-4", "addr", "show", "eth0"]);
    assert!(
        out.contains("inet 172.17.0.2/16 brd 172.17.255.255"),
        "{out}"
    );
    let routes = daemon.docker(&["exec", "one", "ip", "route"]);
    assert!(
        routes.contains("default via 172.17.0.1 dev eth0"),
        "{routes}"
    );
    for (field, value) in [
        ("IPAddress", "172.17.0.2"),
        ("Gateway", "172.17.0.1"),
        ("IPPrefixLen", "16"),
        ("GlobalIPv6Address", ""),
        ("Aliases", "[]"),
    ] {
        assert_eq!(daemon.endpoint("one", "bridge", field), value, "{field}");
    }
    let mac = daemon.endpoint("one", "bridge", "MacAddress");
    let link = daemon.docker(&["exec", "one", "cat", "/sys/class/net/eth0/address"]);
    assert_eq!(mac, link);
    let hosts = daemon.docker(&["exec", "one", "cat", "/etc/hosts"]);
    let id = daemon.docker(&["inspect", "-f", "{{.Config.Hostname}}", "one"]);
    assert!(hosts.contains(&format!("172.17.0.2\t{id}")), "{hosts}");
    // Docker resolves no names there.
    daemon.sleeper("two", &[]);
    daemon
        .run(
            Client::Docker,
            &["exec", "two", "ping", "-c1", "-W1", "one"],
        )
        .fails(1);
    daemon.docker(&["exec", "two", "ping", "-c1", "-W2", "172.17.0.2"]);
}

#[test]
fn a_network_of_ones_own_has_the_next_pool_and_knows_names() {
    let daemon = Daemon::start();
    daemon.docker(&["network", "create", "web"]);
    let subnet = daemon.docker(&[
        "network",
        "inspect",
        "-f",
        "{{(index .IPAM.Config 0).Subnet}}",
        "web",
    ]);
    assert_eq!(subnet, "172.18.0.0/16");
    daemon.sleeper("db", &["--network", "web", "--network-alias", "store"]);
    daemon.sleeper("app", &["--network", "web"]);
    for name in ["db", "store", "db.web"] {
        daemon.docker(&["exec", "app", "ping", "-c1", "-W2", name]);
    }
    let id = daemon.docker(&["inspect", "-f", "{{.Id}}", "db"]);
    daemon.docker(&["exec", "app", "ping", "-c1", "-W2", &id[..12]]);
    let resolver = daemon.docker(&["exec", "app", "cat", "/etc/resolv.conf"]);
    assert!(resolver.contains("nameserver 127.0.0.11"), "{resolver}");
    let reverse = daemon.docker(&["exec", "app", "nslookup", "172.18.0.2"]);
    assert!(reverse.contains("db.web"), "{reverse}");
    daemon.docker(&["rename", "db", "base"]);
    daemon.docker(&["exec", "app", "ping", "-c1", "-W2", "base"]);
    let gone = daemon.run(Client::Docker, &["exec", "app", "ping", "-c1", "-W1", "db"]);
    assert_ne!(gone.code, 0, "the old name still answers");
}

#[test]
fn names_of_one_network_are_not_known_in_another() {
    let daemon = Daemon::start();
    for network in ["red", "blue"] {
        daemon.docker(&["network", "create", network]);
    }
    daemon.sleeper("box-r", &["--network", "red"]);
    daemon.sleeper("box-b", &["--network", "blue"]);
    let asked = daemon.run(
        Client::Docker,
        &["exec", "box-b", "ping", "-c1", "-W1", "box-r"],
    );
    assert_ne!(asked.code, 0);
    let address = daemon.endpoint("box-r", "red", "IPAddress");
    daemon.network_of("box-r").serve_tcp("0.0.0.0:80");
    assert!(
        !daemon.network_of("box-b").reaches(&format!("{address}:80")),
        "networks are isolated"
    );
    // Joined to both, it reaches and is reached.
    daemon.docker(&["network", "connect", "--alias", "bee", "red", "box-b"]);
    daemon.docker(&["exec", "box-b", "ping", "-c1", "-W2", "box-r"]);
    daemon.docker(&["exec", "box-r", "ping", "-c1", "-W2", "bee"]);
    let links = daemon.docker(&["exec", "box-b", "ip", "-o", "link"]);
    assert!(links.contains("eth0") && links.contains("eth1"), "{links}");
    daemon.docker(&["network", "disconnect", "red", "box-b"]);
    let links = daemon.docker(&["exec", "box-b", "ip", "-o", "link"]);
    assert!(!links.contains("eth1"), "{links}");
    let asked = daemon.run(
        Client::Docker,
        &["exec", "box-b", "ping", "-c1", "-W1", "box-r"],
    );
    assert_ne!(asked.code, 0);
}

#[test]
fn the_gateway_follows_the_priority() {
    let daemon = Daemon::start();
    for (network, subnet) in [("a", "10.41.0.0/24"), ("b", "10.42.0.0/24")] {
        daemon.docker(&["network", "create", "--subnet", subnet, network]);
    }
    let default = || {
        let routes = daemon.docker(&["exec", "box-c", "ip", "route"]);
        let line = routes.lines().find(|line| line.starts_with("default"));
        line.unwrap_or_default().to_owned()
    };
    daemon.sleeper("box-c", &["--network", "name=a", "--network", "name=b"]);
    assert!(default().contains("via 10.41.0.1"), "{}", default());
    daemon.docker(&["network", "disconnect", "b", "box-c"]);
    daemon.docker(&["network", "connect", "--gw-priority", "5", "b", "box-c"]);
    assert!(default().contains("via 10.42.0.1"), "{}", default());
    daemon.docker(&["network", "disconnect", "b", "box-c"]);
    assert!(default().contains("via 10.41.0.1"), "{}", default());
}

#[test]
fn addresses_can_be_chosen_and_are_shown_as_docker_shows_them() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "10.43.0.0/24",
        "--subnet",
        "fd43::/64",
        "--gateway",
        "10.43.0.254",
        "fixed",
    ]);
    daemon.sleeper(
        "box-c",
        &[
            "--network",
            "fixed",
            "--ip",
            "10.43.0.77",
            "--ip6",
            "fd43::77",
            "--mac-address",
            "02:11:22:33:44:55",
        ],
    );
    for (field, value) in [
        ("IPAddress", "10.43.0.77"),
        ("IPPrefixLen", "24"),
        ("Gateway", "10.43.0.254"),
        ("GlobalIPv6Address", "fd43::77"),
        ("GlobalIPv6PrefixLen", "64"),
        ("IPv6Gateway", "fd43::1"),
        ("MacAddress", "02:11:22:33:44:55"),
        ("IPAMConfig.IPv4Address", "10.43.0.77"),
    ] {
        assert_eq!(daemon.endpoint("box-c", "fixed", field), value, "{field}");
    }
    let shown = daemon.docker(&["exec", "box-c", "ip", "addr", "show", "eth0"]);
    assert!(
        shown.contains("10.43.0.77/24") && shown.contains("fd43::77/64"),
        "{shown}"
    );
    assert!(shown.contains("02:11:22:33:44:55"), "{shown}");
    let inside = daemon.docker(&[
        "network",
        "inspect",
        "-f",
        "{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.IPv6Address}}{{end}}",
        "fixed",
    ]);
    assert_eq!(inside, "box-c 10.43.0.77/24 fd43::77/64");
    // A stop lets it go, a start takes it again.
    daemon.docker(&["restart", "-t", "0", "box-c"]);
    assert_eq!(daemon.endpoint("box-c", "fixed", "IPAddress"), "10.43.0.77");
}

#[test]
fn a_link_on_the_default_bridge_is_a_line_in_hosts_and_variables() {
    let daemon = Daemon::start();
    daemon.sleeper("db", &["--expose", "5432", "-e", "SECRET=x"]);
    daemon.sleeper("app", &["--link", "db:store"]);
    let hosts = daemon.docker(&["exec", "app", "cat", "/etc/hosts"]);
    let id = daemon.docker(&["inspect", "-f", "{{.Config.Hostname}}", "db"]);
    assert!(
        hosts.contains(&format!("172.17.0.2\tstore {id} db")),
        "{hosts}"
    );
    let environment = daemon.docker(&["exec", "app", "env"]);
    for line in [
        "STORE_NAME=/app/store",
        "STORE_PORT=tcp://172.17.0.2:5432",
        "STORE_PORT_5432_TCP=tcp://172.17.0.2:5432",
        "STORE_PORT_5432_TCP_ADDR=172.17.0.2",
        "STORE_PORT_5432_TCP_PORT=5432",
        "STORE_PORT_5432_TCP_PROTO=tcp",
        "STORE_ENV_SECRET=x",
    ] {
        assert!(
            environment.lines().any(|l| l == line),
            "no {line} in {environment}"
        );
    }
}

#[test]
fn a_network_without_icc_or_without_a_way_out_keeps_its_word() {
    let daemon = routed();
    daemon.docker(&[
        "network",
        "create",
        "-o",
        "com.docker.network.bridge.enable_icc=false",
        "mute",
    ]);
    daemon.docker(&["network", "create", "--internal", "inner"]);
    daemon.sleeper("box-a", &["--network", "mute"]);
    daemon.sleeper("box-b", &["--network", "mute"]);
    daemon.sleeper("in1", &["--network", "inner"]);
    daemon.sleeper("in2", &["--network", "inner"]);
    let client = daemon.named_network("client");
    client.serve_tcp("0.0.0.0:7");
    daemon.network_of("box-a").serve_tcp("0.0.0.0:80");
    daemon.network_of("in1").serve_tcp("0.0.0.0:80");
    let a = daemon.endpoint("box-a", "mute", "IPAddress");
    assert!(!daemon.network_of("box-b").reaches(&format!("{a}:80")));
    assert!(
        daemon.network_of("box-b").reaches("10.8.0.2:7"),
        "the world is reached"
    );
    let in1 = daemon.endpoint("in1", "inner", "IPAddress");
    assert!(daemon.network_of("in2").reaches(&format!("{in1}:80")));
    assert!(!daemon.network_of("in2").reaches("10.8.0.2:7"));
    let routes = daemon.docker(&["exec", "in1", "ip", "route"]);
    assert!(!routes.contains("default"), "{routes}");
}

#[test]
fn the_mtu_of_a_network_is_its_containers() {
    let daemon = Daemon::start();
    daemon.docker(&[
        "network",
        "create",
        "-o",
        "com.docker.network.driver.mtu=1400",
        "small",
    ]);
    daemon.sleeper("box-c", &["--network", "small"]);
    assert_eq!(
        daemon.docker(&["exec", "box-c", "cat", "/sys/class/net/eth0/mtu"]),
        "1400"
    );
}

#[test]
fn networks_are_listed_filtered_pruned_and_told_of() {
    let daemon = Daemon::start();
    daemon.docker(&["network", "create", "--label", "team=x", "one"]);
    daemon.docker(&["network", "create", "two"]);
    daemon.sleeper("box-c", &["--network", "two"]);
    let ls =
        |filter: &str| daemon.docker(&["network", "ls", "--format", "{{.Name}}", "-f", filter]);
    assert_eq!(ls("label=team"), "one");
    assert_eq!(ls("driver=host"), "host");
    assert_eq!(ls("type=custom"), "one\ntwo");
    assert_eq!(ls("type=builtin"), "bridge\nhost\nnone");
    assert_eq!(ls("name=tw"), "two");
    // Docker counts nobody in a list, and calls every network dangling.
    assert!(ls("dangling=true").starts_with("one"));
    let text = daemon
        .run(Client::Docker, &["network", "rm", "two"])
        .fails(1);
    assert!(
        text.contains("network two has active endpoints") || text.contains("has active endpoints"),
        "{text}"
    );
    let text = daemon
        .run(Client::Docker, &["network", "rm", "bridge"])
        .fails(1);
    assert!(
        text.contains("bridge is a pre-defined network and cannot be removed"),
        "{text}"
    );
    let pruned = daemon.docker(&["network", "prune", "-f"]);
    assert_eq!(pruned.trim(), "Deleted Networks:\none");
    daemon.docker(&["rm", "-f", "box-c"]);
    daemon.docker(&["network", "rm", "two"]);
    let now = daemon.host("date +%s.%N");
    let told = daemon.docker(&[
        "events",
        "--since",
        "0",
        "--until",
        &now,
        "-f",
        "type=network",
        "--format",
        "{{.Action}} {{index .Actor.Attributes \"name\"}} {{index .Actor.Attributes \"type\"}}",
    ]);
    for line in [
        "create one bridge",
        "create two bridge",
        "connect two bridge",
        "disconnect two bridge",
        "destroy one bridge",
        "destroy two bridge",
    ] {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }
}

#[test]
fn nothing_is_left_of_what_came_and_went() {
    let daemon = Daemon::start();
    // The first of their kind bring up what stays.
    daemon.docker(&["network", "create", "--ipv6", "first"]);
    daemon.sleeper("first", &["-p", "8000:80", "--network", "first"]);
    daemon.docker(&["rm", "-f", "first"]);
    daemon.docker(&["network", "rm", "first"]);
    let before = daemon.host_state();
    daemon.docker(&["network", "create", "--ipv6", "web"]);
    daemon.sleeper(
        "box-a",
        &[
            "--network",
            "web",
            "-p",
            "8080-8089:8080-8089",
            "-p",
            "53:53/udp",
        ],
    );
    daemon.sleeper(
        "box-b",
        &["-P", "--expose", "99", "-p", "127.0.0.1:7000:7000"],
    );
    daemon.docker(&["network", "connect", "web", "box-b"]);
    assert_ne!(daemon.host_state(), before);
    daemon.docker(&["rm", "-f", "box-a"]);
    daemon.docker(&["kill", "box-b"]);
    daemon.docker(&["rm", "-f", "box-b"]);
    daemon.docker(&["network", "rm", "web"]);
    let mut last = String::new();
    eventually("the host is as before", || {
        let now = daemon.host_state();
        if now == before {
            return Some(());
        }
        if now != last {
            eprintln!("--- before\n{before}\n--- now\n{now}");
            last = now;
        }
        None
    });
}
