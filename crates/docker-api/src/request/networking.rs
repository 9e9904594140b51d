//! What requests say of networks.

use std::collections::BTreeMap;

use wharf_engine::model::{EndpointSpec, NetworkCreate, NetworkMode, SubnetSpec};

use super::create::{CreateBody, EndpointBody, Text, plain};
use super::lenient::lenient;
use crate::error::ApiError;
use crate::version::ApiVersion;

/// Reads `HostConfig.NetworkMode`.
pub(crate) fn mode(text: &str) -> Result<NetworkMode, ApiError> {
    Ok(match text {
        "" | "default" => NetworkMode::Default,
        "bridge" => NetworkMode::Bridge,
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        _ => match text.split_once(':') {
            Some(("container", "")) => {
                return Err(ApiError::bad_request(
                    "Invalid network mode: invalid container format container:<name|id>",
                ));
            }
            Some(("container", container)) => NetworkMode::Container(container.into()),
            Some(("ns", path)) if path.starts_with('/') => NetworkMode::Path(path.into()),
            Some(("ns", path)) => {
                return Err(ApiError::bad_request(format!(
                    "invalid network mode: the path of a network namespace must be absolute: {path:?}"
                )));
            }
            _ => NetworkMode::Named(text.into()),
        },
    })
}

/// How a network mode is printed. A container that asked for the default shows what it got.
pub(crate) fn mode_text(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Default | NetworkMode::Bridge => "bridge".into(),
        NetworkMode::Named(name) => name.clone(),
        NetworkMode::None => "none".into(),
        NetworkMode::Host => "host".into(),
        NetworkMode::Container(container) => format!("container:{container}"),
        NetworkMode::Path(path) => format!("ns:{path}"),
    }
}

/// `NetworkingConfig`, by the networks' names.
pub(crate) fn endpoints(
    body: &CreateBody,
    version: ApiVersion,
) -> Result<BTreeMap<String, EndpointSpec>, ApiError> {
    let endpoints = &body.networking_config.endpoints;
    if endpoints.len() > 1 && version.before(44) {
        let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        return Err(ApiError::bad_request(format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        )));
    }
    Ok(endpoints
        .iter()
        .map(|(name, endpoint)| {
            let name = if name == "default" { "bridge" } else { name };
            let spec = endpoint.as_ref().map(|body| self::endpoint(body, version));
            (name.to_owned(), spec.unwrap_or_default())
        })
        .collect())
}

/// What is asked of one network.
pub(crate) fn endpoint(body: &EndpointBody, version: ApiVersion) -> EndpointSpec {
    let addresses = body.ipam_config.clone().unwrap_or_default();
    EndpointSpec {
        network: String::new(),
        addressed: body.ipam_config.is_some(),
        ipv4_address: addresses.ipv4_address,
        ipv6_address: addresses.ipv6_address,
        link_local: addresses.link_local_ips,
        links: body.links.clone(),
        aliases: body.aliases.clone(),
        // Older daemons discarded these two.
        mac_address: if version.at_least(44) {
            body.mac_address.clone()
        } else {
            String::new()
        },
        gateway_priority: if version.at_least(48) {
            body.gateway_priority
        } else {
            0
        },
        options: plain(body.driver_options.clone()),
    }
}

lenient! {
    /// `POST /networks/create`
    pub(crate) struct NetworkCreateBody {
        name: String = "Name",
        driver: String = "Driver",
        scope: String = "Scope",
        enable_ipv4: Option<bool> = "EnableIPv4",
        enable_ipv6: Option<bool> = "EnableIPv6",
        ipam: IpamBody = "IPAM",
        internal: bool = "Internal",
        attachable: bool = "Attachable",
        ingress: bool = "Ingress",
        config_only: bool = "ConfigOnly",
        config_from: ConfigFromBody = "ConfigFrom",
        options: BTreeMap<String, Text> = "Options",
        labels: BTreeMap<String, Text> = "Labels",
    }

    /// `IPAM`
    pub(crate) struct IpamBody {
        driver: String = "Driver",
        options: BTreeMap<String, Text> = "Options",
        config: Vec<SubnetBody> = "Config",
    }

    /// One of `IPAM.Config`
    pub(crate) struct SubnetBody {
        subnet: String = "Subnet",
        ip_range: String = "IPRange",
        gateway: String = "Gateway",
        auxiliary: BTreeMap<String, Text> = "AuxiliaryAddresses",
    }

    /// `ConfigFrom`
    pub(crate) struct ConfigFromBody {
        network: String = "Network",
    }

    /// `POST /networks/{id}/connect`
    pub(crate) struct ConnectBody {
        container: String = "Container",
        endpoint: EndpointBody = "EndpointConfig",
    }

    /// `POST /networks/{id}/disconnect`
    pub(crate) struct DisconnectBody {
        container: String = "Container",
        force: bool = "Force",
    }
}

