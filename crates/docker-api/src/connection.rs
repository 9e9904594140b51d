//! One client's connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::door::Door;
use crate::error::ApiError;
use crate::hijack::Session;
use crate::listen::{Client, Hangup};
use crate::reply::{self, Reply};
use crate::routes;
use crate::sniff::{self, Hijack, Rewound};

/// How long a client may take to send the head of a request, idle time before it included.
/// dockerd's value: pooled connections live that long.
const HEAD: Duration = Duration::from_secs(5 * 60);

/// Serves a client until it leaves.
pub(crate) async fn serve(client: Client, door: Arc<Door>, stop: CancellationToken) {
    let hangup = client.hangup.clone();
    let half_close = client.half_close;
    let opening = async {
        let stream = client.stream.open().await?;
        tokio::time::timeout(HEAD, sniff::first(stream)).await?
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = stop.cancelled() => return,
    };
    match opened {
        Ok((io, None)) => http(io, door, hangup, half_close, stop).await,
        Ok((io, Some(hijack))) => legacy(io, hijack, &door, hangup).await,
        Err(error) => tracing::debug!(%error, "a connection ended before its first request"),
    }
}

async fn http(
    io: Rewound,
    door: Arc<Door>,
    hangup: Hangup,
    half_close: bool,
    stop: CancellationToken,
) {
    let of_requests = hangup.clone();
    let service =
        service_fn(move |request| handle(Arc::clone(&door), request, of_requests.clone()));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .half_close(half_close)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log(ended),
        // Nobody reads what would still come.
        () = hangup.wait() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    log(connection.await);
}

fn log(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Handles one request in a task of its own: a client that leaves in the middle must not stop
/// halfway what it asked for.
async fn handle(
    door: Arc<Door>,
    request: hyper::Request<Incoming>,
    hangup: Hangup,
) -> Result<Reply, Infallible> {
    let call = Call::new(door, request, hangup);
    let handled = tokio::spawn(routes::handle(call)).await;
    Ok(handled.unwrap_or_else(|error| {
        tracing::error!(%error, "a request could not be handled to its end");
        reply::error(&ApiError::internal("internal error"))
    }))
}

/// Serves a client that hijacks its connection without an upgrade.
async fn legacy(mut io: Rewound, hijack: Hijack, door: &Arc<Door>, hangup: Hangup) {
    let session: Result<Session, ApiError> = routes::legacy(door, &hijack).await;
    let session = match session {
        Ok(session) => session,
        Err(error) => {
            let body = serde_json::json!({ "message": error.message }).to_string();
            let head = format!(
                "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                error.status,
                body.len()
            );
            let _ = io.write_all((head + &body).as_bytes()).await;
            let _ = io.shutdown().await;
            return;
        }
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
    if io.write_all(head.as_bytes()).await.is_ok() {
        session.run(io, hangup).await;
    }
}
