//! Endpoints in bridges.

use wharf_network::endpoint::{self, InterfaceName, Isolation, Kind, Route};
use wharf_network::{LinkError, Netns, bridge, host, sysctl};

use crate::world::{
    bridge_spec, endpoint_spec, in_a_world, ip, links_here, links_of, net, reaches, with_bridge,
};

#[test]
fn an_endpoint_has_its_name_addresses_gateways_mac_and_mtu() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24", "fd07::2/64"]);
        spec.mac = Some("02:42:0a:07:00:02".parse().unwrap());
        spec.mtu = Some(1400);
        let attached = endpoint::attach(&spec, &container).unwrap();
        assert_eq!(attached.name, "eth0");
        assert_eq!(attached.host_name.as_deref(), Some("veth0"));
        assert_eq!((Some(attached.mac), attached.mtu), (spec.mac, 1400));

        let near = host::link("veth0").unwrap().unwrap();
        let master = host::link("br0").unwrap().unwrap();
        assert_eq!(
            (near.master, near.mtu, near.up),
            (Some(master.index), 1400, true)
        );
        assert_eq!(Some(near.index), attached.host_index);

        let (link, addresses, routes) = container
            .run(|| {
                let link = host::link("eth0").unwrap().unwrap();
                (
                    link,
                    host::addresses_of("eth0").unwrap(),
                    host::routes().unwrap(),
                )
            })
            .unwrap();
        assert_eq!((link.mac, link.mtu, link.up), (spec.mac, 1400, true));
        assert_eq!(link.index, attached.index);
        for address in &spec.addresses {
            assert!(addresses.contains(address), "{address}: {addresses:?}");
        }
        for gateway in ["10.7.0.1", "fd07::1"] {
            let default = |to: &host::HostRoute| {
                to.to.prefix_len() == 0
                    && to.via == Some(ip(gateway))
                    && to.index == Some(link.index)
            };
            assert!(routes.iter().any(default), "{routes:?}");
        }
    });
}

#[test]
fn two_containers_on_a_bridge_reach_each_other_at_once_by_both_families() {
    in_a_world(|| {
        with_bridge();
        let (one, two) = (Netns::create().unwrap(), Netns::create().unwrap());
        let first = endpoint_spec("br0", "veth1", &["10.7.0.2/24", "fd07::2/64"]);
        let second = endpoint_spec("br0", "veth2", &["10.7.0.3/24", "fd07::3/64"]);
        endpoint::attach(&first, &one).unwrap();
        endpoint::attach(&second, &two).unwrap();
        // No address waits for duplicate detection: it can be bound, and answers, now.
        assert!(reaches(&one, ip("fd07::3"), &two));
        assert!(reaches(&one, ip("10.7.0.3"), &two));
        assert!(reaches(&two, ip("10.7.0.1"), &Netns::current().unwrap()));
        assert!(reaches(&two, ip("fd07::1"), &Netns::current().unwrap()));
    });
}

#[test]
fn isolated_ports_reach_the_bridge_and_not_each_other() {
    in_a_world(|| {
        with_bridge();
        let (one, two) = (Netns::create().unwrap(), Netns::create().unwrap());
        for (ns, name, address) in [
            (&one, "veth1", "10.7.0.2/24"),
            (&two, "veth2", "10.7.0.3/24"),
        ] {
            let mut spec = endpoint_spec("br0", name, &[address]);
            spec.kind = Kind::Veth {
                bridge: "br0".to_owned(),
                isolation: Isolation::Isolated,
            };
            endpoint::attach(&spec, ns).unwrap();
        }
        assert!(!reaches(&one, ip("10.7.0.3"), &two));
        assert!(reaches(&one, ip("10.7.0.1"), &Netns::current().unwrap()));
    });
}

#[test]
fn the_next_name_is_the_lowest_that_is_free() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let names = |number: usize| {
            let spec = endpoint_spec(
                "br0",
                &format!("veth{number}"),
                &[&format!("10.7.0.{}/24", number + 2)],
            );
            let spec = wharf_network::endpoint::EndpointSpec {
                routes: Vec::new(),
                ..spec
            };
            endpoint::attach(&spec, &container).unwrap().name
        };
        assert_eq!([names(0), names(1), names(2)], ["eth0", "eth1", "eth2"]);
        endpoint::detach(Some("veth1"), None, None).unwrap();
        assert_eq!(names(3), "eth1");
    });
}

#[test]
fn without_an_ipv6_address_there_is_no_ipv6_on_the_link() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        endpoint::attach(&endpoint_spec("br0", "veth0", &["10.7.0.2/24"]), &container).unwrap();
        let addresses = container
            .run(|| host::addresses_of("eth0").unwrap())
            .unwrap();
        assert_eq!(addresses, [net("10.7.0.2/24")]);
    });
}

