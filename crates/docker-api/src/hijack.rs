//! Attached streams over a connection that stops being HTTP.
//!
//! ```text
//!  client                              daemon
//!  POST .../attach, Upgrade: tcp  ->
//!                                  <-  101 UPGRADED
//!  bytes of standard input        <->  bytes or frames of output
//!  closes its sending direction    ->  standard input ends, output goes on
//!  closes altogether               ->  detached
//!                                  <-  the process ended: closed
//! ```
//! The same streams go over a connection that is hijacked without an upgrade ([`crate::sniff`]),
//! and, output only, in a body, where a client asks for neither.

use std::pin::Pin;
use std::time::Duration;

use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use wharf_engine::model::{Attachment, Input, StdStream};

use crate::error::ApiError;
use crate::frame::Framing;
use crate::listen::Hangup;
use crate::reply::{self, Reply};
use crate::version::ApiVersion;

/// How much of a client's input is read at once.
const CHUNK: usize = 32 * 1024;

/// How long the client may go on sending after the output has ended. Closing a Unix socket with
/// unread bytes in it would reset the connection under the client's last read.
const LINGER: Duration = Duration::from_secs(2);

/// Streams that are about to be attached.
pub(crate) struct Session {
    framing: Framing,
    /// An exec starts only once the connection is hijacked: what goes wrong then is said in the
    /// stream, as clients expect.
    streams: Pin<Box<dyn Future<Output = Result<Attachment, ApiError>> + Send>>,
}

impl Session {
    /// Streams that are there.
    pub(crate) fn attached(attachment: Attachment) -> Self {
        Self {
            framing: Framing::of(attachment.tty),
            streams: Box::pin(std::future::ready(Ok(attachment))),
        }
    }

    /// Streams that come with the start of a process.
    pub(crate) fn starting(
        tty: bool,
        start: impl Future<Output = Result<Attachment, ApiError>> + Send + 'static,
    ) -> Self {
        Self {
            framing: Framing::of(tty),
            streams: Box::pin(start),
        }
    }

    /// The content type of the answer.
    pub(crate) fn content_type(&self, version: ApiVersion) -> &'static str {
        self.framing.content_type(version.at_least(42))
    }

    /// Carries bytes both ways until the process ends, the client leaves, or it detaches by keys.
    pub(crate) async fn run(
        self,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        hangup: Hangup,
    ) {
        let (mut from_client, mut to_client) = tokio::io::split(io);
        let mut attachment = match self.streams.await {
            Ok(attachment) => attachment,
            Err(error) => {
                let text = format!("{error}\r\n").into_bytes();
                let piece = self.framing.encode(StdStream::Stdout, text);
                let _ = to_client.write_all(&piece).await;
                let _ = to_client.shutdown().await;
                return linger(from_client).await;
            }
        };
        let input = attachment.input.take();
        let typing = async {
            feed(&mut from_client, input).await;
            // The client stopped sending, but may still read.
            std::future::pending::<()>().await;
        };
        let printing = async {
            while let Some(output) = attachment.output.recv().await {
                let piece = self.framing.encode(output.stream, output.data);
                to_client.write_all(&piece).await?;
            }
            to_client.shutdown().await
        };
        let ended = tokio::select! {
            printed = printing => printed.is_ok(),
            () = typing => false,
            () = hangup.wait() => false,
        };
        drop(attachment);
        if ended {
            linger(from_client).await;
        }
    }

    /// The output as a body, for a client that asked for no upgrade on a connection that is HTTP
    /// for good.
    fn body(self) -> reply::Body {
        let framing = self.framing;
        reply::written(async move |writer| {
            let mut attachment = match self.streams.await {
                Ok(attachment) => attachment,
                Err(error) => {
                    let text = format!("{error}\r\n").into_bytes();
                    let _ = writer.bytes(framing.encode(StdStream::Stdout, text)).await;
                    return;
                }
            };
            // Standard input is left open: the client never said that it has none.
            loop {
                let output = tokio::select! {
                    output = attachment.output.recv() => output,
                    () = writer.gone() => None,
                };
                let Some(output) = output else { return };
                let piece = framing.encode(output.stream, output.data);
                if writer.bytes(piece).await.is_err() {
                    return;
                }
            }
        })
    }
}

