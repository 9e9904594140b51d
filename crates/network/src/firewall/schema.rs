//! What of the table is always there: sets, maps, chains, and the rules that lead into them.
//!
//! As `nft list table inet wharf` shows it, without what networks and ports add:
//! ```text
//! chain guard        type filter hook prerouting priority -300
//!     ip daddr 127.0.0.0/8 iifname @bridges drop        # route_localnet is for us, not for them
//!     ip saddr 127.0.0.0/8 iifname @bridges drop
//! chain prerouting   type nat hook prerouting priority -100
//!     iifname != "lo" ip daddr 127.0.0.0/8 return       # 127.0.0.1:80 is not the neighbour's
//!     iifname != "lo" ip6 daddr ::1 return
//!     fib daddr type local goto published
//! chain output       type nat hook output priority -100
//!     fib daddr type local goto published
//! chain published
//!     dnat ip to ip daddr . meta l4proto . th dport map @ports4         # address:port, one port
//!     dnat ip to ip daddr . meta l4proto . th dport map @ranges4        # address, ports kept
//!     dnat ip to meta l4proto . th dport map @ports4-any                # every address
//!     dnat ip to meta l4proto . th dport map @ranges4-any
//!     ... and the four of IPv6
//! chain postrouting  type nat hook postrouting priority 100
//!     oifname vmap @nat-in                              # jump nat-in-BRIDGE
//!     ip saddr vmap @nat-out4                           # jump nat-out-BRIDGE
//!     ip6 saddr vmap @nat-out6
//! chain forward      type filter hook forward priority 0
//!     iifname @bridges goto containers
//!     oifname @bridges goto containers
//! chain containers
//!     jump user
//!     ct state established,related accept
//!     iifname vmap @from                                # jump from-BRIDGE
//!     oifname vmap @to                                  # goto to-BRIDGE
//! ```

use super::batch::{Batch, Data, Field, Hook, Interval, Set};
use super::expression::{End, Family, Is, Key, Rule, Then, To, Way};

/// The administrator's own chain: made once, never flushed.
pub(super) const USER: &str = "user";

pub(super) const BRIDGES: &str = "bridges";
pub(super) const FROM: &str = "from";
pub(super) const TO: &str = "to";
pub(super) const NAT_IN: &str = "nat-in";
pub(super) const NAT_OUT_V4: &str = "nat-out4";
pub(super) const NAT_OUT_V6: &str = "nat-out6";

pub(super) const PORTS_V4: &str = "ports4";
pub(super) const PORTS_V4_ANY: &str = "ports4-any";
pub(super) const RANGES_V4: &str = "ranges4";
pub(super) const RANGES_V4_ANY: &str = "ranges4-any";
pub(super) const OPEN_V4: &str = "open4";
pub(super) const PORTS_V6: &str = "ports6";
pub(super) const PORTS_V6_ANY: &str = "ports6-any";
pub(super) const RANGES_V6: &str = "ranges6";
pub(super) const RANGES_V6_ANY: &str = "ranges6-any";
pub(super) const OPEN_V6: &str = "open6";

const PUBLISHED: &str = "published";
const CONTAINERS: &str = "containers";

const V4_PORT: &[Field] = &[Field::V4, Field::Protocol, Field::Port];
const V6_PORT: &[Field] = &[Field::V6, Field::Protocol, Field::Port];
const ANY_PORT: &[Field] = &[Field::Protocol, Field::Port];
const TO_V4_PORT: Data = Data::Value(&[Field::V4, Field::Port]);
const TO_V6_PORT: Data = Data::Value(&[Field::V6, Field::Port]);
const TO_V4: Data = Data::Value(&[Field::V4]);
const TO_V6: Data = Data::Value(&[Field::V6]);

/// Every set and map.
pub(super) const SETS: &[Set] = &[
    set(BRIDGES, &[Field::Interface], Data::Nothing),
    set(FROM, &[Field::Interface], Data::Verdict),
    set(TO, &[Field::Interface], Data::Verdict),
    set(NAT_IN, &[Field::Interface], Data::Verdict),
    ranges(NAT_OUT_V4, &[Field::V4], Data::Verdict),
    ranges(NAT_OUT_V6, &[Field::V6], Data::Verdict),
    set(PORTS_V4, V4_PORT, TO_V4_PORT),
    set(PORTS_V4_ANY, ANY_PORT, TO_V4_PORT),
    ranges(RANGES_V4, V4_PORT, TO_V4),
    ranges(RANGES_V4_ANY, ANY_PORT, TO_V4),
    ranges(OPEN_V4, V4_PORT, Data::Nothing),
    set(PORTS_V6, V6_PORT, TO_V6_PORT),
    set(PORTS_V6_ANY, ANY_PORT, TO_V6_PORT),
    ranges(RANGES_V6, V6_PORT, TO_V6),
    ranges(RANGES_V6_ANY, ANY_PORT, TO_V6),
    ranges(OPEN_V6, V6_PORT, Data::Nothing),
];

