//! Files in and out of a container.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use wharf_engine::model::{PathStat, PutOptions};

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome, Reply};
use crate::wire::container::Stat;

fn path(call: &Call) -> Result<&str, ApiError> {
    call.query
        .some("path")
        .ok_or_else(|| ApiError::bad_request("bad parameter: path cannot be empty"))
}

fn with_stat(mut reply: Reply, stat: PathStat) -> Outcome {
    let json = serde_json::to_vec(&Stat::from(stat))
        .map_err(|error| ApiError::internal(error.to_string()))?;
    let value = HeaderValue::try_from(BASE64_STANDARD.encode(json))
        .map_err(|error| ApiError::internal(error.to_string()))?;
    reply.headers_mut().insert(
        HeaderName::from_static("x-docker-container-path-stat"),
        value,
    );
    Ok(reply)
}

pub(super) async fn stat(call: Call, id: &str) -> Outcome {
    let stat = call.engine().archive_stat(id, path(&call)?).await?;
    with_stat(reply::empty(StatusCode::OK), stat)
}

pub(super) async fn get(call: Call, id: &str) -> Outcome {
    let (stat, stream) = call.engine().archive_get(id, path(&call)?).await?;
    let kind = HeaderValue::from_static("application/x-tar");
    let reply = reply::with_type(StatusCode::OK, kind, reply::stream(stream));
    with_stat(reply, stat)
}

pub(super) async fn put(call: Call, id: &str) -> Outcome {
    let path = path(&call)?.to_owned();
    let options = PutOptions {
        no_overwrite_dir_non_dir: call.query.flag("noOverwriteDirNonDir"),
        copy_uid_gid: call.query.flag("copyUIDGID"),
    };
    let engine = call.engine().clone();
    engine
        .archive_put(id, &path, options, call.source())
        .await?;
    Ok(reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_is_json_in_base_64() {
        let stat = PathStat {
            name: "put".into(),
            size: 3,
            mode: 0o644,
            mtime: 1_700_000_000_000_000_000,
            link_target: String::new(),
        };
        let reply = with_stat(reply::empty(StatusCode::OK), stat).unwrap();
        let header = reply.headers()["x-docker-container-path-stat"].as_bytes();
        assert_eq!(
            String::from_utf8(BASE64_STANDARD.decode(header).unwrap()).unwrap(),
            r#"{"name":"put","size":3,"mode":420,"mtime":"2023-11-14T22:13:20Z","linkTarget":""}"#
        );
    }
}
