//! Containers for unit tests, without a task behind them.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use wharf_images::ImageId;
use wharf_store::Digest;

use super::record::{Paths, Record};
use super::registry::Container;
use super::snapshot::Snapshot;
use crate::model::{ContainerSpec, ContainerState};

/// A snapshot of a container that was just created.
pub(crate) fn snapshot(id: &str, name: &str) -> Snapshot {
    Snapshot {
        record: Arc::new(Record {
            id: id.to_owned(),
            name: name.to_owned(),
            created: 0,
            image: ImageId(Digest::of(b"image")),
            manifest: None,
            layers: Vec::new(),
            spec: ContainerSpec {
                image: "busybox".to_owned(),
                cmd: Some(vec!["sh".to_owned()]),
                ..ContainerSpec::default()
            },
            mounts: Vec::new(),
        }),
        state: ContainerState::default(),
        paths: Arc::new(Paths::new(Path::new("/data"), Path::new("/exec"), id)),
        ends: 0,
        gone: false,
    }
}

/// A handle to nobody.
pub(crate) fn container(id: &str, name: &str) -> Container {
    let (commands, _) = mpsc::channel(1);
    let (_, snapshots) = watch::channel(Arc::new(snapshot(id, name)));
    Container {
        commands,
        snapshots,
    }
}
