//! `GET /wharf/dns/log`: what containers asked their name servers, a JSON document per line.
//!
//! | parameter   | meaning                                                                |
//! |-------------|------------------------------------------------------------------------|
//! | `follow`    | go on as questions come                                                |
//! | `container` | only the questions of this container: its id, or the beginning of one  |

use hyper::StatusCode;
use tokio::sync::broadcast::error::RecvError;

use crate::call::Call;
use crate::reply::{self, Outcome, Writer};

/// Oldest first. A client that is too slow misses some of what comes; what was kept it gets whole.
pub(super) fn log(call: &Call) -> Outcome {
    let follow = call.query.flag("follow");
    let container = call.query.get("container").to_owned();
    let (newest, mut coming) = call.engine().name_queries();
    let body = reply::written(async move |writer: Writer| {
        for query in newest {
            if query.container.starts_with(&container) && writer.line(&query).await.is_err() {
                return;
            }
        }
        if !follow {
            return;
        }
        loop {
            let next = tokio::select! {
                next = coming.recv() => next,
                () = writer.gone() => return,
            };
            match next {
                Ok(query) if query.container.starts_with(&container) => {
                    if writer.line(&query).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a reader of the name servers' log is slow");
                }
                Err(RecvError::Closed) => return,
            }
        }
    });
    Ok(reply::with_type(StatusCode::OK, reply::JSON, body))
}
