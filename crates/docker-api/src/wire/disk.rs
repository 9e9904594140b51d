//! `GET /system/df`

use serde::Serialize;
use wharf_engine::model::{DiskUsage, Status};

use super::container;
use super::image::{self, Listing};
use super::volume::Volume;
use crate::version::ApiVersion;

/// Both forms: the lists that there always were, and the sums that came with 1.52.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    layers_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<image::Summary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Vec<container::Summary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Vec<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_cache: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_usage: Option<Sum<image::Summary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_usage: Option<Sum<container::Summary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_usage: Option<Sum<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_cache_usage: Option<Sum<()>>,
}

/// A kind of thing, summed up. Alphabetical, as dockerd's generated type has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sum<T> {
    active_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<T>>,
    reclaimable: i64,
    total_count: usize,
    total_size: i64,
}

/// What a client wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The lists of before 1.52.
    pub(crate) lists: bool,
    /// The sums.
    pub(crate) sums: bool,
    /// Items within the sums.
    pub(crate) items: bool,
    /// The build cache, which is empty.
    pub(crate) build_cache: bool,
}

impl Report {
    pub(crate) fn of(from: DiskUsage, wanted: Wanted, version: ApiVersion) -> Self {
        let mut report = Self::default();
        if let Some(images) = from.images {
            let used: i64 = images
                .iter()
                .filter(|line| line.containers > 0)
                .map(|line| own(line.image.size, line.image.shared_size))
                .sum();
            let sum = Sum {
                active_count: images.iter().filter(|line| line.containers > 0).count(),
                total_count: images.len(),
                total_size: from.layers_size,
                reclaimable: (from.layers_size - used).max(0),
                items: None,
            };
            let print = |line| image::Summary::of(line, Listing::DiskUsage, version);
            let items = images.into_iter().map(print).collect();
            report.layers_size = wanted.lists.then_some(from.layers_size);
            (report.images, report.image_usage) = wanted.place(items, sum);
        }
        if let Some(containers) = from.containers {
            let writable =
                |c: &wharf_engine::model::ContainerSummary| c.size.map_or(0, |size| size.writable);
            let runs = |status| matches!(status, Status::Running | Status::Paused);
            let active = |c: &&wharf_engine::model::ContainerSummary| runs(c.state.status);
            let sum = Sum {
                active_count: containers.iter().filter(active).count(),
                total_count: containers.len(),
                total_size: containers.iter().map(writable).sum(),
                reclaimable: containers.iter().filter(|c| !active(c)).map(writable).sum(),
                items: None,
            };
            let print = |c| container::Summary::of(c, version);
            let items = containers.into_iter().map(print).collect();
            (report.containers, report.container_usage) = wanted.place(items, sum);
        }
        if let Some(volumes) = from.volumes {
            let known = |size: i64| size.max(0);
            let sum = Sum {
                active_count: volumes.iter().filter(|v| v.references > 0).count(),
                total_count: volumes.len(),
                total_size: volumes.iter().map(|v| known(v.size)).sum(),
                reclaimable: volumes
                    .iter()
                    .filter(|v| v.references == 0)
                    .map(|v| known(v.size))
                    .sum(),
                items: None,
            };
            let items = volumes.into_iter().map(Volume::from).collect();
            (report.volumes, report.volume_usage) = wanted.place(items, sum);
        }
        if wanted.build_cache {
            let sum = Sum {
                active_count: 0,
                total_count: 0,
                total_size: 0,
                reclaimable: 0,
                items: None,
            };
            report.build_cache = wanted.lists.then_some([]);
            report.build_cache_usage = wanted.sums.then_some(sum);
        }
        report
    }
}

impl Wanted {
    /// Puts the items where this client looks for them.
    fn place<T>(self, items: Vec<T>, mut sum: Sum<T>) -> (Option<Vec<T>>, Option<Sum<T>>) {
        if self.lists {
            return (Some(items), self.sums.then_some(sum));
        }
        sum.items = self.items.then_some(items);
        (None, self.sums.then_some(sum))
    }
}

fn own(size: u64, shared: Option<u64>) -> i64 {
    i64::try_from(size.saturating_sub(shared.unwrap_or(0))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_engine::model::{Volume as Domain, VolumeUsage};

    use super::*;

    fn usage() -> DiskUsage {
        let volume = |name: &str, size, references| VolumeUsage {
            volume: Domain {
                name: name.into(),
                ..Domain::default()
            },
            size,
            references,
        };
        DiskUsage {
            layers_size: 0,
            images: None,
            containers: None,
            volumes: Some(vec![
                volume("a", 10, 1),
                volume("b", 5, 0),
                volume("c", -1, 0),
            ]),
        }
    }

    fn printed(wanted: Wanted) -> Value {
        let report = Report::of(usage(), wanted, ApiVersion::NEWEST);
        serde_json::to_value(report).unwrap()
    }

    const OLD: Wanted = Wanted {
        lists: true,
        sums: false,
        items: false,
        build_cache: true,
    };

    #[test]
    fn old_clients_get_lists_and_only_of_what_they_asked_for() {
        let report = printed(OLD);
        assert_eq!(
            report["Volumes"][0]["UsageData"],
            json!({"RefCount": 1, "Size": 10})
        );
        assert_eq!(report["BuildCache"], json!([]));
        assert!(report.get("Images").is_none() && report.get("VolumeUsage").is_none());
    }

    #[test]
    fn new_clients_get_sums_and_items_when_verbose() {
        let wanted = Wanted {
            lists: false,
            sums: true,
            items: false,
            build_cache: false,
        };
        let sums = json!({"ActiveCount": 1, "Reclaimable": 5, "TotalCount": 3, "TotalSize": 15});
        assert_eq!(printed(wanted), json!({"VolumeUsage": sums}));
        let verbose = printed(Wanted {
            items: true,
            ..wanted
        });
        assert_eq!(verbose["VolumeUsage"]["Items"].as_array().unwrap().len(), 3);
    }
}
