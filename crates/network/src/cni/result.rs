//! What a plugin says it made.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::version::Version;

/// Interfaces, addresses, routes of an answer, each; more than a container has.
const ENTRIES: usize = 1024;

/// What an attachment consists of. Fields nobody here needs stay in [`raw`](Attached::raw).
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// Links, in the container (those with a sandbox) and outside.
    pub interfaces: Vec<Interface>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Dns,
    /// The answer as the last plugin wrote it.
    pub raw: Value,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address, or empty.
    #[serde(default, deserialize_with = "or_default")]
    pub mac: String,
    /// The path of the namespace it is in, or empty if that is the host's.
    #[serde(default, deserialize_with = "or_default")]
    pub sandbox: String,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// With the length of its network's prefix.
    pub address: IpNet,
    /// The router of its network.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// The place in the list of interfaces of the one that has it.
    #[serde(default)]
    pub interface: Option<usize>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// Where to.
    pub dst: IpNet,
    /// By whom; the address's gateway if there is none.
    #[serde(default)]
    pub gw: Option<IpAddr>,
}

/// How names are found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Dns {
    /// Servers.
    #[serde(default, deserialize_with = "or_default")]
    pub nameservers: Vec<String>,
    /// The container's own domain.
    #[serde(default, deserialize_with = "or_default")]
    pub domain: String,
    /// Domains that short names are looked for in.
    #[serde(default, deserialize_with = "or_default")]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(default, deserialize_with = "or_default")]
    pub options: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "cniVersion", deserialize_with = "or_default")]
    version: String,
    #[serde(default, deserialize_with = "or_default")]
    interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "or_default")]
    ips: Vec<Address>,
    #[serde(default, deserialize_with = "or_default")]
    routes: Vec<Route>,
    #[serde(default, deserialize_with = "or_default")]
    dns: Dns,
}

/// Go writes an empty list as null.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Attached {
    /// Reads an answer; what is wrong with it, if it cannot be used.
    pub fn parse(bytes: &[u8]) -> Result<Attached, String> {
        let raw: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Attached::of(raw)
    }

    pub(super) fn of(raw: Value) -> Result<Attached, String> {
        if !raw.is_object() {
            return Err("not an object".to_owned());
        }
        let answer = Answer::deserialize(&raw).map_err(|error| error.to_string())?;
        // Without a version it is that of the configuration.
        if !answer.version.is_empty() && Version::parse(&answer.version).is_none() {
            return Err(format!("result version {:?} is not known", answer.version));
        }
        let longest = answer.interfaces.len().max(answer.ips.len());
        if longest.max(answer.routes.len()) > ENTRIES {
            return Err(format!("more than {ENTRIES} entries"));
        }
        let known = |address: &Address| {
            address
                .interface
                .is_none_or(|index| index < answer.interfaces.len())
        };
        if !answer.ips.iter().all(known) {
            return Err("an address of an interface that is not in the list".to_owned());
        }
        Ok(Attached {
            interfaces: answer.interfaces,
            addresses: answer.ips,
            routes: answer.routes,
            dns: answer.dns,
            raw,
        })
    }
}
