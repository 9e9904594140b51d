//! Which addresses are whose: subnets for networks, addresses for their endpoints.
//!
//! Nothing here is kept anywhere: what is in use is told anew by whoever knows (the engine, from its
//! rows and the kernel), and a released address is free at once.
//!
//! - [`Pools`]: where a network's subnet comes from when nobody names one. Never one that overlaps
//!   what is in use, which includes the routes of the host.
//! - [`Addresses`]: the addresses of one subnet. The lowest free one is next, as in dockerd; memory
//!   grows with the addresses in use, not with the subnet.

mod addresses;
mod pools;

pub use addresses::Addresses;
pub use pools::Pools;

use std::net::IpAddr;

use ipnet::IpNet;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// That of a subnet.
    #[must_use]
    pub fn of_net(net: &IpNet) -> Family {
        Family::of(net.addr())
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Why there is no address or subnet. The words are dockerd's where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// Every pool is used up, or overlaps something.
    #[error("all predefined address pools have been fully subnetted")]
    NoSubnet(Family),
    /// Every address of the range is in use.
    #[error("no available {family} addresses on this network's address pools", family = Family::of_net(.0))]
    NoAddress(IpNet),
    /// The one asked for is in use, or not for use.
    #[error("Address already in use")]
    InUse(IpAddr),
    /// The one asked for is not of this subnet.
    #[error("requested address is out of range")]
    Outside {
        /// Asked for.
        address: IpAddr,
        /// Asked of.
        subnet: IpNet,
    },
    /// A pool whose subnets would be larger than itself, or smaller than an address.
    #[error("invalid address pool {base}: subnets of size /{size} do not fit")]
    Pool {
        /// The pool.
        base: IpNet,
        /// Prefix length of its subnets.
        size: u8,
    },
    /// A range that is not part of its subnet.
    #[error("{range} is not in {subnet}")]
    Range {
        /// Where addresses would come from.
        range: IpNet,
        /// The network's.
        subnet: IpNet,
    },
}

/// An address as a number, whatever its family.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Whether two subnets share an address.
#[must_use]
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}
