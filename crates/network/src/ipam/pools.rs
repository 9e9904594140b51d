//! Subnets for networks that name none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Family, IpamError, number, overlap};

/// dockerd's own: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 to 192.168.240.0/20.
const DEFAULT_V4: [([u8; 4], u8, u8); 7] = [
    ([172, 17, 0, 0], 16, 16),
    ([172, 18, 0, 0], 16, 16),
    ([172, 19, 0, 0], 16, 16),
    ([172, 20, 0, 0], 14, 16),
    ([172, 24, 0, 0], 14, 16),
    ([172, 28, 0, 0], 14, 16),
    ([192, 168, 0, 0], 16, 20),
];

/// Address space cut into subnets of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pool {
    base: IpNet,
    size: u8,
}

/// Where subnets come from, in the order they are tried: by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pools(Vec<Pool>);

impl Pools {
    /// Pools and the prefix length of their subnets. A family without a pool gets the defaults:
    /// dockerd's for IPv4; for IPv6 a unique local /48 (RFC 4193) cut into /64, whose random part
    /// comes from `seed`, which should be of this host and no other.
    pub fn new(pools: &[(IpNet, u8)], seed: u64) -> Result<Pools, IpamError> {
        let mut all = Vec::with_capacity(pools.len() + DEFAULT_V4.len());
        for &(base, size) in pools {
            let base = base.trunc();
            if size < base.prefix_len() || size > base.max_prefix_len() {
                return Err(IpamError::Pool { base, size });
            }
            all.push(Pool { base, size });
        }
        // By address, as dockerd tries them, whatever the order they were written in.
        all.sort_by_key(|pool: &Pool| (number(pool.base.network()), pool.base.prefix_len()));
        let has = |family| all.iter().any(|pool| Family::of_net(&pool.base) == family);
        let (v4, v6) = (has(Family::V4), has(Family::V6));
        if !v4 {
            all.extend(DEFAULT_V4.iter().filter_map(|&(base, length, size)| {
                let base = Ipv4Net::new(Ipv4Addr::from(base), length).ok()?;
                Some(Pool {
                    base: base.into(),
                    size,
                })
            }));
        }
        if !v6 {
            all.extend(unique_local(seed).map(|base| Pool {
                base: base.into(),
                size: 64,
            }));
        }
        Ok(Pools(all))
    }

    /// The pools, with the prefix length of their subnets.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, u8)> + '_ {
        self.0.iter().map(|pool| (pool.base, pool.size))
    }

    /// The first subnet that overlaps none of those in use.
    pub fn allocate(&self, family: Family, taken: &[IpNet]) -> Result<IpNet, IpamError> {
        self.0
            .iter()
            .filter(|pool| Family::of_net(&pool.base) == family)
            .find_map(|pool| pool.first_free(taken))
            .ok_or(IpamError::NoSubnet(family))
    }
}

impl Pool {
    /// Jumps over what is taken instead of trying each subnet: a pool may have 2^64 of them.
    fn first_free(&self, taken: &[IpNet]) -> Option<IpNet> {
        let width = self.base.max_prefix_len();
        let last = last(&self.base);
        // Whole address space as one subnet: there is no other to go on to.
        let step = 1_u128.checked_shl(u32::from(width - self.size));
        let mut at = number(self.base.network());
        loop {
            let subnet = IpNet::new(address(Family::of_net(&self.base), at)?, self.size).ok()?;
            let after = taken
                .iter()
                .filter(|taken| overlap(taken, &subnet))
                .map(self::last)
                .max();
            let Some(after) = after else {
                return Some(subnet);
            };
            // The first subnet that begins behind what was in the way.
            let step = step?;
            let next = after.max(self::last(&subnet)).checked_add(1)?;
            at = next.div_ceil(step).checked_mul(step)?;
            if at > last {
                return None;
            }
        }
    }
}

fn last(net: &IpNet) -> u128 {
    number(net.broadcast())
}

fn address(family: Family, number: u128) -> Option<IpAddr> {
    Some(match family {
        Family::V4 => Ipv4Addr::from(u32::try_from(number).ok()?).into(),
        Family::V6 => Ipv6Addr::from(number).into(),
    })
}

