//! One request, taken apart for its handler.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, UPGRADE};
use hyper::{Method, Request};
use serde::de::DeserializeOwned;
use wharf_engine::Engine;
use wharf_engine::stream::{ByteSource, CHUNK};

use crate::door::Door;
use crate::error::ApiError;
use crate::hijack::Upgrade;
use crate::listen::Hangup;
use crate::reply;
use crate::request::lenient;
use crate::request::query::Query;
use crate::version::ApiVersion;

/// The largest JSON body. dockerd has no bound; the largest request that means something is a
/// create with ten megabytes of labels.
const JSON_LIMIT: usize = 16 << 20;

/// A request.
pub(crate) struct Call {
    pub(crate) door: Arc<Door>,
    pub(crate) method: Method,
    /// As it came, with the version and escapes.
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// Set once the version was negotiated.
    pub(crate) version: ApiVersion,
    pub(crate) upgrade: Upgrade,
    body: RequestBody,
}

/// The body of a request. What nobody has read when this is dropped is read and thrown away, within
/// bounds: a client that is still writing when the connection is closed on it sees a broken pipe
/// in place of its answer.
struct RequestBody(Option<Incoming>);

/// How much is thrown away, and for how long.
const DRAIN: (usize, std::time::Duration) = (16 << 20, std::time::Duration::from_secs(2));

impl RequestBody {
    async fn frame(&mut self) -> Option<hyper::Result<Frame<Bytes>>> {
        match &mut self.0 {
            Some(body) => body.frame().await,
            None => None,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(tokio::time::timeout(DRAIN.1, async move {
            let mut seen = 0;
            while let Some(Ok(frame)) = body.frame().await {
                seen += frame.data_ref().map_or(0, Bytes::len);
                if seen > DRAIN.0 {
                    return;
                }
            }
        }));
    }
}

impl Call {
    pub(crate) fn new(door: Arc<Door>, mut request: Request<Incoming>, hangup: Hangup) -> Self {
        let on = request
            .headers()
            .contains_key(UPGRADE)
            .then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        Self {
            door,
            method: head.method,
            path: head.uri.path().into(),
            query: Query::parse(head.uri.query().unwrap_or_default()),
            headers: head.headers,
            version: ApiVersion::NEWEST,
            upgrade: Upgrade { on, hangup },
            body: RequestBody(Some(body)),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.door.engine
    }

    /// Whether the body is known to be empty.
    pub(crate) fn has_no_body(&self) -> bool {
        self.body.0.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// How long the body is, if that was said.
    pub(crate) fn body_length(&self) -> Option<u64> {
        match &self.body.0 {
            Some(body) => body.size_hint().exact(),
            None => Some(0),
        }
    }

    /// The body as JSON, which has to be there.
    pub(crate) async fn json<T: DeserializeOwned + Default>(&mut self) -> Result<T, ApiError> {
        self.check_json()?;
        lenient::from_slice(&self.bytes().await?)
    }

    /// The body as JSON, or the default when there is none.
    pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
        &mut self,
    ) -> Result<T, ApiError> {
        self.check_json()?;
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(T::default());
        }
        lenient::from_slice(&bytes)
    }

    async fn bytes(&mut self) -> Result<Vec<u8>, ApiError> {
        match &mut self.body.0 {
            Some(body) => reply::read_whole(body, JSON_LIMIT).await,
            None => Ok(Vec::new()),
        }
    }

    fn check_json(&self) -> Result<(), ApiError> {
        let Some(kind) = self.headers.get(CONTENT_TYPE) else {
            return if self.has_no_body() {
                Ok(())
            } else {
                Err(ApiError::bad_request(
                    "malformed Content-Type header (): mime: no media type",
                ))
            };
        };
        let kind = String::from_utf8_lossy(kind.as_bytes());
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Ok(())
        } else {
            Err(ApiError::bad_request(format!(
                "unsupported Content-Type header ({kind}): must be 'application/json'"
            )))
        }
    }

    /// The body as a bounded stream. A client that leaves in the middle makes it end in an error,
    /// never early.
    pub(crate) fn source(self) -> ByteSource {
        let (sink, source) = wharf_engine::stream::channel();
        let mut body = self.body;
        tokio::spawn(async move {
            // What the engine does not want is thrown away when this ends.
            while let Some(frame) = body.frame().await {
                let sent = match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => send_in_chunks(&sink, data).await,
                    // Trailers say nothing here.
                    Ok(Err(_)) => Ok(()),
                    Err(error) => sink.send(Err(std::io::Error::other(error))).await,
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        source
    }
}

async fn send_in_chunks(
    sink: &wharf_engine::stream::ByteSink,
    data: Bytes,
) -> Result<(), tokio::sync::mpsc::error::SendError<std::io::Result<Vec<u8>>>> {
    for chunk in data.chunks(CHUNK) {
        sink.send(Ok(chunk.to_vec())).await?;
    }
    Ok(())
}
