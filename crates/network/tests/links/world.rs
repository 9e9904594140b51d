//! Namespaces to make links in, and packets to try them with.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ipnet::IpNet;
use wharf_network::bridge::{BridgeSpec, Ipv6, Owner};
use wharf_network::endpoint::{EndpointSpec, InterfaceName, Isolation, Kind, Route};
use wharf_network::{Netns, bridge, host};

/// Do a test's work in a namespace that stands for the host.
pub(crate) fn in_a_world<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    Netns::create().unwrap().run(work).unwrap()
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A bridge of ours with both families.
pub(crate) fn bridge_spec(name: &str, addresses: &[&str]) -> BridgeSpec {
    BridgeSpec {
        name: name.to_owned(),
        owner: Owner::Us,
        addresses: addresses.iter().map(|address| net(address)).collect(),
        mtu: None,
        mac: None,
        ipv6: if addresses.iter().any(|address| address.contains(':')) {
            Ipv6::On
        } else {
            Ipv6::Off
        },
    }
}

/// A container's end of a network, with the first of each family's hosts as gateway.
pub(crate) fn endpoint_spec(bridge: &str, host_name: &str, addresses: &[&str]) -> EndpointSpec {
    let addresses: Vec<IpNet> = addresses.iter().map(|address| net(address)).collect();
    let gateways = addresses.iter().map(first_of);
    EndpointSpec {
        kind: Kind::Veth {
            bridge: bridge.to_owned(),
            isolation: Isolation::Open,
        },
        host_name: host_name.to_owned(),
        name: InterfaceName::Next("eth".to_owned()),
        mac: None,
        mtu: None,
        routes: gateways.map(Route::default_by).collect(),
        addresses,
        sysctls: Vec::new(),
        outgoing: None,
        incoming: None,
    }
}

/// The first address of a network.
fn first_of(net: &IpNet) -> IpAddr {
    match net.network() {
        IpAddr::V4(net) => IpAddr::V4((u32::from(net) + 1).into()),
        IpAddr::V6(net) => IpAddr::V6((u128::from(net) + 1).into()),
    }
}

/// A bridge with both families, `10.7.0.1/24` and `fd07::1/64`.
pub(crate) fn with_bridge() {
    bridge::ensure(&bridge_spec("br0", &["10.7.0.1/24", "fd07::1/64"])).unwrap();
}

/// Whether a datagram from `from` arrives at `to`, which is in `at`.
pub(crate) fn reaches(from: &Netns, to: IpAddr, at: &Netns) -> bool {
    let receiver = at
        .run(|| UdpSocket::bind(SocketAddr::new(to, 7)).unwrap())
        .unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let sender = from.run(|| UdpSocket::bind(any).unwrap()).unwrap();
    if sender.send_to(b"hello", (to, 7)).is_err() {
        return false;
    }
    receiver.recv_from(&mut [0; 16]).is_ok()
}

/// The names of all links in a namespace but its loopback, sorted.
pub(crate) fn links_of(ns: &Netns) -> Vec<String> {
    let links = ns.run(|| host::links().unwrap()).unwrap();
    let mut names: Vec<String> = links
        .into_iter()
        .filter(|link| !link.loopback)
        .map(|link| link.name)
        .collect();
    names.sort();
    names
}

/// The same of this thread's.
pub(crate) fn links_here() -> Vec<String> {
    links_of(&Netns::current().unwrap())
}
