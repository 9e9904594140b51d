//! Networks: the three that are always there.

use hyper::Method;
use serde::Serialize;

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome};
use crate::request::filters;
use crate::wire::network::{Detail, Network};

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("GET", []) => list(call).await,
        ("POST", ["create"]) => Err(ApiError::missing("creating a network")),
        ("POST", ["prune"]) => prune(&call),
        ("GET", [id]) => {
            let network = call.engine().network_inspect(id).await?;
            reply::ok(&Network::of(network, Detail::Inspect, call.version))
        }
        ("DELETE", [id]) => {
            let network = call.engine().network_inspect(id).await?;
            Err(ApiError::forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                network.name
            )))
        }
        ("POST", [_, "connect"]) => Err(ApiError::missing("connecting a container to a network")),
        ("POST", [_, "disconnect"]) => Err(ApiError::missing(
            "disconnecting a container from a network",
        )),
        _ => Err(ApiError::page_not_found()),
    }
}

async fn list(call: Call) -> Outcome {
    let networks = call
        .engine()
        .network_list(filters::read(&call.query)?)
        .await?;
    let networks: Vec<Network> = networks
        .into_iter()
        .map(|network| Network::of(network, Detail::List, call.version))
        .collect();
    reply::ok(&networks)
}

/// The predefined ones are never pruned, and there are no others.
fn prune(call: &Call) -> Outcome {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Pruned {
        networks_deleted: (),
    }
    filters::read(&call.query)?;
    reply::ok(&Pruned {
        networks_deleted: (),
    })
}