/// `fd` and 40 bits of the seed (RFC 4193, section 3.1).
fn unique_local(seed: u64) -> Option<Ipv6Net> {
    let global = u128::from(seed & 0xff_ffff_ffff);
    let base = (0xfd_u128 << 120) | (global << 80);
    Ipv6Net::new(Ipv6Addr::from(base), 48).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn dockers_subnets_come_in_dockers_order_until_there_is_none_left() {
        let pools = Pools::new(&[], 7).unwrap();
        let mut taken = Vec::new();
        while let Ok(subnet) = pools.allocate(Family::V4, &taken) {
            taken.push(subnet);
        }
        assert_eq!(taken.len(), 31);
        assert_eq!(taken[0], net("172.17.0.0/16"));
        assert_eq!(taken[14], net("172.31.0.0/16"));
        assert_eq!(taken[15], net("192.168.0.0/20"));
        assert_eq!(taken[30], net("192.168.240.0/20"));
        assert_eq!(
            pools.allocate(Family::V4, &taken).unwrap_err().to_string(),
            "all predefined address pools have been fully subnetted"
        );
        taken.remove(3);
        assert_eq!(
            pools.allocate(Family::V4, &taken).unwrap(),
            net("172.20.0.0/16")
        );
    }

    #[test]
    fn what_the_host_routes_is_stepped_over_larger_or_smaller() {
        let pools = Pools::new(&[(net("10.0.0.0/8"), 24)], 7).unwrap();
        let taken = [
            net("10.0.0.0/9"),
            net("10.128.0.128/25"),
            net("10.128.1.7/32"),
        ];
        assert_eq!(
            pools.allocate(Family::V4, &taken).unwrap(),
            net("10.128.2.0/24")
        );
        let everything = [net("0.0.0.0/0")];
        assert!(pools.allocate(Family::V4, &everything).is_err());
    }

    #[test]
    fn a_network_of_version_six_gets_a_unique_local_subnet() {
        let pools = Pools::new(&[], 0xffff_ab12_3456_789a).unwrap();
        let first = pools.allocate(Family::V6, &[]).unwrap();
        assert_eq!(first, net("fd12:3456:789a::/64").trunc());
        let second = pools.allocate(Family::V6, &[first]).unwrap();
        assert_eq!(second, net("fd12:3456:789a:1::/64"));
    }

    #[test]
    fn pools_are_tried_by_address_as_dockerd_does() {
        let pools = [(net("10.20.0.0/16"), 24), (net("10.10.0.0/16"), 24)];
        let pools = Pools::new(&pools, 7).unwrap();
        assert_eq!(
            pools.allocate(Family::V4, &[]).unwrap(),
            net("10.10.0.0/24")
        );
    }

    proptest! {
        #[test]
        fn no_subnet_overlaps_what_is_in_use(
            sizes in proptest::collection::vec((any::<u32>(), 8_u8..=32), 0..40),
            base in 0_u8..=16,
            size in 16_u8..=28,
        ) {
            let base = IpNet::new(ip("10.0.0.0"), 8 + base.min(size - 8)).unwrap();
            let pools = Pools::new(&[(base, size)], 7).unwrap();
            let mut taken: Vec<IpNet> = sizes
                .into_iter()
                .map(|(host, length)| {
                    let address = Ipv4Addr::from(0x0a00_0000 | (host & 0xff_ffff));
                    IpNet::new(address.into(), length).unwrap().trunc()
                })
                .collect();
            for _ in 0..20 {
                let Ok(subnet) = pools.allocate(Family::V4, &taken) else {
                    break;
                };
                prop_assert!(base.contains(&subnet) && subnet.prefix_len() == size);
                prop_assert!(!taken.iter().any(|taken| overlap(taken, &subnet)));
                taken.push(subnet);
            }
        }
    }

    #[test]
    fn subnets_that_do_not_fit_their_pool_are_refused() {
        for size in [7, 33] {
            assert_eq!(
                Pools::new(&[(net("10.0.0.0/8"), size)], 0).unwrap_err(),
                IpamError::Pool {
                    base: net("10.0.0.0/8"),
                    size
                }
            );
        }
    }

    #[test]
    fn the_ends_of_the_address_space_do_not_overflow() {
        let v6 = Pools::new(&[(net("::/0"), 0)], 0).unwrap();
        assert!(v6.allocate(Family::V6, &[net("::1/128")]).is_err());
        let v4 = Pools::new(&[(net("255.255.255.0/24"), 32)], 0).unwrap();
        assert!(v4.allocate(Family::V4, &[net("255.255.255.0/24")]).is_err());
    }
}
