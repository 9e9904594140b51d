//! What a create says of networks, as far as there are any: the three that are always there.

use wharf_engine::model::{HostSpec, NetworkMode};

use super::create::{CreateBody, EndpointBody};
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
            // Not 404: clients take that for a missing image, and pull.
            _ => {
                return Err(ApiError::missing(format_args!(
                    "HostConfig.NetworkMode {text:?}: a network of one's own making"
                )));
            }
        },
    })
}

/// How a network mode is printed. A container that asked for the default shows what it got.
pub(crate) fn mode_text(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Default | NetworkMode::Bridge => "bridge".into(),
        NetworkMode::None => "none".into(),
        NetworkMode::Host => "host".into(),
        NetworkMode::Container(container) => format!("container:{container}"),
        NetworkMode::Path(path) => format!("ns:{path}"),
    }
}

/// Checks `NetworkingConfig`: an endpoint of the container's own network that asks for nothing is
/// what every client sends; anything more is refused by name.
pub(crate) fn check(
    body: &CreateBody,
    host: &HostSpec,
    version: ApiVersion,
) -> Result<(), ApiError> {
    let endpoints = &body.networking_config.endpoints;
    if endpoints.len() > 1 && version.before(44) {
        let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        return Err(ApiError::bad_request(format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        )));
    }
    let own = mode_text(&host.network);
    for (name, endpoint) in endpoints {
        let canonical = if name == "default" { "bridge" } else { name };
        if canonical != own {
            if matches!(canonical, "bridge" | "host" | "none") {
                return Err(ApiError::missing(format_args!(
                    "NetworkingConfig.EndpointsConfig: a second network ({name})"
                )));
            }
            return Err(ApiError::missing(format_args!(
                "NetworkingConfig.EndpointsConfig.{name}: a network of one's own making"
            )));
        }
        if let Some(endpoint) = endpoint {
            check_endpoint(name, endpoint, version)?;
        }
    }
    Ok(())
}

fn check_endpoint(
    name: &str,
    endpoint: &EndpointBody,
    version: ApiVersion,
) -> Result<(), ApiError> {
    let addresses = &endpoint.ipam_config;
    let set = [
        ("IPAMConfig.IPv4Address", !addresses.ipv4_address.is_empty()),
        ("IPAMConfig.IPv6Address", !addresses.ipv6_address.is_empty()),
        (
            "IPAMConfig.LinkLocalIPs",
            !addresses.link_local_ips.is_empty(),
        ),
        ("Links", !endpoint.links.is_empty()),
        ("Aliases", !endpoint.aliases.is_empty()),
        // Older daemons discarded these two.
        (
            "MacAddress",
            !endpoint.mac_address.is_empty() && version.at_least(44),
        ),
        (
            "GwPriority",
            endpoint.gateway_priority != 0 && version.at_least(48),
        ),
        ("DriverOpts", !endpoint.driver_options.is_empty()),
    ];
    match set.iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(ApiError::missing(format_args!(
            "NetworkingConfig.EndpointsConfig.{name}.{field}"
        ))),
        None => Ok(()),
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
            ("container:abc", "container:abc"),
            ("ns:/run/netns/blue", "ns:/run/netns/blue"),
        ] {
            assert_eq!(mode_text(&mode(text).unwrap()), printed, "{text}");
        }
    }

    #[test]
    fn a_network_that_is_not_there_is_501_and_a_bad_mode_400() {
        let refused = |text| {
            let error = mode(text).unwrap_err();
            (error.status.as_u16(), error.message)
        };
        assert_eq!(refused("blue").0, 501);
        assert!(refused("blue").1.contains("\"blue\""));
        assert_eq!(refused("container:").0, 400);
        assert_eq!(refused("ns:relative").0, 400);
    }

    fn checked(endpoints: &str, network: &str) -> Result<(), ApiError> {
        let json = format!(r#"{{"NetworkingConfig":{{"EndpointsConfig":{endpoints}}}}}"#);
        let host = HostSpec {
            network: mode(network).unwrap(),
            ..HostSpec::default()
        };
        check(
            &lenient::from_slice(json.as_bytes()).unwrap(),
            &host,
            ApiVersion::NEWEST,
        )
    }

    #[test]
    fn an_endpoint_that_asks_for_nothing_is_taken() {
        for (endpoints, network) in [
            ("{}", ""),
            (r#"{"default":{}}"#, "default"),
            (r#"{"bridge":null}"#, ""),
            (
                r#"{"host":{"IPAMConfig":null,"Links":null,"MacAddress":""}}"#,
                "host",
            ),
            (r#"{"container:x":{}}"#, "container:x"),
        ] {
            checked(endpoints, network).unwrap();
        }
    }

    #[test]
    fn an_endpoint_that_asks_for_more_is_refused_by_name() {
        let message = checked(
            r#"{"bridge":{"IPAMConfig":{"IPv4Address":"10.0.0.2"}}}"#,
            "",
        )
        .unwrap_err()
        .message;
        assert_eq!(
            message,
            "NetworkingConfig.EndpointsConfig.bridge.IPAMConfig.IPv4Address is not supported yet"
        );
        assert_eq!(checked(r#"{"blue":{}}"#, "").unwrap_err().status, 501);
        assert_eq!(
            checked(r#"{"bridge":{},"none":{}}"#, "")
                .unwrap_err()
                .status,
            501
        );
    }
}