const fn set(name: &'static str, key: &'static [Field], data: Data) -> Set {
    Set {
        name,
        key,
        data,
        interval: Interval::Exact,
    }
}

const fn ranges(name: &'static str, key: &'static [Field], data: Data) -> Set {
    Set {
        name,
        key,
        data,
        interval: Interval::Ranges,
    }
}

const RAW: i32 = -300;
const DESTINATION: i32 = -100;
const FILTER: i32 = 0;
const SOURCE: i32 = 100;

/// Chains without networks' ones and the user's, in an order in which they can be made.
pub(super) const CHAINS: &[(&str, Option<Hook>)] = &[
    (PUBLISHED, None),
    (CONTAINERS, None),
    ("guard", hook("filter", 0, RAW)),
    ("prerouting", hook("nat", 0, DESTINATION)),
    ("output", hook("nat", 3, DESTINATION)),
    ("postrouting", hook("nat", 4, SOURCE)),
    ("forward", hook("filter", 2, FILTER)),
];

const fn hook(kind: &'static str, number: u32, priority: i32) -> Option<Hook> {
    Some(Hook {
        kind,
        number,
        priority,
    })
}

/// Prefixes of the chains that each network has, before its bridge's name.
pub(super) const NETWORK_CHAINS: [&str; 4] = ["from-", "to-", "nat-in-", "nat-out-"];

/// Whether a chain or set is ours, not the administrator's.
pub(super) fn is_ours(name: &str) -> bool {
    CHAINS.iter().any(|(chain, _)| *chain == name)
        || SETS.iter().any(|set| set.name == name)
        || is_network_chain(name)
}

/// Whether a chain is one of a network's.
pub(super) fn is_network_chain(name: &str) -> bool {
    NETWORK_CHAINS.iter().any(|p| name.starts_with(p))
}

/// The rules of [`CHAINS`].
pub(super) fn rules(batch: &mut Batch) {
    for end in [End::Destination, End::Source] {
        batch.rule(
            "guard",
            &Rule::new()
                .address(end, LOOPBACK_V4)
                .interface_in(Way::In, BRIDGES)
                .then(Then::Drop),
        );
    }
    for loopback in [LOOPBACK_V4, LOOPBACK_V6] {
        batch.rule(
            "prerouting",
            &Rule::new()
                .interface(Way::In, Is::Not, "lo")
                .address(End::Destination, loopback)
                .then(Then::Return),
        );
    }
    for chain in ["prerouting", "output"] {
        let rule = Rule::new()
            .bound_for_this_host()
            .then(Then::Goto(PUBLISHED));
        batch.rule(chain, &rule);
    }
    for (family, key, to, map) in [
        (
            Family::V4,
            Key::AddressAndPort,
            To::AddressAndPort,
            PORTS_V4,
        ),
        (Family::V4, Key::AddressAndPort, To::Address, RANGES_V4),
        (Family::V4, Key::Port, To::AddressAndPort, PORTS_V4_ANY),
        (Family::V4, Key::Port, To::Address, RANGES_V4_ANY),
        (
            Family::V6,
            Key::AddressAndPort,
            To::AddressAndPort,
            PORTS_V6,
        ),
        (Family::V6, Key::AddressAndPort, To::Address, RANGES_V6),
        (Family::V6, Key::Port, To::AddressAndPort, PORTS_V6_ANY),
        (Family::V6, Key::Port, To::Address, RANGES_V6_ANY),
    ] {
        batch.rule(PUBLISHED, &Rule::new().translate(family, key, to, map));
    }
    batch.rule("postrouting", &Rule::new().interface_map(Way::Out, NAT_IN));
    for (family, map) in [(Family::V4, NAT_OUT_V4), (Family::V6, NAT_OUT_V6)] {
        batch.rule("postrouting", &Rule::new().source_map(family, map));
    }
    for way in [Way::In, Way::Out] {
        batch.rule(
            "forward",
            &Rule::new()
                .interface_in(way, BRIDGES)
                .then(Then::Goto(CONTAINERS)),
        );
    }
    batch.rule(CONTAINERS, &Rule::new().then(Then::Jump(USER)));
    batch.rule(CONTAINERS, &Rule::new().established().then(Then::Accept));
    batch.rule(CONTAINERS, &Rule::new().interface_map(Way::In, FROM));
    batch.rule(CONTAINERS, &Rule::new().interface_map(Way::Out, TO));
}

pub(super) const LOOPBACK_V4: ipnet::IpNet = ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert(
    std::net::Ipv4Addr::new(127, 0, 0, 0),
    8,
));
pub(super) const LOOPBACK_V6: ipnet::IpNet = ipnet::IpNet::V6(ipnet::Ipv6Net::new_assert(
    std::net::Ipv6Addr::LOCALHOST,
    128,
));
