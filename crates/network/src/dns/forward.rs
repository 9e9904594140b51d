//! Asking others, byte for byte.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::{Origin, Question, Upstream};
use crate::{LinkError, Netns};

/// How long a server has to answer before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the list of servers is gone through; a datagram may be lost.
const ROUNDS: usize = 2;

/// Servers that are asked at most; `resolv.conf` knows three.
const SERVERS: usize = 8;

/// Longest answer.
const LONGEST: usize = 65_535;

/// How a client asked: it is asked on in the same way, so that what does not fit a datagram comes
/// to who asked over a stream, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Datagram,
    Stream,
}

/// What came of asking.
#[derive(Debug)]
pub(super) struct Asked {
    /// Who was asked, in this order.
    pub(super) upstreams: Vec<SocketAddr>,
    /// The answer, with the client's number, and read.
    pub(super) answer: Option<(Vec<u8>, Message)>,
}

/// Asks the servers one after the other until one answers. `bytes` are the client's, at least a
/// header long.
pub(super) async fn ask(
    namespace: &Arc<Netns>,
    upstreams: &[Upstream],
    transport: Transport,
    question: &Question,
    bytes: &[u8],
) -> Asked {
    let mut asked = Asked {
        upstreams: Vec::new(),
        answer: None,
    };
    let mut failed = None;
    for upstream in std::iter::repeat_n(upstreams.iter().take(SERVERS), ROUNDS).flatten() {
        if !asked.upstreams.contains(&upstream.address) {
            asked.upstreams.push(upstream.address);
        }
        let answer = one(namespace, *upstream, transport, question, bytes);
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok((bytes, message))) => {
                // One that cannot say is no better than one that says nothing, if there are others.
                if message.metadata.response_code == ResponseCode::ServFail {
                    failed = Some((bytes, message));
                    continue;
                }
                asked.answer = Some((bytes, message));
                return asked;
            }
            Ok(Err(error)) => {
                tracing::debug!(upstream = %upstream.address, %error, "a name server");
            }
            Err(_) => {
                tracing::debug!(upstream = %upstream.address, "a name server does not answer");
            }
        }
    }
    asked.answer = failed;
    asked
}

async fn one(
    namespace: &Arc<Netns>,
    upstream: Upstream,
    transport: Transport,
    question: &Question,
    bytes: &[u8],
) -> io::Result<(Vec<u8>, Message)> {
    let mut sent = bytes.to_vec();
    // A number of our own: the client's may be known to whoever would forge an answer.
    let number = rand::rng().random::<u16>().to_be_bytes();
    sent[..2].copy_from_slice(&number);
    let (mut answer, message) = match transport {
        Transport::Datagram => datagram(namespace, upstream, question, &sent).await?,
        Transport::Stream => stream(namespace, upstream, question, &sent).await?,
    };
    answer[..2].copy_from_slice(&bytes[..2]);
    Ok((answer, message))
}

/// A socket, and so a port, for each question: a forger has to guess both.
async fn datagram(
    namespace: &Arc<Netns>,
    upstream: Upstream,
    question: &Question,
    sent: &[u8],
) -> io::Result<(Vec<u8>, Message)> {
    let any: IpAddr = match upstream.address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = within(namespace, upstream.origin, move || {
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect(upstream.address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    })
    .await?;
    let socket = UdpSocket::from_std(socket)?;
    socket.send(sent).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else may be an attempt to forge: the true answer may still come.
        if let Some(message) = accepted(question, sent, &buffer[..length]) {
            buffer.truncate(length);
            return Ok((buffer, message));
        }
    }
}

async fn stream(
    namespace: &Arc<Netns>,
    upstream: Upstream,
    question: &Question,
    sent: &[u8],
) -> io::Result<(Vec<u8>, Message)> {
    let connected = within(namespace, upstream.origin, move || {
        let stream = std::net::TcpStream::connect_timeout(&upstream.address, PATIENCE)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    })
    .await?;
    let mut stream = TcpStream::from_std(connected)?;
    let length = u16::try_from(sent.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(sent);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    let message = accepted(question, sent, &answer)
        .ok_or_else(|| io::Error::other("an answer to another question"))?;
    Ok((answer, message))
}

/// Whether this is the answer to what was sent.
fn accepted(question: &Question, sent: &[u8], answer: &[u8]) -> Option<Message> {
    if answer.get(..2)? != sent.get(..2)? {
        return None;
    }
    let message = Message::from_vec(answer).ok()?;
    let [query] = message.queries.as_slice() else {
        return None;
    };
    let is_answer = message.metadata.message_type == hickory_proto::op::MessageType::Response;
    (is_answer && question.asks(query)).then_some(message)
}

/// Makes a socket where a question is to leave from.
async fn within<T: Send + 'static>(
    namespace: &Arc<Netns>,
    origin: Origin,
    make: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let namespace = Arc::clone(namespace);
    let made = tokio::task::spawn_blocking(move || match origin {
        Origin::Host => make(),
        Origin::Container => namespace
            .run(make)
            .map_err(|error: LinkError| io::Error::other(error.to_string()))?,
    });
    made.await.map_err(io::Error::other)?
}
