//! Images.

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use wharf_engine::ProgressStream;
use wharf_engine::model::{
    CommitOptions, ImageImport, ImageListOptions, ImageRemoveOptions, ImportSource, ProgressLine,
};
use wharf_images::{LoadOptions, Platform, RunConfig};

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome, Writer};
use crate::request::create::{CreateBody, plain};
use crate::request::{filters, reference, spec};
use crate::wire::container::Id;
use crate::wire::image::{self, Inspect, Listing, PruneReport, Step, Summary};
use crate::wire::progress::{self, Says};

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("GET", ["json"]) => list(call).await,
        ("POST", ["create"]) => create(call).await,
        ("POST", ["load"]) => load(call).await,
        ("POST", ["prune"]) => {
            let pruned = call
                .engine()
                .image_prune(filters::read(&call.query)?)
                .await?;
            reply::ok(&PruneReport::from(pruned))
        }
        ("GET", ["search"]) => Err(ApiError::missing("searching a registry")),
        ("GET", ["get"]) => {
            let names = call.query.all("names");
            save(call, names).await
        }
        ("GET", [name @ .., "get"]) => save(call, vec![name.join("/")]).await,
        ("GET", [name @ .., "json"]) => inspect(call, &name.join("/")).await,
        ("GET", [name @ .., "history"]) => history(call, &name.join("/")).await,
        ("GET", [.., "attestations"]) => Err(ApiError::missing("attestations of images")),
        ("POST", [.., "push"]) => Err(ApiError::missing("pushing images to a registry")),
        ("POST", [name @ .., "tag"]) => tag(call, &name.join("/")).await,
        ("DELETE", name) if !name.is_empty() => remove(call, &name.join("/")).await,
        _ => Err(ApiError::page_not_found()),
    }
}

async fn list(call: Call) -> Outcome {
    let mut filters = filters::read(&call.query)?;
    // Until 1.24 there was a parameter in place of the filter.
    if let Some(pattern) = call.query.some("filter")
        && call.version.before(25)
    {
        filters
            .entry("reference".into())
            .or_insert_with(|| vec![pattern.into()]);
    }
    let options = ImageListOptions {
        all: call.query.flag("all"),
        shared_size: call.query.flag("shared-size") && call.version.at_least(42),
        filters,
    };
    let images = call.engine().image_list(options).await?;
    let lines: Vec<Summary> = images
        .into_iter()
        .map(|image| Summary::of(image, Listing::Images, call.version))
        .collect();
    reply::ok(&lines)
}

/// Pull and import share a path.
async fn create(call: Call) -> Outcome {
    if call.query.some("fromImage").is_some() {
        return Err(ApiError::missing(
            "pulling images from a registry (load or import them)",
        ));
    }
    let origin = call.query.get("fromSrc").to_owned();
    let message = match call.query.some("message") {
        Some(message) => message.to_owned(),
        None => format!("Imported from {origin}"),
    };
    let name = reference::repo_tag(&call.query)?;
    let platform = if call.version.at_least(32) {
        reference::typed_platform(&call.query, "platform")?
    } else {
        None
    };
    let changes = call.query.all("changes");
    let engine = call.engine().clone();
    let source = match origin.as_str() {
        "-" => ImportSource::Body(call.source()),
        "" => return Err(ApiError::bad_request("fromImage or fromSrc must be given")),
        url if url.contains("://") => ImportSource::Url(url.into()),
        host => ImportSource::Url(format!("http://{host}")),
    };
    let lines = engine
        .image_import(ImageImport {
            source,
            name,
            changes,
            message,
            platform,
        })
        .await?;
    told(lines, Says::Status, Quiet::No).await
}

async fn load(call: Call) -> Outcome {
    let platforms = save_platforms(&call)?;
    let quiet = if call.query.flag_unless_absent("quiet") {
        Quiet::Yes
    } else {
        Quiet::No
    };
    let engine = call.engine().clone();
    let lines = engine
        .image_load(call.source(), LoadOptions { platforms })
        .await?;
    Ok(telling(lines, None, Says::Stream, quiet))
}

/// Whether steps are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    Yes,
    No,
}

/// Like [`telling`], but an error that comes first is an answer of its own.
async fn told(mut lines: ProgressStream, says: Says, quiet: Quiet) -> Outcome {
    let first = lines.recv().await.transpose()?;
    Ok(telling(lines, first, says, quiet))
}

/// The lines as they come. An error is one of them: the status is out by then.
fn telling(
    mut lines: ProgressStream,
    first: Option<ProgressLine>,
    says: Says,
    quiet: Quiet,
) -> reply::Reply {
    let body = reply::written(async move |writer: Writer| {
        let mut next = first.map(Ok);
        loop {
            let line = match next.take() {
                Some(line) => line,
                None => match lines.recv().await {
                    Some(line) => line,
                    None => return,
                },
            };
            let bytes = match &line {
                Ok(ProgressLine::Step { .. }) if quiet == Quiet::Yes => continue,
                Ok(line) => progress::encode(line, says),
                Err(error) => progress::error(&error.to_string()),
            };
            if writer.bytes(bytes).await.is_err() {
                return;
            }
        }
    });
    reply::with_type(StatusCode::OK, reply::JSON, body)
}

/// `platform` of load and save: known since 1.48, several since 1.52.
fn save_platforms(call: &Call) -> Result<Vec<Platform>, ApiError> {
    if call.version.before(48) {
        return Ok(Vec::new());
    }
    let platforms = reference::platforms(&call.query, "platform")?;
    if platforms.len() > 1 && call.version.before(52) {
        return Err(ApiError::bad_request(
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later",
        ));
    }
    Ok(platforms)
}

