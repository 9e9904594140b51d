//! Links on the default network, as they were before networks had names: lines in the hosts file
//! and variables in the environment, made at the start and never changed.

use std::net::IpAddr;
use std::sync::Arc;

use super::snapshot::Snapshot;
use crate::model::{ContainerSpec, NetworkMode};
use crate::{Engine, Error, Result};

/// The default network.
const NETWORK: &str = "bridge";

/// A linked container and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    alias: String,
    target: Arc<Snapshot>,
}

/// `container:alias`, or `container` under its own name; in either, slashes before the names.
pub(super) fn parse(text: &str) -> Result<(&str, &str)> {
    let bad = || Error::InvalidArgument(format!("bad format for links: {text}"));
    let (container, alias) = text.split_once(':').unwrap_or((text, text));
    let container = container.trim_start_matches('/');
    let name = alias.rsplit('/').next().unwrap_or(alias);
    if container.is_empty() || name.is_empty() || alias.contains(':') {
        return Err(bad());
    }
    Ok((container, name))
}

/// The links of a container that is being started.
pub(crate) fn resolve(engine: &Engine, snapshot: &Snapshot) -> Result<Vec<Link>> {
    let spec = &snapshot.record.spec;
    if !matches!(
        spec.host.network,
        NetworkMode::Default | NetworkMode::Bridge
    ) {
        return Ok(Vec::new());
    }
    spec.host
        .links
        .iter()
        .map(|text| {
            let (reference, alias) = parse(text)?;
            let target = engine.0.containers.resolve(reference)?;
            if !target.record.spec.networks.contains_key(NETWORK) {
                return Err(Error::InvalidArgument(format!(
                    "Cannot link to /{}, as it does not belong to the default network",
                    target.name()
                )));
            }
            if !target.is_running() {
                return Err(Error::InvalidArgument(format!(
                    "Cannot link to a non running container: /{} AS /{}/{alias}",
                    target.name(),
                    snapshot.name()
                )));
            }
            Ok(Link {
                alias: alias.to_owned(),
                target,
            })
        })
        .collect()
}

/// The specification with what links add to the environment; what the container says itself wins.
pub(crate) fn specification(snapshot: &Snapshot, linked: &[Link]) -> Option<ContainerSpec> {
    if linked.is_empty() {
        return None;
    }
    let mut spec = snapshot.record.spec.clone();
    let own = std::mem::take(&mut spec.env);
    let of_links = linked
        .iter()
        .flat_map(|link| link.environment(snapshot.name()));
    spec.env.extend(of_links);
    spec.env.extend(own);
    Some(spec)
}

impl Link {
    fn address(&self) -> Option<IpAddr> {
        let endpoint = self.target.state.endpoints.get(NETWORK)?;
        Some(endpoint.ipv4?.addr().into())
    }

    /// Lines of the hosts file: alias, host name, name.
    pub(super) fn hosts(&self) -> Vec<(IpAddr, String)> {
        let mut names = format!("{} {}", self.alias, self.target.record.hostname());
        if self.alias != self.target.name() {
            names.push(' ');
            names.push_str(self.target.name());
        }
        let endpoint = self.target.state.endpoints.get(NETWORK);
        let v4 = endpoint.and_then(|e| Some(IpAddr::V4(e.ipv4?.addr())));
        let v6 = endpoint.and_then(|e| Some(IpAddr::V6(e.ipv6?.addr())));
        [v4, v6]
            .into_iter()
            .flatten()
            .map(|address| (address, names.clone()))
            .collect()
    }

    /// `DB_PORT_5432_TCP_ADDR=172.17.0.2` and its kin.
    pub(super) fn environment(&self, parent: &str) -> Vec<String> {
        let alias = self.alias.replace('-', "_").to_uppercase();
        let mut env = vec![format!("{alias}_NAME=/{parent}/{}", self.alias)];
        let Some(address) = self.address() else {
            return env;
        };
        let mut ports: Vec<(u16, &str)> = self
            .target
            .record
            .spec
            .exposed_ports
            .iter()
            .filter_map(|text| {
                let (number, protocol) = text.split_once('/')?;
                Some((number.parse().ok()?, protocol))
            })
            .collect();
        // TCP first, then by number, as dockerd sorts them.
        ports.sort_by_key(|(number, protocol)| (*protocol != "tcp", *number));
        if let Some((number, protocol)) = ports.first() {
            env.push(format!("{alias}_PORT={protocol}://{address}:{number}"));
        }
        for (number, protocol) in ports {
            let key = format!("{alias}_PORT_{number}_{}", protocol.to_uppercase());
            env.push(format!("{key}={protocol}://{address}:{number}"));
            env.push(format!("{key}_ADDR={address}"));
            env.push(format!("{key}_PORT={number}"));
            env.push(format!("{key}_PROTO={protocol}"));
        }
        for entry in &self.target.record.spec.env {
            if let Some((key, value)) = entry.split_once('=')
                && !matches!(key, "HOME" | "PATH")
            {
                env.push(format!("{alias}_ENV_{key}={value}"));
            }
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_an_alias_or_the_containers_own_name() {
        assert_eq!(parse("db:database").unwrap(), ("db", "database"));
        assert_eq!(parse("db").unwrap(), ("db", "db"));
        assert_eq!(parse("/db:/web/database").unwrap(), ("db", "database"));
        assert!(parse("").is_err());
        assert!(parse("a:b:c").is_err());
    }
}
