//! What the keys about networks mean.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::Value;
use wharf_engine::NetworkOptions;

use super::{ConfigError, Program, Typed};

fn wrong(name: &str, text: &str, why: &str) -> ConfigError {
    ConfigError::Value(format!("invalid {name} {text:?}: {why}"))
}

/// A value that is not empty, read.
fn parsed<T: FromStr>(typed: &Typed, name: &str, what: &str) -> Result<Option<T>, ConfigError> {
    typed
        .text(name)
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|_| wrong(name, &text, &format!("it must be {what}")))
        })
        .transpose()
}

/// Reads them all.
pub(super) fn read(typed: &Typed, program: Program) -> Result<NetworkOptions, ConfigError> {
    let mut options = NetworkOptions::default();
    let bip = parsed(typed, "bip", "an IPv4 address with its prefix")?;
    match typed.text("bridge").as_deref() {
        None | Some("") => options.bridge = Some(program.bridge().to_owned()),
        Some("none") => options.bridge = None,
        Some(name) => {
            if bip.is_some() {
                return Err(ConfigError::Value(
                    "You specified -b & --bip, mutually exclusive options. Please specify only one"
                        .to_owned(),
                ));
            }
            options.bridge = Some(name.to_owned());
            options.bridge_is_theirs = true;
        }
    }
    options.bip = bip;
    options.bip6 = parsed(typed, "bip6", "an IPv6 address with its prefix")?;
    options.fixed_cidr = parsed(typed, "fixed-cidr", "an IPv4 subnet")?;
    options.fixed_cidr_v6 = parsed(typed, "fixed-cidr-v6", "an IPv6 subnet")?;
    options.default_gateway = parsed(typed, "default-gateway", "an IPv4 address")?;
    options.default_gateway_v6 = parsed(typed, "default-gateway-v6", "an IPv6 address")?;
    options.ipv6 = typed.flag("ipv6").unwrap_or(false);
    options.icc = typed.flag("icc").unwrap_or(true);
    options.masquerade = typed.flag("ip-masq").unwrap_or(true);
    options.forward = typed.flag("ip-forward").unwrap_or(true);
    options.bind = parsed::<IpAddr>(typed, "ip", "an IP address")?
        // Every address of the one family is how the default is written: it means both.
        .filter(|address| !address.is_unspecified());
    options.mtu = match typed.number("mtu") {
        None | Some(0) => None,
        Some(mtu) => Some(
            u32::try_from(mtu)
                .ok()
                .filter(|mtu| (68..=65_535).contains(mtu))
                .ok_or_else(|| ConfigError::Value(format!("invalid default MTU: {mtu}")))?,
        ),
    };
    options.host_gateway = host_gateways(typed)?;
    options.pools = pools(typed)?;
    options.default_options = default_options(typed)?;
    Ok(options)
}

/// One address of each family at most, as dockerd has it.
fn host_gateways(typed: &Typed) -> Result<Vec<IpAddr>, ConfigError> {
    let mut texts = typed.list("host-gateway-ips");
    texts.extend(
        typed
            .text("host-gateway-ip")
            .filter(|text| !text.is_empty()),
    );
    let mut addresses: Vec<IpAddr> = Vec::new();
    for text in texts {
        let address: IpAddr = text
            .parse()
            .map_err(|_| wrong("host-gateway-ips", &text, "it must be an IP address"))?;
        if addresses
            .iter()
            .any(|other| other.is_ipv4() == address.is_ipv4())
        {
            return Err(wrong(
                "host-gateway-ips",
                &text,
                "only one address of each family can be given",
            ));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// `base=10.10.0.0/16,size=24`, or objects of these.
fn pools(typed: &Typed) -> Result<Vec<(ipnet::IpNet, u8)>, ConfigError> {
    const NAME: &str = "default-address-pools";
    let list = typed.0.get(NAME).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|value| {
            let shown = value.to_string();
            let refused = || wrong(NAME, &shown, "it needs a base and a size");
            let (base, size) = match value {
                Value::String(text) => {
                    let fields: BTreeMap<&str, &str> = text
                        .split(',')
                        .filter_map(|field| field.split_once('='))
                        .collect();
                    (
                        fields.get("base").copied().unwrap_or_default().to_owned(),
                        fields.get("size").and_then(|size| size.parse().ok()),
                    )
                }
                other => (
                    other
                        .get("base")
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned(),
                    other.get("size").and_then(Value::as_u64),
                ),
            };
            let base: ipnet::IpNet = base.parse().map_err(|_| refused())?;
            let size = size
                .and_then(|size: u64| u8::try_from(size).ok())
                .ok_or_else(refused)?;
            Ok((base.trunc(), size))
        })
        .collect()
}

/// `bridge=com.docker.network.driver.mtu=1400`, or objects by driver.
fn default_options(
    typed: &Typed,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, ConfigError> {
    const NAME: &str = "default-network-opts";
    let mut options: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    match typed.0.get(NAME) {
        Some(Value::Array(list)) => {
            for text in list.iter().filter_map(Value::as_str) {
                let mut parts = text.splitn(3, '=');
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(driver), Some(key), Some(value)) => {
                        let of_driver = options.entry(driver.to_owned()).or_default();
                        of_driver.insert(key.to_owned(), value.to_owned());
                    }
                    _ => {
                        return Err(wrong(NAME, text, "it must be driver=option=value"));
                    }
                }
            }
        }
        Some(Value::Object(drivers)) => {
            for (driver, of_driver) in drivers {
                let Some(of_driver) = of_driver.as_object() else {
                    return Err(wrong(NAME, driver, "it must be an object of options"));
                };
                let text = |value: &Value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                };
                let read = of_driver
                    .iter()
                    .map(|(key, value)| (key.clone(), text(value)));
                options.insert(driver.clone(), read.collect());
            }
        }
        _ => {}
    }
    Ok(options)
}
