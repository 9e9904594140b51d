//! Asking others, byte for byte.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Header, MessageType, Query, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::Semaphore;

use super::{Origin, Question, Upstream};
use crate::{LinkError, Netns};

/// How long a server has to answer before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the list of servers is gone through; a datagram may be lost.
const ROUNDS: usize = 2;

/// Servers that are asked at most; `resolv.conf` knows three.
const SERVERS: usize = 8;

/// Threads of one container that make sockets at the same time. The daemon's other work needs
/// threads, too, and a socket is made in less time than an answer takes to come.
const MAKERS: usize = 2;

/// Where questions leave from.
pub(super) struct Source {
    namespace: Arc<Netns>,
    makers: Semaphore,
}

impl Source {
    pub(super) fn new(namespace: Netns) -> Source {
        Source {
            namespace: Arc::new(namespace),
            makers: Semaphore::new(MAKERS),
        }
    }

    /// Makes a socket where a question is to leave from.
    async fn make<T: Send + 'static>(
        &self,
        origin: Origin,
        make: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let _permit = self.makers.acquire().await.map_err(io::Error::other)?;
        let namespace = Arc::clone(&self.namespace);
        let made = tokio::task::spawn_blocking(move || match origin {
            Origin::Host => make(),
            Origin::Container => namespace
                .run(make)
                .map_err(|error: LinkError| io::Error::other(error.to_string()))?,
        });
        made.await.map_err(io::Error::other)?
    }
}

/// How a client asked: it is asked on in the same way, so that what does not fit a datagram comes
/// to who asked over a stream, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Datagram,
    Stream,
}

/// Asks the servers one after the other until one answers. `bytes` are the client's, at least a
/// header long. Each server that may have been told the name is in `told` before it is.
pub(super) async fn ask(
    source: &Source,
    upstreams: &[Upstream],
    transport: Transport,
    question: &Question,
    bytes: &[u8],
    told: &mut Vec<SocketAddr>,
) -> Option<Vec<u8>> {
    let mut failed = None;
    for upstream in std::iter::repeat_n(upstreams.iter().take(SERVERS), ROUNDS).flatten() {
        if !told.contains(&upstream.address) {
            told.push(upstream.address);
        }
        let answer = one(source, *upstream, transport, question, bytes);
        match tokio::time::timeout(PATIENCE, answer).await {
            // One that cannot say is no better than one that says nothing, if there are others.
            Ok(Ok((bytes, ResponseCode::ServFail))) => failed = Some(bytes),
            Ok(Ok((bytes, _))) => return Some(bytes),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %upstream.address, %error, "a name server");
            }
            Err(_) => {
                tracing::debug!(upstream = %upstream.address, "a name server does not answer");
            }
        }
    }
    failed
}

async fn one(
    source: &Source,
    upstream: Upstream,
    transport: Transport,
    question: &Question,
    bytes: &[u8],
) -> io::Result<(Vec<u8>, ResponseCode)> {
    let mut sent = bytes.to_vec();
    // A number of our own: the client's may be known to whoever would forge an answer.
    let number = rand::rng().random::<u16>().to_be_bytes();
    sent[..2].copy_from_slice(&number);
    let (mut answer, code) = match transport {
        Transport::Datagram => datagram(source, upstream, question, &sent).await?,
        Transport::Stream => stream(source, upstream, question, &sent).await?,
    };
    answer[..2].copy_from_slice(&bytes[..2]);
    Ok((answer, code))
}

/// A socket, and so a port, for each question: a forger has to guess both.
async fn datagram(
    source: &Source,
    upstream: Upstream,
    question: &Question,
    sent: &[u8],
) -> io::Result<(Vec<u8>, ResponseCode)> {
    let any: IpAddr = match upstream.address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = source
        .make(upstream.origin, move || {
            let socket = std::net::UdpSocket::bind((any, 0))?;
            socket.connect(upstream.address)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
        .await?;
    let socket = UdpSocket::from_std(socket)?;
    socket.send(sent).await?;
    let mut buffer = vec![0; question.announced()];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else may be an attempt to forge: the true answer may still come.
        if let Some(code) = accepted(question, sent, &buffer[..length]) {
            buffer.truncate(length);
            return Ok((buffer, code));
        }
    }
}

async fn stream(
    source: &Source,
    upstream: Upstream,
    question: &Question,
    sent: &[u8],
) -> io::Result<(Vec<u8>, ResponseCode)> {
    // Only made there: connecting may take long, and need not be waited for by a thread.
    let socket = source
        .make(upstream.origin, move || match upstream.address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        })
        .await?;
    let mut stream = socket.connect(upstream.address).await?;
    let length = u16::try_from(sent.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(sent);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    let code = accepted(question, sent, &answer)
        .ok_or_else(|| io::Error::other("an answer to another question"))?;
    Ok((answer, code))
}

/// What an answer to what was sent says, if it is one. Its records are not looked at: they are the
/// client's to understand, and newer than we are.
fn accepted(question: &Question, sent: &[u8], answer: &[u8]) -> Option<ResponseCode> {
    let mut decoder = BinDecoder::new(answer);
    let header = Header::read(&mut decoder).ok()?;
    let is_ours = header.metadata.message_type == MessageType::Response
        && header.counts.queries == 1
        && answer.get(..2)? == sent.get(..2)?;
    if !is_ours {
        return None;
    }
    let query = Query::read(&mut decoder).ok()?;
    question
        .asks(&query)
        .then_some(header.metadata.response_code)
}
