//! `/etc/resolv.conf`, as dockerd makes it from the host's and from what was asked for.

use std::fmt::Write;
use std::net::IpAddr;

/// Who answers inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answering {
    /// The host's own servers, in the host's own network.
    Host,
    /// The host's servers, as far as they can be reached.
    Servers {
        /// Whether IPv6 leads anywhere.
        ipv6: bool,
    },
    /// The engine, inside the container; it asks the others.
    Engine,
}

/// What was asked for in place of the host's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) servers: &'a [String],
    pub(crate) options: &'a [String],
    pub(crate) search: &'a [String],
}

/// A name server that the engine asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Its address.
    pub(crate) address: IpAddr,
    /// It is on the host's loopback, or behind a link of the host's: asked from there.
    pub(crate) from_host: bool,
}

/// A file, and whom the engine asks for the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    pub(crate) text: String,
    pub(crate) upstream: Vec<Upstream>,
}

/// The engine's address inside.
const ENGINE: &str = "127.0.0.11";

/// Where nobody else is named, as dockerd has it.
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
const FALLBACK_V6: [&str; 2] = ["2001:4860:4860::8888", "2001:4860:4860::8844"];

/// The parts of a file.
#[derive(Debug, Default)]
struct Parts {
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
    other: Vec<String>,
}

impl Parts {
    fn read(host: &str) -> Parts {
        let mut parts = Parts::default();
        for line in host.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                None => {}
                Some(word) if word.starts_with(['#', ';']) => {}
                Some("nameserver") => parts
                    .servers
                    .extend(words.next().filter(|text| address(text).is_some())),
                // `domain` is how `search` was once called; the last one counts.
                Some("search" | "domain") => {
                    let search: Vec<String> = words.collect();
                    if !search.is_empty() {
                        parts.search = search;
                    }
                }
                Some("options") => parts.options.extend(words),
                Some(_) => parts.other.push(line.to_owned()),
            }
        }
        parts
    }
}

/// An address, with a zone or without.
fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok()
}

fn has_option(options: &[String], name: &str) -> bool {
    options
        .iter()
        .any(|option| option.split(':').next() == Some(name))
}

/// Makes the file from the host's.
pub(crate) fn make(host: &str, wanted: Wanted<'_>, answering: Answering) -> ResolvConf {
    let nothing_wanted =
        wanted.servers.is_empty() && wanted.options.is_empty() && wanted.search.is_empty();
    if answering == Answering::Host && nothing_wanted {
        return ResolvConf {
            text: host.to_owned(),
            upstream: Vec::new(),
        };
    }
    let mut parts = Parts::read(host);
    let mut ndots = has_option(&parts.options, "ndots").then_some("host");
    let mut overrides = Vec::new();
    if !wanted.servers.is_empty() {
        parts.servers = wanted.servers.to_vec();
        overrides.push("nameservers");
    }
    if !wanted.search.is_empty() {
        // `--dns-search .` asks for none.
        parts.search = wanted.search.to_vec();
        parts.search.retain(|domain| domain != ".");
        overrides.push("search");
    }
    if !wanted.options.is_empty() {
        parts.options = wanted.options.to_vec();
        ndots = has_option(&parts.options, "ndots").then_some("override");
        overrides.push("options");
    }
    let mut upstream = Vec::new();
    let mut fallback = false;
    let how = match answering {
        Answering::Host => "",
        Answering::Servers { ipv6 } => {
            if wanted.servers.is_empty() {
                parts.servers.retain(|server| {
                    address(server).is_some_and(|address| {
                        !address.is_loopback() && (address.is_ipv4() || ipv6)
                    })
                });
                if parts.servers.is_empty() {
                    fallback = true;
                    parts.servers.extend(FALLBACK.map(str::to_owned));
                    if ipv6 {
                        parts.servers.extend(FALLBACK_V6.map(str::to_owned));
                    }
                }
            }
            " (legacy)"
        }
        Answering::Engine => {
            upstream = ask(&parts.servers, wanted.servers.is_empty());
            if upstream.is_empty() {
                fallback = true;
                upstream = ask(&FALLBACK.map(str::to_owned), false);
            }
            parts.servers = vec![ENGINE.to_owned()];
            // A number that is none would be the resolver's own default.
            parts.options.retain(|option| {
                option
                    .strip_prefix("ndots:")
                    .is_none_or(|number| number.parse::<u8>().is_ok())
            });
            if !has_option(&parts.options, "ndots") {
                parts.options.push("ndots:0".to_owned());
                ndots = Some("internal");
            }
            " (internal resolver)"
        }
    };
    let text = print(&parts, |text| {
        let _ = writeln!(text, "\n# Based on host file: '/etc/resolv.conf'{how}");
        if fallback {
            text.push_str("# Used default nameservers.\n");
        }
        if !upstream.is_empty() {
            let asked: Vec<String> = upstream.iter().map(Upstream::shown).collect();
            let _ = writeln!(text, "# ExtServers: [{}]", asked.join(" "));
        }
        let _ = writeln!(text, "# Overrides: [{}]", overrides.join(" "));
        if let Some(from) = ndots {
            let _ = writeln!(text, "# Option ndots from: {from}");
        }
    });
    ResolvConf { text, upstream }
}

