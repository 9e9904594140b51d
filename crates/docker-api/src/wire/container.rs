//! A line of `ps`, and the small answers about containers.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_engine::model::{ContainerSummary, PathStat, Status};

use super::network::Endpoint;
use super::port::{self, Port};
use crate::time;
use crate::version::ApiVersion;

/// `GET /containers/json`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Vec<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<i64>,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: SummaryHost,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    network_settings: SummaryNetworks,
    mounts: Vec<MountPoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryHost {
    #[serde(skip_serializing_if = "String::is_empty")]
    network_mode: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryNetworks {
    networks: BTreeMap<String, Endpoint>,
}

/// No health checks run yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: &'static str,
    failing_streak: u32,
}

impl Summary {
    pub(crate) fn of(from: ContainerSummary, version: ApiVersion) -> Self {
        let running = matches!(from.state.status, Status::Running | Status::Paused);
        Self {
            ports: if running {
                port::listed(&from.exposed_ports, &from.state.ports)
            } else {
                Vec::new()
            },
            size_rw: from.size.map(|size| size.writable).filter(|n| *n != 0),
            size_root_fs: from.size.map(|size| size.total).filter(|n| *n != 0),
            state: status(from.state.status),
            status: from.status_text,
            health: version.at_least(52).then_some(Health {
                status: "none",
                failing_streak: 0,
            }),
            network_settings: SummaryNetworks {
                networks: Endpoint::all(from.networks),
            },
            host_config: SummaryHost {
                network_mode: from.network_mode,
            },
            mounts: from.mounts.into_iter().map(MountPoint::from).collect(),
            id: from.id,
            names: from.names,
            image: from.image,
            image_id: from.image_id,
            command: from.command,
            created: from.created,
            labels: from.labels,
        }
    }
}

/// A state, by dockerd's word.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Exited => "exited",
        Status::Removing => "removing",
        Status::Dead => "dead",
    }
}

/// A mount, in lists and in inspect.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MountPoint {
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    driver: String,
    mode: String,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: String,
}

impl From<wharf_engine::model::MountPoint> for MountPoint {
    fn from(from: wharf_engine::model::MountPoint) -> Self {
        Self {
            kind: from.kind,
            name: from.name,
            source: from.source,
            destination: from.destination,
            driver: from.driver,
            mode: from.mode,
            rw: from.rw,
            propagation: from.propagation,
        }
    }
}

/// `POST /containers/create`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Created {
    pub(crate) id: String,
    /// `[]` when there are none: older CLIs print what is there.
    pub(crate) warnings: Vec<String>,
}

/// `POST /commit`, `POST /containers/{id}/exec`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Id {
    pub(crate) id: String,
}

/// `POST /containers/{id}/update`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Updated {
    /// `null` when there are none.
    pub(crate) warnings: Option<Vec<String>>,
}

/// `POST /containers/{id}/wait`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Waited {
    status_code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WaitError>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WaitError {
    message: String,
}

impl From<wharf_engine::model::WaitResult> for Waited {
    fn from(from: wharf_engine::model::WaitResult) -> Self {
        Self {
            status_code: from.code,
            error: from.error.map(|message| WaitError { message }),
        }
    }
}

/// `GET /containers/{id}/top`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Top {
    /// Alphabetical, as dockerd's generated type has them.
    pub(crate) processes: Vec<Vec<String>>,
    pub(crate) titles: Vec<String>,
}

/// `GET /containers/{id}/changes`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Change {
    pub(crate) kind: u8,
    pub(crate) path: String,
}

/// `POST /containers/prune`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pruned {
    pub(crate) containers_deleted: Option<Vec<String>>,
    pub(crate) space_reclaimed: u64,
}

/// The header of an archive.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stat {
    name: String,
    size: i64,
    mode: u32,
    mtime: String,
    link_target: String,
}

impl From<PathStat> for Stat {
    fn from(from: PathStat) -> Self {
        Self {
            name: from.name,
            size: from.size,
            mode: from.mode,
            mtime: time::rfc3339(from.mtime),
            link_target: from.link_target,
        }
    }
}

#[cfg(test)]
mod tests {
    use wharf_engine::model::{
        ContainerSize, ContainerState, EndpointSpec, NetworkPlace, WaitResult,
    };

    use super::*;

    fn summary() -> ContainerSummary {
        ContainerSummary {
            id: "1".repeat(64),
            names: vec!["/box".into()],
            image: "busybox".into(),
            image_id: "sha256:2".into(),
            command: "\"sh\"".into(),
            created: 1_700_000_000,
            state: ContainerState {
                status: Status::Running,
                ..ContainerState::default()
            },
            status_text: "Up 3 seconds".into(),
            labels: BTreeMap::new(),
            network_mode: "host".into(),
            mounts: Vec::new(),
            exposed_ports: vec!["80/tcp".into()],
            networks: [(
                "host".to_owned(),
                NetworkPlace {
                    spec: EndpointSpec {
                        network: "abc".into(),
                        ..EndpointSpec::default()
                    },
                    endpoint: None,
                },
            )]
            .into(),
            size: None,
        }
    }

    fn printed(from: ContainerSummary, version: u32) -> String {
        serde_json::to_string(&Summary::of(from, ApiVersion::v1(version))).unwrap()
    }

    #[test]
    fn a_line_prints_as_dockerd_prints_it() {
        let id = "1".repeat(64);
        assert_eq!(
            printed(summary(), 50),
            format!(
                r#"{{"Id":"{id}","Names":["/box"],"Image":"busybox","ImageID":"sha256:2","Command":"\"sh\"","Created":1700000000,"Ports":[{{"PrivatePort":80,"Type":"tcp"}}],"Labels":{{}},"State":"running","Status":"Up 3 seconds","HostConfig":{{"NetworkMode":"host"}},"NetworkSettings":{{"Networks":{{"host":{{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"abc","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}}}},"Mounts":[]}}"#
            )
        );
    }

    #[test]
    fn health_comes_with_1_52_and_sizes_when_asked_for() {
        assert!(!printed(summary(), 51).contains("Health"));
        assert!(
            printed(summary(), 52)
                .contains(r#""Health":{"Status":"none","FailingStreak":0},"NetworkSettings""#)
        );
        let mut sized = summary();
        sized.size = Some(ContainerSize {
            writable: 5,
            total: 9,
        });
        assert!(printed(sized, 50).contains(r#""SizeRw":5,"SizeRootFs":9,"#));
    }

    #[test]
    fn a_container_that_does_not_run_shows_no_ports() {
        let mut stopped = summary();
        stopped.state.status = Status::Exited;
        assert!(printed(stopped, 50).contains(r#""Ports":[],"#));
    }

    #[test]
    fn an_end_without_error_has_no_error() {
        let print = |result: WaitResult| serde_json::to_string(&Waited::from(result)).unwrap();
        let code = |error: Option<&str>| WaitResult {
            code: 137,
            error: error.map(str::to_owned),
        };
        assert_eq!(print(code(None)), r#"{"StatusCode":137}"#);
        assert_eq!(
            print(code(Some("x"))),
            r#"{"StatusCode":137,"Error":{"Message":"x"}}"#
        );
    }
}
