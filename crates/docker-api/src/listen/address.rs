//! `-H`: where to listen.

use std::fmt;
use std::path::PathBuf;

use super::ListenError;

/// Port of the API without TLS, and with it.
const PORTS: (u16, u16) = (2375, 2376);

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl Address {
    /// Reads `unix:///path`, `tcp://host:port`, or `host:port`. What is left out of a TCP address
    /// is the local host and docker's port.
    pub fn parse(text: &str, with_tls: bool) -> Result<Self, ListenError> {
        let refuse = |reason: &str| ListenError::Address {
            address: text.into(),
            reason: reason.into(),
        };
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(refuse("the path of a unix socket must be absolute")),
            "tcp" => {
                if rest.contains('/') {
                    return Err(refuse("should not contain a path element"));
                }
                let port = if with_tls { PORTS.1 } else { PORTS.0 };
                tcp(rest, port)
                    .map(Self::Tcp)
                    .ok_or_else(|| refuse("no host and port"))
            }
            "npipe" => Err(refuse("named pipes are Windows'")),
            _ => Err(refuse("unknown scheme; use unix://, tcp:// or fd://")),
        }
    }
}

fn tcp(text: &str, default_port: u16) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        // A bare IPv6 address holds colons, too.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let port = match port {
        "" => default_port,
        port => port.parse().ok()?,
    };
    let host = match host {
        "" => "127.0.0.1".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    Some(format!("{host}:{port}"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(at) => write!(f, "tcp://{at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_dockers_defaults() {
        for (text, tls, shown) in [
            ("unix:///run/x.sock", false, "unix:///run/x.sock"),
            ("tcp://0.0.0.0:4000", false, "tcp://0.0.0.0:4000"),
            ("tcp://", false, "tcp://127.0.0.1:2375"),
            ("tcp://", true, "tcp://127.0.0.1:2376"),
            ("tcp://10.0.0.1", true, "tcp://10.0.0.1:2376"),
            ("tcp://:80", false, "tcp://127.0.0.1:80"),
            ("tcp://[::1]:80", false, "tcp://[::1]:80"),
            ("tcp://::1", false, "tcp://[::1]:2375"),
            ("localhost:80", false, "tcp://localhost:80"),
        ] {
            assert_eq!(
                Address::parse(text, tls).unwrap().to_string(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for text in [
            "unix://x",
            "http://x",
            "tcp://x/y",
            "tcp://x:y",
            "npipe:////./pipe/x",
        ] {
            let refused = Address::parse(text, false).unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("invalid bind address ({text})")),
                "{refused}"
            );
        }
    }
}
