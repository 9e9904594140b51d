//! Published ports, from everywhere.

use wharf_network::firewall::{Error, Protocol};

use crate::world::{
    CLIENT_V4, CLIENT_V6, HOST_V4, HOST_V6, World, ask_tcp, ask_udp, port, probe_tcp, probe_udp,
    serve, tcp, udp,
};

fn sees(server: &str, address: &str) -> Option<String> {
    Some(format!("{server} sees {address}"))
}

/// A world with a container `web` that serves port 80, published at 8080 of every address.
fn published_everywhere() -> World {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 80, "web");
    world.publish(
        "web",
        &[
            tcp("0.0.0.0:8080->172.17.0.2:80"),
            tcp("[::]:8080->[fd17::2]:80"),
            udp("0.0.0.0:8080->172.17.0.2:80"),
            udp("[::]:8080->[fd17::2]:80"),
        ],
    );
    world
}

#[test]
fn an_outside_client_reaches_a_published_port_and_the_server_sees_the_clients_address() {
    let world = published_everywhere();
    for (host, client) in [(HOST_V4, CLIENT_V4), ("[fd10::1]", CLIENT_V6)] {
        let to = format!("{host}:8080");
        assert_eq!(ask_tcp(&world.client, &to), sees("web", client), "tcp {to}");
        assert_eq!(ask_udp(&world.client, &to), sees("web", client), "udp {to}");
    }
}

#[test]
fn the_host_reaches_a_published_port_by_any_of_its_addresses_loopback_included() {
    let world = published_everywhere();
    for (to, seen) in [
        ("127.0.0.1:8080", "172.17.0.1"),
        ("127.1.2.3:8080", "172.17.0.1"),
        ("10.0.0.1:8080", HOST_V4),
        ("172.17.0.1:8080", "172.17.0.1"),
        ("[::1]:8080", "fd17::1"),
        ("[fd10::1]:8080", HOST_V6),
        ("[fd17::1]:8080", "fd17::1"),
    ] {
        assert_eq!(ask_tcp(&world.host, to), sees("web", seen), "tcp {to}");
        assert_eq!(ask_udp(&world.host, to), sees("web", seen), "udp {to}");
    }
}

fn hairpin(world: &World) {
    let web = world.container(17, 3);
    serve(&web, 81, "web3");
    let other = world.container(17, 4);
    world.network(18);
    let far = world.container(18, 2);
    world.publish(
        "web3",
        &[
            tcp("0.0.0.0:8081->172.17.0.3:81"),
            tcp("[::]:8081->[fd17::3]:81"),
            udp("0.0.0.0:8081->172.17.0.3:81"),
            udp("[::]:8081->[fd17::3]:81"),
        ],
    );
    for to in ["10.0.0.1:8081", "172.17.0.1:8081", "[fd10::1]:8081"] {
        let gateway = if to.starts_with('[') {
            "fd17::1"
        } else {
            "172.17.0.1"
        };
        for (name, ns) in [("itself", &web), ("neighbour", &other), ("far", &far)] {
            assert_eq!(ask_tcp(ns, to), sees("web3", gateway), "tcp {name} {to}");
            assert_eq!(ask_udp(ns, to), sees("web3", gateway), "udp {name} {to}");
        }
    }
}

#[test]
fn a_container_reaches_its_own_and_others_published_ports_through_the_host() {
    let world = World::new();
    world.network(17);
    hairpin(&world);
}

#[test]
fn hairpin_works_where_bridged_frames_pass_the_filter_if_ports_have_hairpin_mode() {
    let world = World::new().with_bridge_netfilter();
    world.network(17);
    hairpin(&world);
}

#[test]
fn a_port_published_on_one_address_is_not_on_another() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 80, "web");
    world.publish(
        "web",
        &[
            tcp("127.0.0.1:8080->172.17.0.2:80"),
            tcp("[::1]:8080->[fd17::2]:80"),
            tcp("10.0.0.1:8081->172.17.0.2:80"),
        ],
    );
    assert_eq!(
        ask_tcp(&world.host, "127.0.0.1:8080"),
        sees("web", "172.17.0.1")
    );
    assert_eq!(ask_tcp(&world.host, "[::1]:8080"), sees("web", "fd17::1"));
    assert_eq!(probe_tcp(&world.host, "10.0.0.1:8080"), None);
    assert_eq!(probe_tcp(&world.host, "127.0.0.1:8081"), None);
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:8080"), None);
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8081"),
        sees("web", CLIENT_V4)
    );
}

#[test]
fn a_neighbour_that_routes_127_0_0_1_to_us_does_not_reach_what_is_published_there() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 80, "web");
    let evil = world.container(17, 3);
    serve(&world.host, 9000, "host");
    world.publish(
        "web",
        &[
            tcp("127.0.0.1:8080->172.17.0.2:80"),
            udp("127.0.0.1:8080->172.17.0.2:80"),
        ],
    );
    for (ns, gateway) in [(&world.client, HOST_V4), (&evil, "172.17.0.1")] {
        ns.sysctl("net.ipv4.conf.all.route_localnet", "1");
        ns.sh(&format!(
            "ip route del local 127.0.0.0/8 table local
             ip route del local 127.0.0.1 table local
             ip route add 127.0.0.0/8 via {gateway} dev eth0
             ip link set lo down"
        ));
        assert_eq!(probe_tcp(ns, "127.0.0.1:8080"), None);
        assert_eq!(probe_udp(ns, "127.0.0.1:8080"), None);
        // Nor, by the bridge's route_localnet, what the host itself has there.
        assert_eq!(probe_tcp(ns, "127.0.0.1:9000"), None);
        assert_eq!(probe_udp(ns, "127.0.0.1:9000"), None);
    }
    assert_eq!(
        ask_tcp(&world.host, "127.0.0.1:8080"),
        sees("web", "172.17.0.1")
    );
}

