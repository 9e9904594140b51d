//! A thin typed client of the Docker Engine API.
//!
//! Our own rather than a generated one: `inspect` must hand on the daemon's JSON byte for byte,
//! attach needs the raw connection with half close, and a command should start in a
//! millisecond. One request runs at a time on a connection; an idle connection is kept for the
//! next request (TLS and ssh are dear to set up), streams and hijacked connections own theirs.
//!
//! ```text
//! Client --negotiate (once)--> HEAD /_ping, Api-Version
//!        --send--> Reply: bytes | JSON | chunks | one JSON document after the other
//!        --hijack--> Hijacked: two halves of the raw connection
//! ```
//!
//! What it does not know: any command, any type of the API but its error, the environment.

mod connect;
mod error;
mod hijack;
pub(crate) mod query;
mod reply;
mod ssh;
mod tls;
mod tolerant;

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::sync::{OnceCell, mpsc};

pub(crate) use connect::Endpoint;
pub(crate) use error::ClientError;
pub(crate) use hijack::{Demux, Hijacked, Received};
pub(crate) use query::{Query, escape};
pub(crate) use reply::Reply;
pub(crate) use ssh::SshTarget;
pub(crate) use tls::TlsFiles;

use connect::Io;
use tolerant::Tolerant;

/// The newest API version this client speaks.
pub(crate) const API_VERSION: &str = "1.50";
/// The oldest it falls back to when the daemon does not say.
const OLDEST: &str = "1.24";

/// Talks to one daemon.
pub(crate) struct Client {
    endpoint: Endpoint,
    /// A version that must be used as it is (`DOCKER_API_VERSION`).
    pinned: Option<String>,
    /// `HttpHeaders` of config.json.
    extra_headers: Vec<(String, String)>,
    agent: String,
    negotiated: OnceCell<Negotiated>,
    idle: Mutex<Option<SendRequest<Payload>>>,
}

/// What `/_ping` told.
#[derive(Debug, Clone)]
pub(crate) struct Negotiated {
    pub(crate) version: String,
}

/// What a request carries.
pub(crate) enum Payload {
    Empty,
    Full(Option<Bytes>),
    /// Sent as it arrives; an error breaks the request off.
    Stream(mpsc::Receiver<std::io::Result<Bytes>>),
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Payload::Empty => Poll::Ready(None),
            Payload::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Payload::Stream(chunks) => chunks
                .poll_recv(context)
                .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Payload::Empty | Payload::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Empty | Payload::Full(None) => SizeHint::with_exact(0),
            Payload::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Stream(_) => SizeHint::default(),
        }
    }
}

