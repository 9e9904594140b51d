//! An answer of the daemon, read whole or as it comes.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::{Client, ClientError, Payload};

/// An error body larger than this is not read on.
const ERROR_LIMIT: usize = 1 << 20;

/// The head of an answer, and its body yet to be read.
pub(crate) struct Reply<'a> {
    response: Response<Incoming>,
    client: &'a Client,
    sender: SendRequest<Payload>,
    buffered: BytesMut,
}

impl<'a> Reply<'a> {
    pub(super) fn new(
        response: Response<Incoming>,
        client: &'a Client,
        sender: SendRequest<Payload>,
    ) -> Reply<'a> {
        Reply {
            response,
            client,
            sender,
            buffered: BytesMut::new(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    pub(super) fn into_response(self) -> Response<Incoming> {
        self.response
    }

    /// Turns a refusal into an error.
    pub(super) async fn checked(self) -> Result<Reply<'a>, ClientError> {
        let status = self.response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(self);
        }
        let mut reply = self;
        let mut body = Vec::new();
        // Cut short, it still says more than that it was cut short.
        while let Ok(Some(chunk)) = reply.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_LIMIT {
                break;
            }
        }
        #[derive(serde::Deserialize)]
        struct Refusal {
            message: String,
        }
        let message = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.message.trim().to_owned(),
            Err(_) => String::from_utf8_lossy(&body).trim().to_owned(),
        };
        let message = if message.is_empty() {
            format!("request returned {status} without a message; is this a Docker Engine API?")
        } else {
            message
        };
        Err(ClientError::Daemon { status, message })
    }

    /// The next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.response.body_mut().frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Interrupted(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body; the connection is kept for the next request.
    pub(crate) async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        self.client.keep(self.sender);
        Ok(body)
    }

    /// Reads and forgets the body.
    pub(crate) async fn finish(self) {
        // What is not wanted may also fail.
        let _ = self.bytes().await;
    }

    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.bytes().await?).map_err(ClientError::BadReply)
    }

    /// The next of several JSON documents that follow each other, with or without newlines.
    pub(crate) async fn document(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(end) = document_end(&self.buffered) {
                return Ok(Some(self.buffered.split_to(end).freeze()));
            }
            match self.chunk().await? {
                Some(chunk) => self.buffered.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}

/// Where the first complete object in `bytes` ends.
fn document_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_without_newlines() {
        let stream = b"{\"a\":\"}{\\\"\"}\r\n{\"b\":[1]}{";
        let first = document_end(stream).unwrap();
        assert_eq!(&stream[..first], b"{\"a\":\"}{\\\"\"}");
        let second = document_end(&stream[first..]).unwrap();
        assert_eq!(stream[first..][..second].trim_ascii(), b"{\"b\":[1]}");
        assert_eq!(document_end(b"{\"half\":"), None);
    }
}
