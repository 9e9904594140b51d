//! Paths to handlers.
//!
//! One `match` per noun, on the path's segments. A path is unescaped and its empty segments dropped
//! before, so `/networks/`, and a container's name with its slash, need no case of their own.
//! Names of images may hold slashes: theirs are the segments in the middle.

mod archive;
mod attach;
mod containers;
mod df;
mod events;
mod exec;
mod images;
mod logs;
mod names;
mod networks;
mod stats;
mod system;
mod volumes;

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue, SERVER};
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::call::Call;
use crate::door::Door;
use crate::error::ApiError;
use crate::hijack::Session;
use crate::reply::{self, Outcome, Reply};
use crate::request::query::Query;
use crate::sniff::Hijack;
use crate::version::{self, ApiVersion};

/// Answers a request.
pub(crate) async fn handle(call: Call) -> Reply {
    let door = Arc::clone(&call.door);
    let asked = format!("{} {}", call.method, call.path);
    tracing::debug!("Calling {asked}");
    let mut reply = dispatch(call).await.unwrap_or_else(|error| {
        if error.status.is_server_error() && error.status != StatusCode::NOT_IMPLEMENTED {
            tracing::error!("Handler for {asked} returned error: {error}");
        } else {
            tracing::debug!(status = error.status.as_u16(), "{asked}: {error}");
        }
        reply::error(&error)
    });
    introduce(&mut reply, &door);
    reply
}

/// The headers that every answer has.
fn introduce(reply: &mut Reply, door: &Door) {
    let headers = reply.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(
        HeaderName::from_static("api-version"),
        &ApiVersion::NEWEST.to_string(),
    );
    set(
        HeaderName::from_static("docker-experimental"),
        if door.daemon.experimental {
            "true"
        } else {
            "false"
        },
    );
    set(HeaderName::from_static("ostype"), "linux");
    set(SERVER, &format!("Wharf/{} (linux)", door.daemon.version));
}

async fn dispatch(mut call: Call) -> Outcome {
    if call.door.is_closing() {
        return Err(ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "the daemon is shutting down".into(),
        });
    }
    let path = call.path.clone();
    let (text, path) = version::split(&path);
    call.version = version::negotiate(text, call.door.daemon.oldest)?;
    let path = unescape(path);
    let segments: Vec<&str> = segments(&path);
    let method = call.method.clone();
    if method == Method::OPTIONS {
        return Ok(reply::empty(StatusCode::OK));
    }
    match segments.as_slice() {
        ["containers", rest @ ..] => Box::pin(containers::route(call, method, rest)).await,
        ["exec", rest @ ..] => Box::pin(exec::route(call, method, rest)).await,
        ["images", rest @ ..] => Box::pin(images::route(call, method, rest)).await,
        ["commit"] if method == Method::POST => Box::pin(images::commit(call)).await,
        ["volumes", rest @ ..] => volumes::route(call, method, rest).await,
        ["networks", rest @ ..] => networks::route(call, method, rest).await,
        ["wharf", "dns", "log"] if method == Method::GET => names::log(&call),
        other => match elsewhere(&method, other) {
            Some(outcome) => outcome,
            None => Box::pin(system::route(call, method, other)).await,
        },
    }
}

/// What is not there yet, or not here.
fn elsewhere(method: &Method, segments: &[&str]) -> Option<Outcome> {
    let missing = |what: &str| Some(Err(ApiError::missing(what)));
    match (method.as_str(), segments) {
        ("POST", ["swarm", "init" | "join"]) => missing("swarm mode"),
        ("POST", ["swarm", "leave"]) => Some(Err(ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "This node is not part of a swarm".into(),
        })),
        (
            _,
            [
                "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs",
                ..,
            ],
        ) => Some(Err(ApiError::no_swarm())),
        ("GET", ["plugins"]) => Some(reply::ok(&[(); 0])),
        ("GET", ["plugins", "privileges"]) => {
            missing("reading a plugin's privileges from a registry")
        }
        ("GET", ["plugins", name @ .., "json"]) => Some(Err(ApiError::not_found(format!(
            "plugin {:?} not found",
            name.join("/")
        )))),
        (_, ["plugins", ..]) => missing("managing plugins"),
        ("POST", ["build"]) => missing("building images"),
        // `docker system prune` asks for it, too: there is none, so all of it is pruned.
        ("POST", ["build", "prune"]) => Some(reply::ok(&serde_json::json!({
            "CachesDeleted": null, "SpaceReclaimed": 0,
        }))),
        ("POST", ["build", "cancel"]) => missing("cancelling a build"),
        ("POST", ["session" | "grpc"]) => missing("BuildKit's session"),
        ("GET", ["distribution", .., "json"]) => {
            missing("asking a registry for an image's manifest")
        }
        ("POST", ["auth"]) => missing("logging in to a registry"),
        _ => None,
    }
}

fn unescape(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .collect()
}

/// A request that hijacks its connection without an upgrade.
pub(crate) async fn legacy(door: &Arc<Door>, hijack: &Hijack) -> Result<Session, ApiError> {
    let (path, query) = hijack
        .target
        .split_once('?')
        .unwrap_or((&hijack.target, ""));
    let (text, path) = version::split(path);
    let version = version::negotiate(text, door.daemon.oldest)?;
    let path = unescape(path);
    let query = Query::parse(query);
    tracing::debug!(
        "Calling POST {} (hijacked without an upgrade)",
        hijack.target
    );
    match segments(&path).as_slice() {
        ["containers", id, "attach"] => attach::session(&door.engine, id, &query).await,
        ["exec", id, "start"] => {
            let body = exec::start_body(&hijack.body)?;
            match exec::session(&door.engine, id, body, version).await? {
                Some(session) => Ok(session),
                None => Err(ApiError::bad_request("a detached exec has no streams")),
            }
        }
        _ => Err(ApiError::page_not_found()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_segments_and_escapes_are_undone() {
        assert_eq!(segments("/networks/"), ["networks"]);
        assert_eq!(
            segments(&unescape("/containers/%2Fbox/json")),
            ["containers", "box", "json"]
        );
        assert_eq!(
            segments(&unescape("/images/a%2Fb:1/json")),
            ["images", "a", "b:1", "json"]
        );
    }

    fn refusal(method: &Method, segments: &[&str]) -> (u16, String) {
        let error = elsewhere(method, segments).unwrap().unwrap_err();
        (error.status.as_u16(), error.message)
    }

    #[test]
    fn what_is_not_there_says_so() {
        for (method, segments, status) in [
            (Method::GET, &["swarm"][..], 503),
            (Method::GET, &["services", "x", "logs"], 503),
            (Method::POST, &["secrets", "create"], 503),
            (Method::POST, &["swarm", "init"], 501),
            (Method::POST, &["build"], 501),
            (Method::POST, &["session"], 501),
            (Method::POST, &["grpc"], 501),
            (Method::POST, &["auth"], 501),
            (Method::GET, &["distribution", "a", "b", "json"], 501),
            (Method::GET, &["plugins", "x", "json"], 404),
            (Method::POST, &["plugins", "pull"], 501),
        ] {
            assert_eq!(refusal(&method, segments).0, status, "{segments:?}");
        }
        assert!(
            refusal(&Method::GET, &["nodes"])
                .1
                .starts_with("This node is not a swarm manager.")
        );
        assert!(elsewhere(&Method::GET, &["nothing"]).is_none());
    }
}
