//! Networks.

use hyper::{Method, StatusCode};

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome};
use crate::request::filters;
use crate::request::networking::{self, ConnectBody, DisconnectBody, NetworkCreateBody};
use crate::wire::network::{Created, Detail, Network, Pruned};

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    match (method.as_str(), segments) {
        ("GET", []) => list(call).await,
        ("POST", ["create"]) => create(call).await,
        ("POST", ["prune"]) => prune(call).await,
        ("GET", [id]) => inspect(call, id).await,
        ("DELETE", [id]) => {
            call.engine().network_remove(id).await?;
            reply::no_content()
        }
        ("POST", [id, "connect"]) => connect(call, id).await,
        ("POST", [id, "disconnect"]) => disconnect(call, id).await,
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

async fn inspect(call: Call, id: &str) -> Outcome {
    // A scope that has no networks finds none.
    if call
        .query
        .some("scope")
        .is_some_and(|scope| scope != "local")
    {
        return Err(ApiError::not_found(format!("network {id} not found")));
    }
    let network = call.engine().network_inspect(id).await?;
    reply::ok(&Network::of(network, Detail::Inspect, call.version))
}

async fn create(mut call: Call) -> Outcome {
    let body: NetworkCreateBody = call.json().await?;
    let created = call.engine().network_create(body.into()).await?;
    reply::json(
        StatusCode::CREATED,
        &Created {
            id: created.id,
            warning: created.warning,
        },
    )
}

async fn prune(call: Call) -> Outcome {
    let filters = filters::read(&call.query)?;
    let deleted = call.engine().network_prune(filters).await?;
    reply::ok(&Pruned {
        networks_deleted: (!deleted.is_empty()).then_some(deleted),
    })
}

async fn connect(mut call: Call, id: &str) -> Outcome {
    let body: ConnectBody = call.json().await?;
    let settings = networking::endpoint(&body.endpoint, call.version);
    call.engine()
        .network_connect(id, &body.container, settings)
        .await?;
    Ok(reply::empty(StatusCode::OK))
}

async fn disconnect(mut call: Call, id: &str) -> Outcome {
    let body: DisconnectBody = call.json().await?;
    call.engine()
        .network_disconnect(id, &body.container, body.force)
        .await?;
    Ok(reply::empty(StatusCode::OK))
}
