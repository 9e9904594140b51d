//! Attaching to a container, over a hijacked connection or a WebSocket.

use hyper::header::SEC_WEBSOCKET_PROTOCOL;
use wharf_engine::Engine;
use wharf_engine::model::AttachOptions;

use crate::call::Call;
use crate::error::ApiError;
use crate::hijack::{self, Session};
use crate::reply::Outcome;
use crate::request::query::Query;
use crate::version::ApiVersion;
use crate::websocket::{self, Payload};

fn options(query: &Query) -> AttachOptions {
    AttachOptions {
        logs: query.flag("logs"),
        stream: query.flag("stream"),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        detach_keys: query.get("detachKeys").into(),
    }
}

/// Attaches; what is wrong comes out before anything is hijacked.
pub(super) async fn session(engine: &Engine, id: &str, query: &Query) -> Result<Session, ApiError> {
    let attachment = engine.attach(id, options(query)).await?;
    Ok(Session::attached(attachment))
}

pub(super) async fn attach(call: Call, id: &str) -> Outcome {
    let session = session(call.engine(), id, &call.query).await?;
    Ok(hijack::answer(session, call.upgrade, call.version))
}

/// Before 1.42 a WebSocket got all streams, whatever was asked for.
fn websocket_options(query: &Query, version: ApiVersion) -> AttachOptions {
    let all = version.before(42);
    let asked = options(query);
    AttachOptions {
        stdin: asked.stdin || all,
        stdout: asked.stdout || all,
        stderr: asked.stderr || all,
        ..asked
    }
}

pub(super) async fn websocket(call: Call, id: &str) -> Outcome {
    let accept = websocket::key(&call.headers)?;
    let options = websocket_options(&call.query, call.version);
    let attachment = call.engine().attach(id, options).await?;
    let payload = if call.version.at_least(28) {
        Payload::Binary
    } else {
        Payload::Text
    };
    // A client that names protocols wants one of them named back; there is nothing to choose.
    let protocol = call
        .headers
        .get(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|names| names.to_str().ok()?.split(',').next()?.trim().parse().ok());
    websocket::answer(attachment, call.upgrade, accept, protocol, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_of_before_1_42_gets_all_streams() {
        let query = Query::parse("stdout=1&stream=1");
        let old = websocket_options(&query, ApiVersion::v1(41));
        assert!(old.stdin && old.stdout && old.stderr && old.stream);
        let new = websocket_options(&query, ApiVersion::v1(42));
        assert!(!new.stdin && new.stdout && !new.stderr);
    }
}
