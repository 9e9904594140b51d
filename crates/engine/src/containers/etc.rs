//! `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` of a container.
//!
//! Files of the engine's in the container's directory, bound over the image's. They are written
//! anew at each start, and the container may change them while it runs.

use std::fs;
use std::path::Path;

use super::record::{Paths, Record};
use crate::EngineOptions;
use crate::model::NetworkMode;
use crate::oci::EtcFiles;
use crate::{Error, Result};

/// What every private network's hosts file begins with, byte for byte dockerd's.
const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// Longest host file that is copied.
const MAX_FILE: u64 = 1 << 20;

/// Where they are.
pub(crate) fn files(paths: &Paths) -> EtcFiles {
    EtcFiles {
        hostname: paths.etc("hostname"),
        hosts: paths.etc("hosts"),
        resolv_conf: paths.etc("resolv.conf"),
    }
}

/// Writes them for a start.
pub(super) fn write(
    record: &Record,
    paths: &Paths,
    hostname: &str,
    options: &EngineOptions,
) -> Result<EtcFiles> {
    let files = files(paths);
    let host = &record.spec.host;
    let shares_host = host.network == NetworkMode::Host;
    let hosts = if shares_host {
        read(Path::new("/etc/hosts"))
    } else {
        LOCAL_HOSTS.to_owned()
    };
    put(&files.hosts, &with_extra_hosts(hosts, &host.extra_hosts))?;
    put(&files.hostname, &format!("{hostname}\n"))?;
    let resolv = resolv_conf(
        &read(Path::new("/etc/resolv.conf")),
        Resolver {
            servers: either(&host.dns, &options.dns),
            options: either(&host.dns_options, &options.dns_options),
            search: either(&host.dns_search, &options.dns_search),
        },
        shares_host,
    );
    put(&files.resolv_conf, &resolv)?;
    Ok(files)
}

fn either<'a>(own: &'a [String], default: &'a [String]) -> &'a [String] {
    if own.is_empty() { default } else { own }
}

/// A host file that is missing, too long or not text is as good as empty.
fn read(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() <= MAX_FILE => fs::read_to_string(path).unwrap_or_default(),
        _ => String::new(),
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .map_err(|error| Error::Internal(format!("write {}: {error}", path.display())))
}

fn with_extra_hosts(mut hosts: String, extra: &[String]) -> String {
    if !hosts.is_empty() && !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    for line in extra {
        if let Some((name, address)) = line.split_once([':', '=']) {
            let bare = address
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(address);
            hosts.push_str(&format!("{bare}\t{name}\n"));
        }
    }
    hosts
}

/// What was asked for in place of the host's.
#[derive(Clone, Copy)]
struct Resolver<'a> {
    servers: &'a [String],
    options: &'a [String],
    search: &'a [String],
}

/// The host's resolv.conf, with what was asked for in place of its parts. A server on the host's
/// loopback cannot be reached from another network namespace and is left out.
fn resolv_conf(host: &str, wanted: Resolver<'_>, shares_host: bool) -> String {
    let nothing_wanted =
        wanted.servers.is_empty() && wanted.options.is_empty() && wanted.search.is_empty();
    if shares_host && nothing_wanted {
        return host.to_owned();
    }
    let of_host = |keyword: &str| -> Vec<String> {
        host.lines()
            .filter_map(|line| line.trim().strip_prefix(keyword))
            .filter(|rest| rest.starts_with([' ', '\t']))
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    };
    let reachable = |server: &String| {
        shares_host
            || !server
                .split('%')
                .next()
                .and_then(|address| address.parse::<std::net::IpAddr>().ok())
                .is_some_and(|address| address.is_loopback())
    };
    let servers: Vec<String> = if wanted.servers.is_empty() {
        of_host("nameserver")
            .into_iter()
            .filter(reachable)
            .collect()
    } else {
        wanted.servers.to_vec()
    };
    let or_host = |own: &[String], keyword: &str| {
        if own.is_empty() {
            of_host(keyword)
        } else {
            own.to_vec()
        }
    };
    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let search = or_host(wanted.search, "search");
    // `--dns-search .` asks for none.
    if !search.is_empty() && search != ["."] {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    let options = or_host(wanted.options, "options");
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by nobody\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch lan corp\noptions edns0 trust-ad\n";

    fn resolver<'a>(servers: &'a [String], search: &'a [String]) -> Resolver<'a> {
        Resolver {
            servers,
            options: &[],
            search,
        }
    }

    #[test]
    fn the_hosts_loopback_resolver_is_left_out_of_a_private_network() {
        assert_eq!(
            resolv_conf(HOST, resolver(&[], &[]), false),
            "nameserver 9.9.9.9\nsearch lan corp\noptions edns0 trust-ad\n"
        );
        assert_eq!(resolv_conf(HOST, resolver(&[], &[]), true), HOST);
    }

    #[test]
    fn what_is_asked_for_takes_the_place_of_the_hosts() {
        assert_eq!(
            resolv_conf(HOST, resolver(&["1.1.1.1".into()], &[".".into()]), false),
            "nameserver 1.1.1.1\noptions edns0 trust-ad\n"
        );
    }

    #[test]
    fn extra_hosts_are_appended() {
        let hosts = with_extra_hosts(
            LOCAL_HOSTS.to_owned(),
            &["db:10.0.0.1".into(), "six=[fe80::1]".into()],
        );
        assert!(hosts.ends_with("ip6-allrouters\n10.0.0.1\tdb\nfe80::1\tsix\n"));
        assert!(hosts.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
    }
}
