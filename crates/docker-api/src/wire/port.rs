//! Published ports, in inspect's forms and in that of a line of `ps`.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model::{BoundPorts, PublishSpec};

/// One binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Binding {
    host_ip: String,
    host_port: String,
}

/// `HostConfig.PortBindings`: as asked for.
pub(crate) fn wanted(specs: &[PublishSpec]) -> BTreeMap<String, Vec<Binding>> {
    let mut all: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
    for spec in specs {
        for (offset, port) in (0u16..).zip(spec.container.first..=spec.container.last) {
            let key = format!("{port}/{}", spec.protocol);
            all.entry(key).or_default().push(Binding {
                host_ip: spec.host_ip.clone(),
                host_port: spec.host.text(offset),
            });
        }
    }
    all
}

/// `NetworkSettings.Ports`: what is published, and `null` for what is only exposed.
pub(crate) fn settings(
    exposed: &[String],
    bound: &[BoundPorts],
) -> BTreeMap<String, Option<Vec<Binding>>> {
    let mut all: BTreeMap<String, Option<Vec<Binding>>> =
        exposed.iter().map(|port| (port.clone(), None)).collect();
    for ports in bound {
        for (host, port) in (ports.host.first..).zip(ports.container.first..=ports.container.last) {
            let key = format!("{port}/{}", ports.protocol);
            all.entry(key)
                .or_default()
                .get_or_insert_default()
                .push(Binding {
                    host_ip: ports.host_ip.to_string(),
                    host_port: host.to_string(),
                });
        }
    }
    all
}

/// A port in a line of `ps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Port {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    host_ip: Option<String>,
    private_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

/// The ports of a running container: exposed and not published, and published.
pub(crate) fn listed(exposed: &[String], bound: &[BoundPorts]) -> Vec<Port> {
    let published = |port: u16, protocol: &str| {
        bound
            .iter()
            .any(|ports| ports.container.contains(port) && ports.protocol.to_string() == protocol)
    };
    let mut all: Vec<Port> = exposed
        .iter()
        .filter_map(|text| {
            let (port, protocol) = text.split_once('/')?;
            let port: u16 = port.parse().ok()?;
            (!published(port, protocol)).then(|| Port {
                host_ip: None,
                private_port: port,
                public_port: None,
                protocol: protocol.to_owned(),
            })
        })
        .collect();
    for ports in bound {
        for (host, port) in (ports.host.first..).zip(ports.container.first..=ports.container.last) {
            all.push(Port {
                host_ip: Some(ports.host_ip.to_string()),
                private_port: port,
                public_port: Some(host),
                protocol: ports.protocol.to_string(),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_engine::model::{HostPorts, PortRange, Protocol};

    use super::*;

    #[test]
    fn a_range_prints_port_by_port() {
        let spec = PublishSpec {
            protocol: Protocol::Tcp,
            container: PortRange {
                first: 80,
                last: 81,
            },
            host_ip: String::new(),
            host: HostPorts::Each(PortRange {
                first: 8080,
                last: 8081,
            }),
        };
        assert_eq!(
            serde_json::to_value(wanted(&[spec])).unwrap(),
            json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": [{"HostIp": "", "HostPort": "8081"}]})
        );
    }

    #[test]
    fn what_is_only_exposed_is_null() {
        let bound = BoundPorts {
            protocol: Protocol::Tcp,
            container: PortRange::one(80),
            host_ip: "0.0.0.0".parse().unwrap(),
            host: PortRange::one(8080),
        };
        let exposed = ["80/tcp".to_owned(), "53/udp".to_owned()];
        assert_eq!(
            serde_json::to_value(settings(&exposed, std::slice::from_ref(&bound))).unwrap(),
            json!({"53/udp": null, "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]})
        );
        assert_eq!(
            serde_json::to_value(listed(&exposed, &[bound])).unwrap(),
            json!([
                {"PrivatePort": 53, "Type": "udp"},
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            ])
        );
    }
}
