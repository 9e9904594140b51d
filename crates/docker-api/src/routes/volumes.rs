//! Volumes.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use wharf_engine::model::VolumeCreate;

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome};
use crate::request::create::{Text, plain};
use crate::request::filters;
use crate::request::lenient::lenient;
use crate::wire::volume::{Pruned, Volume, Volumes};

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("GET", []) => list(call).await,
        ("POST", ["create"]) => create(call).await,
        ("POST", ["prune"]) => prune(call).await,
        ("GET", [name]) => {
            let volume = call.engine().volume_inspect(name).await?;
            reply::ok(&Volume::from(volume))
        }
        ("PUT", [_]) => Err(ApiError::no_swarm()),
        ("DELETE", [name]) => {
            let force = call.query.flag("force");
            call.engine().volume_remove(name, force).await?;
            reply::no_content()
        }
        _ => Err(ApiError::page_not_found()),
    }
}

lenient! {
    struct CreateBody {
        name: String = "Name",
        driver: String = "Driver",
        driver_options: BTreeMap<String, Text> = "DriverOpts",
        labels: BTreeMap<String, Text> = "Labels",
        cluster: Option<crate::request::create::Ignored> = "ClusterVolumeSpec",
    }
}

async fn list(call: Call) -> Outcome {
    let volumes = call
        .engine()
        .volume_list(filters::read(&call.query)?)
        .await?;
    reply::ok(&Volumes {
        volumes: volumes.into_iter().map(Volume::from).collect(),
        warnings: (),
    })
}

async fn create(mut call: Call) -> Outcome {
    let body: CreateBody = call.json_or_default().await?;
    if body.cluster.is_some() && call.version.at_least(42) {
        return Err(ApiError::no_swarm());
    }
    let volume = call
        .engine()
        .volume_create(VolumeCreate {
            name: body.name,
            driver: body.driver,
            options: plain(body.driver_options),
            labels: plain(body.labels),
        })
        .await?;
    reply::json(StatusCode::CREATED, &Volume::from(volume))
}

async fn prune(call: Call) -> Outcome {
    let mut filters = filters::read(&call.query)?;
    // Until 1.41 a prune took the named ones, too; `all` came with 1.42.
    if call.version.before(42) {
        filters.insert("all".into(), vec!["true".into()]);
    }
    let report = call.engine().volume_prune(filters).await?;
    reply::ok(&Pruned {
        volumes_deleted: report.deleted,
        space_reclaimed: report.reclaimed,
    })
}
