//! Further processes in running containers.
//!
//! ```text
//!   exec_create --> Created --exec_start--> Starting --shim--> Running --shim--> Ended
//!                                               +------- not executable ----------^ 126, 127
//! ```
//! The shim makes the process and reaps it. Its end is heard twice, on its own streams and on the
//! watch of the container's task, in any order; the first report counts.

mod table;

use std::sync::Arc;

use wharf_runtime::shim::Size;
use wharf_runtime::shim::proto::Streams;

use crate::attach::{Client, DetachKeys};
use crate::blocking::{blocking, to_the_end};
use crate::containers::{Snapshot, links, not_running, user};
use crate::model::{Attachment, ExecSpec, ExecStart, ExecView};
use crate::oci;
use crate::shim::{self, ExecRequest};
use crate::{Engine, Error, Result, ids};

pub(crate) use table::Execs;

impl Engine {
    /// Registers an exec; gives its id.
    pub async fn exec_create(&self, container: &str, spec: ExecSpec) -> Result<String> {
        let snapshot = self.0.containers.resolve(container)?;
        must_run(&snapshot)?;
        if spec.cmd.is_empty() {
            return Err(Error::InvalidArgument(
                "No exec command specified".to_owned(),
            ));
        }
        if !spec.working_dir.is_empty() && !spec.working_dir.starts_with('/') {
            return Err(Error::InvalidArgument(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                spec.working_dir
            )));
        }
        DetachKeys::parse(&spec.detach_keys)?;
        let id = ids::generate();
        let action = format!("exec_create: {}", spec.cmd.join(" "));
        self.0.execs.add(&id, snapshot.id(), spec)?;
        let event = snapshot.record.event(action, [("execID", id.clone())]);
        self.0.emit(event).await;
        Ok(id)
    }

    /// Runs it; with streams unless detached.
    pub async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        let (container, mut spec) = self.0.execs.get(exec)?;
        let snapshot = self.0.containers.resolve(&container)?;
        must_run(&snapshot)?;
        spec.console_size = start.console_size.or(spec.console_size);
        self.0.execs.begin(exec)?;
        let engine = self.clone();
        let id = exec.to_owned();
        to_the_end(async move {
            let result = launch(&engine, &id, &snapshot, spec, start.detach).await;
            if let Err(error) = &result {
                let code = match error {
                    Error::Start { exit_code, .. } => *exit_code,
                    _ => 126,
                };
                report_end(&engine, &snapshot, &id, code).await;
            }
            result
        })
        .await
    }

    /// Tells its terminal the size.
    pub async fn exec_resize(&self, exec: &str, height: u16, width: u16) -> Result<()> {
        let view = self.0.execs.view(exec)?;
        if !view.running {
            return Err(Error::Conflict(format!(
                "Exec command {exec} is not running"
            )));
        }
        let snapshot = self.0.containers.resolve(&view.container_id)?;
        shim::resize(&snapshot.paths.exec, Some(exec.to_owned()), height, width).await
    }

    /// Looks at it.
    pub async fn exec_inspect(&self, exec: &str) -> Result<ExecView> {
        self.0.execs.view(exec)
    }
}

fn must_run(snapshot: &Snapshot) -> Result<()> {
    if !snapshot.is_running() {
        return Err(not_running(snapshot.id()));
    }
    if snapshot.is_paused() {
        return Err(Error::Conflict(format!(
            "Container {} is paused, unpause the container before exec",
            snapshot.id()
        )));
    }
    Ok(())
}

async fn launch(
    engine: &Engine,
    id: &str,
    snapshot: &Arc<Snapshot>,
    spec: ExecSpec,
    detach: bool,
) -> Result<Option<Attachment>> {
    let streams = Streams {
        stdin: spec.attach_stdin && !detach,
        stdout: spec.attach_stdout && !detach,
        stderr: spec.attach_stderr && !detach,
    };
    let terminal = spec.tty.then(|| {
        let (rows, columns) = spec.console_size.unwrap_or_default();
        Size { rows, columns }
    });
    let keys = DetachKeys::parse(&spec.detach_keys)?;
    let tty = spec.tty;
    let started = format!("exec_start: {}", spec.cmd.join(" "));
    let (preparing, of) = (engine.clone(), Arc::clone(snapshot));
    let process = blocking(move || {
        let record = &of.record;
        let wanted = if spec.user.is_empty() {
            &record.spec.user
        } else {
            &spec.user
        };
        let user = user::resolve(&preparing, &of, wanted)?;
        // A linked container that has stopped is no reason to keep somebody out of this one.
        let linked = links::resolve(&preparing, &of).unwrap_or_default();
        let with_links = links::specification(&of, &linked);
        Ok(oci::exec_process(
            with_links.as_ref().unwrap_or(&record.spec),
            &record.hostname(),
            &spec,
            &user,
            &preparing.0.host.defaults,
        ))
    })
    .await?;
    let request = ExecRequest {
        id: id.to_owned(),
        process,
        terminal,
        streams,
    };
    let event = snapshot.record.event(started, [("execID", id.to_owned())]);
    engine.0.emit(event).await;
    let execed = match shim::exec(&snapshot.paths.exec, request).await? {
        Ok(execed) => execed,
        Err(not_started) => {
            // Paused, or ended, since that was looked at.
            must_run(engine.0.containers.resolve(snapshot.id())?.as_ref())?;
            return Err(Error::Start {
                message: format!(
                    "OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
                    not_started.message
                ),
                exit_code: not_started.exit_code,
            });
        }
    };
    engine.0.execs.started(id, execed.pid);
    for warning in &execed.warnings {
        tracing::debug!(exec = id, warning, "a limit of an exec was not set");
    }
    if !streams.any() {
        return Ok(None);
    }
    let detached = snapshot
        .record
        .event("exec_detach", [("execID", id.to_owned())]);
    let (client, attachment) =
        Client::with_streams(engine, streams, streams.stdin, tty, keys, detached);
    let (engine, snapshot, id) = (engine.clone(), Arc::clone(snapshot), id.to_owned());
    tokio::spawn(async move {
        client
            .pump(execed.streams, async move |code| {
                if let Some(code) = code {
                    report_end(&engine, &snapshot, &id, code).await;
                }
            })
            .await;
    });
    Ok(Some(attachment))
}

/// Records the end of an exec and tells of it, once.
pub(crate) async fn report_end(engine: &Engine, snapshot: &Snapshot, id: &str, code: i32) {
    if !engine.0.execs.ended(id, code) {
        return;
    }
    let event = snapshot.record.event(
        "exec_die",
        [("execID", id.to_owned()), ("exitCode", code.to_string())],
    );
    engine.0.emit(event).await;
}
