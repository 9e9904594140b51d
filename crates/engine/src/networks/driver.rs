//! The drivers, and what a network's options mean to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wharf_network::firewall::{GatewayMode, Icc, Masquerade};

use super::NetworkOptions;
use crate::model::Network;
use crate::{Error, Result};

/// How a network is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Driver {
    /// A bridge on the host, a pair of interfaces for each container.
    Bridge(Box<BridgeSettings>),
    /// Interfaces on a parent of the host's, each with an address of its own on the wire.
    Macvlan(ParentSettings),
    /// Interfaces on a parent of the host's that share its address on the wire.
    Ipvlan(ParentSettings),
    /// Whatever a list of CNI plugins makes.
    Cni {
        /// Name of the configuration.
        config: String,
    },
    /// The host's own.
    Host,
    /// None.
    Null,
}

/// Options of a bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BridgeSettings {
    /// The bridge's interface.
    pub(super) name: String,
    /// The interface is somebody else's.
    pub(super) theirs: bool,
    /// MTU of its interfaces.
    pub(super) mtu: Option<u32>,
    /// Whether containers reach each other.
    pub(super) icc: Icc,
    /// Source address of what leaves.
    pub(super) masquerade: Masquerade,
    /// How IPv4 enters and leaves.
    pub(super) mode_v4: GatewayMode,
    /// How IPv6 enters and leaves.
    pub(super) mode_v6: GatewayMode,
    /// Where published ports are bound that name no address.
    pub(super) bind: Option<IpAddr>,
    /// The bridge gets no IPv4 address.
    pub(super) inhibit_ipv4: bool,
    /// Interfaces from which containers may be addressed directly.
    pub(super) trusted: Vec<String>,
    /// Interfaces inside are this and a number.
    pub(super) prefix: String,
}

/// Options of a network on a parent interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParentSettings {
    /// The host's interface.
    pub(super) parent: String,
    /// It is made for this network, and leads nowhere else.
    pub(super) inner: bool,
    /// `bridge`, `private`, `vepa`, `passthru`; `l2`, `l3`, `l3s`.
    pub(super) mode: String,
    /// ipvlan: `bridge`, `private`, `vepa`.
    pub(super) flag: String,
    /// MTU of its interfaces.
    pub(super) mtu: Option<u32>,
    /// Interfaces inside are this and a number.
    pub(super) prefix: String,
}

/// Longest name of an interface.
const NAME_MAX: usize = 15;

const MTU: &str = "com.docker.network.driver.mtu";
const PREFIX: &str = "com.docker.network.container_iface_prefix";

impl Driver {
    /// The driver of a network, its options read.
    pub(super) fn of(network: &Network, options: &NetworkOptions) -> Result<Driver> {
        Ok(match network.driver.as_str() {
            "bridge" => Driver::Bridge(Box::new(bridge(network, options)?)),
            "macvlan" => Driver::Macvlan(parent(network, "macvlan_mode", &MACVLAN)?),
            "ipvlan" => Driver::Ipvlan(parent(network, "ipvlan_mode", &IPVLAN)?),
            "cni" => Driver::Cni {
                config: match network.options.get("config") {
                    Some(name) if !name.is_empty() => name.clone(),
                    _ => {
                        return Err(Error::InvalidArgument(
                            "a network of the driver cni needs the option config: the name of a list of plugins in /etc/cni/net.d, or its path".to_owned(),
                        ));
                    }
                },
            },
            "host" => Driver::Host,
            "null" => Driver::Null,
            "overlay" => {
                return Err(Error::Forbidden("This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.".to_owned()));
            }
            other => return Err(Error::NotFound(format!("plugin \"{other}\" not found"))),
        })
    }

    /// Whether containers get interfaces of their own.
    pub(super) fn has_interfaces(&self) -> bool {
        !matches!(self, Driver::Host | Driver::Null)
    }

    /// What interfaces inside are called, before the number.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Driver::Bridge(settings) => &settings.prefix,
            Driver::Macvlan(settings) | Driver::Ipvlan(settings) => &settings.prefix,
            Driver::Cni { .. } | Driver::Host | Driver::Null => "eth",
        }
    }

    /// The bridge, if it is one.
    pub(super) fn bridge(&self) -> Option<&BridgeSettings> {
        match self {
            Driver::Bridge(settings) => Some(settings),
            _ => None,
        }
    }
}

