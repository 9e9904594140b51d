//! Whatever bytes come, over netlink or from the network, reading them ends, and what is made of
//! them can be used. The fuzz targets `netlink` and `dhcp` hold the same for longer.

use proptest::prelude::*;
use wharf_network::dhcp::Packet;
use wharf_network::netlink::{AddressEntry, Attributes, Frames, LinkEntry, RouteEntry};
use wharf_network::shaping;

/// A sound input of the fuzz targets, with some bytes changed and the end cut off.
fn damaged(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12);
    (
        prop::sample::select(seeds),
        changes,
        any::<prop::sample::Index>(),
    )
        .prop_map(|(seed, changes, end)| {
            let mut bytes = seed.to_vec();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if end.index(2) == 0 {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        })
}

const NETLINK: &[&[u8]] = &[
    include_bytes!("../../../../fuzz/seeds/netlink/listing"),
    include_bytes!("../../../../fuzz/seeds/netlink/queue"),
    include_bytes!("../../../../fuzz/seeds/netlink/refusal"),
    include_bytes!("../../../../fuzz/seeds/netlink/link"),
];

const DHCP: &[&[u8]] = &[
    include_bytes!("../../../../fuzz/seeds/dhcp/message"),
    include_bytes!("../../../../fuzz/seeds/dhcp/packet"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_s_answers_are_read_within_their_bounds(data in damaged(NETLINK)) {
        let bodies: usize = Frames::new(&data).map(|frame| {
            object(frame.body);
            frame.refusal().iter().for_each(|refusal| assert!(refusal.errno > 0));
            frame.body.len()
        }).sum();
        prop_assert!(bodies <= data.len());
        object(&data);
        nested(Attributes::new(&data), 0);
    }

    #[test]
    fn a_lease_made_of_whatever_comes_can_be_used(data in damaged(DHCP)) {
        for packet in [Packet::read(&data), Packet::read_message(&data)].into_iter().flatten() {
            let Some(lease) = packet.lease() else { continue };
            let address = lease.address.addr();
            prop_assert!(!address.is_unspecified() && !address.is_multicast());
            prop_assert!(lease.renew_after <= lease.rebind_after);
            prop_assert!(lease.rebind_after <= lease.duration && !lease.renew_after.is_zero());
            let domain = lease.domain.unwrap_or_default();
            prop_assert!(domain.len() <= 253 && !domain.contains(char::is_whitespace));
        }
    }
}

#[test]
fn the_sound_ones_are_understood() {
    let listing = NETLINK[0];
    let bodies: Vec<&[u8]> = Frames::new(listing).map(|frame| frame.body).collect();
    let link = LinkEntry::read(bodies[0]).unwrap();
    assert_eq!(
        (link.name.as_str(), link.kind.as_str(), link.mtu),
        ("br0", "bridge", 1500)
    );
    assert_eq!(
        AddressEntry::read(bodies[1]).unwrap().address.to_string(),
        "10.7.0.1/24"
    );
    assert_eq!(
        RouteEntry::read(bodies[2]).unwrap().to.to_string(),
        "fd07::/64"
    );
    let refusal = Frames::new(NETLINK[2]).next().unwrap().refusal().unwrap();
    assert_eq!(
        (refusal.errno, refusal.text.as_deref()),
        (22, Some("Invalid scope"))
    );
    let lease = Packet::read(DHCP[1]).unwrap().lease().unwrap();
    assert_eq!(lease.domain.as_deref(), Some("example.net"));
}

fn object(body: &[u8]) {
    let _ = (
        LinkEntry::read(body),
        AddressEntry::read(body),
        RouteEntry::read(body),
    );
    let loss = shaping::read_netem(body).loss;
    assert!(loss.is_none_or(|loss| (0.0..=100.0).contains(&loss)));
    let _ = shaping::read_tbf(Attributes::new(body));
}

fn nested(all: Attributes<'_>, depth: usize) {
    for attribute in all {
        let _ = (
            attribute.u8(),
            attribute.u32(),
            attribute.u64(),
            attribute.text(),
        );
        let _ = (attribute.address(), attribute.mac());
        if depth < 8 {
            nested(attribute.nested(), depth + 1);
        }
    }
}
