//! `ps`: which containers, in what order, and what is shown of them.
//!
//! Everything is read from snapshots: a listing never waits for a container.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use wharf_images::{ImageId, Images};

use super::snapshot::Snapshot;
use super::status_text::status_text;
use crate::filters;
use crate::model::{ContainerSummary, Filters, ListOptions, NetworkMode, Status};
use crate::{Error, Result};

const KNOWN: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

const STATUSES: [&str; 7] = [
    "created",
    "restarting",
    "running",
    "removing",
    "paused",
    "exited",
    "dead",
];

/// The filters of a listing, checked and taken apart.
#[derive(Debug, Default)]
pub(super) struct Filter {
    names: Vec<Regex>,
    ids: Vec<Regex>,
    exited: Vec<i32>,
    ports: Vec<(u16, u16, String)>,
    published: Vec<(u16, u16, String)>,
    is_task: Option<bool>,
    raw: Filters,
    /// Creation times that bound from above (`before`) and below (`since`), with the ids.
    before: Option<(i64, String)>,
    since: Option<(i64, String)>,
    /// Layers below an ancestor, and its id.
    ancestors: Vec<Ancestor>,
}

/// An image that containers may descend from.
#[derive(Debug, Clone)]
pub(super) struct Ancestor {
    /// Its id, as a digest.
    pub(super) id: String,
    /// Its layers, bottom first.
    pub(super) layers: Vec<wharf_store::DiffId>,
}

impl Filter {
    /// Checks them. `find` gives the container that a user means, `ancestor` the image.
    pub(super) fn parse(
        filters: &Filters,
        find: &dyn Fn(&str) -> Result<Arc<Snapshot>>,
        ancestor: &dyn Fn(&str) -> Option<Ancestor>,
    ) -> Result<Filter> {
        filters::check(filters, &KNOWN)?;
        let all = |name: &str| filters::values(filters, name).unwrap_or_default();
        for status in all("status") {
            if !STATUSES.contains(&status.as_str()) {
                return Err(Error::InvalidArgument(format!(
                    "invalid filter 'status={status}'"
                )));
            }
        }
        for health in all("health") {
            if !matches!(
                health.as_str(),
                "none" | "starting" | "healthy" | "unhealthy"
            ) {
                return Err(Error::InvalidArgument(format!(
                    "Unrecognised filter value for health: {health}"
                )));
            }
        }
        let exited = all("exited")
            .iter()
            .map(|code| {
                code.parse::<i32>()
                    .map_err(|_| Error::InvalidArgument(format!("invalid filter 'exited={code}'")))
            })
            .collect::<Result<_>>()?;
        let bound = |name: &str| -> Result<Option<(i64, String)>> {
            let Some(reference) = all(name).first() else {
                return Ok(None);
            };
            let found = find(reference)?;
            Ok(Some((found.record.created, found.id().to_owned())))
        };
        let ports = all("expose")
            .iter()
            .map(|port| port_range(port))
            .collect::<Result<_>>()?;
        let published = all("publish")
            .iter()
            .map(|port| port_range(port))
            .collect::<Result<_>>()?;
        Ok(Filter {
            names: patterns(all("name"))?,
            ids: patterns(all("id"))?,
            exited,
            ports,
            published,
            is_task: filters::truth(filters, "is-task")?,
            before: bound("before")?,
            since: bound("since")?,
            ancestors: all("ancestor").iter().filter_map(|i| ancestor(i)).collect(),
            raw: filters.clone(),
        })
    }

    /// Whether the listing shows containers that do not run, because a filter asks about them.
    fn asks_for_stopped(&self) -> bool {
        ["status", "exited"].iter().any(|name| self.uses(name))
    }

    fn uses(&self, name: &str) -> bool {
        filters::values(&self.raw, name).is_some()
    }

    fn any(&self, name: &str, matches: impl Fn(&str) -> bool) -> bool {
        filters::values(&self.raw, name)
            .is_none_or(|values| values.iter().any(|value| matches(value)))
    }

    pub(super) fn matches(&self, snapshot: &Snapshot) -> bool {
        let record = &snapshot.record;
        let spec = &record.spec;
        let name = |pattern: &Regex| {
            pattern.is_match(&record.name) || pattern.is_match(&format!("/{}", record.name))
        };
        (self.names.is_empty() || self.names.iter().any(name))
            && (self.ids.is_empty() || self.ids.iter().any(|p| p.is_match(&record.id)))
            && (self.exited.is_empty()
                || (snapshot.state.status == Status::Exited
                    && self.exited.contains(&snapshot.state.exit_code)))
            && (!self.uses("expose") || spec.exposed_ports.iter().any(|port| self.exposes(port)))
            && (!self.uses("publish") || self.publishes(snapshot))
            && self.is_task != Some(true)
            && self.any("health", |health| health == "none")
            && self.any("isolation", |isolation| isolation == "default")
            && self.any("status", |status| {
                status == status_word(snapshot.state.status)
            })
            && self.any("network", |network| {
                // Joined namespaces, and containers of before there were networks.
                (spec.networks.is_empty() && network == network_mode(&spec.host.network))
                    || spec.networks.iter().any(|(name, endpoint)| {
                        network == name
                            || (!network.is_empty() && endpoint.network.starts_with(network))
                    })
            })
            && self.any("volume", |volume| mounts(snapshot, volume))
            && self
                .before
                .as_ref()
                .is_none_or(|(created, id)| record.created < *created && record.id != *id)
            && self
                .since
                .as_ref()
                .is_none_or(|(created, id)| record.created > *created && record.id != *id)
            && (!self.uses("ancestor") || self.ancestors.iter().any(|a| descends(snapshot, a)))
            && filters::labels_match(&self.raw, &spec.labels)
    }

