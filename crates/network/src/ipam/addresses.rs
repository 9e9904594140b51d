//! The addresses of one subnet.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Family, IpamError, number};

/// The addresses of a subnet, and which of them are in use.
///
/// Never given: the network's own address and, of IPv4, the broadcast one; a subnet of two
/// addresses or one has neither (RFC 3021).
#[derive(Debug, Clone)]
pub struct Addresses {
    subnet: IpNet,
    /// Numbers of the first and last address given unasked.
    range: (u128, u128),
    used: BTreeSet<u128>,
    /// No number below it, from the range's first on, is free.
    hint: u128,
}

impl Addresses {
    /// Those of `subnet`; given unasked only from `range`, if there is one, and never the reserved
    /// ones (the gateway, auxiliary addresses), which may lie outside the subnet.
    pub fn new(
        subnet: IpNet,
        range: Option<IpNet>,
        reserved: &[IpAddr],
    ) -> Result<Addresses, IpamError> {
        let subnet = subnet.trunc();
        let (first, last) = (number(subnet.network()), number(subnet.broadcast()));
        let within = match range.map(|range| range.trunc()) {
            Some(range) if !subnet.contains(&range) => {
                return Err(IpamError::Range { range, subnet });
            }
            Some(range) => (number(range.network()), number(range.broadcast())),
            None => (first, last),
        };
        let mut used = BTreeSet::new();
        let family = Family::of_net(&subnet);
        if family == Family::V6 || last - first > 1 {
            used.insert(first);
        }
        if family == Family::V4 && last - first > 1 {
            used.insert(last);
        }
        let reserved = reserved.iter().filter(|address| subnet.contains(*address));
        used.extend(reserved.map(|address| number(*address)));
        Ok(Addresses {
            subnet,
            range: within,
            used,
            hint: within.0,
        })
    }

