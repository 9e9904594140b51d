//! Who reaches whom, and who does not.

use std::net::{Ipv4Addr, Ipv6Addr};

use wharf_network::firewall::{GatewayMode, Icc, Masquerade, Reach};

use crate::world::{
    CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, Ns, World, ask_tcp, ask_udp, ping, probe_tcp,
    probe_udp, serve, tcp,
};

fn sees(server: &str, address: &str) -> Option<String> {
    Some(format!("{server} sees {address}"))
}

/// A container 172.{n}.0.2 that serves port 80, published at port 80{n} of the host.
fn web(world: &World, n: u8) -> Ns {
    let ns = world.container(n, 2);
    serve(&ns, 80, "web");
    world.publish(
        &format!("web{n}"),
        &[
            tcp(&format!("0.0.0.0:80{n}->172.{n}.0.2:80")),
            tcp(&format!("[::]:80{n}->[fd{n}::2]:80")),
        ],
    );
    ns
}

#[test]
fn containers_of_one_network_reach_each_other_and_those_of_another_do_not() {
    let world = World::new();
    world.network(17);
    world.network(18);
    let first = web(&world, 17);
    let second = world.container(17, 3);
    let stranger = world.container(18, 3);
    for (to, seen) in [("172.17.0.2:80", "172.17.0.3"), ("[fd17::2]:80", "fd17::3")] {
        assert_eq!(ask_tcp(&second, to), sees("web", seen));
        assert_eq!(probe_tcp(&stranger, to), None, "tcp {to}");
        assert_eq!(probe_udp(&stranger, to), None, "udp {to}");
    }
    serve(&stranger, 80, "stranger");
    assert_eq!(probe_tcp(&first, "172.18.0.3:80"), None);
    assert_eq!(probe_tcp(&first, "[fd18::3]:80"), None);
}

#[test]
fn who_routes_to_a_containers_own_address_reaches_nothing_published_or_not() {
    let world = World::new();
    world.network(17);
    let ns = web(&world, 17);
    serve(&ns, 81, "secret");
    for to in [
        "172.17.0.2:80",
        "172.17.0.2:81",
        "[fd17::2]:80",
        "[fd17::2]:81",
    ] {
        assert_eq!(probe_tcp(&world.client, to), None, "tcp {to}");
        assert_eq!(probe_udp(&world.client, to), None, "udp {to}");
    }
    // The host itself does.
    assert_eq!(
        ask_tcp(&world.host, "172.17.0.2:81"),
        sees("secret", "172.17.0.1")
    );
    assert_eq!(
        ask_tcp(&world.host, "[fd17::2]:81"),
        sees("secret", "fd17::1")
    );
}

#[test]
fn outgoing_packets_take_the_hosts_address() {
    let world = World::new();
    world.network(17);
    serve(&world.client, 80, "world");
    let ns = world.container(17, 2);
    for (to, seen) in [("10.0.0.2:80", HOST_V4), ("[fd10::2]:80", HOST_V6)] {
        assert_eq!(ask_tcp(&ns, to), sees("world", seen), "tcp {to}");
        assert_eq!(ask_udp(&ns, to), sees("world", seen), "udp {to}");
    }
}

#[test]
fn without_masquerade_they_keep_their_own_and_with_a_fixed_address_they_get_that() {
    let world = World::new();
    serve(&world.client, 80, "world");
    world.network_with(17, |net| net.masquerade = Masquerade::Off);
    let ns = world.container(17, 2);
    assert_eq!(ask_tcp(&ns, "10.0.0.2:80"), sees("world", "172.17.0.2"));
    assert_eq!(ask_tcp(&ns, "[fd10::2]:80"), sees("world", "fd17::2"));
    world.network_with(18, |net| {
        net.masquerade = Masquerade::Fixed {
            v4: Some(Ipv4Addr::new(10, 0, 0, 77)),
            v6: Some("fd10::77".parse::<Ipv6Addr>().unwrap()),
        };
    });
    world
        .host
        .sh("ip addr add 10.0.0.77/24 dev out; ip addr add fd10::77/64 dev out nodad");
    let ns = world.container(18, 2);
    assert_eq!(ask_tcp(&ns, "10.0.0.2:80"), sees("world", "10.0.0.77"));
    assert_eq!(ask_tcp(&ns, "[fd10::2]:80"), sees("world", "fd10::77"));
}