fn bridge(network: &Network, options: &NetworkOptions) -> Result<BridgeSettings> {
    let read = Labels(network);
    let name = match read.text("com.docker.network.bridge.name") {
        Some(name) => interface_name(name)?,
        None => format!("br-{}", network.id.get(..12).unwrap_or(&network.id)),
    };
    let masquerade = match read.truth("com.docker.network.bridge.enable_ip_masquerade")? {
        Some(false) => Masquerade::Off,
        _ => fixed(&read)?,
    };
    Ok(BridgeSettings {
        name,
        theirs: false,
        mtu: read.mtu()?,
        icc: match read.truth("com.docker.network.bridge.enable_icc")? {
            Some(false) => Icc::Denied,
            _ => Icc::Allowed,
        },
        masquerade,
        mode_v4: read.mode("com.docker.network.bridge.gateway_mode_ipv4")?,
        mode_v6: read.mode("com.docker.network.bridge.gateway_mode_ipv6")?,
        bind: match read.text("com.docker.network.bridge.host_binding_ipv4") {
            Some(text) => Some(text.parse::<IpAddr>().map_err(|_| {
                read.wrong(
                    "com.docker.network.bridge.host_binding_ipv4",
                    "must be an IP address",
                )
            })?),
            None => options.bind,
        }
        // Every address of the one family is how the default is written: it means both.
        .filter(|address| !address.is_unspecified()),
        inhibit_ipv4: read.truth("com.docker.network.bridge.inhibit_ipv4")? == Some(true),
        trusted: read
            .text("com.docker.network.bridge.trusted_host_interfaces")
            .map(|list| list.split(':').map(str::to_owned).collect())
            .unwrap_or_default(),
        prefix: read.text(PREFIX).unwrap_or("eth").to_owned(),
    })
}

fn fixed(read: &Labels<'_>) -> Result<Masquerade> {
    let v4 = read.address::<Ipv4Addr>("com.docker.network.host_ipv4")?;
    let v6 = read.address::<Ipv6Addr>("com.docker.network.host_ipv6")?;
    Ok(match (v4, v6) {
        (None, None) => Masquerade::Auto,
        (v4, v6) => Masquerade::Fixed { v4, v6 },
    })
}

const MACVLAN: [&str; 4] = ["bridge", "private", "vepa", "passthru"];
const IPVLAN: [&str; 3] = ["l2", "l3", "l3s"];

fn parent(network: &Network, key: &str, modes: &[&str]) -> Result<ParentSettings> {
    let read = Labels(network);
    let mode = read
        .text(key)
        .or(modes.first().copied())
        .unwrap_or_default();
    if !modes.contains(&mode) {
        return Err(Error::InvalidArgument(format!(
            "requested {} mode '{mode}' is not valid, '{}' mode is the {0} driver default",
            network.driver,
            modes.first().copied().unwrap_or_default()
        )));
    }
    let flag = read.text("ipvlan_flag").unwrap_or("bridge");
    if !matches!(flag, "bridge" | "private" | "vepa") {
        return Err(Error::InvalidArgument(format!(
            "unknown ipvlan flag type: '{flag}'"
        )));
    }
    let parent = match read.text("parent") {
        Some("lo") => {
            return Err(Error::InvalidArgument(
                "loopback interface is not a valid macvlan parent link".to_owned(),
            ));
        }
        Some(name) => interface_name(name)?,
        None => format!("dm-{}", network.id.get(..12).unwrap_or(&network.id)),
    };
    Ok(ParentSettings {
        inner: read.text("parent").is_none(),
        parent,
        mode: mode.to_owned(),
        flag: flag.to_owned(),
        mtu: read.mtu()?,
        prefix: read.text(PREFIX).unwrap_or("eth").to_owned(),
    })
}