async fn save(call: Call, names: Vec<String>) -> Outcome {
    let mut platforms = save_platforms(&call)?;
    if platforms.len() > 1 {
        return Err(ApiError::missing("saving for more than one platform"));
    }
    let stream = call.engine().image_save(names, platforms.pop()).await?;
    let kind = HeaderValue::from_static("application/x-tar");
    Ok(reply::with_type(
        StatusCode::OK,
        kind,
        reply::stream(stream),
    ))
}

async fn inspect(call: Call, name: &str) -> Outcome {
    let platform = if call.version.at_least(49) {
        reference::one_platform(&call.query, "platform")?
    } else {
        None
    };
    if platform.is_some() && call.query.flag("manifests") {
        return Err(ApiError::bad_request(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let image = call.engine().image_inspect(name, platform).await?;
    reply::ok(&Inspect::of(&image, call.version))
}

async fn history(call: Call, name: &str) -> Outcome {
    let platform = if call.version.at_least(48) {
        reference::one_platform(&call.query, "platform")?
    } else {
        None
    };
    let steps = call.engine().image_history(name, platform).await?;
    let steps: Vec<Step> = steps.into_iter().map(Step::from).collect();
    reply::ok(&steps)
}

async fn tag(call: Call, name: &str) -> Outcome {
    let target = reference::repo_tag(&call.query)?
        .ok_or_else(|| ApiError::bad_request("invalid reference format"))?;
    if target.familiar_name() == "sha256" {
        return Err(ApiError::bad_request(
            "refusing to create an ambiguous tag using digest algorithm as name",
        ));
    }
    call.engine().image_tag(name, target).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

async fn remove(call: Call, name: &str) -> Outcome {
    if name.trim().is_empty() {
        return Err(ApiError::bad_request("image name cannot be blank"));
    }
    if call.version.at_least(50) && !reference::platforms(&call.query, "platforms")?.is_empty() {
        return Err(ApiError::missing("removing one platform of an image"));
    }
    let options = ImageRemoveOptions {
        force: call.query.flag("force"),
        no_prune: call.query.flag("noprune"),
    };
    let removed = call.engine().image_remove(name, options).await?;
    reply::ok(&image::removed(removed))
}

/// `POST /commit`
pub(super) async fn commit(mut call: Call) -> Outcome {
    let body: CreateBody = call.json_or_default().await?;
    let config = (body != CreateBody::default())
        .then(|| run_config(body))
        .transpose()?;
    let options = CommitOptions {
        name: reference::repo_tag(&call.query)?,
        author: call.query.get("author").into(),
        comment: call.query.get("comment").into(),
        pause: call.query.flag_unless_absent("pause"),
        changes: call.query.all("changes"),
        config,
    };
    let container = call.query.get("container");
    let id = call.engine().image_commit(container, options).await?;
    reply::json(StatusCode::CREATED, &Id { id: id.to_string() })
}

/// The part of a container's configuration that an image keeps.
fn run_config(body: CreateBody) -> Result<RunConfig, ApiError> {
    Ok(RunConfig {
        hostname: body.hostname,
        domainname: body.domainname,
        user: body.user,
        exposed_ports: spec::exposed_ports(body.exposed_ports.0)?
            .into_iter()
            .collect(),
        env: body.env,
        cmd: body.cmd.0,
        healthcheck: None,
        args_escaped: false,
        image: body.image,
        volumes: body.volumes.0.into_iter().collect(),
        working_dir: body.working_dir,
        entrypoint: body.entrypoint.0,
        on_build: body.on_build.unwrap_or_default(),
        labels: plain(body.labels),
        stop_signal: body.stop_signal,
        stop_timeout: body.stop_timeout,
        shell: body.shell.0.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use wharf_engine::Error;

    use super::*;

    fn lines(all: Vec<Result<ProgressLine, Error>>) -> ProgressStream {
        let (sender, receiver) = mpsc::channel(all.len());
        for line in all {
            sender.try_send(line).unwrap();
        }
        receiver
    }

    fn step() -> ProgressLine {
        ProgressLine::Step {
            id: "a".into(),
            action: "Loading".into(),
            current: 1,
            total: 2,
        }
    }

    #[tokio::test]
    async fn steps_are_left_out_when_quiet_and_errors_never() {
        let all = vec![
            Ok(step()),
            Ok(ProgressLine::Message("Loaded image: x\n".into())),
            Err(Error::Internal("cut off".into())),
        ];
        let reply = telling(lines(all), None, Says::Stream, Quiet::Yes);
        assert_eq!(
            reply::text(reply).await,
            "{\"stream\":\"Loaded image: x\\n\"}\r\n{\"errorDetail\":{\"message\":\"cut off\"},\"error\":\"cut off\"}\r\n"
        );
    }

    #[tokio::test]
    async fn an_import_that_fails_at_once_has_a_status() {
        let all = vec![Err(Error::InvalidArgument("no tar".into()))];
        let error = told(lines(all), Says::Status, Quiet::No).await.unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.message.as_str()),
            (400, "no tar")
        );
        let all = vec![Ok(ProgressLine::Message("sha256:1".into()))];
        let reply = told(lines(all), Says::Status, Quiet::No).await.unwrap();
        assert_eq!(reply::text(reply).await, "{\"status\":\"sha256:1\"}\r\n");
    }
}
