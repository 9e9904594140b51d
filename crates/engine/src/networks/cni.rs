//! Networks of CNI plugins' making.

use wharf_network::Netns;

use super::sandbox::{Seat, Who};
use crate::model::Endpoint;
use crate::{Error, Result};

fn missing() -> Error {
    Error::NotImplemented("networks of the driver cni are not supported yet".to_owned())
}

/// Has the plugins add a container.
pub(super) fn attach(config: &str, seat: &mut Seat, who: Who<'_>, namespace: &Netns) -> Result<()> {
    let _ = (config, seat, who, namespace);
    Err(missing())
}

/// Has them take it off.
pub(super) fn detach(
    config: &str,
    container: &str,
    endpoint: &Endpoint,
    namespace: Option<&Netns>,
) -> Result<()> {
    let _ = (config, container, endpoint, namespace);
    Ok(())
}