#[test]
fn an_internal_network_reaches_only_itself_and_the_host() {
    let world = World::new();
    world.network_with(17, |net| net.reach = Reach::Internal);
    world.network(18);
    serve(&world.client, 80, "world");
    serve(&world.host, 90, "host");
    let inside = web(&world, 17);
    let neighbour = world.container(17, 3);
    let _web18 = web(&world, 18);
    assert_eq!(
        ask_tcp(&neighbour, "172.17.0.2:80"),
        sees("web", "172.17.0.3")
    );
    assert_eq!(
        ask_tcp(&inside, "172.17.0.1:90"),
        sees("host", "172.17.0.2")
    );
    for to in ["10.0.0.2:80", "[fd10::2]:80", "10.0.0.1:8018"] {
        assert_eq!(probe_tcp(&inside, to), None, "tcp {to}");
        assert_eq!(probe_udp(&inside, to), None, "udp {to}");
    }
    for to in ["10.0.0.1:8017", "172.17.0.2:80", "[fd17::2]:80"] {
        assert_eq!(probe_tcp(&world.client, to), None, "{to}");
    }
}

#[test]
fn without_icc_only_published_ports_of_neighbours_are_reached() {
    for bridged in [false, true] {
        let world = World::new();
        let world = if bridged {
            world.with_bridge_netfilter()
        } else {
            world
        };
        world.network_with(17, |net| net.icc = Icc::Denied);
        let _web = web(&world, 17);
        let neighbour = world.container(17, 3);
        if !bridged {
            world
                .host
                .sh("for p in v17x2 v17x3; do ip link set $p type bridge_slave isolated on; done");
        }
        for to in ["172.17.0.2:80", "[fd17::2]:80"] {
            assert_eq!(probe_tcp(&neighbour, to), None, "{to}, bridged: {bridged}");
        }
        for (to, seen) in [
            ("10.0.0.1:8017", "172.17.0.1"),
            ("[fd10::1]:8017", "fd17::1"),
        ] {
            let asked = ask_tcp(&neighbour, to);
            assert_eq!(asked, sees("web", seen), "{to}, bridged: {bridged}");
        }
    }
}

#[test]
fn a_routed_network_has_its_published_ports_open_at_its_own_addresses() {
    let world = World::new();
    world.network_with(17, |net| {
        net.mode_v4 = GatewayMode::Routed;
        net.mode_v6 = GatewayMode::Routed;
    });
    serve(&world.client, 80, "world");
    let ns = world.container(17, 2);
    for (port, name) in [(80, "one"), (8005, "range"), (81, "closed")] {
        serve(&ns, port, name);
    }
    world.publish(
        "web",
        &[
            tcp("0.0.0.0:8080->172.17.0.2:80"),
            tcp("[::]:8080->[fd17::2]:80"),
            tcp("0.0.0.0:1-11->172.17.0.2:8000-8010"),
            tcp("[::]:1-11->[fd17::2]:8000-8010"),
        ],
    );
    for (container, host, client) in [
        ("172.17.0.2", HOST_V4, CLIENT_V4),
        ("[fd17::2]", "[fd10::1]", CLIENT_V6),
    ] {
        let ask = |to: String| ask_tcp(&world.client, &to);
        assert_eq!(ask(format!("{container}:80")), sees("one", client));
        assert_eq!(ask(format!("{container}:8005")), sees("range", client));
        assert_eq!(ask(format!("{container}:81")), None);
        assert_eq!(ask(format!("{host}:8080")), None);
        assert_eq!(probe_udp(&world.client, &format!("{container}:80")), None);
    }
    assert!(ping(&world.client, "172.17.0.2") && ping(&world.client, "fd17::2"));
    assert_eq!(ask_tcp(&ns, "10.0.0.2:80"), sees("world", "172.17.0.2"));
    assert_eq!(ask_tcp(&ns, "[fd10::2]:80"), sees("world", "fd17::2"));
    world.firewall.unpublish("web").unwrap();
    assert_eq!(probe_tcp(&world.client, "172.17.0.2:80"), None);
}

