//! Reconciliation: what other programs and restarts do to the table, and what becomes of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use wharf_network::firewall::{Desired, Error, Firewall, GatewayMode};

use crate::world::{
    CLIENT_V4, HOST_V4, Ns, World, ask_tcp, ask_udp, connect, eventually, probe_tcp, rules, serve,
    tcp, udp,
};

fn sees(server: &str, address: &str) -> Option<String> {
    Some(format!("{server} sees {address}"))
}

fn published() -> (World, Ns) {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 80, "web");
    world.publish("web", &[tcp("0.0.0.0:8080->172.17.0.2:80")]);
    (world, web)
}

#[test]
fn a_second_daemon_rebuilds_the_same_table_from_what_is_desired() {
    let (world, _web) = published();
    world.network_with(18, |net| net.mode_v6 = GatewayMode::Routed);
    world.publish("open", &[tcp("[::]:1-9->[fd18::2]:1-9")]);
    let table = world.table();
    let mut routed = rules(18);
    routed.mode_v6 = GatewayMode::Routed;
    let desired = Desired {
        networks: [("net17", rules(17)), ("net18", routed)]
            .map(|(id, rules)| (id.to_owned(), rules))
            .into(),
        ports: BTreeMap::from([
            ("web".to_owned(), vec![tcp("0.0.0.0:8080->172.17.0.2:80")]),
            ("open".to_owned(), vec![tcp("[::]:1-9->[fd18::2]:1-9")]),
        ]),
    };
    let second = world.host.run(|| Firewall::open("wharf")).unwrap();
    second.reconcile(desired).unwrap();
    let sorted = |table: &str| {
        let mut lines: Vec<_> = table.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&world.table()), sorted(&table));
    // Without a network and a port, and with a rule that nobody of us made.
    world.host.sh("nft add rule inet wharf forward drop");
    let less = Desired {
        networks: [("net17".to_owned(), rules(17))].into(),
        ports: BTreeMap::new(),
    };
    second.reconcile(less).unwrap();
    let table = world.table();
    assert!(
        !table.contains("br18") && !table.contains("8080"),
        "{table}"
    );
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:8080"), None);
}

#[test]
fn the_administrators_chain_and_what_it_uses_survive_rebuilds_but_not_a_flush() {
    let (world, _web) = published();
    world.host.sh(
        "nft add set inet wharf mine '{ type ipv4_addr; elements = { 10.9.9.9 } }'
         nft add chain inet wharf helper
         nft add rule inet wharf helper ip saddr @mine drop
         nft add rule inet wharf user iifname @bridges tcp dport '{ 25, 26 }' jump helper",
    );
    let before = world.table();
    for _ in 0..3 {
        world.firewall.reassert().unwrap();
    }
    assert_eq!(world.table(), before);
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8080"),
        sees("web", CLIENT_V4)
    );
    world.host.sh("nft flush ruleset");
    world.firewall.reassert().unwrap();
    assert!(world.table().contains("chain user {\n\t}"));
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8080"),
        sees("web", CLIENT_V4)
    );
}

#[test]
fn sets_that_another_version_defined_otherwise_are_made_anew() {
    let world = World::new();
    world.host.sh("nft -f - <<'E'
delete table inet wharf
table inet wharf {
  map ports4 { type ipv4_addr . inet_service : ipv4_addr; elements = { 10.0.0.1 . 1 : 10.0.0.1 } }
  map to { type ifname : verdict; elements = { old : jump to-old } }
  chain user { ip saddr 10.9.9.9 drop; }
  chain to-old { drop; }
  chain forward { type filter hook forward priority 10; policy accept; oifname vmap @to; }
}
E");
    let second = world.host.run(|| Firewall::open("wharf")).unwrap();
    second.reconcile(Desired::default()).unwrap();
    let table = world.table();
    assert!(table.contains("ip saddr 10.9.9.9 drop"), "{table}");
    assert!(!table.contains("to-old"), "{table}");
    assert!(table.contains("hook forward priority filter"), "{table}");
    assert!(table.contains("type ipv4_addr . inet_proto . inet_service"));
}

#[test]
fn a_change_that_meets_a_flushed_table_brings_all_of_it_back() {
    let (world, web) = published();
    serve(&web, 81, "more");
    world.host.sh("nft delete table inet wharf");
    world.publish("more", &[tcp("0.0.0.0:8081->172.17.0.2:81")]);
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8080"),
        sees("web", CLIENT_V4)
    );
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8081"),
        sees("more", CLIENT_V4)
    );
    world.host.sh("nft flush ruleset");
    world.firewall.unpublish("more").unwrap();
    assert_eq!(
        ask_tcp(&world.client, "10.0.0.1:8080"),
        sees("web", CLIENT_V4)
    );
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:8081"), None);
    world.host.sh("nft flush ruleset");
    world.firewall.remove_network("net17").unwrap();
    assert!(!world.table().contains("br17"));
}

