//! The way to a container's resolver, inside the container's own namespace.
//!
//! Programs ask 127.0.0.11 at port 53. The resolver's sockets have other ports there, so that a
//! container may itself listen on port 53 of every address (a DNS server in a container); a table
//! of ours sends the one to the other:
//! ```text
//! table inet wharf-dns
//!     chain output    type nat hook output priority -100
//!         ip daddr 127.0.0.11 meta l4proto udp th dport 53 dnat ip to 127.0.0.11:40001
//!         ip daddr 127.0.0.11 meta l4proto tcp th dport 53 dnat ip to 127.0.0.11:40002
//! ```
//! Answers find back by the connection's entry; nothing is listed, as the container owns what is
//! in its namespace and may even flush it.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::batch::{Batch, Hook};
use super::error::Result;
use super::expression::{End, Rule};
use super::model::Protocol;
use super::socket::NetfilterSocket;
use crate::Netns;

const TABLE: &str = "wharf-dns";
const CHAIN: &str = "output";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
const PORT: u16 = 53;

/// In `namespace`, send what goes to 127.0.0.11:53 to these ports of that address. Done again, it
/// replaces what it did before.
pub fn redirect_resolver(namespace: &Netns, udp_port: u16, tcp_port: u16) -> Result<()> {
    let mut socket = namespace.run(NetfilterSocket::open)??;
    let mut batch = Batch::new(TABLE);
    batch.table();
    let hook = Hook {
        kind: "nat",
        number: 3,
        priority: -100,
    };
    batch.chain(CHAIN, Some(hook));
    batch.flush_chain(CHAIN);
    for (protocol, port) in [(Protocol::Udp, udp_port), (Protocol::Tcp, tcp_port)] {
        let rule = Rule::new()
            .address(End::Destination, IpNet::from(ADDRESS))
            .protocol(protocol.number())
            .port(PORT)
            .translate_to(ADDRESS, port);
        batch.rule(CHAIN, &rule);
    }
    socket.commit(&mut batch, None)
}
