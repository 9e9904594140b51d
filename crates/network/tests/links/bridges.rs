//! Bridges.

use wharf_network::bridge::{self, Ipv6, Owner};
use wharf_network::{LinkError, Mac, host, sysctl};

use crate::world::{bridge_spec, in_a_world, links_here, net};

#[test]
fn a_bridge_is_made_with_all_its_addresses_and_found_again_as_it_is() {
    in_a_world(|| {
        let mut spec = bridge_spec("br0", &["10.7.0.1/24", "10.8.0.1/16", "fd07::1/64"]);
        spec.mtu = Some(1400);
        spec.mac = Some("02:42:0a:07:00:01".parse().unwrap());
        let made = bridge::ensure(&spec).unwrap();
        assert!(made.made);
        assert_eq!((made.mtu, Some(made.mac)), (1400, spec.mac));
        for address in &spec.addresses {
            assert!(
                made.addresses.contains(address),
                "{address}: {:?}",
                made.addresses
            );
        }
        let link = host::link("br0").unwrap().unwrap();
        assert_eq!(
            (link.kind.as_str(), link.up, link.index),
            ("bridge", true, made.index)
        );
        let again = bridge::ensure(&spec).unwrap();
        assert_eq!(
            (again.made, again.index, again.mac),
            (false, made.index, made.mac)
        );
        bridge::remove("br0").unwrap();
        bridge::remove("br0").unwrap();
        assert_eq!(links_here(), [""; 0]);
    });
}

#[test]
fn a_bridge_s_parameters_are_those_that_published_ports_and_safety_need() {
    in_a_world(|| {
        bridge::ensure(&bridge_spec("br.4", &["10.7.0.1/24"])).unwrap();
        bridge::ensure(&bridge_spec("br6", &["10.8.0.1/24", "fd08::1/64"])).unwrap();
        let is = |key: &str| sysctl::read(key).unwrap();
        assert_eq!(is("net.ipv4.conf.br/4.route_localnet"), "1");
        assert_eq!(is("net.ipv6.conf.br/4.disable_ipv6"), "1");
        assert_eq!(is("net.ipv6.conf.br6.disable_ipv6"), "0");
        // CVE-2020-13401: a container that advertises itself as a router is not believed.
        assert_eq!(is("net.ipv6.conf.br6.accept_ra"), "0");
    });
}

#[test]
fn a_bridge_that_containers_have_as_gateway_is_never_renumbered() {
    in_a_world(|| {
        bridge::ensure(&bridge_spec("br0", &["10.7.0.1/24", "fd07::1/64"])).unwrap();
        for wants in ["10.9.0.1/24", "10.7.0.1/16", "fd09::1/64"] {
            match bridge::ensure(&bridge_spec("br0", &[wants])) {
                Err(LinkError::Renumber {
                    bridge,
                    has,
                    wants: wanted,
                }) => {
                    assert_eq!((bridge.as_str(), wanted), ("br0", net(wants)));
                    assert!([net("10.7.0.1/24"), net("fd07::1/64")].contains(&has));
                }
                other => panic!("{other:?}"),
            }
        }
        let addresses = host::addresses_of("br0").unwrap();
        assert!(addresses.contains(&net("10.7.0.1/24")) && addresses.contains(&net("fd07::1/64")));
    });
}

#[test]
fn a_bridge_that_lost_something_gets_it_back() {
    in_a_world(|| {
        bridge::ensure(&bridge_spec("br0", &["10.7.0.1/24"])).unwrap();
        // A second family later is no renumbering, nor is a second network of one.
        let mut spec = bridge_spec("br0", &["10.7.0.1/24", "10.8.0.1/24", "fd07::1/64"]);
        spec.mtu = Some(1300);
        let found = bridge::ensure(&spec).unwrap();
        assert!(!found.made);
        assert_eq!(found.mtu, 1300);
        for address in &spec.addresses {
            assert!(
                found.addresses.contains(address),
                "{address}: {:?}",
                found.addresses
            );
        }
    });
}

#[test]
fn somebody_else_s_bridge_is_used_as_it_is_or_refused() {
    in_a_world(|| {
        let mut spec = bridge_spec("br0", &[]);
        spec.owner = Owner::Somebody;
        let missing = bridge::ensure(&spec).unwrap_err();
        assert!(matches!(missing, LinkError::NoSuchLink { link } if link == "br0"));

        let theirs = bridge::ensure(&bridge_spec("br0", &["10.7.0.1/24"])).unwrap();
        sysctl::write("net.ipv4.conf.br0.route_localnet", "0").unwrap();
        spec.mtu = Some(1300);
        spec.mac = Some(Mac::random_local());
        spec.ipv6 = Ipv6::On;
        let used = bridge::ensure(&spec).unwrap();
        assert_eq!(
            (used.mtu, used.mac, used.made),
            (theirs.mtu, theirs.mac, false)
        );
        assert_eq!(used.addresses, [net("10.7.0.1/24")]);
        assert_eq!(
            sysctl::read("net.ipv4.conf.br0.route_localnet").unwrap(),
            "0"
        );
    });
}

#[test]
fn what_is_no_bridge_is_neither_used_nor_removed() {
    in_a_world(|| {
        for result in [
            bridge::ensure(&bridge_spec("lo", &[])).map(drop),
            bridge::remove("lo"),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.to_string(), "lo is a hardware link, not a bridge");
        }
    });
}

#[test]
fn a_failure_half_way_leaves_no_bridge() {
    in_a_world(|| {
        // Below IPv6's least MTU there is no IPv6 on the link, and so no place for the address.
        let mut spec = bridge_spec("br0", &["10.7.0.1/24", "fd07::1/64"]);
        spec.mtu = Some(600);
        let error = bridge::ensure(&spec).unwrap_err();
        assert!(error.to_string().contains("br0"), "{error}");
        assert_eq!(links_here(), [""; 0]);
    });
}

#[test]
fn names_that_the_kernel_takes_otherwise_are_refused() {
    in_a_world(|| {
        for name in [
            "",
            "a/b",
            "a b",
            "br%d",
            "..",
            "all",
            "longer-than-15-b",
            "a:b",
        ] {
            let error = bridge::ensure(&bridge_spec(name, &[])).unwrap_err();
            assert!(
                matches!(error, LinkError::InvalidName { .. }),
                "{name}: {error}"
            );
        }
        assert_eq!(links_here(), [""; 0]);
    });
}

#[test]
fn each_bridge_with_ipv6_answers_for_the_loopback_address_and_being_asked_again_changes_nothing() {
    in_a_world(|| {
        for (name, address) in [
            ("br0", "fd07::1/64"),
            ("br1", "fd08::1/64"),
            ("br0", "fd07::1/64"),
        ] {
            bridge::ensure(&bridge_spec(name, &[address])).unwrap();
        }
    });
}