    /// By the container's ports, as dockerd has it.
    fn publishes(&self, snapshot: &Snapshot) -> bool {
        self.published.iter().any(|(first, last, protocol)| {
            snapshot.state.ports.iter().any(|bound| {
                bound.protocol.to_string() == *protocol
                    && bound.container.first <= *last
                    && *first <= bound.container.last
            })
        })
    }

    fn exposes(&self, port: &str) -> bool {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        number.parse::<u16>().is_ok_and(|number| {
            self.ports
                .iter()
                .any(|(first, last, of)| *of == protocol && (*first..=*last).contains(&number))
        })
    }
}

fn patterns(values: &[String]) -> Result<Vec<Regex>> {
    values
        .iter()
        .map(|value| {
            Regex::new(value).map_err(|error| {
                Error::InvalidArgument(format!("invalid filter pattern '{value}': {error}"))
            })
        })
        .collect()
}

/// `80`, `80/udp`, `8000-8080/tcp`.
fn port_range(text: &str) -> Result<(u16, u16, String)> {
    let invalid = || Error::InvalidArgument(format!("invalid port '{text}'"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first: u16 = first.parse().map_err(|_| invalid())?;
    let last: u16 = last.parse().map_err(|_| invalid())?;
    if first > last || !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(invalid());
    }
    Ok((first, last, protocol.to_owned()))
}

fn mounts(snapshot: &Snapshot, wanted: &str) -> bool {
    snapshot.record.mounts.iter().any(|mount| {
        let point = &mount.point;
        [&point.name, &point.source, &point.destination]
            .iter()
            .any(|known| !known.is_empty() && *known == wanted)
    })
}

/// Made from the image, or from one that is built on it.
fn descends(snapshot: &Snapshot, ancestor: &Ancestor) -> bool {
    let record = &snapshot.record;
    record.image.to_string() == ancestor.id
        || (!ancestor.layers.is_empty()
            && record.layers.len() > ancestor.layers.len()
            && record.layers.starts_with(&ancestor.layers))
}

/// A status as the API spells it.
pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Exited => "exited",
        Status::Removing => "removing",
        Status::Dead => "dead",
    }
}

/// A network mode as the API spells it.
pub(crate) fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Default | NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Named(name) => name.clone(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Container(id) => format!("container:{id}"),
        NetworkMode::Path(path) => format!("ns:{path}"),
    }
}

/// The image that a user means by an `ancestor` filter; one that is not there matches nothing.
pub(super) fn ancestor(images: &Images, reference: &str) -> Option<Ancestor> {
    let image = images.resolve(reference).ok()?;
    Some(Ancestor {
        id: image.id.to_string(),
        layers: image.diff_ids(),
    })
}

/// What images are called in a listing, each name looked up once.
pub(super) struct ImageNames<'a> {
    images: &'a Images,
    known: HashMap<String, Option<ImageId>>,
}

impl<'a> ImageNames<'a> {
    pub(super) fn new(images: &'a Images) -> ImageNames<'a> {
        ImageNames {
            images,
            known: HashMap::new(),
        }
    }

    /// The name the container was created with, or the image's id when that name has come to
    /// mean another image.
    pub(super) fn of(&mut self, snapshot: &Snapshot) -> String {
        let name = &snapshot.record.spec.image;
        let images = self.images;
        let meant = self
            .known
            .entry(name.clone())
            .or_insert_with(|| images.resolve_id(name).ok());
        if *meant == Some(snapshot.record.image) {
            name.clone()
        } else {
            snapshot.record.image.to_string()
        }
    }
}

/// The containers that are shown: filtered, newest first, no more than asked for.
pub(super) fn select(
    mut all: Vec<Arc<Snapshot>>,
    options: &ListOptions,
    filter: &Filter,
) -> Vec<Arc<Snapshot>> {
    let stopped_too = options.all || options.limit.is_some() || filter.asks_for_stopped();
    all.retain(|snapshot| {
        (stopped_too || snapshot.is_running()) && !snapshot.gone && filter.matches(snapshot)
    });
    all.sort_by(|a, b| (b.record.created, b.id()).cmp(&(a.record.created, a.id())));
    if let Some(limit) = options.limit {
        all.truncate(limit);
    }
    all
}

/// A line of `ps`, without what must be looked up elsewhere (the image's name, sizes).
pub(super) fn summary(snapshot: &Snapshot, image: String, now: i64) -> ContainerSummary {
    let record = &snapshot.record;
    ContainerSummary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image,
        image_id: record.image.to_string(),
        command: command_line(&record.command()),
        created: record.created / 1_000_000_000,
        state: snapshot.state.clone(),
        status_text: status_text(&snapshot.state, now),
        labels: record.spec.labels.clone(),
        network_mode: match &record.spec.host.network {
            NetworkMode::Default => "default".to_owned(),
            mode => network_mode(mode),
        },
        mounts: record.mount_points(),
        exposed_ports: record.spec.exposed_ports.clone(),
        networks: super::network::places(snapshot),
        size: None,
    }
}

