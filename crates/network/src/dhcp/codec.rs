//! DHCP's messages as bytes, in UDP, in IPv4. What comes from outside is read within its bounds;
//! whatever does not fit is not there.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::mac::Mac;

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;
pub(super) const RELEASE: u8 = 7;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const UDP: u8 = 17;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// `op` to `file`, then the magic number.
const FIXED: usize = 236;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// RFC 1542: what every relay passes on.
const SMALLEST: usize = 300;

const MASK: u8 = 1;
const ROUTER: u8 = 3;
const DNS: u8 = 6;
const HOST_NAME: u8 = 12;
const DOMAIN: u8 = 15;
const MTU: u8 = 26;
const REQUESTED: u8 = 50;
const LEASE_TIME: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const RENEWAL: u8 = 58;
const REBINDING: u8 = 59;
const CLIENT_ID: u8 = 61;
const PAD: u8 = 0;
const END: u8 = 255;

/// An address that was given, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address and its network's length.
    pub address: Ipv4Net,
    /// The gateway.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The domain to look names up in.
    pub domain: Option<String>,
    /// The largest packet of the network.
    pub mtu: Option<u16>,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// How long it is good for, from when it was given.
    pub duration: Duration,
    /// When to ask for more (T1).
    pub renew_after: Duration,
    /// When to ask anybody for more (T2).
    pub rebind_after: Duration,
}

/// What a message from a server says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packet {
    /// Its type: 2 offers, 5 gives, 6 refuses.
    pub kind: u8,
    /// The number of the exchange.
    pub exchange: u32,
    /// Whom it is for.
    pub hardware: [u8; 6],
    /// The address.
    pub yours: Option<Ipv4Addr>,
    options: Vec<(u8, Vec<u8>)>,
}

impl Packet {
    /// Read an IPv4 packet, if it is one from a server's port to a client's, whole and for us.
    pub fn read(packet: &[u8]) -> Option<Packet> {
        let header = packet.first_chunk::<IP_HEADER>()?;
        let header_length = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
        if header[0] >> 4 != 4 || header_length < IP_HEADER || header[9] != UDP || fragment != 0 {
            return None;
        }
        let datagram = packet.get(header_length..total)?;
        let &[s0, s1, d0, d1, l0, l1, _, _] = datagram.first_chunk::<UDP_HEADER>()?;
        let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        if ports != (SERVER_PORT, CLIENT_PORT) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        Packet::read_message(datagram.get(UDP_HEADER..length)?)
    }

    /// Read what the datagram holds.
    pub fn read_message(message: &[u8]) -> Option<Packet> {
        let fixed = message.first_chunk::<FIXED>()?;
        // A reply, on Ethernet.
        if fixed[0] != 2 || fixed[1] != 1 || fixed[2] != 6 {
            return None;
        }
        let mut rest = message.get(FIXED..)?.strip_prefix(&MAGIC)?;
        let yours = Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]);
        let mut packet = Packet {
            exchange: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            hardware: *fixed.get(28..)?.first_chunk()?,
            yours: Some(yours).filter(|address| !address.is_unspecified()),
            ..Packet::default()
        };
        while let [option, after @ ..] = rest {
            match *option {
                END => break,
                PAD => rest = after,
                option => {
                    let (length, after) = after.split_first()?;
                    let value = after.get(..usize::from(*length))?;
                    rest = after.get(usize::from(*length)..)?;
                    packet.add(option, value);
                }
            }
        }
        packet.kind = *packet.option(KIND)?.first()?;
        Some(packet)
    }

    /// An option that comes again goes on (RFC 3396).
    fn add(&mut self, option: u8, value: &[u8]) {
        match self.options.iter_mut().find(|(seen, _)| *seen == option) {
            Some((_, whole)) => whole.extend_from_slice(value),
            None => self.options.push((option, value.to_vec())),
        }
    }

    fn option(&self, option: u8) -> Option<&[u8]> {
        self.options
            .iter()
            .find(|(seen, _)| *seen == option)
            .map(|(_, value)| value.as_slice())
    }

    fn addresses(&self, option: u8) -> Vec<Ipv4Addr> {
        let octets = self.option(option).unwrap_or_default().chunks_exact(4);
        octets
            .filter_map(|octets| octets.first_chunk::<4>())
            .map(|o| Ipv4Addr::from(*o))
            .collect()
    }

    fn seconds(&self, option: u8) -> Option<Duration> {
        let octets = self.option(option)?.first_chunk()?;
        Some(Duration::from_secs(u32::from_be_bytes(*octets).into()))
    }

    /// Who sent it.
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.addresses(SERVER).first().copied()
    }

    /// What it gives or offers, if it is whole: an address that a host can have, and a server.
    pub fn lease(&self) -> Option<Lease> {
        let address = self.yours?;
        if address.is_loopback() || address.is_multicast() || address.is_broadcast() {
            return None;
        }
        let mask = self
            .addresses(MASK)
            .first()
            .copied()
            .unwrap_or(Ipv4Addr::new(255, 255, 255, 0));
        let address = Ipv4Net::with_netmask(address, mask).ok()?;
        let duration = self
            .seconds(LEASE_TIME)
            .unwrap_or(DEFAULT_LEASE)
            .max(SHORTEST_LEASE);
        let rebind = self
            .seconds(REBINDING)
            .unwrap_or(duration / 8 * 7)
            .min(duration);
        let renew = self.seconds(RENEWAL).unwrap_or(duration / 2).min(rebind);
        Some(Lease {
            address,
            router: self.addresses(ROUTER).first().copied(),
            dns: self.addresses(DNS),
            domain: self.option(DOMAIN).and_then(domain),
            mtu: self.option(MTU).and_then(mtu),
            server: self.server()?,
            duration,
            renew_after: renew.max(SHORTEST_LEASE / 2),
            rebind_after: rebind.max(SHORTEST_LEASE / 2),
        })
    }
}

