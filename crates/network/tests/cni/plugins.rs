//! With Debian's plugins.

use std::net::{IpAddr, TcpListener, TcpStream};

use serde_json::{Value, json};
use wharf_network::cni::{Attachment, CniError, Conflist};
use wharf_network::{Netns, host};

use crate::world::{Place, conflist, in_a_world, path_of};

/// A bridge with addresses, and a plugin behind it that changes what the first one made.
fn bridged(place: &Place, version: &str) -> Conflist {
    conflist(&json!({
        "cniVersion": version,
        "name": "front",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": place.directory.path().join("leases"),
                    "ranges": [[{"subnet": "10.88.0.0/24"}], [{"subnet": "fd88::/64"}]],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            },
            {
                "type": "tuning",
                "capabilities": {"mac": true},
                "sysctl": {"net.ipv4.conf.all.arp_filter": "1"},
            },
        ],
    }))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn containers_on_a_network_of_plugins_reach_each_other_until_they_leave() {
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        in_a_world(|| {
            let place = Place::new();
            let (driver, network) = (place.driver(), bridged(&place, version));
            driver.validate(&network).unwrap();
            driver.status(&network).unwrap();
            let containers = [Netns::create().unwrap(), Netns::create().unwrap()];
            let mut addresses = Vec::new();
            for (container, id) in containers.iter().zip(["one", "two"]) {
                let attachment = Attachment::new(id, "eth0");
                let attached = driver
                    .add(&network, &attachment, &path_of(container))
                    .unwrap();
                assert_eq!(attached.raw["cniVersion"], version);
                assert!(attached.interfaces.iter().any(|link| link.name == "eth0"));
                assert_eq!(attached.addresses.len(), 2, "{version}: {attached:?}");
                assert_eq!(attached.addresses[0].gateway, Some(ip("10.88.0.1")));
                assert_eq!(attached.routes.len(), 2);
                assert_eq!(
                    driver.attached("front", id, "eth0").unwrap().unwrap(),
                    attached
                );
                driver
                    .check("front", id, "eth0", &path_of(container))
                    .unwrap();
                addresses.push(attached.addresses[0].address.addr());
            }
            assert_ne!(addresses[0], addresses[1]);
            let listening = containers[0].run(|| TcpListener::bind((addresses[0], 80)));
            let _listener = listening.unwrap().unwrap();
            let reached = containers[1].run(|| TcpStream::connect((addresses[0], 80)));
            reached.unwrap().unwrap();

            driver
                .delete("front", "one", "eth0", Some(&path_of(&containers[0])))
                .unwrap();
            let left = containers[0].run(host::links).unwrap().unwrap();
            assert!(left.iter().all(|link| link.name != "eth0"));
            // Its namespace gone, what is outside goes nevertheless.
            driver.delete("front", "two", "eth0", None).unwrap();
            assert_eq!((place.leases("front"), place.recorded()), (vec![], vec![]));
            // Again, as after a crash: nothing to do.
            driver.delete("front", "two", "eth0", None).unwrap();
        });
    }
}

#[test]
fn a_plugin_gets_the_capabilities_it_says_it_takes() {
    in_a_world(|| {
        let place = Place::new();
        let (driver, network) = (place.driver(), bridged(&place, "1.0.0"));
        let container = Netns::create().unwrap();
        let mut attachment = Attachment::new("box", "net7");
        attachment
            .capabilities
            .insert("mac".to_owned(), Value::from("02:88:00:00:00:07"));
        attachment
            .capabilities
            .insert("bandwidth".to_owned(), Value::from("nobody takes it"));
        let attached = driver
            .add(&network, &attachment, &path_of(&container))
            .unwrap();
        let links = container.run(host::links).unwrap().unwrap();
        let link = links.iter().find(|link| link.name == "net7").unwrap();
        assert_eq!(link.mac.unwrap().to_string(), "02:88:00:00:00:07");
        assert!(
            attached
                .interfaces
                .iter()
                .any(|link| link.mac == "02:88:00:00:00:07")
        );
    });
}

#[test]
fn a_check_finds_what_somebody_took_away() {
    in_a_world(|| {
        let place = Place::new();
        let (driver, network) = (place.driver(), bridged(&place, "1.0.0"));
        let container = Netns::create().unwrap();
        let attachment = Attachment::new("box", "eth0");
        driver
            .add(&network, &attachment, &path_of(&container))
            .unwrap();
        let taken = container.run(|| {
            let net = Netns::current().unwrap();
            wharf_network::endpoint::detach(None, Some(&net), Some("eth0"))
        });
        taken.unwrap().unwrap();
        match driver.check("front", "box", "eth0", &path_of(&container)) {
            Err(CniError::Failed {
                plugin, command, ..
            }) => {
                assert_eq!((plugin.as_str(), command), ("bridge", "CHECK"));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            driver.check("front", "other", "eth0", &path_of(&container)),
            Err(CniError::NotAttached { .. })
        ));
    });
}

#[test]
fn a_second_plugin_that_fails_leaves_nothing_of_the_first() {
    in_a_world(|| {
        let place = Place::new();
        let driver = place.driver();
        let mut json = bridged(&place, "1.0.0").as_json().clone();
        json["plugins"][1]["sysctl"] = json!({"net.ipv4.conf.IFNAME.no_such_thing": "1"});
        let container = Netns::create().unwrap();
        let attachment = Attachment::new("box", "eth0");
        let error = driver.add(&conflist(&json), &attachment, &path_of(&container));
        match error {
            Err(CniError::Failed { plugin, .. }) => assert_eq!(plugin, "tuning"),
            other => panic!("{other:?}"),
        }
        let links = container.run(host::links).unwrap().unwrap();
        assert!(links.iter().all(|link| link.name != "eth0"));
        assert_eq!((place.leases("front"), place.recorded()), (vec![], vec![]));
        // And so the same can be had at once.
        let network = bridged(&place, "1.0.0");
        driver
            .add(&network, &attachment, &path_of(&container))
            .unwrap();
        assert!(matches!(
            driver.add(&network, &attachment, &path_of(&container)),
            Err(CniError::Attached { .. })
        ));
    });
}

#[test]
fn addresses_of_containers_that_nobody_knows_any_more_are_collected() {
    in_a_world(|| {
        let place = Place::new();
        let (driver, network) = (place.driver(), bridged(&place, "1.0.0"));
        let containers = [Netns::create().unwrap(), Netns::create().unwrap()];
        for (container, id) in containers.iter().zip(["known", "forgotten"]) {
            let attachment = Attachment::new(id, "eth0");
            driver
                .add(&network, &attachment, &path_of(container))
                .unwrap();
        }
        assert_eq!(place.leases("front").len(), 2);
        let known = [("known".to_owned(), "eth0".to_owned())];
        driver.collect(&network, &known).unwrap();
        assert_eq!(place.recorded(), ["front:known:eth0.json"]);
        assert_eq!(place.leases("front").len(), 1);
    });
}
