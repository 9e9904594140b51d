//! What makes a request about networks acceptable, in dockerd's words. Pure.

use std::net::IpAddr;

use ipnet::IpNet;
use wharf_network::Mac;

use crate::model::{EndpointSpec, Network, SubnetSpec};
use crate::{Error, Result};

/// Label of the sysctls of an endpoint's interface.
pub(super) const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";
/// Label of the name of an endpoint's interface.
pub(super) const IFNAME: &str = "com.docker.network.endpoint.ifname";

/// Every mistake on its own line, below a head.
fn all(head: &str, mistakes: &[String]) -> Result<()> {
    if mistakes.is_empty() {
        return Ok(());
    }
    let listed = match mistakes {
        [one] => one.clone(),
        several => several
            .iter()
            .map(|mistake| format!("* {mistake}"))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Err(Error::InvalidArgument(format!("{head}:\n{listed}")))
}

fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}

/// The subnets of a new network.
pub(super) fn subnets(subnets: &[SubnetSpec], ipv6: bool) -> Result<()> {
    let mut mistakes = Vec::new();
    for spec in subnets {
        let Ok(net) = spec.subnet.parse::<IpNet>() else {
            mistakes.push(format!(
                "invalid subnet {}: invalid CIDR block notation",
                spec.subnet
            ));
            continue;
        };
        if matches!(net, IpNet::V6(_)) && !ipv6 {
            continue;
        }
        if net != net.trunc() {
            mistakes.push(format!(
                "invalid subnet {net}: it should be {}",
                net.trunc()
            ));
        }
        ip_range(&spec.ip_range, net, &mut mistakes);
        if let Err(why) = address(&spec.gateway, net) {
            mistakes.push(format!("invalid gateway {}: {why}", spec.gateway));
        }
        for (name, value) in &spec.auxiliary {
            if let Err(why) = address(value, net) {
                mistakes.push(format!("invalid auxiliary address {name}: {why}"));
            }
        }
    }
    all("invalid network config", &mistakes)
}

fn ip_range(text: &str, net: IpNet, mistakes: &mut Vec<String>) {
    if text.is_empty() {
        return;
    }
    let Ok(range) = text.parse::<IpNet>() else {
        mistakes.push(format!(
            "invalid ip-range {text}: invalid CIDR block notation"
        ));
        return;
    };
    if range.addr().is_ipv4() != net.addr().is_ipv4() {
        mistakes.push(format!(
            "invalid ip-range {text}: parent subnet is an {} block",
            family(net.addr())
        ));
        return;
    }
    if range.prefix_len() < net.prefix_len() {
        mistakes.push(format!(
            "invalid ip-range {text}: CIDR block is bigger than its parent subnet {net}"
        ));
    }
    if range != range.trunc() {
        mistakes.push(format!(
            "invalid ip-range {text}: it should be {}",
            range.trunc()
        ));
    }
    if !net.contains(&range.addr()) && !range.contains(&net.addr()) {
        mistakes.push(format!(
            "invalid ip-range {text}: parent subnet {net} doesn't contain ip-range"
        ));
    }
}

fn address(text: &str, net: IpNet) -> std::result::Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let address: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    if address.is_ipv4() != net.addr().is_ipv4() {
        return Err(format!("parent subnet is an {} block", family(net.addr())));
    }
    if !net.contains(&address) {
        return Err(format!("parent subnet {net} doesn't contain this address"));
    }
    Ok(())
}

/// Whether a network is one of the three that are always there.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none" | "default")
}

