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

use super::forward::{Source, Transport, ask};
use super::message::{Question, Unfit};
use super::{ADDRESS, Forwarding, Origin, Outcome, SandboxConfig, Zone};
use crate::Netns;
use crate::firewall::redirect_resolver;

/// The port of name servers.
const PORT: u16 = 53;

/// How long a socket in trouble is left alone.
const PAUSE: Duration = Duration::from_millis(100);

/// Longest question; a datagram of a client has one name and few options.
const QUESTION: usize = 4096;

/// Questions of one container that are with upstream servers at the same time.
const FORWARDED: usize = 512;

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
    source: Source,
    forwarded: Arc<Semaphore>,
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
        mut config: SandboxConfig,
        zone: Arc<dyn Zone>,
        runtime: &Runtime,
    ) -> io::Result<Handle> {
        let namespace = namespace.try_clone().map_err(io::Error::other)?;
        // It would ask itself, for ever.
        config.upstreams.retain(|upstream| {
            upstream.origin == Origin::Host || upstream.address.ip() != IpAddr::V4(ADDRESS)
        });
        let (datagrams, streams) = open(&namespace, &config.container)?;
        let state = Arc::new(State {
            config,
            zone,
            source: Source::new(namespace),
            forwarded: Arc::new(Semaphore::new(FORWARDED)),
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

/// Sockets at ports of their own, to which the namespace's packet filter sends what is meant for
/// port 53: a container may itself be a name server. Where there is no packet filter, at port 53.
fn open(
    namespace: &Netns,
    container: &str,
) -> io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let (datagrams, streams) = bind(namespace, 0)?;
    let ports = (datagrams.local_addr()?.port(), streams.local_addr()?.port());
    match redirect_resolver(namespace, ports.0, ports.1) {
        Ok(()) => Ok((datagrams, streams)),
        Err(error) => {
            tracing::warn!(container, %error, "its name server takes port 53 itself");
            bind(namespace, PORT)
        }
    }
}

fn bind(namespace: &Netns, port: u16) -> io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let bind = || {
        let address = (IpAddr::V4(ADDRESS), port);
        let datagrams = std::net::UdpSocket::bind(address)?;
        datagrams.set_nonblocking(true)?;
        let streams = std::net::TcpListener::bind(address)?;
        streams.set_nonblocking(true)?;
        Ok((datagrams, streams))
    };
    namespace.run(bind).map_err(io::Error::other)?
}

async fn serve_datagrams(state: Arc<State>, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; QUESTION];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // It is the next datagram's turn soon; without the pause a lasting error would spin.
            Err(error) => {
                tracing::warn!(container = state.config.container, %error, "a name server");
                tokio::time::sleep(PAUSE).await;
                continue;
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
        if let Some(reply) = state.known(&question) {
            send(&socket, client, &question, &reply);
            continue;
        }
        let Ok(permit) = Arc::clone(&state.forwarded).try_acquire_owned() else {
            send(&socket, client, &question, &state.overload(&question));
            continue;
        };
        let asked = buffer[..length].to_vec();
        let (state, socket) = (Arc::clone(&state), Arc::clone(&socket));
        tokio::spawn(async move {
            match state.forward(&question, &asked, Transport::Datagram).await {
                Relayed::Bytes(bytes) => drop(socket.try_send_to(&bytes, client)),
                Relayed::Message(reply) => send(&socket, client, &question, &reply),
            }
            drop(permit);
        });
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
            Err(error) => {
                tracing::warn!(container = state.config.container, %error, "accept a resolver");
                tokio::time::sleep(PAUSE).await;
            }
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
                // One question at a time: streams have a bound of their own.
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
        let upstreams = &self.config.upstreams;
        let mut trace = Trace::new(self, question);
        let told = &mut trace.told;
        let answer = tokio::select! {
            answer = ask(&self.source, upstreams, transport, question, asked, told) => answer,
            _ = self.ending.acquire() => None,
        };
        let Some(bytes) = answer else {
            return Relayed::Message(question.reply(ResponseCode::ServFail));
        };
        trace.is_answered = true;
        self.config.cache.put(upstreams, question, &bytes);
        Relayed::Bytes(bytes)
    }

    /// The answer when too many others wait for one.
    fn overload(&self, question: &Question) -> Message {
        self.tell(question, Outcome::Overload);
        question.reply(ResponseCode::ServFail)
    }

    fn tell(&self, question: &Question, outcome: Outcome) {
        let config = &self.config;
        let (name, kind) = (question.name(), question.kind());
        config.log.add(&config.container, name, kind, outcome);
    }
}

/// Logs who was told a name, whatever becomes of the asking: a server that ends, and a client that
/// goes, drop it amidst its work.
struct Trace<'a> {
    state: &'a State,
    question: &'a Question,
    told: Vec<SocketAddr>,
    is_answered: bool,
}

impl<'a> Trace<'a> {
    fn new(state: &'a State, question: &'a Question) -> Trace<'a> {
        Trace {
            state,
            question,
            told: Vec::new(),
            is_answered: false,
        }
    }
}

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        let upstreams = std::mem::take(&mut self.told);
        let outcome = match (self.is_answered, upstreams.is_empty()) {
            (true, _) => Outcome::Forwarded { upstreams },
            (false, false) => Outcome::Unanswered { upstreams },
            (false, true) => Outcome::Kept,
        };
        self.state.tell(self.question, outcome);
    }
}
