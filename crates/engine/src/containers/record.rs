//! What is stored of a container.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wharf_images::ImageId;
use wharf_store::{Batch, DiffId, Digest};

use crate::events;
use crate::model::{ContainerSpec, ContainerState, Event, MountPoint};
use crate::mounts::Mount;
use crate::oci::Command;

/// Kind of the documents; the key is the id.
pub(crate) const KIND: &str = "container";

/// The half of a container that changes only on request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// Without slash.
    pub(crate) name: String,
    /// Nanoseconds since 1970.
    pub(crate) created: i64,
    /// The image it was made from.
    pub(crate) image: ImageId,
    /// The manifest that image came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<Digest>,
    /// The image's layers, bottom first: kept from collection by this record, also when the
    /// image is removed by force.
    pub(crate) layers: Vec<DiffId>,
    /// As created or updated.
    pub(crate) spec: ContainerSpec,
    /// Resolved binds, volumes and structured tmpfs mounts.
    pub(crate) mounts: Vec<Mount>,
}

/// A document: a record and its last known state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) record: Record,
    pub(super) state: ContainerState,
}

/// For writing, without a copy.
#[derive(Serialize)]
struct DocumentRef<'a> {
    record: &'a Record,
    state: &'a ContainerState,
}

impl Record {
    /// Adds the document to a change.
    pub(super) fn put(&self, batch: &mut Batch, state: &ContainerState) {
        batch.put(
            KIND,
            &self.id,
            &DocumentRef {
                record: self,
                state,
            },
        );
    }

    /// What is run.
    pub(crate) fn command(&self) -> Command {
        Command::of(&self.spec)
    }

    /// The host name inside, unless it is the host's.
    pub(crate) fn hostname(&self) -> String {
        if self.spec.hostname.is_empty() {
            self.short_id().to_owned()
        } else {
            self.spec.hostname.clone()
        }
    }

    /// The twelve digits that people see.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// An event about it, with the attributes that every such event has.
    pub(crate) fn event<const N: usize>(
        &self,
        action: impl Into<String>,
        more: [(&str, String); N],
    ) -> Event {
        let own = [
            ("image".to_owned(), self.spec.image.clone()),
            ("name".to_owned(), self.name.clone()),
        ];
        let labels = self.spec.labels.clone().into_iter();
        let more = more.into_iter().map(|(key, value)| (key.to_owned(), value));
        events::event("container", action, &self.id, labels.chain(own).chain(more))
    }

    /// The mounts as `inspect` and `ps` show them.
    pub(crate) fn mount_points(&self) -> Vec<MountPoint> {
        self.mounts
            .iter()
            .map(|mount| mount.point.clone())
            .collect()
    }

    /// Names of the volumes it mounts.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts
            .iter()
            .filter(|mount| mount.point.kind == "volume")
            .map(|mount| mount.point.name.as_str())
    }
}

/// Where a container's things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    /// `<data-root>/containers/<id>`
    pub(crate) data: PathBuf,
    /// `<exec-root>/containers/<id>`: the shim's socket and exit record.
    pub(crate) exec: PathBuf,
}

impl Paths {
    /// Of the container with that id.
    pub(crate) fn new(data_root: &Path, exec_root: &Path, id: &str) -> Paths {
        Paths {
            data: data_root.join("containers").join(id),
            exec: exec_root.join("containers").join(id),
        }
    }

    /// Where its changes go.
    pub(crate) fn upper(&self) -> PathBuf {
        self.data.join("upper")
    }

    /// The overlay's scratch directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.data.join("work")
    }

    /// The directory of its log.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.data.join("log")
    }

    /// Its log.
    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.log_dir().join(format!("{id}-json.log"))
    }

    /// The engine's files in its `/etc`.
    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }
}
