//! Ports to publish, in the API's forms: `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`.

use std::collections::BTreeMap;

use wharf_engine::model::{HostPorts, PortRange, Protocol, PublishSpec, join};

use super::create::PortBindingBody;
use crate::error::ApiError;

/// What a map of bindings asks for; what is next to each other is one.
pub(crate) fn read(
    bindings: &BTreeMap<String, Option<Vec<PortBindingBody>>>,
) -> Result<Vec<PublishSpec>, ApiError> {
    let mut all: Vec<(usize, PublishSpec)> = Vec::new();
    for (text, list) in bindings {
        let (container, protocol) = port(text)?;
        for (at, binding) in list.iter().flatten().enumerate() {
            all.push((at, one(container, protocol, binding)?));
        }
    }
    // The first binding of each port, then the second of each: so ranges stay together.
    all.sort_by_key(|(at, spec)| (*at, spec.protocol, spec.container));
    Ok(join(all.into_iter().map(|(_, spec)| spec).collect()))
}

/// `80/tcp`, `80`.
fn port(text: &str) -> Result<(PortRange, Protocol), ApiError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let wrong = || ApiError::bad_request(format!("invalid port specification: {number:?}"));
    let protocol = Protocol::parse(protocol)
        .ok_or_else(|| ApiError::bad_request(format!("invalid proto: {protocol}")))?;
    let range = PortRange::parse(number)
        .filter(|range| range.first != 0)
        .ok_or_else(wrong)?;
    Ok((range, protocol))
}

fn one(
    container: PortRange,
    protocol: Protocol,
    binding: &PortBindingBody,
) -> Result<PublishSpec, ApiError> {
    let text = binding.host_port.as_str();
    let wrong = || ApiError::bad_request(format!("invalid port specification: {text:?}"));
    let host = match text {
        "" | "0" => HostPorts::Ephemeral,
        _ => {
            // Some clients repeat the protocol here.
            let number = text.split_once('/').map_or(text, |(number, _)| number);
            let range = PortRange::parse(number)
                .filter(|range| range.first != 0)
                .ok_or_else(wrong)?;
            if range.count() == container.count() {
                HostPorts::Each(range)
            } else if container.count() == 1 {
                HostPorts::OneOf(range)
            } else {
                return Err(wrong());
            }
        }
    };
    if !binding.host_ip.is_empty()
        && binding
            .host_ip
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_err()
    {
        return Err(ApiError::bad_request(format!(
            "invalid IP address: {}",
            binding.host_ip
        )));
    }
    Ok(PublishSpec {
        protocol,
        container,
        host_ip: binding.host_ip.clone(),
        host,
    })
}

/// `[HOST-IP:][HOST-PORT:]CONTAINER-PORT[/PROTOCOL]`, as `-p` has it: the form of live changes.
pub(crate) fn typed(text: &str) -> Result<PublishSpec, ApiError> {
    let wrong = || ApiError::bad_request(format!("invalid port specification: {text:?}"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (host_ip, host_port) = match rest.rsplit_once(':') {
        Some((host_ip, host_port)) => (host_ip, host_port),
        None => ("", rest),
    };
    let (container, protocol) = port(&format!("{container}/{protocol}")).map_err(|_| wrong())?;
    let binding = PortBindingBody {
        host_ip: host_ip.trim_matches(['[', ']']).to_owned(),
        host_port: host_port.to_owned(),
    };
    one(container, protocol, &binding).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::create::HostConfigBody;
    use crate::request::lenient;

    fn specs(json: &str) -> Result<Vec<PublishSpec>, ApiError> {
        let body: HostConfigBody =
            lenient::from_slice(format!(r#"{{"PortBindings":{json}}}"#).as_bytes())?;
        read(&body.port_bindings)
    }

    #[test]
    fn ports_named_one_by_one_are_one_range() {
        let ports: Vec<String> = (8000..9000)
            .map(|port| format!(r#""{port}/tcp":[{{"HostPort":"{port}"}}]"#))
            .collect();
        let read = specs(&format!("{{{}}}", ports.join(","))).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].container.to_string(), "8000-8999");
        assert_eq!(read[0].host.text(0), "8000");
    }

    #[test]
    fn every_form_is_read() {
        let read = specs(
            r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostIp":"::1","HostPort":""}],"53/udp":[{"HostPort":"5000-5010"}],"90/tcp":null}"#,
        )
        .unwrap();
        let seen: Vec<_> = read
            .iter()
            .map(|spec| {
                (
                    spec.container.first,
                    spec.host_ip.as_str(),
                    spec.host.text(0),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (80, "127.0.0.1", "8080".to_owned()),
                (53, "", "5000-5010".to_owned()),
                (80, "::1", String::new()),
            ]
        );
    }

    #[test]
    fn what_is_no_port_is_refused_in_dockers_words() {
        for (json, text) in [
            (r#"{"x/tcp":[{}]}"#, "invalid port specification: \"x\""),
            (
                r#"{"80/tcp":[{"HostPort":"99999"}]}"#,
                "invalid port specification: \"99999\"",
            ),
            (r#"{"80/icmp":[{}]}"#, "invalid proto: icmp"),
        ] {
            assert_eq!(specs(json).unwrap_err().message, text);
        }
    }

    #[test]
    fn live_changes_are_typed_as_p_is() {
        let spec = typed("127.0.0.1:8080:80").unwrap();
        assert_eq!(
            (spec.host_ip.as_str(), spec.host.text(0)),
            ("127.0.0.1", "8080".into())
        );
        let six = typed("[::1]:53:53/udp").unwrap();
        assert_eq!((six.host_ip.as_str(), six.protocol), ("::1", Protocol::Udp));
        assert_eq!(typed("80").unwrap().host, HostPorts::Ephemeral);
        assert_eq!(typed("8000-8010:80-90").unwrap().container.count(), 11);
        assert!(typed("8080:").is_err());
    }
}