/// Something in the background, until it is dropped.
struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(mut step: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                step();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn rebuilds_under_traffic_break_no_connection_and_refuse_no_new_one() {
    let (world, _web) = published();
    let mut old = world.client.run(|| connect("10.0.0.1:8080")).unwrap();
    let mut buffer = [0; 64];
    assert!(old.read(&mut buffer).unwrap() > 0);
    let client = world.client.clone();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let traffic = Running::start(move || {
        let to = format!("{HOST_V4}:8080");
        assert_eq!(ask_tcp(&client, &to), sees("web", CLIENT_V4));
        counted.fetch_add(1, Ordering::Relaxed);
        old.write_all(b"still here").unwrap();
        let mut echo = [0; 10];
        old.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"still here");
    });
    let mut rebuilt = 0;
    eventually("200 connections during 50 rebuilds", || {
        world.firewall.reassert().unwrap();
        rebuilt += 1;
        asked.load(Ordering::Relaxed) >= 200 && rebuilt >= 50
    });
    traffic.finish();
}

#[test]
fn a_flush_under_traffic_is_mended_within_a_second_and_connections_go_on() {
    let (world, _web) = published();
    let mut old = world.client.run(|| connect("10.0.0.1:8080")).unwrap();
    let mut buffer = [0; 64];
    assert!(old.read(&mut buffer).unwrap() > 0);
    let firewall = Arc::new(world.host.run(|| Firewall::open("wharf")).unwrap());
    let mut desired = Desired::default();
    desired.networks.insert("net17".to_owned(), rules(17));
    desired
        .ports
        .insert("web".to_owned(), vec![tcp("0.0.0.0:8080->172.17.0.2:80")]);
    firewall.reconcile(desired).unwrap();
    let mending = Arc::clone(&firewall);
    let watch = world
        .host
        .run(|| firewall.watch(move || mending.reassert().unwrap()))
        .unwrap();
    for flush in [
        "nft flush ruleset",
        "nft delete table inet wharf",
        "nft flush table inet wharf",
        "nft add rule inet wharf forward drop",
        "nft delete element inet wharf ports4-any '{ tcp . 8080 }'",
    ] {
        let before = world.table();
        world.host.sh(flush);
        let time = eventually(flush, || table_or_nothing(&world) == before);
        assert!(time < Duration::from_millis(1500), "{flush}: {time:?}");
        old.write_all(b"still here").unwrap();
        let mut echo = [0; 10];
        old.read_exact(&mut echo).unwrap();
        assert_eq!(
            ask_tcp(&world.client, "10.0.0.1:8080"),
            sees("web", CLIENT_V4),
            "{flush}"
        );
    }
    drop(watch);
}

fn table_or_nothing(world: &World) -> String {
    world.host.sh("nft list table inet wharf 2>&1 || true")
}

