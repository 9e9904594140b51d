//! `docker port`

use std::net::IpAddr;

use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{RUNNING, describe};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List port mappings or a specific mapping for the container",
    Arity::Between(1, 2),
    || Box::new(Port),
)
.paths(&["container port", "port"])
.names(Names::FirstContainer(RUNNING));

struct Port;

impl Verb for Port {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let container = describe(session.client()?, &args[0]).await?;
            let settings = container.get("NetworkSettings").unwrap_or(&Json::Null);
            let lines = match args.get(1) {
                None => all(settings),
                Some(wanted) => one(settings, wanted, &args[0])?,
            };
            for line in lines {
                session.print(&format!("{line}\n"))?;
            }
            Ok(())
        })
    }
}

fn address(binding: &Json) -> String {
    let (ip, port) = (binding.text("HostIp"), binding.text("HostPort"));
    match ip.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{ip}]:{port}"),
        _ => format!("{ip}:{port}"),
    }
}

fn bindings(value: &Json) -> &[Json] {
    match value {
        Json::List(bindings) => bindings,
        _ => &[],
    }
}

/// By port, then protocol.
fn all(settings: &Json) -> Vec<String> {
    let mut found: Vec<(u32, &str, String)> = settings
        .entries("Ports")
        .iter()
        .flat_map(|(name, value)| {
            let port = name
                .split('/')
                .next()
                .and_then(|port| port.parse().ok())
                .unwrap_or(0);
            bindings(value).iter().map(move |binding| {
                (
                    port,
                    name.as_str(),
                    format!("{name} -> {}", address(binding)),
                )
            })
        })
        .collect();
    found.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    found.into_iter().map(|(_, _, line)| line).collect()
}

fn one(settings: &Json, wanted: &str, container: &str) -> Result<Vec<String>, Failure> {
    let (port, protocol) = match wanted.split_once('/') {
        Some((port, protocol)) if !protocol.is_empty() => (port, protocol),
        Some((port, _)) => (port, "tcp"),
        None => (wanted, "tcp"),
    };
    if let Err(why) = crate::go::parse_uint(port, u64::from(u16::MAX)) {
        return Err(Failure::Text(format!(
            "Error: invalid port ({port}): {why}"
        )));
    }
    let ports = settings.get("Ports").unwrap_or(&Json::Null);
    let found = ports
        .get(&format!("{port}/{protocol}"))
        .map(bindings)
        .unwrap_or_default();
    if found.is_empty() {
        return Err(Failure::Text(format!(
            "Error: No public port '{wanted}' published for {container}"
        )));
    }
    Ok(found.iter().map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Json {
        Json::parse(br#"{"Ports":{"443/tcp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"53/udp":[{"HostIp":"127.0.0.1","HostPort":"53"}]}}"#).unwrap()
    }

    #[test]
    fn published_ports_are_listed_in_order() {
        assert_eq!(
            all(&settings()),
            [
                "53/udp -> 127.0.0.1:53",
                "80/tcp -> 0.0.0.0:8080",
                "80/tcp -> [::]:8080"
            ]
        );
    }

    #[test]
    fn one_port_is_asked_for_with_or_without_protocol() {
        assert_eq!(
            one(&settings(), "80", "c").unwrap(),
            ["0.0.0.0:8080", "[::]:8080"]
        );
        assert_eq!(one(&settings(), "53/udp", "c").unwrap(), ["127.0.0.1:53"]);
        let refused = one(&settings(), "443/tcp", "c").unwrap_err();
        assert!(
            matches!(refused, Failure::Text(text) if text == "Error: No public port '443/tcp' published for c")
        );
    }
}
