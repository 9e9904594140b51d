//! Promises as numbers: many ports, many networks.

use std::io::Read;
use std::time::{Duration, Instant};

use wharf_network::firewall::{GatewayMode, PortRule};

use crate::world::{CLIENT_V4, World, ask_tcp, connect, probe_tcp, serve, tcp};

fn sees(server: &str, address: &str) -> Option<String> {
    Some(format!("{server} sees {address}"))
}

fn each(ports: std::ops::RangeInclusive<u16>, shift: u16) -> Vec<PortRule> {
    ports
        .map(|p| tcp(&format!("0.0.0.0:{p}->172.17.0.2:{}", p - shift)))
        .collect()
}

fn timed(what: &str, limit: Duration, f: impl FnOnce()) {
    let begun = Instant::now();
    f();
    let time = begun.elapsed();
    println!("{what}: {time:?}");
    assert!(time < limit, "{what}: {time:?}");
}

/// KiB that this thread group and the kernel's slabs hold.
fn memory() -> (i64, i64) {
    let field = |path: &str, name: &str| -> i64 {
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (
        field("/proc/self/status", "VmRSS:"),
        field("/proc/meminfo", "SUnreclaim:"),
    )
}

#[test]
fn sixty_five_thousand_ports_in_one_range_are_one_element_published_at_once() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 65_000, "last");
    let rules = each(1..=65_000, 0);
    timed("65,000 ports, one range", Duration::from_secs(1), || {
        world.publish("web", &rules);
    });
    assert!(
        world
            .table()
            .contains("elements = { tcp . 1-65000 : 172.17.0.2 }")
    );
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:65000"),
        sees("last", CLIENT_V4)
    );
}

#[test]
fn sixty_five_thousand_elements_are_published_and_withdrawn_in_one_batch_each() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 64_999, "last");
    let rules = each(2..=65_000, 1);
    let before = memory();
    timed("64,999 elements added", Duration::from_secs(3), || {
        world.publish("web", &rules);
    });
    let after = memory();
    println!(
        "process {} KiB, kernel {} KiB",
        after.0 - before.0,
        after.1 - before.1
    );
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:65000"),
        sees("last", CLIENT_V4)
    );
    timed(
        "rebuild with 64,999 elements",
        Duration::from_secs(6),
        || {
            world.firewall.reassert().unwrap();
        },
    );
    timed("64,999 elements deleted", Duration::from_secs(3), || {
        world.firewall.unpublish("web").unwrap();
    });
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:65000"), None);
}

#[test]
fn one_publish_takes_no_longer_when_ten_thousand_ports_are_published() {
    let world = World::new();
    world.network(17);
    let one = |port: u16| [tcp(&format!("0.0.0.0:{port}->172.17.0.2:80"))];
    let measure = |what: &str| {
        let begun = Instant::now();
        for port in 1..=100 {
            world.publish("one", &one(port));
            world.firewall.unpublish("one").unwrap();
        }
        let time = begun.elapsed() / 200;
        println!("{what}: {time:?}");
        time
    };
    measure("one change, empty");
    let before = memory();
    for port in 10_000..20_000 {
        world.publish(&format!("endpoint-{port}"), &one(port));
    }
    let after = memory();
    println!(
        "10,000 ports: process {} KiB, kernel {} KiB",
        after.0 - before.0,
        after.1 - before.1
    );
    let time = measure("one change among 10,000");
    assert!(time < Duration::from_millis(5), "{time:?}");
}

#[test]
fn two_hundred_networks_come_and_go() {
    let world = World::new();
    let rules = |n: u8| {
        let mut rules = crate::world::rules(17);
        rules.bridge = format!("br{n}");
        rules.subnets_v4 = vec![format!("172.{n}.0.0/24").parse().unwrap()];
        rules.subnets_v6 = vec![format!("fd00:{n}::/64").parse().unwrap()];
        rules
    };
    let empty = world.table();
    timed("200 networks", Duration::from_secs(5), || {
        for n in 20..220 {
            world
                .firewall
                .add_network(&format!("net{n}"), &rules(n))
                .unwrap();
        }
    });
    timed("rebuild with 200 networks", Duration::from_secs(3), || {
        world.firewall.reassert().unwrap();
    });
    for n in 20..220 {
        world.firewall.remove_network(&format!("net{n}")).unwrap();
    }
    assert_eq!(world.table(), empty);
}

#[test]
fn a_connection_by_a_published_port_costs_little_more_than_one_by_a_route() {
    let world = World::new();
    world.network_with(17, |net| net.mode_v4 = GatewayMode::NatUnprotected);
    let web = world.container(17, 2);
    serve(&web, 80, "web");
    // Beside many others, so that the lookup is one among them.
    world.publish("many", &each(2..=30_000, 1));
    world.publish("web", &[tcp("10.0.0.1:40000->172.17.0.2:80")]);
    let connections = |to: &str| {
        world.client.run(|| {
            let begun = Instant::now();
            for _ in 0..200 {
                connect(to).unwrap().read_exact(&mut [0; 8]).unwrap();
            }
            begun.elapsed()
        })
    };
    let (mut published, mut routed) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        routed = routed.min(connections("172.17.0.2:80"));
        published = published.min(connections("10.0.0.1:40000"));
    }
    println!("200 connections: routed {routed:?}, published {published:?}");
    assert!(published < routed * 2, "{published:?}, routed {routed:?}");
}
