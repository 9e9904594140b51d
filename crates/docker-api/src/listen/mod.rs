//! Where clients come in: Unix sockets, TCP, TCP with TLS, and sockets inherited from systemd.

mod address;
mod hangup;
mod tls;
mod unix;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};

pub use address::Address;
pub(crate) use hangup::Hangup;
pub use tls::{Tls, TlsFiles};
pub use unix::Group;

/// How long a client may take over its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why a door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The `-H` argument is none.
    #[error("invalid bind address ({address}): {reason}")]
    Address {
        /// As given.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else listens there.
    #[error("can't create unix socket {}: another daemon listens on it", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something at the path, and it is no socket.
    #[error("can't create unix socket {}: something that is not a socket is in its place", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The group of `--group` does not exist.
    #[error("group {name} not found")]
    NoGroup {
        /// As given.
        name: String,
    },
    /// The operating system refuses.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// The address.
        at: String,
        /// Why.
        source: io::Error,
    },
    /// A certificate, a key or an authority cannot be used.
    #[error("could not load TLS file {}: {reason}", file.display())]
    Tls {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A socket that accepts clients.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: String,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
    Tls(TcpListener, Arc<Tls>),
}

/// A byte stream in both directions.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A client that has just connected.
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) hangup: Hangup,
    /// A closed sending direction is only that, not the end of the client.
    pub(crate) half_close: bool,
}

/// Its stream; the handshake of TLS is still to come.
pub(crate) enum Stream {
    Plain(Box<dyn Io>),
    Tls(TcpStream, Arc<Tls>),
}

impl Stream {
    /// Shakes hands, if need be.
    pub(crate) async fn open(self) -> io::Result<Box<dyn Io>> {
        match self {
            Self::Plain(stream) => Ok(stream),
            Self::Tls(stream, tls) => {
                let accept = tls.acceptor().accept(stream);
                let stream = tokio::time::timeout(HANDSHAKE, accept).await??;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Listener {
    /// Opens a socket of our own. Must run inside the async runtime.
    pub fn bind(
        address: &Address,
        group: &Group,
        tls: Option<Arc<Tls>>,
    ) -> Result<Self, ListenError> {
        let shown = address.to_string();
        let failed = |source| ListenError::Io {
            at: shown.clone(),
            source,
        };
        let socket = match address {
            Address::Unix(path) => Socket::Unix(unix::bind(path, group)?),
            Address::Tcp(at) => {
                let listener = std::net::TcpListener::bind(at).map_err(failed)?;
                Self::tcp(listener, tls).map_err(failed)?
            }
        };
        Ok(Self {
            socket,
            address: shown,
        })
    }

    /// Takes over a listening socket that systemd opened. Must run inside the async runtime.
    pub fn inherit(fd: OwnedFd, tls: Option<Arc<Tls>>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Io {
            at: "fd://".into(),
            source,
        };
        let domain =
            rustix::net::sockopt::socket_domain(&fd).map_err(|errno| failed(errno.into()))?;
        let socket = if domain == rustix::net::AddressFamily::UNIX {
            let listener = std::os::unix::net::UnixListener::from(fd);
            listener.set_nonblocking(true).map_err(failed)?;
            Socket::Unix(UnixListener::from_std(listener).map_err(failed)?)
        } else {
            Self::tcp(fd.into(), tls).map_err(failed)?
        };
        Ok(Self {
            socket,
            address: "fd://".into(),
        })
    }

    fn tcp(listener: std::net::TcpListener, tls: Option<Arc<Tls>>) -> io::Result<Socket> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(match tls {
            Some(tls) => Socket::Tls(listener, tls),
            None => Socket::Tcp(listener),
        })
    }

    /// Where it listens, for the log.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Client> {
        match &self.socket {
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Client {
                    hangup: Hangup::of(stream.as_fd())?,
                    stream: Stream::Plain(Box::new(stream)),
                    half_close: true,
                })
            }
            Socket::Tcp(listener) => {
                let (stream, hangup) = accept_tcp(listener).await?;
                Ok(Client {
                    stream: Stream::Plain(Box::new(stream)),
                    hangup,
                    half_close: false,
                })
            }
            Socket::Tls(listener, tls) => {
                let (stream, hangup) = accept_tcp(listener).await?;
                Ok(Client {
                    stream: Stream::Tls(stream, Arc::clone(tls)),
                    hangup,
                    half_close: false,
                })
            }
        }
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, Hangup)> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    let hangup = Hangup::of(stream.as_fd())?;
    Ok((stream, hangup))
}
