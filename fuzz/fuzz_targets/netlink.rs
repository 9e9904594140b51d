//! Any bytes as the kernel's answers over netlink: datagrams, messages, attributes, and the objects
//! that links, addresses, routes and queues are read from. The kernel is trusted; one of another
//! day, with other attributes and other lengths, is not known. What is read lies within what was
//! given, and however the bytes are, reading ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_network::netlink::{AddressEntry, Attributes, Frames, LinkEntry, RouteEntry};
use wharf_network::shaping;

fuzz_target!(|data: &[u8]| {
    let mut bytes = 0;
    for frame in Frames::new(data) {
        bytes += frame.body.len();
        if let Some(refusal) = frame.refusal() {
            assert!(refusal.errno > 0);
            let _ = refusal.to_string();
        }
        object(frame.body);
    }
    assert!(bytes <= data.len());
    object(data);
    attributes(Attributes::new(data), 0);
});

fn object(body: &[u8]) {
    if let Some(link) = LinkEntry::read(body) {
        assert!(link.name.len() <= body.len() * 3);
        let _ = (link.is_up(), link.is_loopback());
    }
    if let Some(entry) = AddressEntry::read(body) {
        assert!(entry.address.prefix_len() <= entry.address.max_prefix_len());
    }
    if let Some(route) = RouteEntry::read(body) {
        assert!(route.to.prefix_len() <= route.to.max_prefix_len());
    }
    let late = shaping::read_netem(body);
    assert!(late.loss.is_none_or(|loss| (0.0..=100.0).contains(&loss)));
    let _ = shaping::read_tbf(Attributes::new(body));
}

fn attributes(all: Attributes<'_>, depth: usize) {
    for attribute in all {
        let _ = (attribute.u8(), attribute.u32(), attribute.u64());
        let _ = (attribute.text(), attribute.address(), attribute.mac());
        if depth < 8 {
            attributes(attribute.nested(), depth + 1);
        }
    }
}
