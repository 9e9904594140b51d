//! Who runs in a container: names looked up in the container's own tree.

use super::snapshot::Snapshot;
use crate::oci::ProcessUser;
use crate::{Engine, Error, Result};

/// `user[:group]` and the container's additional groups. Blocks.
pub(crate) fn resolve(engine: &Engine, snapshot: &Snapshot, wanted: &str) -> Result<ProcessUser> {
    let root = engine.rootfs(snapshot)?;
    let groups = &snapshot.record.spec.host.group_add;
    let user = wharf_runtime::user::resolve(&root, wanted, groups)
        .map_err(|error| Error::InvalidArgument(error.to_string()))?;
    Ok(ProcessUser {
        uid: user.uid,
        gid: user.gid,
        additional_gids: user.additional_gids,
        // What the C library and runc take for who has none.
        home: user.home.unwrap_or_else(|| "/".to_owned()),
    })
}
