//! Changes to endpoints that are there: addresses that come later (DHCP), another gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rustix::io::Errno;

use super::spec::{Route, default_of};
use super::{announce, configure};
use crate::host;
use crate::link_error::{LinkError, Result};
use crate::namespace::Netns;
use crate::netlink::kernel::{
    NLM_F_CREATE, NLM_F_REPLACE, RTM_DELADDR, RTM_DELROUTE, RTM_NEWROUTE,
};
use crate::netlink::{Socket, address_message, route_message};

/// Give a link in a namespace addresses and routes, and see that it is up.
pub fn add_to(ns: &Netns, name: &str, addresses: &[IpNet], routes: &[Route]) -> Result<()> {
    ns.run(|| {
        let mut there = Socket::open()?;
        let link = host::existing(&mut there, name)?;
        configure::apply(&mut there, name, link.index, addresses, routes)?;
        if let Some(mac) = link.mac {
            announce::announce(link.index, mac, addresses);
        }
        Ok(())
    })?
}

/// Take addresses from a link in a namespace, and with them the routes that need them. What is not
/// there is taken.
pub fn take_from(ns: &Netns, name: &str, addresses: &[IpNet]) -> Result<()> {
    ns.run(|| {
        let mut there = Socket::open()?;
        let Some(link) = host::link_by(&mut there, name)? else {
            return Ok(());
        };
        let requests: Vec<_> = addresses
            .iter()
            .map(|address| address_message(RTM_DELADDR, 0, link.index, *address))
            .collect();
        for (address, outcome) in addresses.iter().zip(there.exchange(&requests)?) {
            match outcome {
                Err(refusal) if !refusal.is(Errno::ADDRNOTAVAIL) => {
                    return Err(refusal.while_doing(format!("taking {address} from"), name));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    })?
}

/// Make these gateways the default routes of a namespace, and have no others: none, where none is
/// given. The new one is there before the old one goes.
pub fn set_default_routes(ns: &Netns, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> Result<()> {
    ns.run(|| {
        let mut there = Socket::open()?;
        set_default(
            &mut there,
            IpNet::V4(ipnet::Ipv4Net::default()),
            v4.map(IpAddr::V4),
        )?;
        set_default(
            &mut there,
            IpNet::V6(ipnet::Ipv6Net::default()),
            v6.map(IpAddr::V6),
        )
    })?
}

fn set_default(there: &mut Socket, everywhere: IpNet, gateway: Option<IpAddr>) -> Result<()> {
    let before = host::routes_by(there)?;
    if let Some(via) = gateway {
        let to = default_of(via);
        let new = route_message(
            RTM_NEWROUTE,
            NLM_F_CREATE | NLM_F_REPLACE,
            to,
            Some(via),
            None,
            None,
        );
        if let Err(refusal) = there.ask(&new)? {
            let link = "any link".to_owned();
            return Err(
                if refusal.is(Errno::NETUNREACH) || refusal.is(Errno::HOSTUNREACH) {
                    LinkError::Unreachable { link, via }
                } else {
                    refusal.while_doing("setting the default route through", via.to_string())
                },
            );
        }
    }
    // All that was there, as it was: replaced ones are gone already.
    for old in before
        .iter()
        .filter(|route| route.to == everywhere && route.via != gateway)
    {
        let delete = route_message(
            RTM_DELROUTE,
            0,
            everywhere,
            old.via,
            old.index,
            Some(old.metric).filter(|metric| *metric > 0),
        );
        match there.ask(&delete)? {
            Err(refusal) if !refusal.is(Errno::SRCH) => {
                return Err(
                    refusal.while_doing("removing the default route through", shown(old.via))
                );
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn shown(via: Option<IpAddr>) -> String {
    via.map_or_else(|| "a link".to_owned(), |via| via.to_string())
}