    /// The subnet.
    #[must_use]
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// How many are in use, with those that are never given.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.used.len()
    }

    /// Takes the lowest free one of the range.
    pub fn take_next(&mut self) -> Result<IpAddr, IpamError> {
        let (first, last) = self.range;
        let mut candidate = self.hint.max(first);
        for &used in self.used.range(candidate..=last.max(candidate)) {
            if used != candidate {
                break;
            }
            match candidate.checked_add(1) {
                Some(next) => candidate = next,
                None => return Err(IpamError::NoAddress(self.subnet)),
            }
        }
        if candidate > last {
            return Err(IpamError::NoAddress(self.subnet));
        }
        self.used.insert(candidate);
        self.hint = candidate;
        self.address(candidate)
            .ok_or(IpamError::NoAddress(self.subnet))
    }

    /// Takes this one, which may lie outside the range.
    pub fn take(&mut self, address: IpAddr) -> Result<(), IpamError> {
        if !self.subnet.contains(&address) {
            return Err(IpamError::Outside {
                address,
                subnet: self.subnet,
            });
        }
        if !self.used.insert(number(address)) {
            return Err(IpamError::InUse(address));
        }
        Ok(())
    }

    /// Whether it is in use, or never given.
    #[must_use]
    pub fn is_used(&self, address: IpAddr) -> bool {
        self.used.contains(&number(address))
    }

    /// Gives one back that [`take_next`](Self::take_next) gave or [`take`](Self::take) took.
    pub fn release(&mut self, address: IpAddr) {
        let address = number(address);
        if self.used.remove(&address) {
            self.hint = self.hint.min(address);
        }
    }

    fn address(&self, number: u128) -> Option<IpAddr> {
        Some(match self.subnet {
            IpNet::V4(_) => Ipv4Addr::from(u32::try_from(number).ok()?).into(),
            IpNet::V6(_) => Ipv6Addr::from(number).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn of(subnet: &str, range: Option<&str>, reserved: &[&str]) -> Addresses {
        let reserved: Vec<IpAddr> = reserved.iter().map(|text| ip(text)).collect();
        let range = range.map(|range| range.parse().unwrap());
        Addresses::new(subnet.parse().unwrap(), range, &reserved).unwrap()
    }

    #[test]
    fn the_lowest_free_address_is_next() {
        let mut addresses = of("172.17.0.0/16", None, &["172.17.0.1"]);
        assert_eq!(addresses.take_next().unwrap(), ip("172.17.0.2"));
        assert_eq!(addresses.take_next().unwrap(), ip("172.17.0.3"));
        addresses.take(ip("172.17.0.4")).unwrap();
        assert_eq!(addresses.take_next().unwrap(), ip("172.17.0.5"));
        addresses.release(ip("172.17.0.3"));
        assert_eq!(addresses.take_next().unwrap(), ip("172.17.0.3"));
        assert_eq!(addresses.take_next().unwrap(), ip("172.17.0.6"));
    }

    #[test]
    fn a_subnet_has_just_so_many() {
        let mut small = of("10.0.0.0/30", None, &["10.0.0.1"]);
        assert_eq!(small.take_next().unwrap(), ip("10.0.0.2"));
        assert_eq!(
            small.take_next().unwrap_err().to_string(),
            "no available IPv4 addresses on this network's address pools"
        );
        let mut pair = of("10.0.0.0/31", None, &[]);
        assert_eq!(pair.take_next().unwrap(), ip("10.0.0.0"));
        assert_eq!(pair.take_next().unwrap(), ip("10.0.0.1"));
        assert!(pair.take_next().is_err());
        let mut one = of("10.0.0.7/32", None, &[]);
        assert_eq!(one.take_next().unwrap(), ip("10.0.0.7"));
        assert!(one.take_next().is_err());
        let mut end = of("255.255.255.255/32", None, &[]);
        assert_eq!(end.take_next().unwrap(), ip("255.255.255.255"));
        assert!(end.take_next().is_err());
    }

    #[test]
    fn a_large_subnet_costs_no_more_than_a_small_one() {
        let mut large = of("fd00::/64", None, &["fd00::1"]);
        assert_eq!(large.take_next().unwrap(), ip("fd00::2"));
        large.take(ip("fd00::ffff:ffff:ffff:ffff")).unwrap();
        assert_eq!(large.in_use(), 4);
    }

    #[test]
    fn unasked_for_addresses_come_from_the_range_and_asked_for_ones_from_the_subnet() {
        let mut addresses = of("10.1.0.0/16", Some("10.1.5.0/30"), &["10.1.5.1"]);
        let given: Vec<IpAddr> = std::iter::from_fn(|| addresses.take_next().ok()).collect();
        assert_eq!(given, [ip("10.1.5.0"), ip("10.1.5.2"), ip("10.1.5.3")]);
        addresses.take(ip("10.1.9.9")).unwrap();
        assert_eq!(
            Addresses::new(
                "10.1.0.0/16".parse().unwrap(),
                Some("10.2.0.0/24".parse().unwrap()),
                &[]
            )
            .unwrap_err()
            .to_string(),
            "10.2.0.0/24 is not in 10.1.0.0/16"
        );
    }

    #[test]
    fn what_is_in_use_or_elsewhere_is_refused() {
        let mut addresses = of("10.0.0.0/24", None, &["10.0.0.1"]);
        for used in ["10.0.0.0", "10.0.0.1", "10.0.0.255"] {
            assert_eq!(
                addresses.take(ip(used)).unwrap_err().to_string(),
                "Address already in use"
            );
        }
        assert!(addresses.take(ip("10.0.1.1")).is_err());
        assert!(addresses.take(ip("::1")).is_err());
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice(steps in proptest::collection::vec((0_u8..3, 0_usize..64), 1..400)) {
            let mut addresses = of("192.168.7.0/26", None, &["192.168.7.1"]);
            let mut held: Vec<IpAddr> = Vec::new();
            for (kind, which) in steps {
                match kind {
                    0 => match addresses.take_next() {
                        Ok(address) => {
                            prop_assert!(!held.contains(&address));
                            held.push(address);
                        }
                        Err(_) => prop_assert_eq!(held.len(), 61),
                    },
                    1 if !held.is_empty() => {
                        let address = held.swap_remove(which % held.len());
                        addresses.release(address);
                        prop_assert!(!addresses.is_used(address));
                    }
                    _ => {
                        let last = u8::try_from(which).unwrap();
                        let address = IpAddr::from([192, 168, 7, last]);
                        let free = !addresses.is_used(address);
                        prop_assert_eq!(addresses.take(address).is_ok(), free);
                        if free {
                            prop_assert!(!held.contains(&address));
                            held.push(address);
                        }
                    }
                }
            }
        }
    }
}
