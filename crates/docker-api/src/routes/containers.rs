//! Containers, from create to remove.

use hyper::{Method, StatusCode};
use wharf_engine::model::{ListOptions, RemoveOptions, StopOptions, Update, WaitCondition};

use super::{archive, attach, exec, logs, stats};
use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome, Writer};
use crate::request::create::{CreateBody, HostConfigBody, plain};
use crate::request::{filters, host, ports, spec, unsupported};
use crate::version::ApiVersion;
use crate::wire::container::{Change, Created, Pruned, Summary, Top, Updated, Waited};
use crate::wire::inspect::Inspect;

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("GET", ["json"]) => list(call).await,
        ("POST", ["create"]) => create(call).await,
        ("POST", ["prune"]) => prune(call).await,
        ("GET", [id, "json"]) => inspect(call, id).await,
        ("GET", [id, "top"]) => top(call, id).await,
        ("GET", [id, "logs"]) => logs::logs(call, id).await,
        ("GET", [id, "changes"]) => changes(call, id).await,
        ("GET", [id, "export"]) => export(call, id).await,
        ("GET", [id, "stats"]) => stats::stats(call, id).await,
        ("POST", [id, "resize"]) => resize(call, id).await,
        ("POST", [id, "start"]) => start(call, id).await,
        ("POST", [id, "stop"]) => stop(call, id).await,
        ("POST", [id, "restart"]) => restart(call, id).await,
        ("POST", [id, "kill"]) => kill(call, id).await,
        ("POST", [id, "update"]) => update(call, id).await,
        ("POST", [id, "rename"]) => rename(call, id).await,
        ("POST", [id, "pause"]) => {
            call.engine().pause(id).await?;
            reply::no_content()
        }
        ("POST", [id, "unpause"]) => {
            call.engine().unpause(id).await?;
            reply::no_content()
        }
        ("POST", [id, "attach"]) => attach::attach(call, id).await,
        ("GET", [id, "attach", "ws"]) => attach::websocket(call, id).await,
        ("POST", [id, "wait"]) => wait(call, id).await,
        ("POST", [id, "exec"]) => exec::create(call, id).await,
        ("DELETE", [id]) => remove(call, id).await,
        ("HEAD", [id, "archive"]) => archive::stat(call, id).await,
        ("GET", [id, "archive"]) => archive::get(call, id).await,
        ("PUT", [id, "archive"]) => archive::put(call, id).await,
        (_, [_, "checkpoints", ..]) => Err(ApiError::missing("checkpointing a container")),
        _ => Err(ApiError::page_not_found()),
    }
}

async fn list(call: Call) -> Outcome {
    let mut filters = filters::read(&call.query)?;
    // Before there were filters of these names, there were parameters.
    for name in ["since", "before"] {
        if let Some(value) = call.query.some(name) {
            filters.entry(name.into()).or_default().push(value.into());
        }
    }
    let limit = call.query.number("limit")?;
    let options = ListOptions {
        all: call.query.flag("all"),
        limit: limit
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0),
        size: call.query.flag("size"),
        filters,
    };
    let containers = call.engine().list(options).await?;
    let lines: Vec<Summary> = containers
        .into_iter()
        .map(|container| Summary::of(container, call.version))
        .collect();
    reply::ok(&lines)
}

async fn create(mut call: Call) -> Outcome {
    let body: CreateBody = call.json().await?;
    let cgroup_version = if call.version.before(41) {
        call.engine().info().await?.cgroup_version
    } else {
        2
    };
    let on = spec::Host { cgroup_version };
    let (request, warnings) = spec::read(body, &call.query, call.version, on)?;
    let mut created = call.engine().create(request).await?;
    created.warnings.extend(warnings);
    reply::json(
        StatusCode::CREATED,
        &Created {
            id: created.id,
            warnings: created.warnings,
        },
    )
}

async fn prune(call: Call) -> Outcome {
    let report = call.engine().prune(filters::read(&call.query)?).await?;
    reply::ok(&Pruned {
        containers_deleted: (!report.deleted.is_empty()).then_some(report.deleted),
        space_reclaimed: report.reclaimed,
    })
}

async fn inspect(call: Call, id: &str) -> Outcome {
    let view = call.engine().inspect(id, call.query.flag("size")).await?;
    reply::ok(&Inspect::of(view, call.version))
}

async fn top(call: Call, id: &str) -> Outcome {
    let top = call.engine().top(id, call.query.get("ps_args")).await?;
    reply::ok(&Top {
        processes: top.processes,
        titles: top.titles,
    })
}

async fn changes(call: Call, id: &str) -> Outcome {
    let changes: Vec<Change> = call
        .engine()
        .changes(id)
        .await?
        .into_iter()
        .map(|change| Change {
            kind: change.kind as u8,
            path: change.path,
        })
        .collect();
    // Go prints a list that nothing was added to as null, and clients read both.
    reply::ok(&(!changes.is_empty()).then_some(changes))
}

async fn export(call: Call, id: &str) -> Outcome {
    let stream = call.engine().export(id).await?;
    let kind = hyper::header::HeaderValue::from_static("application/octet-stream");
    Ok(reply::with_type(
        StatusCode::OK,
        kind,
        reply::stream(stream),
    ))
}

