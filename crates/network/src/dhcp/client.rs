//! The client: what is said when, and how long an answer is waited for.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use wharf_sys::packet::{PacketSocket, Protocol};

use super::codec::{ACK, DISCOVER, Lease, NAK, OFFER, Packet, RELEASE, REQUEST, Saying};
use crate::host;
use crate::link_error::LinkError;
use crate::mac::Mac;
use crate::namespace::Netns;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// Nobody answered.
    #[error("no DHCP server answered on {link} within {waited:?}")]
    Silence {
        /// The link.
        link: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The server takes the address back.
    #[error("the DHCP server {server} no longer gives {address} to {link}")]
    LeaseLost {
        /// The link.
        link: String,
        /// The server.
        server: Ipv4Addr,
        /// The address.
        address: Ipv4Addr,
    },
    /// The link failed, not the server.
    #[error("DHCP on {link}")]
    Wire {
        /// The link.
        link: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The link or its namespace is not there.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// How long one call may take, and how often it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// All in all.
    pub total: Duration,
    /// Until the first repetition; each next wait is twice as long.
    pub first: Duration,
}

impl Default for Patience {
    /// Ten seconds; asked again after 1, 3 and 7.
    fn default() -> Patience {
        Patience {
            total: Duration::from_secs(10),
            first: Duration::from_secs(1),
        }
    }
}

/// The largest packet that is read.
const LARGEST: usize = 4096;

/// A client on a link that is up. It lives for one exchange or several; it keeps no lease.
#[derive(Debug)]
pub struct Client {
    socket: PacketSocket,
    link: String,
    mac: Mac,
    host_name: Option<String>,
    patience: Patience,
}

impl Client {
    /// One on this link of a namespace; `host_name` is told to the server.
    pub fn open(
        ns: &Netns,
        link: &str,
        host_name: Option<&str>,
        patience: Patience,
    ) -> Result<Client, DhcpError> {
        let (socket, mac) = ns.run(|| -> Result<_, DhcpError> {
            let missing = || LinkError::NoSuchLink {
                link: link.to_owned(),
            };
            let found = host::link(link)?.ok_or_else(missing)?;
            let mac = found.mac.ok_or_else(missing)?;
            let socket =
                PacketSocket::open_ipv4(found.index).map_err(|source| DhcpError::Wire {
                    link: link.to_owned(),
                    source,
                })?;
            Ok((socket, mac))
        })??;
        let host_name = host_name.map(str::to_owned);
        Ok(Client {
            socket,
            link: link.to_owned(),
            mac,
            host_name,
            patience,
        })
    }

    /// Be given an address: `wants`, if it can be had.
    pub fn acquire(&self, wants: Option<Ipv4Addr>) -> Result<Lease, DhcpError> {
        let deadline = Instant::now() + self.patience.total;
        let discover = self.saying(DISCOVER, wants);
        // A server may refuse what it has just offered, to somebody faster: then from the start.
        loop {
            let (_, offer) = self.exchange(&discover, deadline, |packet| {
                (packet.kind == OFFER).then(|| packet.lease()).flatten()
            })?;
            let mut request = self.saying(REQUEST, Some(offer.address.addr()));
            request.server = Some(offer.server);
            let (_, lease) = self.exchange(&request, deadline, |packet| match packet.kind {
                ACK => packet.lease().map(Some),
                NAK if packet.server() == Some(offer.server) => Some(None),
                _ => None,
            })?;
            if let Some(lease) = lease {
                return Ok(lease);
            }
        }
    }

    /// Keep an address that was given.
    pub fn renew(&self, lease: &Lease) -> Result<Lease, DhcpError> {
        let deadline = Instant::now() + self.patience.total;
        let address = lease.address.addr();
        let mut request = self.saying(REQUEST, None);
        request.from = Some(address);
        let (server, renewed) = self.exchange(&request, deadline, |packet| match packet.kind {
            ACK => packet.lease().map(Some),
            NAK => Some(None),
            _ => None,
        })?;
        match renewed {
            Some(renewed) if renewed.address.addr() == address => Ok(renewed),
            Some(_) | None => {
                let server = server.unwrap_or(lease.server);
                Err(DhcpError::LeaseLost {
                    link: self.link.clone(),
                    server,
                    address,
                })
            }
        }
    }

    /// Give an address back. Nobody answers that.
    pub fn release(&self, lease: &Lease) -> Result<(), DhcpError> {
        let mut release = self.saying(RELEASE, None);
        release.from = Some(lease.address.addr());
        release.server = Some(lease.server);
        self.send(&release)
    }

    fn saying(&self, kind: u8, wants: Option<Ipv4Addr>) -> Saying<'_> {
        Saying {
            kind,
            exchange: rand::random(),
            mac: self.mac,
            from: None,
            wants,
            server: None,
            host_name: self.host_name.as_deref(),
        }
    }

    fn send(&self, saying: &Saying<'_>) -> Result<(), DhcpError> {
        self.socket
            .broadcast(Protocol::Ipv4, &saying.packet())
            .map_err(|source| self.wire(source))
    }

    fn wire(&self, source: io::Error) -> DhcpError {
        DhcpError::Wire {
            link: self.link.clone(),
            source,
        }
    }

    /// Say something, again and again, until an answer to it means something.
    fn exchange<T>(
        &self,
        saying: &Saying<'_>,
        deadline: Instant,
        read: impl Fn(&Packet) -> Option<T>,
    ) -> Result<(Option<Ipv4Addr>, T), DhcpError> {
        let mut wait = self.patience.first;
        let mut buffer = [0; LARGEST];
        loop {
            if Instant::now() >= deadline {
                let waited = self.patience.total;
                return Err(DhcpError::Silence {
                    link: self.link.clone(),
                    waited,
                });
            }
            self.send(saying)?;
            let until = deadline.min(Instant::now() + wait);
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                let Some(bytes) = self.receive(&mut buffer, left)? else {
                    break;
                };
                let answer = Packet::read(bytes).filter(|packet| {
                    packet.exchange == saying.exchange && packet.hardware == self.mac.0
                });
                if let Some(packet) = answer
                    && let Some(meaning) = read(&packet)
                {
                    return Ok((packet.server(), meaning));
                }
            }
            wait *= 2;
        }
    }

    fn receive<'b>(
        &self,
        buffer: &'b mut [u8],
        left: Duration,
    ) -> Result<Option<&'b [u8]>, DhcpError> {
        self.socket
            .receive(buffer, left)
            .map_err(|source| self.wire(source))
    }
}
