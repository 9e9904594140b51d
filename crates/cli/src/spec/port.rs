//! `-p 127.0.0.1:8080-8090:80/tcp` and `--expose`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

/// Where a container's port is published.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Binding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// Ports by `80/tcp`: the exposed, and the published with their bindings.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) exposed: BTreeMap<String, Nothing>,
    pub(crate) bindings: BTreeMap<String, Vec<Binding>>,
}

/// Go's `struct{}`: written `{}`.
#[derive(Debug, Default, Clone, Copy, Serialize, PartialEq, Eq)]
pub(crate) struct Nothing {}

/// All of `--publish` and `--expose`.
pub(crate) fn parse(publish: &[String], expose: &[String]) -> Result<Ports, String> {
    let mut ports = Ports::default();
    for text in publish {
        let text = if text.contains('=') {
            long_form(text)?
        } else {
            text.clone()
        };
        publish_one(&mut ports, &text)?;
    }
    for text in expose {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (range, protocol) = protocol_of(text);
        let (first, last) = range_of(range)
            .map_err(|why| format!("invalid range format for --expose: {text}, error: {why}"))?;
        for port in first..=last {
            ports
                .exposed
                .insert(format!("{port}/{protocol}"), Nothing {});
        }
    }
    Ok(ports)
}

/// `published=80,target=8080,protocol=udp` in the short form.
fn long_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = ("", "", "");
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!(
                "invalid publish opts format (should be name=value but got '{field}')"
            ));
        };
        match key {
            "published" => published = value,
            "target" => target = value,
            "protocol" => protocol = value,
            _ => {}
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn publish_one(ports: &mut Ports, text: &str) -> Result<(), String> {
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let ip = parts.next().unwrap_or_default();
    let (range, protocol) = protocol_of(container);
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let ip = ip
        .strip_prefix('[')
        .and_then(|ip| ip.strip_suffix(']'))
        .unwrap_or(ip);
    // A zone (`fe80::1%eth0`) is part of the address, and not of what the parser knows.
    if !ip.is_empty()
        && ip
            .split('%')
            .next()
            .unwrap_or(ip)
            .parse::<IpAddr>()
            .is_err()
    {
        return Err(format!("invalid IP address: {ip}"));
    }
    if range.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = range_of(range).map_err(|_| format!("invalid containerPort: {range}"))?;
    let host_range = if host.is_empty() {
        None
    } else {
        Some(range_of(host).map_err(|_| format!("invalid hostPort: {host}"))?)
    };
    let count = last - first;
    if let Some((from, to)) = host_range {
        // A single container port may be published on any one of a range.
        if to - from != count && count != 0 {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {range} and {host}"
            ));
        }
    }
    for step in 0..=count {
        let key = format!("{}/{protocol}", first + step);
        let host_port = match host_range {
            None => String::new(),
            Some((from, to)) if count == 0 && from != to => format!("{from}-{to}"),
            Some((from, _)) => (from + step).to_string(),
        };
        ports.exposed.insert(key.clone(), Nothing {});
        let binding = Binding {
            host_ip: ip.to_owned(),
            host_port,
        };
        ports.bindings.entry(key).or_default().push(binding);
    }
    Ok(())
}

/// `80/udp` apart; the protocol is tcp unless said.
fn protocol_of(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((port, "")) => (port, "tcp"),
        Some((port, protocol)) => (port, protocol),
        None => (text, "tcp"),
    }
}

/// `80` or `80-90`.
fn range_of(text: &str) -> Result<(u32, u32), String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let port = |text: &str| -> Result<u32, String> {
        text.parse::<u16>().map(u32::from).map_err(|_| {
            let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
            let why = if digits {
                "value out of range"
            } else {
                "invalid syntax"
            };
            format!(
                "strconv.ParseUint: parsing {}: {why}",
                crate::go::quote(text)
            )
        })
    };
    let Some((first, last)) = text.split_once('-') else {
        let one = port(text)?;
        return Ok((one, one));
    };
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> Result<Vec<(String, String, String)>, String> {
        let ports = parse(&[text.to_owned()], &[])?;
        Ok(ports
            .bindings
            .into_iter()
            .flat_map(|(key, bindings)| {
                bindings
                    .into_iter()
                    .map(move |b| (key.clone(), b.host_ip, b.host_port))
            })
            .collect())
    }

    fn one(key: &str, ip: &str, port: &str) -> (String, String, String) {
        (key.to_owned(), ip.to_owned(), port.to_owned())
    }

    #[test]
    fn every_form_of_a_published_port_is_read() {
        assert_eq!(published("80").unwrap(), [one("80/tcp", "", "")]);
        assert_eq!(
            published("8080:80/udp").unwrap(),
            [one("80/udp", "", "8080")]
        );
        assert_eq!(
            published("127.0.0.1::80").unwrap(),
            [one("80/tcp", "127.0.0.1", "")]
        );
        assert_eq!(
            published("[::1]:81:80").unwrap(),
            [one("80/tcp", "::1", "81")]
        );
        assert_eq!(
            published("::1:81:80").unwrap(),
            [one("80/tcp", "::1", "81")]
        );
        assert_eq!(
            published("8000-9000:80").unwrap(),
            [one("80/tcp", "", "8000-9000")]
        );
        assert_eq!(
            published("90-91:80-81").unwrap(),
            [one("80/tcp", "", "90"), one("81/tcp", "", "91")]
        );
        assert_eq!(
            published("published=90,target=80,protocol=udp").unwrap(),
            [one("80/udp", "", "90")]
        );
    }

    #[test]
    fn wrong_ports_are_named() {
        for (text, error) in [
            ("x:80", "invalid hostPort: x"),
            ("80:x", "invalid containerPort: x"),
            ("80:", "no port specified: 80:<empty>"),
            ("80/foo", "invalid proto: foo"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("70000", "invalid containerPort: 70000"),
            (
                "90-92:80-81",
                "invalid ranges specified for container and host Ports: 80-81 and 90-92",
            ),
        ] {
            assert_eq!(published(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(
            parse(&[], &["80:90".to_owned()]).unwrap_err(),
            "invalid port format for --expose: 80:90"
        );
    }

    #[test]
    fn a_range_is_exposed_port_by_port() {
        let ports = parse(&[], &["80-82/udp".to_owned()]).unwrap();
        let keys: Vec<&str> = ports.exposed.keys().map(String::as_str).collect();
        assert_eq!(keys, ["80/udp", "81/udp", "82/udp"]);
        assert!(ports.bindings.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_fall(text in "\\PC{0,20}") {
            let _ = parse(std::slice::from_ref(&text), std::slice::from_ref(&text));
        }
    }
}