async fn resize(call: Call, id: &str) -> Outcome {
    let height = call.query.side("h", "height")?;
    let width = call.query.side("w", "width")?;
    call.engine().resize(id, height, width).await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn start(call: Call, id: &str) -> Outcome {
    // A body that means something is longer than this; `{}` and `null` were always let through.
    if call.body_length().is_none_or(|length| length > 7) {
        return Err(ApiError::bad_request(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    if call.query.some("checkpoint").is_some() {
        return Err(ApiError::missing("starting from a checkpoint"));
    }
    call.engine().start(id).await?;
    reply::no_content()
}

fn stop_options(call: &Call) -> Result<StopOptions, ApiError> {
    let signal = call
        .query
        .some("signal")
        .filter(|_| call.version.at_least(42));
    Ok(StopOptions {
        signal: signal.map(str::to_owned),
        timeout: call.query.number("t")?,
    })
}

async fn stop(call: Call, id: &str) -> Outcome {
    call.engine().stop(id, stop_options(&call)?).await?;
    reply::no_content()
}

async fn restart(call: Call, id: &str) -> Outcome {
    call.engine().restart(id, stop_options(&call)?).await?;
    reply::no_content()
}

async fn kill(call: Call, id: &str) -> Outcome {
    call.engine()
        .kill(id, call.query.get("signal"))
        .await
        .map_err(|error| {
            ApiError::from(error).context(format_args!("cannot kill container: {id}"))
        })?;
    reply::no_content()
}

async fn update(mut call: Call, id: &str) -> Outcome {
    let body: HostConfigBody = call.json_or_default().await?;
    unsupported::check_update(&body)?;
    let mut resources = host::resources(&body);
    // Unlike in a create, 0 and below are a change: to no limit.
    resources.pids_limit = body
        .pids_limit
        .filter(|_| call.version.at_least(40))
        .map(|limit| limit.max(0));
    let typed = |list: &[String]| {
        let specs: Result<Vec<_>, ApiError> = list.iter().map(|text| ports::typed(text)).collect();
        specs
    };
    let update = Update {
        resources,
        publish_add: typed(&body.publish_add)?,
        publish_remove: typed(&body.publish_remove)?,
        endpoint_options: body
            .endpoint_options
            .into_iter()
            .map(|(network, options)| (network, plain(options)))
            .collect(),
    };
    let warnings = call.engine().update(id, update).await?;
    reply::ok(&Updated {
        warnings: (!warnings.is_empty()).then_some(warnings),
    })
}

async fn rename(call: Call, id: &str) -> Outcome {
    call.engine().rename(id, call.query.get("name")).await?;
    reply::no_content()
}

async fn remove(call: Call, id: &str) -> Outcome {
    let options = RemoveOptions {
        force: call.query.flag("force"),
        volumes: call.query.flag("v"),
        link: call.query.flag("link"),
    };
    call.engine().remove(id, options).await?;
    reply::no_content()
}

/// The condition, and whether a failed removal is answered by silence (before 1.34).
fn condition(text: &str, version: ApiVersion) -> Result<(WaitCondition, bool), ApiError> {
    // Before 1.30 there was one condition.
    if version.before(30) {
        return Ok((WaitCondition::NotRunning, false));
    }
    match text {
        "" | "not-running" => Ok((WaitCondition::NotRunning, false)),
        "next-exit" => Ok((WaitCondition::NextExit, false)),
        "removed" => Ok((WaitCondition::Removed, version.before(34))),
        other => Err(ApiError::bad_request(format!(
            "invalid condition: {other:?}"
        ))),
    }
}

/// The head goes out as soon as the wait is registered: clients start the container only then.
async fn wait(call: Call, id: &str) -> Outcome {
    let (condition, silent) = condition(call.query.get("condition"), call.version)?;
    let handle = call.engine().wait(id, condition).await?;
    if call.version.before(30) {
        return reply::ok(&Waited::from(handle.finished().await));
    }
    let body = reply::written(async move |writer: Writer| {
        let result = tokio::select! {
            result = handle.finished() => result,
            () = writer.gone() => return,
        };
        if silent && result.error.is_some() {
            return;
        }
        let _ = writer.line(&Waited::from(result)).await;
    });
    Ok(reply::with_type(StatusCode::OK, reply::JSON, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_came_with_1_30() {
        let read = |text, version| condition(text, ApiVersion::v1(version));
        assert_eq!(read("", 30).unwrap().0, WaitCondition::NotRunning);
        assert_eq!(read("next-exit", 30).unwrap().0, WaitCondition::NextExit);
        assert_eq!(read("next-exit", 29).unwrap().0, WaitCondition::NotRunning);
        assert_eq!(read("removed", 33).unwrap(), (WaitCondition::Removed, true));
        assert_eq!(
            read("removed", 34).unwrap(),
            (WaitCondition::Removed, false)
        );
        assert_eq!(
            read("bored", 30).unwrap_err().message,
            "invalid condition: \"bored\""
        );
    }
}
