//! Further processes in a container.

use hyper::{Method, StatusCode};
use serde::Serialize;
use wharf_engine::Engine;
use wharf_engine::model::{ExecSpec, ExecStart, ExecView};

use crate::call::Call;
use crate::error::ApiError;
use crate::hijack::{self, Session};
use crate::reply::{self, Outcome};
use crate::request::host::console_size;
use crate::request::lenient::{self, Words, lenient};
use crate::version::ApiVersion;
use crate::wire::container::Id;

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("POST", [id, "start"]) => start(call, id).await,
        ("POST", [id, "resize"]) => resize(call, id).await,
        ("GET", [id, "json"]) => inspect(call, id).await,
        _ => Err(ApiError::page_not_found()),
    }
}

lenient! {
    struct CreateBody {
        user: String = "User",
        privileged: bool = "Privileged",
        tty: bool = "Tty",
        console_size: Vec<u32> = "ConsoleSize",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        detach_keys: String = "DetachKeys",
        env: Vec<String> = "Env",
        working_dir: String = "WorkingDir",
        cmd: Words = "Cmd",
    }

    pub(super) struct StartBody {
        detach: bool = "Detach",
        tty: bool = "Tty",
        console_size: Vec<u32> = "ConsoleSize",
    }
}

fn size(given: &[u32], version: ApiVersion) -> Option<(u16, u16)> {
    Some(console_size(given, version)).filter(|size| *size != (0, 0))
}

/// `POST /containers/{id}/exec`
pub(super) async fn create(mut call: Call, container: &str) -> Outcome {
    let body: CreateBody = call.json_or_default().await?;
    let cmd = body.cmd.0.unwrap_or_default();
    if cmd.is_empty() {
        return Err(ApiError::bad_request("No exec command specified"));
    }
    let spec = ExecSpec {
        cmd,
        env: body.env,
        user: body.user,
        working_dir: body.working_dir,
        tty: body.tty,
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        privileged: body.privileged,
        detach_keys: body.detach_keys,
        console_size: size(&body.console_size, call.version),
    };
    let id = call.engine().exec_create(container, spec).await?;
    reply::json(StatusCode::CREATED, &Id { id })
}

/// The body of a start, which may be missing.
pub(super) fn start_body(bytes: &[u8]) -> Result<StartBody, ApiError> {
    if bytes.is_empty() {
        return Ok(StartBody::default());
    }
    lenient::from_slice(bytes)
}

/// Starts a detached exec at once; gives the streams of any other, which starts when they flow.
pub(super) async fn session(
    engine: &Engine,
    id: &str,
    body: StartBody,
    version: ApiVersion,
) -> Result<Option<Session>, ApiError> {
    // What does not exist is 404; everything later is said in the stream.
    let exec = engine.exec_inspect(id).await?;
    let start = ExecStart {
        detach: body.detach,
        tty: body.tty,
        console_size: size(&body.console_size, version).filter(|_| body.tty),
    };
    if body.detach {
        engine.exec_start(&exec.id, start).await?;
        return Ok(None);
    }
    let engine = engine.clone();
    Ok(Some(Session::starting(body.tty, async move {
        match engine.exec_start(&exec.id, start).await? {
            Some(attachment) => Ok(attachment),
            None => Err(ApiError::internal("the exec has no streams")),
        }
    })))
}

async fn start(mut call: Call, id: &str) -> Outcome {
    let body: StartBody = call.json_or_default().await?;
    match session(call.engine(), id, body, call.version).await? {
        Some(session) => Ok(hijack::answer(session, call.upgrade, call.version)),
        None => Ok(reply::empty(StatusCode::OK)),
    }
}

async fn resize(call: Call, id: &str) -> Outcome {
    let height = call.query.side("h", "height")?;
    let width = call.query.side("w", "width")?;
    call.engine().exec_resize(id, height, width).await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn inspect(call: Call, id: &str) -> Outcome {
    reply::ok(&Inspect::from(call.engine().exec_inspect(id).await?))
}

/// `GET /exec/{id}/json`
#[derive(Debug, Serialize)]
struct Inspect {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Running")]
    running: bool,
    #[serde(rename = "ExitCode")]
    exit_code: Option<i32>,
    #[serde(rename = "ProcessConfig")]
    process: Process,
    #[serde(rename = "OpenStdin")]
    open_stdin: bool,
    #[serde(rename = "OpenStderr")]
    open_stderr: bool,
    #[serde(rename = "OpenStdout")]
    open_stdout: bool,
    #[serde(rename = "CanRemove")]
    can_remove: bool,
    #[serde(rename = "ContainerID")]
    container: String,
    /// Base 64 of the keys' bytes; clients do not look at it.
    #[serde(rename = "DetachKeys")]
    detach_keys: &'static str,
    #[serde(rename = "Pid")]
    pid: i32,
}

/// In lower case, alone among all of the API.
#[derive(Debug, Serialize)]
struct Process {
    tty: bool,
    entrypoint: String,
    arguments: Vec<String>,
    privileged: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
}

impl From<ExecView> for Inspect {
    fn from(from: ExecView) -> Self {
        let mut words = from.spec.cmd.into_iter();
        Self {
            id: from.id,
            running: from.running,
            exit_code: from.exit_code,
            process: Process {
                tty: from.spec.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: words.collect(),
                privileged: from.spec.privileged,
                user: from.spec.user,
            },
            open_stdin: from.spec.attach_stdin,
            open_stderr: from.spec.attach_stderr,
            open_stdout: from.spec.attach_stdout,
            can_remove: !from.running && from.exit_code.is_some(),
            container: from.container_id,
            detach_keys: "",
            pid: from.pid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exec_prints_as_dockerd_prints_it() {
        let view = ExecView {
            id: "e".into(),
            container_id: "c".into(),
            spec: ExecSpec {
                cmd: vec!["sh".into(), "-c".into(), "true".into()],
                attach_stdout: true,
                ..ExecSpec::default()
            },
            running: false,
            pid: 7,
            exit_code: Some(0),
        };
        assert_eq!(
            serde_json::to_string(&Inspect::from(view)).unwrap(),
            r#"{"ID":"e","Running":false,"ExitCode":0,"ProcessConfig":{"tty":false,"entrypoint":"sh","arguments":["-c","true"],"privileged":false},"OpenStdin":false,"OpenStderr":false,"OpenStdout":true,"CanRemove":true,"ContainerID":"c","DetachKeys":"","Pid":7}"#
        );
    }

    #[test]
    fn a_size_is_known_since_1_42() {
        assert_eq!(size(&[24, 80], ApiVersion::v1(42)), Some((24, 80)));
        assert_eq!(size(&[24, 80], ApiVersion::v1(41)), None);
        assert_eq!(size(&[], ApiVersion::v1(42)), None);
    }

    #[test]
    fn a_start_without_a_body_is_an_attached_one() {
        assert!(!start_body(b"").unwrap().detach);
        assert!(start_body(br#"{"Detach":true}"#).unwrap().detach);
        assert_eq!(start_body(b"x").unwrap_err().status, 400);
    }
}
