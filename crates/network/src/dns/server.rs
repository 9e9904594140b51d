//! The server of one container.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use rand::seq::SliceRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle as Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::forward::{Transport, ask};
use super::message::{Question, Unfit};
use super::{ADDRESS, Forwarding, Outcome, SandboxConfig, Zone};
use crate::Netns;

/// The port of name servers.
const PORT: u16 = 53;

/// Longest question; a datagram of a client has one name and few options.
const QUESTION: usize = 4096;

/// Questions of one container that are with upstream servers at the same time.
const FORWARDED: usize = 128;

/// Streams of one container.
const STREAMS: usize = 16;

/// How long a stream may be idle.
const IDLE: Duration = Duration::from_secs(10);

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// A server that runs; dropped, it ends.
#[derive(Debug)]
pub struct Handle {
    tasks: Vec<JoinHandle<()>>,
    state: Arc<State>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.state.ending.close();
    }
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("start the name server of {container}: {source}")]
pub struct ServerError {
    /// Whose.
    pub container: String,
    /// What the kernel said.
    pub source: io::Error,
}

struct State {
    config: SandboxConfig,
    zone: Arc<dyn Zone>,
    namespace: Arc<Netns>,
    forwarded: Semaphore,
    streams: Arc<Semaphore>,
    /// Never has a permit; closed when the server ends, so that what waits for others, and holds
    /// the namespace, does not outlive it.
    ending: Semaphore,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens at [`ADDRESS`] in a namespace whose loopback is up. Blocks a moment; the tasks run
    /// on `runtime`.
    pub fn start(
        namespace: &Netns,
        config: SandboxConfig,
        zone: Arc<dyn Zone>,
        runtime: &Runtime,
    ) -> Result<Handle, ServerError> {
        let container = config.container.clone();
        Server::listen(namespace, config, zone, runtime)
            .map_err(|source| ServerError { container, source })
    }

    fn listen(
        namespace: &Netns,
        config: SandboxConfig,
        zone: Arc<dyn Zone>,
        runtime: &Runtime,
    ) -> io::Result<Handle> {
        let namespace = namespace.try_clone().map_err(io::Error::other)?;
        let (datagrams, streams) = namespace
            .run(|| -> io::Result<_> {
                let address = (IpAddr::V4(ADDRESS), PORT);
                let datagrams = std::net::UdpSocket::bind(address)?;
                datagrams.set_nonblocking(true)?;
                let streams = std::net::TcpListener::bind(address)?;
                streams.set_nonblocking(true)?;
                Ok((datagrams, streams))
            })
            .map_err(io::Error::other)??;
        let state = Arc::new(State {
            config,
            zone,
            namespace: Arc::new(namespace),
            forwarded: Semaphore::new(FORWARDED),
            streams: Arc::new(Semaphore::new(STREAMS)),
            ending: Semaphore::new(0),
        });
        let _inside = runtime.enter();
        let datagrams = Arc::new(UdpSocket::from_std(datagrams)?);
        let streams = TcpListener::from_std(streams)?;
        let tasks = vec![
            runtime.spawn(serve_datagrams(Arc::clone(&state), datagrams)),
            runtime.spawn(serve_streams(Arc::clone(&state), streams)),
        ];
        Ok(Handle { tasks, state })
    }
}

async fn serve_datagrams(state: Arc<State>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; QUESTION];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // The answer to somebody who left is the next one's error.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                tracing::error!(container = state.config.container, %error, "a name server ends");
                return;
            }
        };
        let question = match Question::read(&buffer[..length]) {
            Ok(question) => question,
            Err(Unfit::Ignored) => continue,
            Err(Unfit::Answered(bytes)) => {
                let _ = socket.try_send_to(&bytes, client);
                continue;
            }
        };
        match state.known(&question) {
            Some(reply) => send(&socket, client, &question, &reply),
            None => {
                let asked = buffer[..length].to_vec();
                let (state, socket) = (Arc::clone(&state), Arc::clone(&socket));
                // Bounded by the permits, which are taken first thing.
                tokio::spawn(async move {
                    match state.forward(&question, &asked, Transport::Datagram).await {
                        Relayed::Bytes(bytes) => drop(socket.try_send_to(&bytes, client)),
                        Relayed::Message(reply) => send(&socket, client, &question, &reply),
                    }
                });
            }
        }
    }
}

