//! Any bytes as what comes over the wire to a DHCP client: whoever is on the network sends them.
//! A lease that is made of them has an address that a host can have, times in their order, and
//! nothing in its domain that a resolv.conf would read as more than a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_network::dhcp::Packet;

fuzz_target!(|data: &[u8]| {
    let whole = Packet::read(data);
    for packet in [whole, Packet::read_message(data)].into_iter().flatten() {
        let Some(lease) = packet.lease() else { continue };
        let address = lease.address.addr();
        assert!(!address.is_unspecified() && !address.is_multicast() && !address.is_loopback());
        assert!(lease.renew_after <= lease.rebind_after && lease.rebind_after <= lease.duration);
        assert!(!lease.renew_after.is_zero());
        let domain = lease.domain.unwrap_or_default();
        assert!(domain.len() <= 253 && !domain.contains(|c: char| c.is_whitespace()));
        assert!(lease.dns.len() <= data.len() / 4);
    }
});