impl From<NetworkCreateBody> for NetworkCreate {
    fn from(body: NetworkCreateBody) -> Self {
        Self {
            name: body.name,
            driver: body.driver,
            scope: body.scope,
            internal: body.internal,
            attachable: body.attachable,
            ingress: body.ingress,
            config_only: body.config_only,
            config_from: body.config_from.network,
            ipam_driver: body.ipam.driver,
            ipam_options: plain(body.ipam.options),
            subnets: body
                .ipam
                .config
                .into_iter()
                .map(|subnet| SubnetSpec {
                    subnet: subnet.subnet,
                    ip_range: subnet.ip_range,
                    gateway: subnet.gateway,
                    auxiliary: plain(subnet.auxiliary),
                })
                .collect(),
            ipv4: body.enable_ipv4,
            ipv6: body.enable_ipv6,
            options: plain(body.options),
            labels: plain(body.labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::lenient;

    #[test]
    fn modes_are_read_and_printed() {
        for (text, printed) in [
            ("", "bridge"),
            ("default", "bridge"),
            ("bridge", "bridge"),
            ("none", "none"),
            ("host", "host"),
            ("blue", "blue"),
            ("container:abc", "container:abc"),
            ("ns:/run/netns/blue", "ns:/run/netns/blue"),
        ] {
            assert_eq!(mode_text(&mode(text).unwrap()), printed, "{text}");
        }
    }

    #[test]
    fn a_bad_mode_is_400() {
        for text in ["container:", "ns:relative"] {
            assert_eq!(mode(text).unwrap_err().status.as_u16(), 400, "{text}");
        }
    }

    fn read(json: &str, version: u32) -> Result<BTreeMap<String, EndpointSpec>, ApiError> {
        let json = format!(r#"{{"NetworkingConfig":{{"EndpointsConfig":{json}}}}}"#);
        let body = lenient::from_slice(json.as_bytes()).unwrap();
        endpoints(&body, ApiVersion::v1(version))
    }

    #[test]
    fn an_endpoint_is_read_with_what_its_version_knew() {
        let json = r#"{"blue":{"IPAMConfig":{"IPv4Address":"10.0.0.2"},"Aliases":["db"],"MacAddress":"02:00:00:00:00:01","GwPriority":7,"DriverOpts":{"a":"b"}}}"#;
        let new = read(json, 48).unwrap();
        let blue = &new["blue"];
        assert_eq!(blue.ipv4_address, "10.0.0.2");
        assert!(blue.addressed);
        assert_eq!(
            (blue.aliases.as_slice(), blue.gateway_priority),
            (&["db".to_owned()][..], 7)
        );
        assert_eq!(blue.options["a"], "b");
        let old = read(json, 43).unwrap();
        assert!(old["blue"].mac_address.is_empty());
        assert_eq!(old["blue"].gateway_priority, 0);
        assert!(
            read(r#"{"default":null}"#, 40)
                .unwrap()
                .contains_key("bridge")
        );
    }

    #[test]
    fn several_networks_came_with_1_44() {
        let json = r#"{"a":{},"b":{}}"#;
        assert_eq!(
            read(json, 43).unwrap_err().message,
            "Container cannot be created with multiple network endpoints: a, b"
        );
        assert_eq!(read(json, 44).unwrap().len(), 2);
    }
}
