//! Images.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use wharf_engine::model::ImageLine;
use wharf_images::{HistoryItem, Image, Pruned, Reference, Removed, RunConfig};

use super::inspect::GraphDriver;
use crate::time;
use crate::version::ApiVersion;

fn nanoseconds(time: Option<Timestamp>) -> i64 {
    time.and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .unwrap_or(0)
}

fn seconds(time: Option<Timestamp>) -> i64 {
    time.map_or(0, Timestamp::as_second)
}

fn familiar(names: &[Reference]) -> Vec<String> {
    names.iter().map(Reference::familiar).collect()
}

/// Sizes never come near the sign.
fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// `GET /images/json`. Alphabetical, as dockerd's generated type has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary {
    containers: i64,
    created: i64,
    id: String,
    labels: Option<BTreeMap<String, String>>,
    parent_id: String,
    repo_digests: Vec<String>,
    repo_tags: Vec<String>,
    shared_size: i64,
    size: i64,
    /// The same as the size; until 1.43.
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<i64>,
}

/// Which list an image stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// `images`
    Images,
    /// `system df`, which always counted the containers.
    DiskUsage,
}

impl Summary {
    pub(crate) fn of(from: ImageLine, listing: Listing, version: ApiVersion) -> Self {
        let ImageLine { image, containers } = from;
        let (mut repo_tags, mut repo_digests) = (familiar(&image.tags), familiar(&image.digests));
        // Until 1.42, a name for what has none.
        if version.before(43) && repo_tags.is_empty() && repo_digests.is_empty() {
            repo_tags.push("<none>:<none>".into());
            repo_digests.push("<none>@<none>".into());
        }
        let counted = listing == Listing::DiskUsage || version.at_least(51);
        Self {
            containers: if counted { containers } else { -1 },
            created: seconds(image.created),
            id: image.id.to_string(),
            labels: (!image.labels.is_empty()).then_some(image.labels),
            parent_id: image.parent.map(|id| id.to_string()).unwrap_or_default(),
            repo_digests,
            repo_tags,
            shared_size: image.shared_size.map_or(-1, size),
            size: size(image.size),
            virtual_size: version.before(44).then_some(size(image.size)),
        }
    }
}

/// `GET /images/{name}/json`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspect {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// These two until 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    config: Value,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    os_version: String,
    size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph_driver: Option<GraphDriver>,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: Metadata,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

impl Inspect {
    pub(crate) fn of(image: &Image, version: ApiVersion) -> Self {
        let config = &image.config;
        // Since 1.52 what is empty is left out.
        let text = |text: &str| {
            let shown = version.before(52) || !text.is_empty();
            shown.then(|| text.to_owned())
        };
        let parent = image.parent.map(|id| id.to_string()).unwrap_or_default();
        let created = image
            .created
            .map(|_| time::rfc3339(nanoseconds(image.created)));
        let old = version.before(45);
        Self {
            id: image.id.to_string(),
            repo_tags: familiar(&image.tags),
            repo_digests: familiar(&image.digests),
            parent: text(&parent),
            comment: text(&config.comment),
            created: created.or_else(|| version.before(44).then(|| time::rfc3339(0))),
            container: old.then(|| config.container.clone()),
            container_config: old.then(|| {
                let config = config.container_config.clone().unwrap_or_default();
                run_config(&config, ApiVersion::OLDEST)
            }),
            docker_version: text(&config.docker_version),
            author: text(&config.author),
            config: run_config(&config.run_config(), version),
            architecture: image.platform.architecture.clone(),
            variant: image.platform.variant.clone(),
            os: image.platform.os.clone(),
            os_version: image.platform.os_version.clone(),
            size: size(image.size),
            virtual_size: version.before(44).then_some(size(image.size)),
            graph_driver: version.before(52).then(|| GraphDriver::new(None)),
            root_fs: RootFs {
                kind: "layers",
                layers: image.diff_ids().iter().map(ToString::to_string).collect(),
            },
            metadata: Metadata {
                last_tag_time: time::rfc3339(nanoseconds(image.last_tagged)),
            },
        }
    }
}

/// A configuration with the keys that the version always printed: until 1.49 those of a container,
/// until 1.51 those of an image, and none since.
fn run_config(config: &RunConfig, version: ApiVersion) -> Value {
    let mut printed = match serde_json::to_value(config) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    // Until 1.49 a field that is a list or a map was null when it was empty.
    let mut defaults = json!({});
    if version.before(52) {
        defaults = json!({
            "Cmd": null, "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null,
            "User": "", "Volumes": null, "WorkingDir": "",
        });
    }
    if version.before(50) {
        let of_containers = json!({
            "AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Domainname": "",
            "Hostname": "", "Image": "", "OpenStdin": false, "StdinOnce": false, "Tty": false,
        });
        if let (Some(all), Value::Object(more)) = (defaults.as_object_mut(), of_containers) {
            all.extend(more);
        }
    }
    if let Value::Object(defaults) = defaults {
        for (key, value) in defaults {
            printed.entry(key).or_insert(value);
        }
    }
    Value::Object(printed)
}

/// `GET /images/{name}/history`. Alphabetical, as dockerd's generated type has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Step {
    comment: String,
    created: i64,
    created_by: String,
    id: String,
    size: i64,
    tags: Option<Vec<String>>,
}