/// Where a server does not say.
const DEFAULT_LEASE: Duration = Duration::from_secs(3600);
/// A server that gives addresses for a second would have us ask without end.
const SHORTEST_LEASE: Duration = Duration::from_secs(30);

/// A name that can go into a resolv.conf, or nothing.
fn domain(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value)
        .ok()?
        .trim_end_matches(['\0', '.']);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.len() <= 253 && text.chars().all(plain)).then(|| text.to_owned())
}

fn mtu(value: &[u8]) -> Option<u16> {
    // RFC 2132: 68 at least, as IPv4.
    Some(u16::from_be_bytes(*value.first_chunk()?)).filter(|mtu| *mtu >= 68)
}

/// What a client says.
#[derive(Debug, Clone)]
pub(super) struct Saying<'a> {
    pub kind: u8,
    pub exchange: u32,
    pub mac: Mac,
    /// The address it has already.
    pub from: Option<Ipv4Addr>,
    /// The address it would like.
    pub wants: Option<Ipv4Addr>,
    /// The server it is for; all, if none.
    pub server: Option<Ipv4Addr>,
    pub host_name: Option<&'a str>,
}

impl Saying<'_> {
    /// As an IPv4 packet. A broadcast, and answered by one, except a release.
    pub(super) fn packet(&self) -> Vec<u8> {
        let message = self.message();
        let source = self.from.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let length = u16::try_from(IP_HEADER + UDP_HEADER + message.len()).unwrap_or(u16::MAX);
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, UDP, 0, 0];
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&source.octets());
        packet.extend_from_slice(&Ipv4Addr::BROADCAST.octets());
        let sum = crate::checksum::internet(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(&CLIENT_PORT.to_be_bytes());
        packet.extend_from_slice(&SERVER_PORT.to_be_bytes());
        let length = u16::try_from(UDP_HEADER + message.len()).unwrap_or(u16::MAX);
        packet.extend_from_slice(&length.to_be_bytes());
        // No checksum: IPv4 lets UDP do without, Ethernet has its own.
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&message);
        packet
    }

    fn message(&self) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[..4].copy_from_slice(&[1, 1, 6, 0]);
        message[4..8].copy_from_slice(&self.exchange.to_be_bytes());
        // Answer by broadcast: a link without an address gets nothing else.
        message[10] = 0x80;
        if let Some(from) = self.from {
            message[12..16].copy_from_slice(&from.octets());
        }
        message[28..34].copy_from_slice(&self.mac.0);
        message.extend_from_slice(&MAGIC);
        put(&mut message, KIND, &[self.kind]);
        let [a, b, c, d, e, f] = self.mac.0;
        put(&mut message, CLIENT_ID, &[1, a, b, c, d, e, f]);
        if let Some(wants) = self.wants {
            put(&mut message, REQUESTED, &wants.octets());
        }
        if let Some(server) = self.server {
            put(&mut message, SERVER, &server.octets());
        }
        if let Some(name) = self.host_name.filter(|name| !name.is_empty()) {
            put(&mut message, HOST_NAME, name.as_bytes());
        }
        if self.kind != RELEASE {
            let asked = [
                MASK, ROUTER, DNS, DOMAIN, MTU, LEASE_TIME, RENEWAL, REBINDING,
            ];
            put(&mut message, PARAMETERS, &asked);
        }
        message.push(END);
        message.resize(message.len().max(SMALLEST), 0);
        message
    }
}

/// An option; one longer than can be said is cut.
fn put(message: &mut Vec<u8>, option: u8, value: &[u8]) {
    let value = value.get(..usize::from(u8::MAX)).unwrap_or(value);
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    message.extend_from_slice(&[option, length]);
    message.extend_from_slice(value);
}