/// One request, before its path gets the version.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Call {
        Call {
            method,
            path: path.into(),
            query: Query::default(),
            headers: HeaderMap::new(),
            payload: Payload::Empty,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Call {
        Call::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Call {
        Call::new(Method::POST, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Call {
        Call::new(Method::DELETE, path)
    }

    pub(crate) fn query(mut self, query: Query) -> Call {
        self.query = query;
        self
    }

    pub(crate) fn json<T: Serialize>(mut self, value: &T) -> Result<Call, ClientError> {
        let bytes = serde_json::to_vec(value).map_err(ClientError::BadReply)?;
        self.payload = Payload::Full(Some(bytes.into()));
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// Streams a tar archive.
    pub(crate) fn tar(mut self, chunks: mpsc::Receiver<std::io::Result<Bytes>>) -> Call {
        self.payload = Payload::Stream(chunks);
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        self
    }
}

impl Client {
    pub(crate) fn new(
        endpoint: Endpoint,
        pinned: Option<String>,
        extra_headers: Vec<(String, String)>,
        agent: String,
    ) -> Client {
        Client {
            endpoint,
            pinned,
            extra_headers,
            agent,
            negotiated: OnceCell::new(),
            idle: Mutex::new(None),
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The version in use, asking the daemon once.
    pub(crate) async fn negotiated(&self) -> Result<&Negotiated, ClientError> {
        self.negotiated.get_or_try_init(|| self.negotiate()).await
    }

    async fn negotiate(&self) -> Result<Negotiated, ClientError> {
        if let Some(version) = &self.pinned {
            return Ok(Negotiated {
                version: version.clone(),
            });
        }
        let mut reply = self
            .send_to("/_ping".to_owned(), Call::new(Method::HEAD, ""))
            .await?;
        if reply.status().is_client_error() || reply.status().is_server_error() {
            reply = self.send_to("/_ping".to_owned(), Call::get("")).await?;
        }
        let daemon = reply.header("api-version").unwrap_or(OLDEST).to_owned();
        reply.finish().await;
        let version = if newer(&daemon, API_VERSION) {
            API_VERSION.to_owned()
        } else {
            daemon
        };
        Ok(Negotiated { version })
    }

    /// Sends a request; an answer of 400 and above is an error with the daemon's message.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply<'_>, ClientError> {
        let path = self.versioned(&call).await?;
        let reply = self.send_to(path, call).await?;
        reply.checked().await
    }

    async fn versioned(&self, call: &Call) -> Result<String, ClientError> {
        let version = &self.negotiated().await?.version;
        let query = call.query.encode();
        let mark = if query.is_empty() { "" } else { "?" };
        Ok(format!("/v{version}{}{mark}{query}", call.path))
    }

    /// Asks for the raw connection (attach, exec start, dial-stdio).
    pub(crate) async fn hijack(&self, call: Call) -> Result<Hijacked, ClientError> {
        let path = self.versioned(&call).await?;
        let mut call = call;
        call.headers.insert(
            hyper::header::CONNECTION,
            HeaderValue::from_static("Upgrade"),
        );
        call.headers
            .insert(hyper::header::UPGRADE, HeaderValue::from_static("tcp"));
        let reply = self.send_to(path, call).await?.checked().await?;
        hijack::take(reply.into_response()).await
    }

    /// A fresh connection with nothing sent on it.
    pub(crate) async fn dial(&self) -> Result<Box<dyn Io>, ClientError> {
        self.endpoint.connect().await
    }

    async fn send_to(&self, path: String, call: Call) -> Result<Reply<'_>, ClientError> {
        let request = self.request(path, call)?;
        let mut sender = match self.take_idle() {
            Some(sender) if sender.is_ready() => sender,
            _ => self.open().await?,
        };
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(Reply::new(response, self, sender))
    }

    fn request(&self, path: String, call: Call) -> Result<Request<Payload>, ClientError> {
        let mut request = Request::builder().method(call.method).uri(path);
        if let Some(headers) = request.headers_mut() {
            for (name, value) in &self.extra_headers {
                let name = hyper::header::HeaderName::try_from(name.as_str());
                if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
                    headers.insert(name, value);
                }
            }
            headers.extend(call.headers);
            headers.insert(HOST, self.endpoint.host_header());
            if let Ok(agent) = HeaderValue::try_from(self.agent.as_str()) {
                headers.insert(USER_AGENT, agent);
            }
        }
        request.body(call.payload).map_err(ClientError::BadRequest)
    }

    async fn open(&self) -> Result<SendRequest<Payload>, ClientError> {
        let io = Tolerant::new(self.endpoint.connect().await?);
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
            .await
            .map_err(|error| self.broken(error))?;
        // Its errors reach whoever waits for the reply.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// A connection that ended before an answer.
    fn broken(&self, error: hyper::Error) -> ClientError {
        match &self.endpoint {
            Endpoint::Ssh(target) => ClientError::Ssh {
                command: target.command(),
            },
            other => ClientError::Request {
                host: other.to_string(),
                error,
            },
        }
    }

    fn take_idle(&self) -> Option<SendRequest<Payload>> {
        self.idle.lock().ok().and_then(|mut idle| idle.take())
    }

    /// Keeps a connection whose reply was read to its end.
    fn keep(&self, sender: SendRequest<Payload>) {
        if let Ok(mut idle) = self.idle.lock() {
            *idle = Some(sender);
        }
    }
}

/// Is version `a` newer than `b`?
pub(crate) fn newer(a: &str, b: &str) -> bool {
    let parts = |version: &str| -> Vec<u32> {
        version
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect()
    };
    parts(a) > parts(b)
}

#[cfg(test)]
mod tests;
