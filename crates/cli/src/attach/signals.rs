//! Signals sent to us, passed on to the container.

use std::future::pending;

use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::{Call, Client, Query, escape};

/// What is passed on. Not CHLD, PIPE and URG, which are about this process; not KILL and STOP,
/// which cannot be caught.
const FORWARDED: &[(i32, &str)] = &[
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (10, "USR1"),
    (12, "USR2"),
    (14, "ALRM"),
    (15, "TERM"),
    (18, "CONT"),
    (28, "WINCH"),
];

/// Passes signals to a container; never returns.
pub(crate) async fn forward(client: &Client, container: &str) {
    let mut listeners: Vec<(Signal, &str)> = FORWARDED
        .iter()
        .filter_map(|&(number, name)| Some((signal(SignalKind::from_raw(number)).ok()?, name)))
        .collect();
    if listeners.is_empty() {
        return pending().await;
    }
    loop {
        let waits = listeners.iter_mut().map(|(listener, name)| {
            let name = *name;
            Box::pin(async move {
                listener.recv().await;
                name
            })
        });
        let (name, _, _) = select_all(waits).await;
        let path = format!("/containers/{}/kill", escape(container));
        // A container that has just ended takes no signals; its exit will be seen.
        if let Ok(reply) = client
            .send(Call::post(path).query(Query::new().add("signal", name)))
            .await
        {
            reply.finish().await;
        }
    }
}

/// Waits to be told to end; the exit code a shell would show for it.
pub(super) async fn termination() -> u8 {
    let (Ok(mut terminate), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => 128 + 15,
        _ = hang_up.recv() => 128 + 1,
    }
}
