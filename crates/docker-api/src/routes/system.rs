//! The daemon itself.

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, PRAGMA};
use hyper::{Method, StatusCode};

use super::{df, events};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome};
use crate::wire::system::{Info, Version};

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("GET" | "HEAD", ["_ping"]) => Ok(ping()),
        ("GET", ["info"]) => info(call).await,
        ("GET", ["version"]) => {
            let info = call.engine().info().await?;
            reply::ok(&Version::of(&call.door.daemon, info.kernel))
        }
        ("GET", ["events"]) => events::events(call).await,
        ("GET", ["system", "df"]) => df::df(call).await,
        _ => Err(ApiError::page_not_found()),
    }
}

/// No `Builder-Version`: there is no builder yet, and the classic one is what clients then assume.
fn ping() -> reply::Reply {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut reply = reply::with_type(StatusCode::OK, kind, reply::whole("OK"));
    let headers = reply.headers_mut();
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("swarm"),
        HeaderValue::from_static("inactive"),
    );
    reply
}

async fn info(call: Call) -> Outcome {
    let info = call.engine().info().await?;
    let open_files = tokio::task::spawn_blocking(open_files).await.unwrap_or(0);
    let door = &call.door;
    reply::ok(&Info::of(
        info,
        &door.daemon,
        &door.live(),
        open_files,
        call.version,
    ))
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
