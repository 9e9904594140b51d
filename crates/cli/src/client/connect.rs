//! Where the daemon is, and a connection to it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{ClientError, SshTarget, TlsFiles, ssh, tls};

/// A two-way byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The ports docker assumes without and with TLS.
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// The address of a daemon.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
        tls: Option<TlsFiles>,
    },
    Ssh(SshTarget),
}

impl Endpoint {
    /// Reads `unix://`, `tcp://`, `http(s)://`, `ssh://` and `host[:port]`.
    pub(crate) fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Endpoint, ClientError> {
        let text = text.trim();
        let bad = || ClientError::BadHost(text.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if !rest.is_empty() => Ok(Endpoint::Unix(PathBuf::from(rest))),
            "ssh" => SshTarget::parse(rest).map(Endpoint::Ssh).ok_or_else(bad),
            "tcp" | "http" | "https" => {
                let default = if tls.is_some() || scheme == "https" {
                    TLS_PORT
                } else {
                    PLAIN_PORT
                };
                let authority = rest.split('/').next().unwrap_or_default();
                let (host, port) = split_port(authority, default).ok_or_else(bad)?;
                let host = if host.is_empty() {
                    "localhost".to_owned()
                } else {
                    host
                };
                Ok(Endpoint::Tcp { host, port, tls })
            }
            _ => Err(bad()),
        }
    }

    pub(super) async fn connect(&self) -> Result<Box<dyn Io>, ClientError> {
        match self {
            Endpoint::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(self.unreachable(error)),
            },
            Endpoint::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(|error| self.unreachable(error))?;
                // Attach is interactive; a keystroke must not wait for the next.
                stream
                    .set_nodelay(true)
                    .map_err(|error| self.unreachable(error))?;
                match tls {
                    None => Ok(Box::new(stream)),
                    Some(files) => tls::connect(files, host, stream).await,
                }
            }
            Endpoint::Ssh(target) => Ok(Box::new(ssh::connect(target)?)),
        }
    }

    fn unreachable(&self, error: io::Error) -> ClientError {
        let host = self.to_string();
        if error.kind() == io::ErrorKind::PermissionDenied {
            ClientError::Denied { host }
        } else {
            ClientError::Unreachable { host, error }
        }
    }

    pub(super) fn host_header(&self) -> HeaderValue {
        let text = match self {
            Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
            // Not a name; the daemon must not take it for one.
            Endpoint::Unix(_) => "api.moby.localhost".to_owned(),
            Endpoint::Ssh(_) => "docker.example.com".to_owned(),
        };
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("localhost"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp { host, port, .. } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            Endpoint::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Endpoint::Ssh(target) => write!(f, "{target}"),
        }
    }
}

/// `host:port`, `[::1]:port`, `host`.
fn split_port(authority: &str, default: u16) -> Option<(String, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        let port = match tail.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if tail.is_empty() => default,
            None => return None,
        };
        return Some((host.to_owned(), port));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => Some((host.to_owned(), port.parse().ok()?)),
        Some(_) => None,
        None => Some((authority.to_owned(), default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("tcp://10.0.0.1", "tcp://10.0.0.1:2375"),
            ("tcp://10.0.0.1:99/", "tcp://10.0.0.1:99"),
            ("foo", "tcp://foo:2375"),
            (":5000", "tcp://localhost:5000"),
            ("tcp://[::1]:80", "tcp://[::1]:80"),
            ("ssh://me@box:2222", "ssh://me@box:2222"),
        ] {
            assert_eq!(Endpoint::parse(text, None).unwrap().to_string(), expected);
        }
        let tls = Some(TlsFiles::default());
        assert_eq!(
            Endpoint::parse("tcp://h", tls).unwrap().to_string(),
            "tcp://h:2376"
        );
        for bad in [
            "unix://",
            "fd://",
            "tcp://h:x",
            "tcp://[::1",
            "ssh://",
            "ssh://u:p@h",
        ] {
            assert!(Endpoint::parse(bad, None).is_err(), "{bad}");
        }
    }
}