impl Upstream {
    fn shown(&self) -> String {
        if self.from_host {
            format!("host({})", self.address)
        } else {
            self.address.to_string()
        }
    }
}

/// Servers to ask; those of the host's own file from the host, where only it can reach them.
fn ask(servers: &[String], of_host: bool) -> Vec<Upstream> {
    servers
        .iter()
        .filter_map(|server| {
            let address = address(server)?;
            Some(Upstream {
                address,
                from_host: of_host
                    && (address.is_loopback() || address.is_ipv6() || server.contains('%')),
            })
        })
        .collect()
}

fn print(parts: &Parts, comment: impl FnOnce(&mut String)) -> String {
    let mut text = "# Generated by Wharf.\n# This file can be edited; Wharf will not make further changes once it\n# has been modified.\n\n".to_owned();
    for server in &parts.servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !parts.search.is_empty() {
        let _ = writeln!(text, "search {}", parts.search.join(" "));
    }
    if !parts.options.is_empty() {
        let _ = writeln!(text, "options {}", parts.options.join(" "));
    }
    for line in &parts.other {
        let _ = writeln!(text, "{line}");
    }
    comment(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by nobody\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch lan corp\noptions edns0 trust-ad\n";

    /// Without the comments.
    fn lines(made: &ResolvConf) -> String {
        let lines = made.text.lines().filter(|line| !line.is_empty());
        lines
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_hosts_loopback_resolver_is_left_out_of_a_private_network() {
        let made = make(HOST, Wanted::default(), Answering::Servers { ipv6: false });
        assert_eq!(
            lines(&made),
            "nameserver 9.9.9.9\nsearch lan corp\noptions edns0 trust-ad"
        );
        let shared = make(HOST, Wanted::default(), Answering::Host);
        assert_eq!(shared.text, HOST);
    }

    #[test]
    fn what_is_asked_for_takes_the_place_of_the_hosts() {
        let wanted = Wanted {
            servers: &["1.1.1.1".into()],
            search: &[".".into()],
            options: &[],
        };
        let made = make(HOST, wanted, Answering::Servers { ipv6: false });
        assert_eq!(lines(&made), "nameserver 1.1.1.1\noptions edns0 trust-ad");
        assert!(made.text.ends_with("# Overrides: [nameservers search]\n"));
    }

    #[test]
    fn the_engine_answers_where_there_are_names_and_asks_the_hosts_loopback_from_the_host() {
        let made = make(HOST, Wanted::default(), Answering::Engine);
        assert_eq!(
            made.text,
            "# Generated by Wharf.\n# This file can be edited; Wharf will not make further changes once it\n# has been modified.\n\nnameserver 127.0.0.11\nsearch lan corp\noptions edns0 trust-ad ndots:0\n\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [host(127.0.0.53) 9.9.9.9]\n# Overrides: []\n# Option ndots from: internal\n"
        );
        assert_eq!(
            made.upstream,
            [
                Upstream {
                    address: "127.0.0.53".parse().unwrap(),
                    from_host: true
                },
                Upstream {
                    address: "9.9.9.9".parse().unwrap(),
                    from_host: false
                },
            ]
        );
    }

    #[test]
    fn where_no_server_is_left_dockers_own_are_asked() {
        let made = make(
            "nameserver ::1\n",
            Wanted::default(),
            Answering::Servers { ipv6: false },
        );
        assert_eq!(lines(&made), "nameserver 8.8.8.8\nnameserver 8.8.4.4");
    }
}