#[test]
fn an_unprotected_network_is_open_to_who_has_a_route_but_not_to_other_networks() {
    let world = World::new();
    world.network_with(17, |net| net.mode_v4 = GatewayMode::NatUnprotected);
    world.network(18);
    let _web = web(&world, 17);
    let stranger = world.container(18, 3);
    assert_eq!(
        ask_tcp(&world.client, "172.17.0.2:80"),
        sees("web", CLIENT_V4)
    );
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8017"),
        sees("web", CLIENT_V4)
    );
    assert_eq!(probe_tcp(&stranger, "172.17.0.2:80"), None);
    // The other family's mode is its own.
    assert_eq!(probe_tcp(&world.client, "[fd17::2]:80"), None);
}

#[test]
fn an_isolated_family_passes_in_neither_direction() {
    let world = World::new();
    world.network_with(17, |net| net.mode_v6 = GatewayMode::Isolated);
    serve(&world.client, 80, "world");
    let ns = web(&world, 17);
    assert_eq!(ask_tcp(&ns, "10.0.0.2:80"), sees("world", HOST_V4));
    assert_eq!(probe_tcp(&ns, "[fd10::2]:80"), None);
    assert_eq!(probe_tcp(&world.client, "[fd10::1]:8017"), None);
}

#[test]
fn a_network_without_ipv6_lets_none_through_whatever_a_container_gives_itself() {
    let world = World::new();
    world.network_with(17, |net| net.subnets_v6.clear());
    serve(&world.client, 80, "world");
    let ns = world.container(17, 2);
    assert_eq!(ask_tcp(&ns, "10.0.0.2:80"), sees("world", HOST_V4));
    assert_eq!(probe_tcp(&ns, "[fd10::2]:80"), None);
    assert_eq!(probe_udp(&ns, "[fd10::2]:80"), None);
}

#[test]
fn a_trusted_interface_reaches_containers_directly() {
    let world = World::new();
    world.network_with(17, |net| net.trusted_interfaces = vec!["out".to_owned()]);
    let _web = web(&world, 17);
    assert_eq!(
        ask_tcp(&world.client, "172.17.0.2:80"),
        sees("web", CLIENT_V4)
    );
}

#[test]
fn the_administrators_chain_comes_first_and_knows_what_the_client_asked_for() {
    let world = World::new();
    world.network(17);
    let ns = web(&world, 17);
    serve(&world.client, 80, "world");
    world.host.sh(
        "nft add rule inet wharf user iifname out meta l4proto tcp ct original proto-dst 8017 drop",
    );
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:8017"), None);
    assert_eq!(probe_tcp(&world.client, "[fd10::1]:8017"), None);
    assert_eq!(ask_tcp(&ns, "10.0.0.2:80"), sees("world", HOST_V4));
    // The other rules of docs/firewall.md.
    world.host.sh(
        "nft add rule inet wharf user iifname eth1 ct direction original ct status dnat drop
         nft add rule inet wharf user iifname @bridges ip daddr 169.254.169.254 drop",
    );
    world.host.sh("nft flush chain inet wharf user
         nft add rule inet wharf user iifname @bridges ip daddr 10.0.0.2 ct state new drop");
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8017"),
        sees("web", CLIENT_V4)
    );
    assert_eq!(probe_tcp(&ns, "10.0.0.2:80"), None);
}

#[test]
fn a_removed_network_leaves_nothing_in_the_table() {
    let world = World::new();
    let before = world.table();
    world.network(17);
    let _web = web(&world, 17);
    assert_ne!(world.table(), before);
    world.firewall.remove_network("net17").unwrap();
    assert_eq!(world.table(), before);
    // Its ports are gone with it; the same names serve again.
    world.firewall.unpublish("web17").unwrap();
    world.firewall.remove_network("net17").unwrap();
}
