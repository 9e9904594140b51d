//! Volumes.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model;

use crate::time;

/// A volume. The keys are in the alphabetical order of dockerd's generated type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volume {
    created_at: String,
    driver: &'static str,
    labels: Option<BTreeMap<String, String>>,
    mountpoint: String,
    name: String,
    options: Option<BTreeMap<String, String>>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_data: Option<Usage>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    ref_count: i64,
    size: i64,
}

/// The label that marks a volume without a name of its own.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

impl From<model::Volume> for Volume {
    fn from(from: model::Volume) -> Self {
        let some = |map: BTreeMap<String, String>| (!map.is_empty()).then_some(map);
        let mut labels = from.labels;
        if from.anonymous {
            labels.entry(ANONYMOUS.into()).or_default();
        }
        Self {
            created_at: time::rfc3339_seconds(from.created),
            driver: "local",
            labels: some(labels),
            mountpoint: from.mountpoint,
            name: from.name,
            options: some(from.options),
            scope: "local",
            usage_data: None,
        }
    }
}

impl From<model::VolumeUsage> for Volume {
    fn from(from: model::VolumeUsage) -> Self {
        Self {
            usage_data: Some(Usage {
                ref_count: from.references,
                size: from.size,
            }),
            ..from.volume.into()
        }
    }
}

/// `GET /volumes`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volumes {
    pub(crate) volumes: Vec<Volume>,
    /// `null`: drivers have nothing to warn of.
    pub(crate) warnings: (),
}

/// `POST /volumes/prune`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pruned {
    pub(crate) volumes_deleted: Vec<String>,
    pub(crate) space_reclaimed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_prints_as_dockerd_prints_it() {
        let volume = Volume::from(model::Volume {
            name: "v".into(),
            mountpoint: "/m".into(),
            created: 1_700_000_000_500_000_000,
            ..model::Volume::default()
        });
        assert_eq!(
            serde_json::to_string(&volume).unwrap(),
            r#"{"CreatedAt":"2023-11-14T22:13:20Z","Driver":"local","Labels":null,"Mountpoint":"/m","Name":"v","Options":null,"Scope":"local"}"#
        );
    }

    #[test]
    fn an_anonymous_volume_carries_dockers_label() {
        let volume = Volume::from(model::Volume {
            anonymous: true,
            ..model::Volume::default()
        });
        assert_eq!(volume.labels.unwrap()[ANONYMOUS], "");
    }
}
