//! Packet sockets: packets on one link, past the IP layer, for who has no address yet, or speaks
//! of one that is another's.

use std::io;
use std::mem::{self, size_of};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A socket that writes packets to one link, and may see the IPv4 packets there.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    link: i32,
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// A question for, or an announcement of, an IPv4 address's owner.
    Arp,
}

impl Protocol {
    /// As it goes over the wire.
    fn ether_type(self) -> u16 {
        let number = match self {
            Protocol::Ipv4 => libc::ETH_P_IP,
            Protocol::Ipv6 => libc::ETH_P_IPV6,
            Protocol::Arp => libc::ETH_P_ARP,
        };
        (number as u16).to_be()
    }
}

impl PacketSocket {
    /// One on the link of this number, in the calling thread's network namespace, that sees the
    /// IPv4 packets there.
    pub fn open_ipv4(link: u32) -> io::Result<PacketSocket> {
        PacketSocket::open(link, Protocol::Ipv4.ether_type())
    }

    /// The same, but it sees nothing.
    pub fn open_deaf(link: u32) -> io::Result<PacketSocket> {
        PacketSocket::open(link, 0)
    }

    fn open(link: u32, sees: u16) -> io::Result<PacketSocket> {
        let link = i32::try_from(link).map_err(|_| io::ErrorKind::InvalidInput)?;
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no memory is touched. Protocol 0: nothing arrives before it is bound to a link.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that was just made, and that nobody else knows.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let address = address(link, sees);
        // SAFETY: `address` is a sockaddr_ll of the length that is said.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        check(bound)?;
        Ok(PacketSocket { socket, link })
    }

    /// Send a packet to everybody on the link.
    pub fn broadcast(&self, protocol: Protocol, packet: &[u8]) -> io::Result<()> {
        self.send(protocol, [0xff; 6], packet)
    }

    /// Send a packet, from its protocol's header on, to an Ethernet address.
    pub fn send(&self, protocol: Protocol, mac: [u8; 6], packet: &[u8]) -> io::Result<()> {
        let mut to = address(self.link, protocol.ether_type());
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(&mac);
        // SAFETY: `packet` and `to` are readable for the lengths that are said.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The next packet, from its IP header on, cut to the buffer; nothing if none came in time.
    pub fn receive<'b>(
        &self,
        buffer: &'b mut [u8],
        patience: Duration,
    ) -> io::Result<Option<&'b [u8]>> {
        let patience = Timespec::try_from(patience).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut waiting = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut waiting, Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match rustix::io::read(self.socket.as_fd(), &mut *buffer) {
            Ok(length) => Ok(buffer.get(..length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(Some(&[])),
            Err(error) => Err(error.into()),
        }
    }
}

fn address(link: i32, ether_type: u16) -> libc::sockaddr_ll {
    // SAFETY: a sockaddr_ll is numbers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ether_type;
    address.sll_ifindex = link;
    address
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