#[test]
fn parameters_of_the_link_are_set_by_its_name_in_its_namespace_only() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
        spec.name = InterfaceName::Exact("eth.7".to_owned());
        spec.sysctls = vec![
            (
                "net.ipv4.conf.IFNAME.log_martians".to_owned(),
                "1".to_owned(),
            ),
            ("net/ipv4/conf/IFNAME/arp_notify".to_owned(), "1".to_owned()),
        ];
        endpoint::attach(&spec, &container).unwrap();
        for name in ["log_martians", "arp_notify"] {
            let key = format!("net.ipv4.conf.eth/7.{name}");
            assert_eq!(container.run(|| sysctl::read(&key).unwrap()).unwrap(), "1");
            assert!(matches!(sysctl::read(&key), Err(LinkError::Sysctl { .. })));
        }
    });
}

#[test]
fn a_parameter_that_is_not_of_the_link_is_refused_and_nothing_is_made() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        for key in [
            "net.ipv4.ip_forward",
            "kernel.IFNAME.core_pattern",
            "net.ipv4.conf.IFNAME.nope",
        ] {
            let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
            spec.sysctls = vec![(key.to_owned(), "1".to_owned())];
            let error = endpoint::attach(&spec, &container).unwrap_err();
            assert!(error.to_string().contains("sysctl"), "{error}");
            assert_eq!(links_here(), ["br0"]);
            assert_eq!(links_of(&container), [""; 0]);
        }
    });
}

#[test]
fn whatever_fails_leaves_no_link_on_either_side_and_names_the_one_it_was() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let good = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);

        let mut twice = good.clone();
        twice.addresses.push(net("10.7.0.2/24"));
        let error = endpoint::attach(&twice, &container).unwrap_err();
        assert_eq!(error.to_string(), "address 10.7.0.2/24 is already on eth0");

        let mut far = good.clone();
        far.routes = vec![Route::default_by(ip("192.168.9.1"))];
        let error = endpoint::attach(&far, &container).unwrap_err();
        assert_eq!(
            error.to_string(),
            "gateway 192.168.9.1 is not reachable through eth0"
        );

        let mut no_bridge = good.clone();
        no_bridge.kind = Kind::Veth {
            bridge: "br9".to_owned(),
            isolation: Isolation::Open,
        };
        let error = endpoint::attach(&no_bridge, &container).unwrap_err();
        assert_eq!(error.to_string(), "no such link: br9");

        let mut small = good.clone();
        small.mtu = Some(20);
        let error = endpoint::attach(&small, &container).unwrap_err();
        assert!(error.to_string().contains("veth0"), "{error}");

        assert_eq!(links_here(), ["br0"]);
        assert_eq!(links_of(&container), [""; 0]);
        endpoint::attach(&good, &container).unwrap();
    });
}

#[test]
fn a_name_that_is_taken_is_said_and_what_has_it_stays() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
        spec.name = InterfaceName::Exact("eth0".to_owned());
        endpoint::attach(&spec, &container).unwrap();
        let error = endpoint::attach(&spec, &Netns::create().unwrap()).unwrap_err();
        assert!(
            matches!(&error, LinkError::LinkExists { link } if link == "veth0"),
            "{error}"
        );
        let other = endpoint::EndpointSpec {
            host_name: "veth1".to_owned(),
            ..spec
        };
        let error = endpoint::attach(&other, &container).unwrap_err();
        assert!(
            matches!(&error, LinkError::LinkExists { link } if link == "eth0"),
            "{error}"
        );
        assert_eq!(links_here(), ["br0", "veth0"]);
        assert_eq!(links_of(&container), ["eth0"]);
    });
}

#[test]
fn detaching_takes_both_ends_and_may_come_twice_but_never_takes_what_is_not_ours() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
        for _ in 0..2 {
            endpoint::attach(&spec, &container).unwrap();
            endpoint::detach(Some("veth0"), Some(&container), Some("eth0")).unwrap();
            endpoint::detach(Some("veth0"), Some(&container), Some("eth0")).unwrap();
            assert_eq!(links_here(), ["br0"]);
            assert_eq!(links_of(&container), [""; 0]);
        }
        let error = endpoint::detach(Some("br0"), Some(&container), Some("lo")).unwrap_err();
        assert!(
            matches!(&error, LinkError::Several(both) if both.len() == 2),
            "{error}"
        );
        assert_eq!(bridge::ports("br0").unwrap(), []);
    });
}

#[test]
fn a_container_that_is_gone_takes_its_end_and_the_host_s_along() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        endpoint::attach(&endpoint_spec("br0", "veth0", &["10.7.0.2/24"]), &container).unwrap();
        drop(container);
        // The kernel takes the namespace down when it likes; before or after makes no difference.
        endpoint::detach(Some("veth0"), None, None).unwrap();
        assert_eq!(links_here(), ["br0"]);
    });
}

