//! Saying that an address has come to another link.
//!
//! Addresses are given again, to links with other Ethernet addresses. Whoever knew the old owner
//! would go on sending to it until its memory fades, which takes half a minute: a container that
//! was replaced would not be there for its neighbours, nor its published ports for the world. So
//! neighbours are told (gratuitous ARP, RFC 5227; unsolicited neighbour advertisement, RFC 4861
//! 7.2.6), and the host forgets what it knew.
//!
//! For a port of a bridge the bridge speaks: a new port passes nothing on before the kernel has
//! noticed, some time after we are done, that it has a carrier. Nothing fails for this: what is
//! not heard is found out the slow way. And nobody waits: closing a packet socket takes the kernel
//! ten times as long as all the rest of an endpoint, so a thread does it that nobody joins.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use ipnet::IpNet;
use wharf_sys::packet::{PacketSocket, Protocol};

use crate::link_error::Result;
use crate::mac::Mac;
use crate::netlink::kernel::{AF_INET, AF_INET6, NDA_DST, RTM_DELNEIGH};
use crate::netlink::{Message, Socket};

/// All nodes on the link, and the Ethernet address of that group.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

const ICMPV6: u8 = 58;
const ADVERTISEMENT: u8 = 136;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_ADDRESS: u8 = 2;

/// Tell everybody on a link, which is in the calling thread's namespace, that these addresses are
/// at `mac`: soon.
pub(super) fn announce(link: u32, mac: Mac, addresses: &[IpNet]) {
    if addresses.is_empty() {
        return;
    }
    let addresses = addresses.to_vec();
    let told = thread::Builder::new()
        .name("announce".to_owned())
        .spawn(move || {
            if let Err(error) = tell(link, mac, &addresses) {
                tracing::debug!(link, %mac, %error, "neighbours are not told of an address");
            }
        });
    if let Err(error) = told {
        tracing::debug!(link, %mac, %error, "neighbours are not told of an address");
    }
}

fn tell(link: u32, mac: Mac, addresses: &[IpNet]) -> io::Result<()> {
    let socket = PacketSocket::open_deaf(link)?;
    for address in addresses {
        match address.addr() {
            IpAddr::V4(address) => socket.broadcast(Protocol::Arp, &arp(address, mac))?,
            IpAddr::V6(address) => {
                socket.send(Protocol::Ipv6, ALL_NODES_MAC, &advertisement(address, mac))?;
            }
        }
    }
    Ok(())
}

/// Have the kernel forget who on a link had these addresses.
pub(super) fn forget(socket: &mut Socket, link: u32, addresses: &[IpNet]) -> Result<()> {
    let [i0, i1, i2, i3] = link.to_ne_bytes();
    let requests: Vec<Message> = addresses
        .iter()
        .map(|address| {
            let family = if address.addr().is_ipv4() {
                AF_INET
            } else {
                AF_INET6
            };
            // struct ndmsg.
            let fixed = [family, 0, 0, 0, i0, i1, i2, i3, 0, 0, 0, 0];
            Message::new(RTM_DELNEIGH, 0, &fixed).address(NDA_DST, address.addr())
        })
        .collect();
    // Most were not known.
    socket.exchange(&requests).map(drop)
}

/// A request that asks for the address it comes from.
fn arp(address: Ipv4Addr, mac: Mac) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend_from_slice(&mac.0);
    packet.extend_from_slice(&address.octets());
    packet.extend_from_slice(&[0; 6]);
    packet.extend_from_slice(&address.octets());
    packet
}

/// An advertisement that nobody asked for, in its IPv6 packet.
fn advertisement(address: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&[TARGET_LINK_ADDRESS, 1]);
    message.extend_from_slice(&mac.0);
    let length = u8::try_from(message.len()).unwrap_or_default();
    let mut summed = address.octets().to_vec();
    summed.extend_from_slice(&ALL_NODES.octets());
    summed.extend_from_slice(&[0, 0, 0, length, 0, 0, 0, ICMPV6]);
    summed.extend_from_slice(&message);
    message[2..4].copy_from_slice(&crate::checksum::internet(&summed).to_be_bytes());
    // Neighbours listen only to what cannot have come through a router: a hop limit of 255.
    let mut packet = vec![0x60, 0, 0, 0, 0, length, ICMPV6, 255];
    packet.extend_from_slice(&address.octets());
    packet.extend_from_slice(&ALL_NODES.octets());
    packet.extend_from_slice(&message);
    packet
}