#[test]
fn the_watch_tells_others_changes_once_and_never_our_own_or_those_of_other_tables() {
    let (world, _web) = published();
    let told = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&told);
    let watch = world
        .host
        .run(|| {
            world.firewall.watch(move || {
                counter.fetch_add(1, Ordering::SeqCst);
            })
        })
        .unwrap();
    world.firewall.reassert().unwrap();
    let many: Vec<_> = (1..20_000)
        .map(|p| tcp(&format!("10.0.0.1:{p}->172.17.0.2:{}", p + 1)))
        .collect();
    world.publish("many", &many);
    world.firewall.unpublish("many").unwrap();
    world.host.sh(
        "nft add table inet other; nft add chain inet other forward; nft delete table inet other
         nft add rule inet wharf user ip saddr '{ 10.9.9.9, 10.9.9.8 }' drop
         nft flush chain inet wharf user",
    );
    // One that must be told comes after all that must not.
    world
        .host
        .sh("nft add rule inet wharf guard drop; nft flush chain inet wharf guard");
    eventually("the change is told", || told.load(Ordering::SeqCst) > 0);
    drop(watch);
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[test]
fn a_udp_client_that_goes_on_sending_meets_what_is_published_now() {
    let world = World::new();
    world.network(17);
    let (first, second) = (world.container(17, 2), world.container(17, 3));
    serve(&first, 53, "first");
    serve(&second, 53, "second");
    let to = format!("{HOST_V4}:53");
    let socket = world.client.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:4000").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket
    });
    let ask = || {
        socket.send_to(b"?", &to).unwrap();
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    // Nobody listens: the flow is to the host itself, and tracked as such.
    assert_eq!(ask(), None);
    world.publish("first", &[udp("0.0.0.0:53->172.17.0.2:53")]);
    assert_eq!(ask(), sees("first", CLIENT_V4));
    world.firewall.unpublish("first").unwrap();
    assert_eq!(ask(), None);
    world.publish("second", &[udp("10.0.0.1:53->172.17.0.3:53")]);
    assert_eq!(ask(), sees("second", CLIENT_V4));
    world.publish("second", &[udp("10.0.0.1:54->172.17.0.3:53")]);
    assert_eq!(ask(), None);
    assert_eq!(
        ask_udp(&world.client, "10.0.0.1:54"),
        sees("second", CLIENT_V4)
    );
}

#[test]
fn a_udp_flow_that_began_while_the_table_was_gone_meets_the_container_after_it_is_back() {
    let world = World::new();
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 53, "web");
    world.publish("web", &[udp("0.0.0.0:53->172.17.0.2:53")]);
    let socket = world.client.run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:4000").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket
    });
    let mut buffer = [0; 64];
    world.host.sh("nft flush ruleset");
    socket.send_to(b"?", (HOST_V4, 53)).unwrap();
    assert!(socket.recv(&mut buffer).is_err());
    world.firewall.reassert().unwrap();
    socket.send_to(b"?", (HOST_V4, 53)).unwrap();
    assert!(socket.recv(&mut buffer).is_ok());
}

#[test]
fn forward_chains_of_others_that_drop_are_found() {
    let world = World::new();
    assert_eq!(world.firewall.forward_drops().unwrap(), []);
    world.host.sh("nft add table ip filter
         nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'
         nft add chain ip filter INPUT '{ type filter hook input priority 0; policy drop; }'");
    let found = world.firewall.forward_drops().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].family, &*found[0].table), ("ip", "filter"));
    assert_eq!(found[0].chain, "FORWARD");
    // What we accept, it drops; what it accepts, it passes.
    world.network(17);
    let web = world.container(17, 2);
    serve(&web, 80, "web");
    world.publish("web", &[tcp("0.0.0.0:8080->172.17.0.2:80")]);
    assert_eq!(probe_tcp(&world.client, "10.0.0.1:8080"), None);
    world
        .host
        .sh("nft add rule ip filter FORWARD iifname br17 accept
         nft add rule ip filter FORWARD oifname br17 accept");
    let asked = ask_tcp(&world.client, "10.0.0.1:8080");
    assert_eq!(asked, sees("web", CLIENT_V4));
    assert_eq!(probe_tcp(&world.client, "172.17.0.2:80"), None);
}

#[test]
fn errors_say_what_was_refused() {
    let world = World::new();
    let mut bad = rules(17);
    bad.bridge = "a-name-too-long-for-an-interface".to_owned();
    let refused = world.firewall.add_network("net", &bad);
    assert!(matches!(refused, Err(Error::Interface(name)) if name == bad.bridge));
    world.firewall.add_network("net17", &rules(17)).unwrap();
    let refused = world.firewall.add_network("twin", &rules(17));
    assert!(matches!(refused, Err(Error::Bridge(name)) if name == "br17"));
    // An overlapping subnet is the kernel's to refuse; the batch leaves nothing.
    let before = world.table();
    let mut overlapping = rules(18);
    overlapping.subnets_v4 = rules(17).subnets_v4;
    let error = world
        .firewall
        .add_network("net18", &overlapping)
        .unwrap_err();
    assert!(error.to_string().contains("nat-out4"), "{error}");
    assert_eq!(world.table(), before);
}
