//! From a link that exists to one that works.

use ipnet::IpNet;
use rustix::io::Errno;

use super::spec::{Attached, EndpointSpec, IFNAME, Kind, Route};
use crate::link_error::{LinkError, Result};
use crate::netlink::kernel::{
    IFF_UP, NLM_F_CREATE, NLM_F_EXCL, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use crate::netlink::{Message, Refusal, Socket, address_message, link_message, route_message};
use crate::{shaping, sysctl};

/// Parameters, then up, addresses and routes. On a thread in the link's namespace.
pub(super) fn configure(there: &mut Socket, spec: &EndpointSpec, made: &Attached) -> Result<()> {
    parameters(spec, &made.name)?;
    apply(there, &made.name, made.index, &spec.addresses, &spec.routes)
}

/// What shapes traffic, on either end.
pub(super) fn shape(
    here: &mut Socket,
    there: &mut Socket,
    spec: &EndpointSpec,
    made: &Attached,
) -> Result<()> {
    if let Some(outgoing) = &spec.outgoing {
        shaping::apply(there, &made.name, made.index, made.mtu, outgoing)?;
    }
    if let (Some(incoming), Some(name), Some(index)) =
        (&spec.incoming, &made.host_name, made.host_index)
    {
        shaping::apply(here, name, index, made.mtu, incoming)?;
    }
    Ok(())
}

/// Before the link is up, so that it never acts otherwise; the caller's last, so that they win.
fn parameters(spec: &EndpointSpec, name: &str) -> Result<()> {
    let v6 = |parameter| sysctl::of_link("net.ipv6.conf", name, parameter);
    if spec
        .addresses
        .iter()
        .any(|address| matches!(address, IpNet::V6(_)))
    {
        sysctl::write_if_there(&v6("disable_ipv6"), "0")?;
        sysctl::write_if_there(&v6("accept_dad"), "0")?;
        if matches!(spec.kind, Kind::Veth { .. }) {
            // In a bridge of ours only another container would advertise itself as a router.
            sysctl::write_if_there(&v6("accept_ra"), "0")?;
        }
    } else {
        sysctl::write_if_there(&v6("disable_ipv6"), "1")?;
    }
    for (key, value) in &spec.sysctls {
        sysctl::write(&key_of(key, name), value)?;
    }
    Ok(())
}

/// The key with the link's name for `IFNAME`. A dot in the name changes places with the slash
/// where dots separate.
fn key_of(key: &str, name: &str) -> String {
    let separator = key.chars().find(|c| matches!(c, '.' | '/')).unwrap_or('.');
    let name = if separator == '.' {
        name.replace('.', "/")
    } else {
        name.to_owned()
    };
    let parts: Vec<&str> = key
        .split(separator)
        .map(|part| if part == IFNAME { name.as_str() } else { part })
        .collect();
    parts.join(&separator.to_string())
}

enum Step<'a> {
    Up,
    Address(&'a IpNet),
    Route(&'a Route),
}

impl Step<'_> {
    fn request(&self, index: u32) -> Message {
        match self {
            Step::Up => link_message(RTM_NEWLINK, 0, index, IFF_UP),
            Step::Address(address) => {
                address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, **address)
            }
            Step::Route(route) => route_message(
                RTM_NEWROUTE,
                NLM_F_CREATE | NLM_F_EXCL,
                route.to,
                route.via,
                Some(index),
                route.metric,
            ),
        }
    }

    fn failed(&self, refusal: Refusal, link: &str) -> LinkError {
        match self {
            Step::Up => refusal.while_doing("bringing up", link),
            Step::Address(address) if refusal.is(Errno::EXIST) => LinkError::AddressExists {
                link: link.to_owned(),
                address: **address,
            },
            Step::Address(address) => refusal.while_doing(format!("adding {address} to"), link),
            Step::Route(Route { via: Some(via), .. })
                if refusal.is(Errno::NETUNREACH) || refusal.is(Errno::HOSTUNREACH) =>
            {
                LinkError::Unreachable {
                    link: link.to_owned(),
                    via: *via,
                }
            }
            Step::Route(route) => {
                refusal.while_doing(format!("adding the route to {} through", route.to), link)
            }
        }
    }
}

/// Up, addresses, routes: one call, in this order, each waiting for the one before.
pub(super) fn apply(
    there: &mut Socket,
    name: &str,
    index: u32,
    addresses: &[IpNet],
    routes: &[Route],
) -> Result<()> {
    let mut steps = vec![Step::Up];
    steps.extend(addresses.iter().map(Step::Address));
    steps.extend(routes.iter().map(Step::Route));
    let requests: Vec<Message> = steps.iter().map(|step| step.request(index)).collect();
    for (step, outcome) in steps.iter().zip(there.exchange(&requests)?) {
        if let Err(refusal) = outcome {
            return Err(step.failed(refusal, name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_link_s_name_takes_its_place_in_a_key_of_either_form() {
        let cases = [
            (
                "net.ipv4.conf.IFNAME.rp_filter",
                "eth0",
                "net.ipv4.conf.eth0.rp_filter",
            ),
            (
                "net.ipv4.conf.IFNAME.rp_filter",
                "eth0.10",
                "net.ipv4.conf.eth0/10.rp_filter",
            ),
            (
                "net/ipv4/conf/IFNAME/rp_filter",
                "eth0.10",
                "net/ipv4/conf/eth0.10/rp_filter",
            ),
        ];
        for (key, name, expected) in cases {
            assert_eq!(key_of(key, name), expected);
        }
    }
}
