//! Accepts clients, bounded, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wharf_engine::Engine;

use crate::connection;
use crate::door::{Daemon, Door, Live};
use crate::listen::Listener;

/// Clients at a time, over all listeners. Those beyond wait in the sockets' queues.
const CLIENTS: usize = 4096;

/// Pause after an accept that failed (out of descriptors): long enough for some to be freed.
const BREATH: Duration = Duration::from_millis(100);

/// How long requests that are being answered may take at the end. Streams that would go on for
/// ever are cut off then.
const FAREWELL: Duration = Duration::from_secs(2);

/// The API, ready to be served. A clone is another handle to the same one.
#[derive(Debug, Clone)]
pub struct Server(Arc<Door>);

impl Server {
    /// The API of an engine.
    #[must_use]
    pub fn new(engine: Engine, daemon: Daemon, live: Live) -> Self {
        Self(Arc::new(Door::new(engine, daemon, live)))
    }

    /// Changes what may change while it is served.
    pub fn set_live(&self, live: Live) {
        self.0.set_live(live);
    }

    /// Serves until `stop`, then lets what is being answered come to its end, for a moment.
    pub async fn serve(&self, listeners: Vec<Listener>, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        let tasks = TaskTracker::new();
        for listener in listeners {
            let door = Arc::clone(&self.0);
            let (places, stop) = (Arc::clone(&places), stop.clone());
            let clients = tasks.clone();
            tasks.spawn(accept(listener, door, places, clients, stop));
        }
        stop.cancelled().await;
        self.0.close();
        tasks.close();
        if tokio::time::timeout(FAREWELL, tasks.wait()).await.is_err() {
            tracing::debug!(
                open = tasks.len(),
                "cutting off the streams that are still open"
            );
        }
    }
}

async fn accept(
    listener: Listener,
    door: Arc<Door>,
    places: Arc<Semaphore>,
    clients: TaskTracker,
    stop: CancellationToken,
) {
    tracing::info!("API listen on {}", listener.address());
    let accepting = async {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok(client) => {
                    let (door, stop) = (Arc::clone(&door), stop.clone());
                    clients.spawn(async move {
                        connection::serve(client, door, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, address = listener.address(), "cannot accept a client");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
}