/// What a container asks of a network. `network` is there when it is known.
pub(super) fn endpoint(name: &str, spec: &EndpointSpec, network: Option<&Network>) -> Result<()> {
    let mut mistakes: Vec<String> = Vec::new();
    let addressed = !spec.ipv4_address.is_empty() || !spec.ipv6_address.is_empty();
    if is_predefined(name) {
        if addressed {
            mistakes.push(
                "user specified IP address is supported on user defined networks only".to_owned(),
            );
        }
        if !spec.aliases.is_empty() {
            mistakes.push(
                "network-scoped aliases are only supported for user-defined networks".to_owned(),
            );
        }
    }
    let mut wanted = Vec::new();
    for (kind, text) in [("IPv4", &spec.ipv4_address), ("IPv6", &spec.ipv6_address)] {
        match text.parse::<IpAddr>() {
            _ if text.is_empty() => {}
            Ok(address) if family(address) == kind && !address.is_unspecified() => {
                wanted.push(address);
            }
            _ => mistakes.push(format!("invalid {kind} address: {text}")),
        }
    }
    for text in &spec.link_local {
        if text.parse::<IpAddr>().is_err() {
            mistakes.push(format!("invalid link-local IP address: {text}"));
        }
    }
    if let Some(network) = network {
        if addressed && !network.configured {
            mistakes.push("user specified IP address is supported only when connecting to networks with user configured subnets".to_owned());
        } else {
            for address in &wanted {
                if !contains(network, *address) {
                    mistakes.push(format!(
                        "no configured subnet or ip-range contain the IP address {address}"
                    ));
                }
            }
        }
    }
    if !spec.mac_address.is_empty() && !spec.mac_address.parse::<Mac>().is_ok_and(Mac::is_usable) {
        mistakes.push(format!("invalid MAC address: {}", spec.mac_address));
    }
    for sysctl in listed(spec.options.get(SYSCTLS)) {
        if !is_interface_sysctl(sysctl) {
            mistakes.push(format!("unrecognised network interface sysctl '{sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'"));
        }
    }
    all("invalid endpoint settings", &mistakes)
}

fn contains(network: &Network, address: IpAddr) -> bool {
    network
        .subnets
        .iter()
        .filter_map(|subnet| subnet.subnet.parse::<IpNet>().ok())
        .any(|subnet| subnet.contains(&address))
}

/// A list with commas.
pub(super) fn listed(text: Option<&String>) -> impl Iterator<Item = &str> {
    text.map(String::as_str)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// `net.ipv4.conf.IFNAME.log_martians=1`
fn is_interface_sysctl(text: &str) -> bool {
    let Some((key, _)) = text.split_once('=') else {
        return false;
    };
    let parts: Vec<&str> = key.splitn(5, '.').collect();
    matches!(
        parts.as_slice(),
        ["net", "ipv4" | "ipv6" | "mpls", _, "IFNAME" | "ifname", _]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(subnet: &str, range: &str, gateway: &str) -> Vec<SubnetSpec> {
        vec![SubnetSpec {
            subnet: subnet.into(),
            ip_range: range.into(),
            gateway: gateway.into(),
            ..SubnetSpec::default()
        }]
    }

    #[test]
    fn bad_subnets_are_refused_in_dockers_words() {
        for (subnet, range, gateway, text) in [
            (
                "x",
                "",
                "",
                "invalid network config:\ninvalid subnet x: invalid CIDR block notation",
            ),
            (
                "10.0.0.1/24",
                "",
                "",
                "invalid network config:\ninvalid subnet 10.0.0.1/24: it should be 10.0.0.0/24",
            ),
            (
                "10.0.0.0/24",
                "10.0.0.0/16",
                "",
                "invalid network config:\ninvalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24",
            ),
            (
                "10.0.0.0/24",
                "10.0.1.0/25",
                "",
                "invalid network config:\ninvalid ip-range 10.0.1.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range",
            ),
            (
                "10.0.0.0/24",
                "",
                "10.1.0.1",
                "invalid network config:\ninvalid gateway 10.1.0.1: parent subnet 10.0.0.0/24 doesn't contain this address",
            ),
            (
                "10.0.0.0/24",
                "",
                "fd00::1",
                "invalid network config:\ninvalid gateway fd00::1: parent subnet is an IPv4 block",
            ),
        ] {
            assert_eq!(
                subnets(&spec(subnet, range, gateway), true)
                    .unwrap_err()
                    .to_string(),
                text
            );
        }
        subnets(&spec("10.0.0.0/24", "10.0.0.128/25", "10.0.0.1"), false).unwrap();
    }

    #[test]
    fn a_default_network_gives_no_wished_addresses_and_no_aliases() {
        let asked = EndpointSpec {
            ipv4_address: "10.0.0.2".into(),
            aliases: vec!["db".into()],
            ..EndpointSpec::default()
        };
        let text = endpoint("bridge", &asked, None).unwrap_err().to_string();
        assert_eq!(
            text,
            "invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n* network-scoped aliases are only supported for user-defined networks"
        );
        endpoint("blue", &asked, None).unwrap();
    }

    #[test]
    fn sysctls_of_an_interface_name_it_by_a_placeholder() {
        assert!(is_interface_sysctl("net.ipv4.conf.IFNAME.log_martians=1"));
        assert!(is_interface_sysctl("net.ipv6.conf.ifname.accept_ra=2"));
        assert!(!is_interface_sysctl("net.ipv4.conf.eth0.log_martians=1"));
        assert!(!is_interface_sysctl("net.ipv4.ip_forward=1"));
    }
}
