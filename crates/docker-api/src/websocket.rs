//! Attached streams over a WebSocket: messages instead of frames.

use futures_util::{SinkExt, StreamExt};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use wharf_engine::model::{Attachment, Input};

use crate::error::ApiError;
use crate::hijack::Upgrade;
use crate::reply::{self, Outcome};

/// The largest message that a client may send.
const LIMIT: usize = 1 << 20;

/// What the bytes of output are sent as: text, until 1.28.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    Text,
    Binary,
}

/// The key to answer, if this is a WebSocket's opening.
pub(crate) fn key(headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    let upgrades = headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let version = headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_some_and(|value| value == "13");
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if upgrades && version => {
            HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
                .map_err(|_| ApiError::bad_request("bad Sec-WebSocket-Key"))
        }
        _ => Err(ApiError::bad_request(
            "not a websocket handshake (version 13)",
        )),
    }
}

/// Answers the opening and lets the messages flow.
pub(crate) fn answer(
    attachment: Attachment,
    upgrade: Upgrade,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    payload: Payload,
) -> Outcome {
    let Some(on) = upgrade.on else {
        return Err(ApiError::bad_request("the connection cannot be upgraded"));
    };
    tokio::spawn(async move {
        match on.await {
            Ok(io) => {
                let config = WebSocketConfig::default().max_message_size(Some(LIMIT));
                let io = TokioIo::new(io);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                let run = run(socket, attachment, payload);
                tokio::select! {
                    result = run => if let Err(error) = result {
                        tracing::debug!(%error, "a websocket ended badly");
                    },
                    () = upgrade.hangup.wait() => {}
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the client left before its connection was upgraded");
            }
        }
    });
    let mut reply = Response::new(reply::whole(Vec::new()));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(reply)
}

async fn run<S>(
    socket: WebSocketStream<S>,
    mut attachment: Attachment,
    payload: Payload,
) -> Result<(), Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut to_client, mut from_client) = socket.split();
    let mut input = attachment.input.take();
    // Apart from each other: a process that does not read must not keep its output back.
    let printing = async {
        while let Some(output) = attachment.output.recv().await {
            to_client
                .send(match payload {
                    Payload::Binary => Message::Binary(Bytes::from(output.data)),
                    Payload::Text => {
                        Message::text(String::from_utf8_lossy(&output.data).into_owned())
                    }
                })
                .await?;
        }
        to_client.close().await
    };
    let typing = async {
        loop {
            let data = match from_client.next().await.transpose()? {
                Some(Message::Binary(data)) => data,
                Some(Message::Text(text)) => text.into(),
                // Pings are answered by the library.
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Some(Message::Close(_)) | None => return Ok(()),
            };
            if let Some(sender) = &input
                && sender.send(Input::Data(data.to_vec())).await.is_err()
            {
                input = None;
            }
        }
    };
    tokio::select! {
        printed = printing => printed,
        typed = typing => typed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_rfc_6455_has_it() {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(
            SEC_WEBSOCKET_KEY,
            HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
        );
        assert_eq!(key(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        assert_eq!(key(&HeaderMap::new()).unwrap_err().status, 400);
    }

    #[tokio::test]
    async fn messages_flow_both_ways() {
        use tokio::sync::mpsc;
        use wharf_engine::model::{Output, StdStream};

        let (near, far) = tokio::io::duplex(4096);
        let (output, from_process) = mpsc::channel(1);
        let (to_process, mut input) = mpsc::channel(1);
        let attachment = Attachment {
            output: from_process,
            input: Some(to_process),
            tty: false,
        };
        let server = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
        let run = tokio::spawn(run(server, attachment, Payload::Binary));
        let mut client = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        client.send(Message::text("typed")).await.unwrap();
        assert_eq!(input.recv().await, Some(Input::Data(b"typed".to_vec())));
        let said = Output {
            stream: StdStream::Stderr,
            data: b"said".to_vec(),
        };
        output.send(said).await.unwrap();
        let message = client.next().await.unwrap().unwrap();
        assert_eq!(message, Message::Binary(Bytes::from_static(b"said")));
        drop(output);
        assert!(client.next().await.unwrap().unwrap().is_close());
        run.await.unwrap().unwrap();
    }
}