#[test]
fn a_range_is_one_element_and_a_shifted_range_keeps_its_offset() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 8005, "five");
    serve(&web, 93, "shifted");
    world.publish(
        "web",
        &[
            tcp("0.0.0.0:8000-9000->172.17.0.2:8000-9000"),
            tcp("[::]:8000-9000->[fd17::2]:8000-9000"),
            tcp("0.0.0.0:7000-7010->172.17.0.2:90-100"),
            tcp("[::]:7000-7010->[fd17::2]:90-100"),
        ],
    );
    let table = world.table();
    assert!(table.contains("elements = { tcp . 8000-9000 : 172.17.0.2 }"));
    assert!(table.contains("elements = { tcp . 8000-9000 : fd17::2 }"));
    for (host, client) in [(HOST_V4, CLIENT_V4), ("[fd10::1]", CLIENT_V6)] {
        let asked = ask_tcp(&world.client, &format!("{host}:8005"));
        assert_eq!(asked, sees("five", client));
        let asked = ask_tcp(&world.client, &format!("{host}:7003"));
        assert_eq!(asked, sees("shifted", client));
        let asked = ask_tcp(&world.client, &format!("{host}:7004"));
        assert_eq!(asked, None);
    }
}

#[test]
fn an_unpublished_port_is_closed_and_can_be_published_elsewhere_at_once() {
    let world = published_everywhere();
    let next = world.container(17, 3);
    serve(&next, 80, "next");
    world.firewall.unpublish("web").unwrap();
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:8080"), None);
    world.publish("next", &[tcp("0.0.0.0:8080->172.17.0.3:80")]);
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8080"),
        sees("next", CLIENT_V4)
    );
}

#[test]
fn publishing_replaces_what_the_endpoint_had_in_one_step() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    for (port, name) in [(80, "80"), (81, "81"), (85, "85")] {
        serve(&web, port, name);
    }
    let ask = |port| ask_tcp(&world.client, &format!("{HOST_V4}:{port}"));
    world.publish("web", &[tcp("0.0.0.0:80-84->172.17.0.2:80-84")]);
    assert_eq!((ask(81), ask(85)), (sees("81", CLIENT_V4), None));
    // Overlaps with what it had, as an update that adds and removes does.
    world.publish("web", &[tcp("0.0.0.0:81-85->172.17.0.2:81-85")]);
    assert_eq!(ask(80), None);
    assert_eq!(ask(81), sees("81", CLIENT_V4));
    assert_eq!(ask(85), sees("85", CLIENT_V4));
    world.publish("web", &[tcp("0.0.0.0:81->172.17.0.2:80")]);
    assert_eq!((ask(81), ask(85)), (sees("80", CLIENT_V4), None));
}

#[test]
fn a_port_that_another_endpoint_has_is_refused_by_its_name_and_nothing_changes() {
    let world = published_everywhere();
    let before = world.table();
    let taken = [
        tcp("0.0.0.0:8081->172.17.0.2:80"),
        tcp("0.0.0.0:8080->172.17.0.9:80"),
    ];
    match world.firewall.publish("other", &taken) {
        Err(Error::Published(rule)) => {
            assert_eq!(rule.to_string(), "0.0.0.0:8080->172.17.0.9:80/tcp");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.table(), before);
    let nowhere = tcp("0.0.0.0:1->172.99.0.2:1");
    let refused = world.firewall.publish("other", &[nowhere]);
    assert!(matches!(refused, Err(Error::UnknownNetwork(_))));
    let mixed = port(Protocol::Tcp, "[::]:1->172.17.0.2:1");
    let refused = world.firewall.publish("other", &[mixed]);
    assert!(matches!(refused, Err(Error::Families(_))));
    let uneven = tcp("0.0.0.0:1-2->172.17.0.2:1-3");
    let refused = world.firewall.publish("other", &[uneven]);
    assert!(matches!(refused, Err(Error::Lengths(_))));
    assert_eq!(world.table(), before);
}

#[test]
fn sctp_is_translated_like_the_others() {
    let world = World::new();
    world.network(17);
    let sctp = [port(Protocol::Sctp, "0.0.0.0:36412->172.17.0.2:36412")];
    world.publish("mme", &sctp);
    assert!(world.table().contains("sctp . 36412 : 172.17.0.2 . 36412"));
    let _mme = world.container(17, 2);
    // No SCTP in this kernel's sockets: an INIT chunk by hand, seen by the container's capture.
    let seen = world.host.sh("nft add table inet eye
         nft add chain inet eye f '{ type filter hook postrouting priority 300; }'
         nft add rule inet eye f oifname br17 ip daddr 172.17.0.2 sctp dport 36412 counter
         echo");
    assert_eq!(seen, "\n");
    world.client.sh("python3 - <<'E'
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
init = struct.pack('!BBHIIHHI', 1, 0, 20, 7, 65536, 1, 1, 7)
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 & -(crc & 1))
    return crc ^ 0xffffffff
head = struct.pack('!HHI', 5000, 36412, 0)
sum = struct.pack('<I', crc32c(head + b'\\0\\0\\0\\0' + init))
s.sendto(head + sum + init, ('10.0.0.1', 0))
E");
    let counted = world.host.sh("nft list table inet eye");
    assert!(counted.contains("counter packets 1 "), "{counted}");
}