#[test]
fn eight_at_once_on_one_bridge_and_in_one_container_all_get_what_they_asked_for() {
    in_a_world(|| {
        with_bridge();
        let world = Netns::current().unwrap();
        let container = Netns::create().unwrap();
        let attach = |thread: u32| {
            for turn in 0..5 {
                let address = format!("10.7.{}.{}/16", thread + 1, turn + 1);
                let mut spec = endpoint_spec("br0", &format!("v{thread}-{turn}"), &[&address]);
                spec.routes.clear();
                world
                    .run(|| endpoint::attach(&spec, &container).unwrap())
                    .unwrap();
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || attach(thread));
            }
        });
        assert_eq!(bridge::ports("br0").unwrap().len(), 40);
        let mut expected: Vec<String> = (0..40).map(|number| format!("eth{number}")).collect();
        expected.sort();
        assert_eq!(links_of(&container), expected);
    });
}

#[test]
fn the_gateway_moves_to_another_network_and_away_altogether() {
    in_a_world(|| {
        with_bridge();
        bridge::ensure(&bridge_spec("br1", &["10.9.0.1/24", "fd09::1/64"])).unwrap();
        let container = Netns::create().unwrap();
        let first = endpoint_spec("br0", "veth0", &["10.7.0.2/24", "fd07::2/64"]);
        endpoint::attach(&first, &container).unwrap();
        let mut second = endpoint_spec("br1", "veth1", &["10.9.0.2/24", "fd09::2/64"]);
        second.routes.clear();
        endpoint::attach(&second, &container).unwrap();
        let defaults = || {
            let routes = container.run(|| host::routes().unwrap()).unwrap();
            let defaults = routes
                .into_iter()
                .filter(|route| route.to.prefix_len() == 0);
            defaults.filter_map(|route| route.via).collect::<Vec<_>>()
        };
        assert_eq!(defaults(), [ip("10.7.0.1"), ip("fd07::1")]);
        let v4 = Some("10.9.0.1".parse().unwrap());
        let v6 = Some("fd09::1".parse().unwrap());
        for _ in 0..2 {
            endpoint::set_default_routes(&container, v4, v6).unwrap();
            assert_eq!(defaults(), [ip("10.9.0.1"), ip("fd09::1")]);
        }
        endpoint::set_default_routes(&container, v4, None).unwrap();
        assert_eq!(defaults(), [ip("10.9.0.1")]);
        let nowhere = Some("192.168.7.1".parse().unwrap());
        let error = endpoint::set_default_routes(&container, nowhere, None).unwrap_err();
        assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
        assert_eq!(defaults(), [ip("10.9.0.1")]);
        endpoint::set_default_routes(&container, None, None).unwrap();
        assert!(defaults().is_empty());
    });
}

#[test]
fn addresses_come_and_go_on_a_link_that_is_there() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        endpoint::attach(&endpoint_spec("br0", "veth0", &[]), &container).unwrap();
        let given = [net("10.7.0.9/24")];
        let routes = [Route::default_by(ip("10.7.0.1"))];
        endpoint::add_to(&container, "eth0", &given, &routes).unwrap();
        let addresses = || {
            container
                .run(|| host::addresses_of("eth0").unwrap())
                .unwrap()
        };
        assert_eq!(addresses(), given);
        endpoint::take_from(&container, "eth0", &given).unwrap();
        endpoint::take_from(&container, "eth0", &given).unwrap();
        assert_eq!(addresses(), []);
        assert_eq!(container.run(|| host::routes().unwrap()).unwrap(), []);
    });
}

#[test]
fn an_address_that_comes_back_with_another_mac_is_found_by_those_who_knew_the_old_one() {
    in_a_world(|| {
        with_bridge();
        let neighbour = Netns::create().unwrap();
        let spec = endpoint_spec("br0", "veth1", &["10.7.0.3/24", "fd07::3/64"]);
        endpoint::attach(&spec, &neighbour).unwrap();
        for _ in 0..5 {
            let container = Netns::create().unwrap();
            let spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24", "fd07::2/64"]);
            endpoint::attach(&spec, &container).unwrap();
            assert!(soon(&neighbour, ip("10.7.0.2"), &container));
            assert!(soon(&neighbour, ip("fd07::2"), &container));
            let host = Netns::current().unwrap();
            assert!(soon(&host, ip("10.7.0.2"), &container));
            assert!(soon(&host, ip("fd07::2"), &container));
            endpoint::detach(Some("veth0"), None, None).unwrap();
        }
    });
}

/// Neighbours are told soon, not at once; left alone they find out after half a minute.
fn soon(from: &Netns, to: std::net::IpAddr, at: &Netns) -> bool {
    (0..10).any(|_| reaches(from, to, at))
}
