//! The predefined networks. Others come with the networking issue.

use crate::containers::missing;
use crate::model::{Filters, Network};
use crate::{Engine, Result};

impl Engine {
    /// `bridge`, `host` and `none`, as far as the filters let them through.
    pub async fn network_list(&self, _filters: Filters) -> Result<Vec<Network>> {
        missing("network_list")
    }

    /// One of them, by name, id or prefix of an id, with the running containers on it.
    pub async fn network_inspect(&self, _network: &str) -> Result<Network> {
        missing("network_inspect")
    }
}