fn interface_name(name: &str) -> Result<String> {
    let good = name.len() <= NAME_MAX
        && !matches!(name, "." | "..")
        && name
            .chars()
            .all(|c| !c.is_whitespace() && !matches!(c, '/' | ':'));
    if good {
        return Ok(name.to_owned());
    }
    Err(Error::InvalidArgument(format!(
        "invalid interface name: {name:?}"
    )))
}

/// The options of a network.
struct Labels<'a>(&'a Network);

impl<'a> Labels<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.0
            .options
            .get(key)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    fn wrong(&self, key: &str, why: &str) -> Error {
        Error::InvalidArgument(format!(
            "failed to parse {key} value: {} ({why})",
            self.text(key).unwrap_or_default()
        ))
    }

    fn truth(&self, key: &str) -> Result<Option<bool>> {
        self.text(key)
            .map(|text| {
                truth(text).ok_or_else(|| {
                    self.wrong(
                        key,
                        &format!("strconv.ParseBool: parsing {text:?}: invalid syntax"),
                    )
                })
            })
            .transpose()
    }

    fn address<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>> {
        self.text(key)
            .map(|text| {
                text.parse()
                    .map_err(|_| self.wrong(key, "it must be an address"))
            })
            .transpose()
    }

    fn mtu(&self) -> Result<Option<u32>> {
        let Some(text) = self.text(MTU) else {
            return Ok(None);
        };
        match text.parse::<u32>() {
            Ok(0) => Ok(None),
            // The smallest that IPv4 lives with, the largest a link can have.
            Ok(mtu @ 68..=65535) => Ok(Some(mtu)),
            Ok(mtu) => Err(Error::InvalidArgument(format!("invalid MTU number: {mtu}"))),
            Err(_) => Err(self.wrong(
                MTU,
                &format!("strconv.Atoi: parsing {text:?}: invalid syntax"),
            )),
        }
    }

    fn mode(&self, key: &str) -> Result<GatewayMode> {
        match self.text(key) {
            None | Some("nat") => Ok(GatewayMode::Nat),
            Some("nat-unprotected") => Ok(GatewayMode::NatUnprotected),
            Some("routed") => Ok(GatewayMode::Routed),
            Some("isolated") if self.0.internal => Ok(GatewayMode::Isolated),
            Some("isolated") => Err(Error::InvalidArgument(
                "gateway mode 'isolated' can only be used for an internal network".to_owned(),
            )),
            Some(mode) => Err(self.wrong(key, &format!("unknown gateway mode {mode}"))),
        }
    }
}

/// Go's booleans.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::fixture::network;

    fn read(driver: &str, options: &[(&str, &str)]) -> Result<Driver> {
        let mut network = network("blue", driver);
        network.options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Driver::of(&network, &NetworkOptions::default())
    }

    #[test]
    fn a_bridge_is_called_by_its_networks_id_unless_it_is_named() {
        let Ok(Driver::Bridge(settings)) = read("bridge", &[]) else {
            panic!("a bridge");
        };
        assert_eq!(settings.name, "br-0123456789ab");
        assert_eq!(settings.icc, Icc::Allowed);
        let named = read("bridge", &[("com.docker.network.bridge.name", "blue0")]).unwrap();
        assert_eq!(named.bridge().unwrap().name, "blue0");
    }

    #[test]
    fn options_that_mean_nothing_are_refused() {
        for (driver, key, value) in [
            ("bridge", MTU, "much"),
            ("bridge", MTU, "7"),
            ("bridge", "com.docker.network.bridge.enable_icc", "perhaps"),
            ("bridge", "com.docker.network.bridge.gateway_mode_ipv4", "x"),
            (
                "bridge",
                "com.docker.network.bridge.gateway_mode_ipv4",
                "isolated",
            ),
            (
                "bridge",
                "com.docker.network.bridge.name",
                "a-name-that-is-too-long",
            ),
            ("macvlan", "macvlan_mode", "x"),
            ("ipvlan", "ipvlan_mode", "l4"),
            ("ipvlan", "ipvlan_flag", "x"),
        ] {
            assert!(
                read(driver, &[(key, value)]).is_err(),
                "{driver} {key}={value}"
            );
        }
        assert_eq!(
            read("blue", &[]).unwrap_err().to_string(),
            "plugin \"blue\" not found"
        );
    }
}