impl From<HistoryItem> for Step {
    fn from(from: HistoryItem) -> Self {
        Self {
            comment: from.comment,
            created: seconds(from.created),
            created_by: from.created_by,
            id: from.id.map_or("<missing>".into(), |id| id.to_string()),
            size: size(from.size),
            tags: (!from.tags.is_empty()).then_some(from.tags),
        }
    }
}

/// One step of a removal.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Deleted {
    Untagged(String),
    Deleted(String),
}

/// What was removed, in order.
pub(crate) fn removed(removed: Vec<Removed>) -> Vec<Deleted> {
    removed
        .into_iter()
        .map(|removed| match removed {
            Removed::Untagged(name, _) => Deleted::Untagged(name),
            Removed::Image(id) => Deleted::Deleted(id.to_string()),
            Removed::Layer(chain) => Deleted::Deleted(chain.to_string()),
        })
        .collect()
}

/// `POST /images/prune`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PruneReport {
    images_deleted: Option<Vec<Deleted>>,
    space_reclaimed: u64,
}

impl From<Pruned> for PruneReport {
    fn from(from: Pruned) -> Self {
        Self {
            images_deleted: (!from.removed.is_empty()).then(|| removed(from.removed)),
            space_reclaimed: from.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_images::{ImageConfig, ImageId, ImageSummary, Platform};

    use super::*;

    fn id(digit: &str) -> ImageId {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    fn line(tags: &[&str]) -> ImageLine {
        ImageLine {
            image: ImageSummary {
                id: id("1"),
                parent: None,
                tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
                digests: Vec::new(),
                created: Some("2023-11-14T22:13:20Z".parse().unwrap()),
                size: 10,
                shared_size: None,
                labels: BTreeMap::new(),
                platform: Platform::host(),
                manifest: None,
            },
            containers: 2,
        }
    }

    fn listed(tags: &[&str], version: u32) -> Value {
        let summary = Summary::of(line(tags), Listing::Images, ApiVersion::v1(version));
        serde_json::to_value(summary).unwrap()
    }

    #[test]
    fn a_line_keeps_the_shape_of_its_version() {
        let new = listed(&["busybox:1"], 51);
        assert_eq!(new["RepoTags"], json!(["busybox:1"]));
        assert_eq!(
            (&new["Containers"], &new["SharedSize"]),
            (&json!(2), &json!(-1))
        );
        assert!(new.get("VirtualSize").is_none());
        let old = listed(&["busybox:1"], 43);
        assert_eq!(
            (&old["VirtualSize"], &old["Containers"]),
            (&json!(10), &json!(-1))
        );
    }

    #[test]
    fn no_name_was_a_name_until_1_42() {
        assert_eq!(listed(&[], 42)["RepoTags"], json!(["<none>:<none>"]));
        assert_eq!(listed(&[], 43)["RepoTags"], json!([]));
    }

    fn inspected(version: u32) -> Value {
        let config = RunConfig {
            cmd: Some(vec!["sh".into()]),
            ..RunConfig::default()
        };
        let image = Image {
            id: id("1"),
            config: ImageConfig {
                config: Some(config),
                ..ImageConfig::default()
            },
            raw_config: Vec::new(),
            layers: Vec::new(),
            tags: Vec::new(),
            digests: Vec::new(),
            created: None,
            size: 10,
            parent: None,
            platform: Platform::of("linux", "amd64", ""),
            manifest: None,
            last_tagged: None,
        };
        serde_json::to_value(Inspect::of(&image, ApiVersion::v1(version))).unwrap()
    }

    #[test]
    fn what_is_empty_is_left_out_since_1_52() {
        let new = inspected(52);
        for key in [
            "Parent",
            "Comment",
            "Author",
            "DockerVersion",
            "GraphDriver",
            "Created",
            "Container",
        ] {
            assert!(new.get(key).is_none(), "{key}");
        }
        assert_eq!(new["Config"], json!({"Cmd": ["sh"]}));
    }

    #[test]
    fn older_versions_print_their_empty_keys() {
        let old = inspected(51);
        assert_eq!(
            (&old["Parent"], &old["Config"]["Env"]),
            (&json!(""), &Value::Null)
        );
        assert!(old["Config"].get("Hostname").is_none());
        let older = inspected(49);
        assert_eq!(
            (&older["Config"]["Hostname"], &older["Config"]["Tty"]),
            (&json!(""), &json!(false))
        );
        assert_eq!(older["Config"]["Cmd"], json!(["sh"]));
        assert!(older.get("Container").is_none());
        let oldest = inspected(24);
        assert_eq!(oldest["Container"], "");
        assert_eq!(oldest["ContainerConfig"]["Cmd"], Value::Null);
        assert_eq!(oldest["Created"], "0001-01-01T00:00:00Z");
        assert_eq!(oldest["VirtualSize"], 10);
    }

    #[test]
    fn a_removal_is_untagged_and_deleted() {
        let steps = vec![
            Removed::Untagged("busybox:1".into(), id("1")),
            Removed::Image(id("1")),
        ];
        assert_eq!(
            serde_json::to_value(removed(steps)).unwrap(),
            json!([{"Untagged": "busybox:1"}, {"Deleted": id("1").to_string()}])
        );
    }
}
