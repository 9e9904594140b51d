//! What a namespace has, and namespaces themselves.

use wharf_network::host::{self, Family};
use wharf_network::{LinkError, Netns, bridge, sysctl};

use crate::world::{bridge_spec, in_a_world, net, with_bridge};

#[test]
fn networks_that_something_leads_to_are_taken_and_everybody_s_own_are_not() {
    in_a_world(|| {
        assert!(host::taken_networks().unwrap().is_empty());
        with_bridge();
        let taken: Vec<_> = host::taken_networks().unwrap().into_iter().collect();
        assert_eq!(taken, [net("10.7.0.0/24"), net("fd07::/64")]);
    });
}

#[test]
fn three_hundred_links_are_listed_whole() {
    in_a_world(|| {
        for number in 0..300 {
            bridge::ensure(&bridge_spec(&format!("b{number}"), &[])).unwrap();
        }
        let links = host::links().unwrap();
        assert_eq!(
            links.iter().filter(|link| link.kind == "bridge").count(),
            300
        );
        assert!(links.iter().any(|link| link.loopback && link.name == "lo"));
    });
}

#[test]
fn forwarding_is_enabled_once_and_what_changed_is_said() {
    in_a_world(|| {
        with_bridge();
        sysctl::write("net.ipv4.ip_forward", "0").unwrap();
        sysctl::write("net.ipv6.conf.br0.accept_ra", "1").unwrap();
        assert!(!host::forwarding(Family::V4).unwrap());
        let changes = host::enable_forwarding(Family::V4).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].key, "net.ipv4.ip_forward");
        assert!(host::forwarding(Family::V4).unwrap());
        assert_eq!(host::enable_forwarding(Family::V4).unwrap(), []);
        // A link that lives by router advertisements goes on doing so.
        let keys: Vec<String> = host::enable_forwarding(Family::V6)
            .unwrap()
            .into_iter()
            .map(|it| it.key)
            .collect();
        assert_eq!(
            keys,
            [
                "net.ipv6.conf.br0.accept_ra",
                "net.ipv6.conf.all.forwarding"
            ]
        );
        assert_eq!(sysctl::read("net.ipv6.conf.br0.accept_ra").unwrap(), "2");
    });
}

#[test]
fn work_in_a_namespace_is_done_there_and_the_caller_stays_where_it_is() {
    let here = Netns::current().unwrap().inode().unwrap();
    let there = Netns::create().unwrap();
    let inside = there
        .run(|| Netns::current().unwrap().inode().unwrap())
        .unwrap();
    assert_eq!(inside, there.inode().unwrap());
    assert_ne!(inside, here);
    assert_eq!(Netns::current().unwrap().inode().unwrap(), here);
    let same = Netns::of_process(std::process::id()).unwrap();
    assert_eq!(same.inode().unwrap(), here);
}

#[test]
fn what_is_no_network_namespace_is_refused_by_its_path() {
    for path in ["/proc/self/status", "/nowhere", "/dev/null"] {
        let error = Netns::open(path).unwrap_err();
        assert!(matches!(&error, LinkError::Namespace { .. }), "{error}");
        assert!(error.to_string().contains(path), "{error}");
    }
    let other = Netns::open("/proc/self/ns/uts").unwrap();
    assert!(matches!(other.run(|| ()), Err(LinkError::Namespace { .. })));
}
