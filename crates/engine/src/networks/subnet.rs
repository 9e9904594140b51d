//! A subnet of a network, and which of its addresses are taken.

use std::net::IpAddr;

use ipnet::IpNet;
use wharf_network::ipam::{Addresses, IpamError};

use crate::model::SubnetSpec;
use crate::{Error, Result};

/// A subnet. What is taken is in memory only: it is read from the running containers' rows.
#[derive(Debug)]
pub(super) struct Subnet {
    /// The whole of it.
    pub(super) net: IpNet,
    /// The bridge's own address.
    pub(super) gateway: Option<IpAddr>,
    /// Where containers send what leaves: the bridge, unless the daemon says otherwise.
    pub(super) exit: Option<IpAddr>,
    addresses: Addresses,
}

impl Subnet {
    /// As specified: the specification was checked before. The gateway that was chosen is written
    /// back into it.
    pub(super) fn new(spec: &mut SubnetSpec) -> Result<Subnet> {
        let wrong = |what: &str| Error::InvalidArgument(format!("invalid address: {what}"));
        let net: IpNet = spec.subnet.parse().map_err(|_| wrong(&spec.subnet))?;
        let net = net.trunc();
        let range = match spec.ip_range.as_str() {
            "" => None,
            text => Some(text.parse::<IpNet>().map_err(|_| wrong(text))?.trunc()),
        };
        let auxiliary = spec
            .auxiliary
            .values()
            .map(|text| text.parse::<IpAddr>().map_err(|_| wrong(text)))
            .collect::<Result<Vec<IpAddr>>>()?;
        let named = match spec.gateway.as_str() {
            "" => None,
            text => Some(text.parse::<IpAddr>().map_err(|_| wrong(text))?),
        };
        let reserved: Vec<IpAddr> = auxiliary.into_iter().chain(named).collect();
        let gateway = match named {
            None => Some(first(net, range, &reserved)?),
            named => named,
        };
        let reserved: Vec<IpAddr> = reserved.into_iter().chain(gateway).collect();
        let addresses = Addresses::new(net, range, &reserved).map_err(|error| failed(&error))?;
        if let Some(address) = gateway {
            spec.gateway = address.to_string();
        }
        Ok(Subnet {
            net,
            gateway,
            exit: gateway,
            addresses,
        })
    }

    /// Another address is the way out; nobody else gets it.
    pub(super) fn exit_by(&mut self, address: IpAddr) -> Result<()> {
        if self.gateway != Some(address) {
            self.addresses
                .take(address)
                .map_err(|error| failed(&error))?;
        }
        self.exit = Some(address);
        Ok(())
    }

    /// That address, or the next.
    pub(super) fn take(&mut self, wanted: Option<IpAddr>) -> Result<IpAddr> {
        match wanted {
            Some(address) => self.addresses.take(address).map(|()| address),
            None => self.addresses.take_next(),
        }
        .map_err(|error| failed(&error))
    }

    /// Nobody's any more. The gateway stays the bridge's.
    pub(super) fn release(&mut self, address: IpAddr) {
        if self.gateway != Some(address) && self.exit != Some(address) {
            self.addresses.release(address);
        }
    }
}

/// The gateway that nobody named: the first address that containers could have had.
fn first(net: IpNet, range: Option<IpNet>, reserved: &[IpAddr]) -> Result<IpAddr> {
    Addresses::new(net, range, reserved)
        .and_then(|mut addresses| addresses.take_next())
        .map_err(|error| failed(&error))
}

fn failed(error: &IpamError) -> Error {
    super::address_error(error)
}
