//! Endpoints on a parent. Where the kernel lacks a kind, the error says which: the tests hold
//! either.

use wharf_network::endpoint::{
    self, EndpointSpec, IpvlanFlag, IpvlanMode, Kind, MacvlanMode, parent,
};
use wharf_network::{LinkError, Netns, host};

use crate::world::{endpoint_spec, in_a_world, ip, links_here, links_of, net, reaches};

fn macvlan(parent: &str, mode: MacvlanMode, address: &str) -> EndpointSpec {
    EndpointSpec {
        kind: Kind::Macvlan {
            parent: parent.to_owned(),
            mode,
        },
        host_name: String::new(),
        routes: Vec::new(),
        ..endpoint_spec("", "", &[address])
    }
}

#[test]
fn links_on_an_inner_parent_reach_each_other_in_bridge_mode_and_not_in_private_mode() {
    in_a_world(|| {
        for (mode, reached) in [(MacvlanMode::Bridge, true), (MacvlanMode::Private, false)] {
            let parent = parent::ensure_inner("dm-1").unwrap();
            assert!(parent.made);
            assert!(!parent::ensure_inner("dm-1").unwrap().made);
            let (one, two) = (Netns::create().unwrap(), Netns::create().unwrap());
            let first = endpoint::attach(&macvlan("dm-1", mode, "10.7.0.2/24"), &one).unwrap();
            endpoint::attach(&macvlan("dm-1", mode, "10.7.0.3/24"), &two).unwrap();
            assert_eq!(
                (first.name.as_str(), first.host_name.as_deref()),
                ("eth0", None)
            );
            assert_eq!(reaches(&one, ip("10.7.0.3"), &two), reached, "{mode:?}");
            endpoint::detach(None, Some(&one), Some("eth0")).unwrap();
            endpoint::detach(None, Some(&one), Some("eth0")).unwrap();
            assert_eq!(links_of(&one), [""; 0]);
            parent::remove("dm-1").unwrap();
            parent::remove("dm-1").unwrap();
            assert_eq!(links_here(), [""; 0]);
        }
    });
}

#[test]
fn a_macvlan_link_s_names_and_addresses_are_those_asked_for_in_every_mode() {
    in_a_world(|| {
        for mode in [
            MacvlanMode::Bridge,
            MacvlanMode::Private,
            MacvlanMode::Vepa,
            MacvlanMode::Passthru,
        ] {
            parent::ensure_inner("dm-1").unwrap();
            let container = Netns::create().unwrap();
            let mut spec = macvlan("dm-1", mode, "10.7.0.2/24");
            spec.mtu = Some(1400);
            spec.mac = Some("02:42:0a:07:00:02".parse().unwrap());
            let attached = endpoint::attach(&spec, &container).unwrap();
            assert_eq!(attached.mtu, 1400, "{mode:?}");
            // A parent that is passed through gives its own address along.
            let own = host::link("dm-1").unwrap().unwrap().mac;
            let expected = if mode == MacvlanMode::Passthru {
                own
            } else {
                spec.mac
            };
            assert_eq!(Some(attached.mac), expected, "{mode:?}");
            parent::remove("dm-1").unwrap();
        }
    });
}

#[test]
fn a_parent_that_is_passed_through_is_busy() {
    in_a_world(|| {
        parent::ensure_inner("dm-1").unwrap();
        let container = Netns::create().unwrap();
        let spec = macvlan("dm-1", MacvlanMode::Passthru, "10.7.0.2/24");
        endpoint::attach(&spec, &container).unwrap();
        let other = macvlan("dm-1", MacvlanMode::Bridge, "10.7.0.3/24");
        let error = endpoint::attach(&other, &Netns::create().unwrap()).unwrap_err();
        assert!(
            matches!(&error, LinkError::ParentBusy { parent, .. } if parent == "dm-1"),
            "{error}"
        );
    });
}

#[test]
fn traffic_to_a_macvlan_link_cannot_be_shaped_and_that_is_said() {
    in_a_world(|| {
        parent::ensure_inner("dm-1").unwrap();
        let mut spec = macvlan("dm-1", MacvlanMode::Bridge, "10.7.0.2/24");
        spec.incoming = Some(wharf_network::shaping::Shaping::default());
        let error = endpoint::attach(&spec, &Netns::create().unwrap()).unwrap_err();
        assert!(matches!(error, LinkError::Impossible { .. }), "{error}");
    });
}

#[test]
fn a_parent_that_is_not_there_is_said_by_its_name() {
    in_a_world(|| {
        let missing = |name| parent::ensure(name).unwrap_err().to_string();
        assert_eq!(missing("eth9"), "no such link: eth9");
        assert_eq!(missing("eth9.10"), "no such link: eth9");
        assert_eq!(
            missing("eth9.5000"),
            "invalid subinterface vlan name eth9.5000, example formatting is eth0.10"
        );
        let error = parent::ensure("lo").unwrap_err();
        assert!(matches!(error, LinkError::Impossible { .. }), "{error}");
        assert!(matches!(
            parent::remove("lo"),
            Err(LinkError::WrongKind { .. })
        ));
    });
}

#[test]
fn a_vlan_is_made_on_a_parent_or_the_kernel_has_none() {
    in_a_world(|| {
        parent::ensure_inner("dm-1").unwrap();
        match parent::ensure("dm-1.10") {
            Ok(vlan) => {
                assert!(vlan.made);
                let link = host::link("dm-1.10").unwrap().unwrap();
                assert_eq!((link.kind.as_str(), link.up), ("vlan", true));
                let below = host::link("dm-1").unwrap().unwrap();
                assert_eq!(link.lower, Some(below.index));
                let (one, two) = (Netns::create().unwrap(), Netns::create().unwrap());
                for (ns, address) in [(&one, "10.9.0.2/24"), (&two, "10.9.0.3/24")] {
                    let spec = macvlan("dm-1.10", MacvlanMode::Bridge, address);
                    endpoint::attach(&spec, ns).unwrap();
                }
                assert!(reaches(&one, ip("10.9.0.3"), &two));
                parent::remove("dm-1.10").unwrap();
            }
            Err(LinkError::Unsupported { link, feature }) => {
                assert_eq!((link.as_str(), feature), ("dm-1.10", "802.1q"));
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(links_here(), ["dm-1"]);
    });
}

#[test]
fn an_ipvlan_link_is_made_in_every_mode_or_the_kernel_has_none() {
    in_a_world(|| {
        for mode in [IpvlanMode::L2, IpvlanMode::L3, IpvlanMode::L3s] {
            parent::ensure_inner("dm-1").unwrap();
            let container = Netns::create().unwrap();
            let mut spec = macvlan("dm-1", MacvlanMode::Bridge, "10.7.0.2/24");
            spec.kind = Kind::Ipvlan {
                parent: "dm-1".to_owned(),
                mode,
                flag: IpvlanFlag::Bridge,
            };
            match endpoint::attach(&spec, &container) {
                Ok(attached) => {
                    assert_eq!(attached.name, "eth0");
                    spec.addresses = vec![net("10.7.0.3/24")];
                    let other = Netns::create().unwrap();
                    endpoint::attach(&spec, &other).unwrap();
                    assert!(reaches(&container, ip("10.7.0.3"), &other), "{mode:?}");
                }
                Err(error @ LinkError::Unsupported { .. }) => {
                    assert_eq!(error.to_string(), "eth0: this kernel has no ipvlan");
                    assert_eq!(links_of(&container), [""; 0]);
                }
                Err(other) => panic!("{other}"),
            }
            parent::remove("dm-1").unwrap();
        }
    });
}
