//! The way to a container's resolver.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use wharf_network::Netns;
use wharf_network::firewall::redirect_resolver;

use crate::world::{Ns, ask_tcp, ask_udp, serve, serve_at};

#[test]
fn a_container_that_has_port_53_itself_still_finds_its_resolver() {
    let ns = Ns::new();
    serve(&ns, 53, "the container's own");
    let bind = || UdpSocket::bind("127.0.0.11:53");
    assert!(ns.run(bind).is_err());
    serve_at(&ns, "127.0.0.11:40001", "resolver by udp");
    serve_at(&ns, "127.0.0.11:40002", "resolver by tcp");
    let netns = ns.run(Netns::current).unwrap();
    let begun = Instant::now();
    redirect_resolver(&netns, 40_001, 40_002).unwrap();
    let time = begun.elapsed();
    println!("redirect: {time:?}");
    assert!(time < Duration::from_millis(100), "{time:?}");
    let heard = |answer: Option<String>| answer.unwrap_or_default();
    let udp = heard(ask_udp(&ns, "127.0.0.11:53"));
    assert!(udp.starts_with("resolver by udp"), "{udp}");
    let tcp = heard(ask_tcp(&ns, "127.0.0.11:53"));
    assert!(tcp.starts_with("resolver by tcp"), "{tcp}");
    let own = heard(ask_udp(&ns, "127.0.0.1:53"));
    assert!(own.starts_with("the container's own"), "{own}");
}

#[test]
fn a_redirection_done_again_replaces_the_first() {
    let ns = Ns::new();
    serve_at(&ns, "127.0.0.11:40003", "second daemon");
    let netns = ns.run(Netns::current).unwrap();
    redirect_resolver(&netns, 40_001, 40_002).unwrap();
    redirect_resolver(&netns, 40_003, 40_003).unwrap();
    assert!(ask_udp(&ns, "127.0.0.11:53").is_some());
    assert!(ask_tcp(&ns, "127.0.0.11:53").is_some());
    let table = ns.sh("nft list table inet wharf-dns");
    assert!(!table.contains("40001"), "{table}");
}