/// As dockerd joins it: arguments with spaces are quoted.
fn command_line(command: &crate::oci::Command) -> String {
    let quoted = command.args.iter().map(|arg| {
        if arg.contains(' ') {
            format!("'{arg}'")
        } else {
            arg.clone()
        }
    });
    std::iter::once(command.path.clone())
        .chain(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::model::ContainerState;

    fn made(
        id: &str,
        name: &str,
        created: i64,
        change: impl FnOnce(&mut Snapshot),
    ) -> Arc<Snapshot> {
        let mut snapshot = fixture::snapshot(id, name);
        Arc::make_mut(&mut snapshot.record).created = created;
        change(&mut snapshot);
        Arc::new(snapshot)
    }

    fn three() -> Vec<Arc<Snapshot>> {
        vec![
            made("a1", "up", 1, |s| s.state.status = Status::Running),
            made("b2", "done", 2, |s| {
                s.state = ContainerState {
                    status: Status::Exited,
                    exit_code: 4,
                    ..ContainerState::default()
                };
                let record = Arc::make_mut(&mut s.record);
                record.spec.labels.insert("tier".into(), "back".into());
                record.spec.exposed_ports.push("8080/tcp".into());
            }),
            made("c3", "new", 3, |_| {}),
        ]
    }

    fn list(all: bool, limit: Option<usize>, pairs: &[(&str, &str)]) -> Result<Vec<String>> {
        let mut filters = Filters::new();
        for (name, value) in pairs {
            filters
                .entry((*name).to_owned())
                .or_default()
                .push((*value).to_owned());
        }
        let containers = three();
        let find = |name: &str| {
            containers
                .iter()
                .find(|s| s.name() == name)
                .cloned()
                .ok_or_else(|| Error::NoSuchContainer(name.to_owned()))
        };
        let ancestor = |name: &str| {
            (name == "busybox").then(|| Ancestor {
                id: containers[0].record.image.to_string(),
                layers: Vec::new(),
            })
        };
        let filter = Filter::parse(&filters, &find, &ancestor)?;
        let options = ListOptions {
            all,
            limit,
            ..ListOptions::default()
        };
        Ok(select(containers.clone(), &options, &filter)
            .iter()
            .map(|s| s.name().to_owned())
            .collect())
    }

    #[test]
    fn only_running_ones_are_listed_unless_more_is_asked_for() {
        assert_eq!(list(false, None, &[]).unwrap(), ["up"]);
        assert_eq!(list(true, None, &[]).unwrap(), ["new", "done", "up"]);
        assert_eq!(list(false, Some(2), &[]).unwrap(), ["new", "done"]);
        assert_eq!(
            list(false, None, &[("status", "exited")]).unwrap(),
            ["done"]
        );
    }

    #[test]
    fn every_filter_finds_its_container() {
        for (filter, value, expected) in [
            ("exited", "4", &["done"][..]),
            ("exited", "0", &[]),
            ("label", "tier=back", &["done"]),
            ("name", "^u", &["up"]),
            ("name", "/up", &["up"]),
            ("id", "^c", &["new"]),
            ("before", "done", &["up"]),
            ("since", "done", &["new"]),
            ("ancestor", "busybox", &["new", "done", "up"]),
            ("ancestor", "other", &[]),
            ("network", "none", &[]),
            ("network", "bridge", &["new", "done", "up"]),
            ("expose", "8000-9000/tcp", &["done"]),
            ("publish", "80", &[]),
            ("health", "none", &["new", "done", "up"]),
            ("is-task", "false", &["new", "done", "up"]),
        ] {
            assert_eq!(
                list(true, None, &[(filter, value)]).unwrap(),
                expected,
                "{filter}={value}"
            );
        }
    }

    #[test]
    fn wrong_filters_are_refused_in_dockers_words() {
        for (filter, value, expected) in [
            ("nope", "1", "invalid filter 'nope'"),
            ("status", "up", "invalid filter 'status=up'"),
            ("exited", "x", "invalid filter 'exited=x'"),
            ("before", "ghost", "No such container: ghost"),
        ] {
            assert_eq!(
                list(true, None, &[(filter, value)])
                    .unwrap_err()
                    .to_string(),
                expected
            );
        }
    }

    #[test]
    fn a_command_line_quotes_arguments_with_spaces() {
        let command = crate::oci::Command {
            path: "sh".into(),
            args: vec!["-c".into(), "echo hi".into()],
        };
        assert_eq!(command_line(&command), "sh -c 'echo hi'");
    }
}
