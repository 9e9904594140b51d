//! Answers: whole JSON documents, empty ones, and bodies that go on.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::ApiError;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer.
pub(crate) type Reply = Response<Body>;

/// What a handler gives.
pub(crate) type Outcome = Result<Reply, ApiError>;

/// `application/json`.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON document, with the newline that Go's encoder ends it with.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Outcome {
    let mut bytes = serde_json::to_vec(value)
        .map_err(|error| ApiError::internal(format!("cannot encode the answer: {error}")))?;
    bytes.push(b'\n');
    Ok(with_type(status, JSON, whole(bytes)))
}

/// 200 with a JSON document.
pub(crate) fn ok(value: &impl Serialize) -> Outcome {
    json(StatusCode::OK, value)
}

/// A status and nothing else.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(whole(Vec::new()));
    *reply.status_mut() = status;
    reply
}

/// 204.
pub(crate) fn no_content() -> Outcome {
    Ok(empty(StatusCode::NO_CONTENT))
}

/// A body of a given content type.
pub(crate) fn with_type(status: StatusCode, kind: HeaderValue, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

/// An error as a client sees it.
pub(crate) fn error(error: &ApiError) -> Reply {
    #[derive(Serialize)]
    struct Message<'a> {
        message: &'a str,
    }
    // 304 has no body, by the rules of HTTP.
    if error.status == StatusCode::NOT_MODIFIED {
        return empty(error.status);
    }
    json(
        error.status,
        &Message {
            message: &error.message,
        },
    )
    .unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

/// A body that is all there.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body that comes in pieces. An error in it breaks the connection off, so that no client takes
/// half an archive for a whole one.
pub(crate) fn stream(pieces: mpsc::Receiver<io::Result<Vec<u8>>>) -> Body {
    Pieces(pieces).boxed_unsync()
}

struct Pieces(mpsc::Receiver<io::Result<Vec<u8>>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(|bytes| Frame::data(bytes.into()))))
    }
}

/// A body written by a task of its own, which ends when the client leaves.
///
/// The channel is short: a slow client holds the writer back after a few pieces.
pub(crate) fn written<W, F>(write: W) -> Body
where
    W: FnOnce(Writer) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(write(Writer(sender)));
    stream(receiver)
}

/// The writing end of [`written`].
#[derive(Debug, Clone)]
pub(crate) struct Writer(mpsc::Sender<io::Result<Vec<u8>>>);

/// The client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl Writer {
    /// Sends bytes; an error says that nobody reads any more.
    pub(crate) async fn bytes(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.0.send(Ok(bytes)).await.map_err(|_| Gone)
    }

    /// Sends a JSON document and a newline.
    pub(crate) async fn line(&self, value: &impl Serialize) -> Result<(), Gone> {
        let mut bytes = serde_json::to_vec(value).map_err(|_| Gone)?;
        bytes.push(b'\n');
        self.bytes(bytes).await
    }

    /// Ends once nobody reads any more.
    pub(crate) async fn gone(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
pub(crate) async fn text(reply: Reply) -> String {
    let bytes = reply.into_body().collect().await.expect("body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Reads a body whole, up to `limit` bytes.
pub(crate) async fn read_whole<B>(body: B, limit: usize) -> Result<Vec<u8>, ApiError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let too_large = || {
        ApiError::too_large(format!(
            "request body is larger than {} MiB",
            limit / (1024 * 1024)
        ))
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::bad_request(format!("error reading the request body: {error}"))
        })?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn json_ends_with_a_newline_as_gos_encoder_writes_it() {
        let reply = ok(&vec!["<a>"]).unwrap();
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(text(reply).await, "[\"<a>\"]\n");
    }

    #[tokio::test]
    async fn an_error_is_a_message_and_304_is_nothing() {
        let reply = error(&ApiError::not_found("No such container: x"));
        assert_eq!(reply.status(), 404);
        assert_eq!(
            text(reply).await,
            "{\"message\":\"No such container: x\"}\n"
        );
        let reply = error(&ApiError {
            status: StatusCode::NOT_MODIFIED,
            message: "running".into(),
        });
        assert_eq!(text(reply).await, "");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
        let refused = read_whole(Full::new(Bytes::from(vec![0; 2 << 20])), 1 << 20)
            .await
            .unwrap_err();
        assert_eq!(refused.status, 413);
        let whole = read_whole(Full::new(Bytes::from("abc")), 1 << 20).await;
        assert_eq!(whole.unwrap(), b"abc");
    }

    #[tokio::test]
    async fn a_writer_notices_that_its_client_left() {
        let (sender, receiver) = mpsc::channel(1);
        let writer = Writer(sender);
        drop(receiver);
        writer.gone().await;
        assert_eq!(writer.bytes(vec![1]).await, Err(Gone));
    }
}