/// A full buffer loses the answer, as a wire would: the client asks again.
fn send(socket: &UdpSocket, client: SocketAddr, question: &Question, reply: &Message) {
    if let Some(bytes) = question.datagram_of(reply) {
        let _ = socket.try_send_to(&bytes, client);
    }
}

async fn serve_streams(state: Arc<State>, listener: TcpListener) {
    loop {
        let Ok(permit) = Arc::clone(&state.streams).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    // Whatever ends it, the client sees the stream end.
                    tokio::select! {
                        _ = serve_stream(&state, stream) => {}
                        _ = state.ending.acquire() => {}
                    }
                    drop(permit);
                });
            }
            Err(error) => tracing::debug!(%error, "accept a resolver"),
        }
    }
}

async fn serve_stream(state: &State, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let length = tokio::time::timeout(IDLE, stream.read_u16()).await??;
        let length = usize::from(length);
        if length > QUESTION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut asked = vec![0; length];
        tokio::time::timeout(IDLE, stream.read_exact(&mut asked)).await??;
        let answer = match Question::read(&asked) {
            Err(Unfit::Ignored) => return Ok(()),
            Err(Unfit::Answered(bytes)) => bytes,
            Ok(question) => match state.known(&question) {
                Some(reply) => reply.to_vec().map_err(io::Error::other)?,
                None => match state.forward(&question, &asked, Transport::Stream).await {
                    Relayed::Bytes(bytes) => bytes,
                    Relayed::Message(reply) => reply.to_vec().map_err(io::Error::other)?,
                },
            },
        };
        let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        tokio::time::timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// What a client gets of somebody else's answer.
enum Relayed {
    Bytes(Vec<u8>),
    Message(Message),
}

impl State {
    /// The answer to what needs nobody else.
    fn known(&self, question: &Question) -> Option<Message> {
        if !question.is_internet() {
            return Some(question.reply(ResponseCode::NotImp));
        }
        if let Some(name) = question
            .reversed()
            .and_then(|address| self.zone.reverse(address))
        {
            self.tell(question, Outcome::Answered);
            return Some(question.pointer(&name));
        }
        if let Some(mut addresses) = self.zone.lookup(question.name()) {
            // Each of those with the same name gets its share.
            addresses.shuffle(&mut rand::rng());
            self.tell(question, Outcome::Answered);
            return Some(question.addresses(&addresses));
        }
        let stays = match self.config.forwarding {
            Forwarding::Everything => false,
            Forwarding::Qualified => !question.name().contains('.'),
            Forwarding::Nothing => true,
        };
        if stays || self.config.upstreams.is_empty() {
            self.tell(question, Outcome::Kept);
            let code = if stays {
                ResponseCode::NXDomain
            } else {
                ResponseCode::ServFail
            };
            return Some(question.reply(code));
        }
        let kept = self.config.cache.get(&self.config.upstreams, question)?;
        self.tell(question, Outcome::Cached);
        Some(kept)
    }

    /// Asks others. `asked` was read as `question`, and so has a header.
    async fn forward(&self, question: &Question, asked: &[u8], transport: Transport) -> Relayed {
        let failure = || Relayed::Message(question.reply(ResponseCode::ServFail));
        let Ok(_permit) = self.forwarded.try_acquire() else {
            self.tell(question, Outcome::Overload);
            return failure();
        };
        let upstreams = &self.config.upstreams;
        let result = tokio::select! {
            result = ask(&self.namespace, upstreams, transport, question, asked) => result,
            _ = self.ending.acquire() => return failure(),
        };
        let Some((bytes, message)) = result.answer else {
            self.tell(
                question,
                Outcome::Unanswered {
                    upstreams: result.upstreams,
                },
            );
            return failure();
        };
        self.tell(
            question,
            Outcome::Forwarded {
                upstreams: result.upstreams,
            },
        );
        self.config.cache.put(upstreams, question, message);
        Relayed::Bytes(bytes)
    }

    fn tell(&self, question: &Question, outcome: Outcome) {
        let config = &self.config;
        let (name, kind) = (question.name(), question.kind());
        config.log.add(&config.container, name, kind, outcome);
    }
}