/// Passes on what the client sends, and its end; what nobody wants is read and dropped.
async fn feed(from_client: &mut (impl AsyncRead + Unpin), mut input: Option<mpsc::Sender<Input>>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = from_client.read(&mut chunk).await.unwrap_or(0);
        let piece = if count == 0 {
            Input::Close
        } else {
            Input::Data(chunk[..count].to_vec())
        };
        if let Some(sender) = &input
            && sender.send(piece).await.is_err()
        {
            input = None;
        }
        if count == 0 {
            return;
        }
    }
}

async fn linger(mut from_client: impl AsyncRead + Unpin) {
    let drain = async {
        let mut chunk = vec![0; 4096];
        while from_client.read(&mut chunk).await.is_ok_and(|n| n > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// What a handler needs of a connection that may be upgraded.
pub(crate) struct Upgrade {
    pub(crate) on: Option<hyper::upgrade::OnUpgrade>,
    pub(crate) hangup: Hangup,
}

/// Answers a request that came over hyper and lets the streams flow.
pub(crate) fn answer(session: Session, upgrade: Upgrade, version: ApiVersion) -> Reply {
    let kind = HeaderValue::from_static(session.content_type(version));
    let Some(on) = upgrade.on else {
        let kind = HeaderValue::from_static("application/vnd.docker.raw-stream");
        return reply::with_type(StatusCode::OK, kind, session.body());
    };
    tokio::spawn(async move {
        match on.await {
            Ok(io) => session.run(TokioIo::new(io), upgrade.hangup).await,
            Err(error) => {
                tracing::debug!(%error, "the client left before its connection was upgraded");
            }
        }
    });
    let mut reply = Response::new(reply::whole(Vec::new()));
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply
        .extensions_mut()
        .insert(hyper::ext::ReasonPhrase::from_static(b"UPGRADED"));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    reply
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use tokio::net::UnixStream;
    use wharf_engine::model::Output;

    use super::*;

    struct Far {
        client: UnixStream,
        output: mpsc::Sender<Output>,
        input: mpsc::Receiver<Input>,
        run: tokio::task::JoinHandle<()>,
    }

    fn attach(tty: bool) -> Far {
        let (ours, client) = UnixStream::pair().unwrap();
        let hangup = Hangup::of(ours.as_fd()).unwrap();
        let (output, from_process) = mpsc::channel(4);
        let (to_process, input) = mpsc::channel(4);
        let session = Session::attached(Attachment {
            output: from_process,
            input: Some(to_process),
            tty,
        });
        Far {
            client,
            output,
            input,
            run: tokio::spawn(session.run(ours, hangup)),
        }
    }

    fn said(text: &str) -> Output {
        Output {
            stream: StdStream::Stdout,
            data: text.as_bytes().to_vec(),
        }
    }

    #[tokio::test]
    async fn output_is_framed_and_its_end_ends_the_connection() {
        let mut far = attach(false);
        far.output.send(said("hi")).await.unwrap();
        drop(far.output);
        let mut seen = Vec::new();
        far.client.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"\x01\0\0\0\0\0\0\x02hi");
        drop(far.client);
        far.run.await.unwrap();
    }

    #[tokio::test]
    async fn the_end_of_input_leaves_the_output_flowing() {
        let mut far = attach(true);
        far.client.write_all(b"typed").await.unwrap();
        far.client.shutdown().await.unwrap();
        assert_eq!(far.input.recv().await, Some(Input::Data(b"typed".to_vec())));
        assert_eq!(far.input.recv().await, Some(Input::Close));
        far.output.send(said("after")).await.unwrap();
        drop(far.output);
        let mut seen = String::new();
        far.client.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "after");
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_detached_even_when_nothing_is_printed() {
        let far = attach(false);
        drop(far.client);
        far.run.await.unwrap();
        assert!(far.output.is_closed());
    }

    #[tokio::test]
    async fn a_start_that_fails_is_said_in_the_stream() {
        let (ours, mut client) = UnixStream::pair().unwrap();
        let hangup = Hangup::of(ours.as_fd()).unwrap();
        let session = Session::starting(true, async { Err(ApiError::bad_request("no such file")) });
        let run = tokio::spawn(session.run(ours, hangup));
        let mut seen = String::new();
        client.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "no such file\r\n");
        drop(client);
        run.await.unwrap();
    }
}
