//! `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` of a container.
//!
//! Files of the engine's in the container's directory, bound over the image's. They are written
//! anew at each start, and the container may change them while it runs: what the engine changes
//! then (a network joined or left) it changes in place, line by line.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::record::{Paths, Record};
use super::resolv_conf::{self, Answering, ResolvConf, Wanted};
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

/// What a container's networks say for its files.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// Its own addresses.
    pub(super) own: Vec<IpAddr>,
    /// Addresses and names of linked containers.
    pub(super) linked: Vec<(IpAddr, String)>,
    /// What `host-gateway` stands for.
    pub(super) gateways: Vec<IpAddr>,
    /// Who answers for names.
    pub(super) answering: Answering,
}

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
    around: &Surroundings,
) -> Result<EtcFiles> {
    let files = files(paths);
    let host = &record.spec.host;
    let hosts = if host.network == NetworkMode::Host {
        read(Path::new("/etc/hosts"))
    } else {
        LOCAL_HOSTS.to_owned()
    };
    let mut hosts = with_extra_hosts(hosts, &host.extra_hosts, &around.gateways)?;
    for (address, names) in &around.linked {
        hosts.push_str(&format!("{address}\t{names}\n"));
    }
    let own = own_names(hostname, &record.spec.domainname);
    for address in &around.own {
        hosts.push_str(&format!("{address}\t{own}\n"));
    }
    put(&files.hosts, &hosts)?;
    put(&files.hostname, &format!("{hostname}\n"))?;
    put(
        &files.resolv_conf,
        &resolv(record, options, around.answering).text,
    )?;
    Ok(files)
}

/// The container's resolv.conf, and whom the engine asks for it.
pub(super) fn resolv(record: &Record, options: &EngineOptions, answering: Answering) -> ResolvConf {
    let host = &record.spec.host;
    let wanted = Wanted {
        servers: either(&host.dns, &options.dns),
        options: either(&host.dns_options, &options.dns_options),
        search: either(&host.dns_search, &options.dns_search),
    };
    resolv_conf::make(&read(Path::new("/etc/resolv.conf")), wanted, answering)
}

/// `box.example box`, or `box`.
pub(super) fn own_names(hostname: &str, domainname: &str) -> String {
    if domainname.is_empty() {
        hostname.to_owned()
    } else {
        format!("{hostname}.{domainname} {hostname}")
    }
}

/// Adds lines to a running container's hosts file.
pub(super) fn add_hosts(paths: &Paths, addresses: &[IpAddr], names: &str) -> Result<()> {
    let path = paths.etc("hosts");
    let mut hosts = read(&path);
    if !hosts.is_empty() && !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    for address in addresses {
        hosts.push_str(&format!("{address}\t{names}\n"));
    }
    put(&path, &hosts)
}

/// Takes the lines of these addresses out of a running container's hosts file.
pub(super) fn remove_hosts(paths: &Paths, addresses: &[IpAddr]) -> Result<()> {
    let path = paths.etc("hosts");
    let hosts = read(&path);
    let gone = |line: &&str| {
        let first = line.split_whitespace().next();
        let address = first.and_then(|word| word.parse::<IpAddr>().ok());
        !address.is_some_and(|address| addresses.contains(&address))
    };
    let kept: String = hosts
        .lines()
        .filter(gone)
        .flat_map(|line| [line, "\n"])
        .collect();
    put(&path, &kept)
}

/// Gives a running container another resolv.conf, unless somebody changed the one that it has.
pub(super) fn replace_resolv(paths: &Paths, from: &ResolvConf, to: &ResolvConf) -> Result<()> {
    let path = paths.etc("resolv.conf");
    if from == to || read(&path) != from.text {
        return Ok(());
    }
    put(&path, &to.text)
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

/// The file stays the same one: it is bound into the container.
fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .map_err(|error| Error::Internal(format!("write {}: {error}", path.display())))
}

fn with_extra_hosts(mut hosts: String, extra: &[String], gateways: &[IpAddr]) -> Result<String> {
    if !hosts.is_empty() && !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    for line in extra {
        let Some((name, address)) = line.split_once([':', '=']) else {
            continue;
        };
        if address == "host-gateway" {
            if gateways.is_empty() {
                return Err(Error::InvalidArgument(
                    "unable to derive the IP value for host-gateway".to_owned(),
                ));
            }
            for gateway in gateways {
                hosts.push_str(&format!("{gateway}\t{name}\n"));
            }
            continue;
        }
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        hosts.push_str(&format!("{bare}\t{name}\n"));
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_are_appended_and_the_host_has_its_address() {
        let hosts = with_extra_hosts(
            LOCAL_HOSTS.to_owned(),
            &[
                "db:10.0.0.1".into(),
                "six=[fe80::1]".into(),
                "host:host-gateway".into(),
            ],
            &["172.17.0.1".parse().unwrap()],
        )
        .unwrap();
        assert!(hosts.ends_with("ip6-allrouters\n10.0.0.1\tdb\nfe80::1\tsix\n172.17.0.1\thost\n"));
        assert!(hosts.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
        assert!(with_extra_hosts(String::new(), &["a:host-gateway".into()], &[]).is_err());
    }

    #[test]
    fn a_running_containers_hosts_change_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path(), dir.path(), "x");
        fs::create_dir_all(&paths.data).unwrap();
        put(&paths.etc("hosts"), "127.0.0.1\tlocalhost\n# mine").unwrap();
        let address: IpAddr = "10.0.0.2".parse().unwrap();
        add_hosts(&paths, &[address], "box").unwrap();
        let text = read(&paths.etc("hosts"));
        assert_eq!(text, "127.0.0.1\tlocalhost\n# mine\n10.0.0.2\tbox\n");
        remove_hosts(&paths, &[address]).unwrap();
        assert_eq!(read(&paths.etc("hosts")), "127.0.0.1\tlocalhost\n# mine\n");
    }
}
