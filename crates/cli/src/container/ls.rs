//! `docker ps`

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Deserialize;

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::flags::{FlagSet, List};
use crate::go;
use crate::json::{Json, nullable};
use crate::session::Session;
use crate::table::{Columns, Format, Row, ellipsis, joined_labels, short_id};
use crate::{time, units};

pub(crate) const COMMAND: Command =
    Command::verb("ls", "[OPTIONS]", "List containers", Arity::None, || {
        Box::new(Ls::default())
    })
    .aliases(&["list", "ps"])
    .paths(&["container ls", "container list", "container ps", "ps"]);

/// The help of every `--format` that can be a table.
pub(crate) const FORMAT_HELP: &str = "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";

pub(crate) const COLUMNS: Columns = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

const TABLE: &str = "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}\\t{{.Names}}";
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

struct Ls {
    all: bool,
    filters: List,
    format: String,
    last: i64,
    latest: bool,
    no_trunc: bool,
    quiet: bool,
    size: bool,
}

impl Default for Ls {
    fn default() -> Ls {
        Ls {
            all: false,
            filters: List::filters(),
            format: String::new(),
            last: -1,
            latest: false,
            no_trunc: false,
            quiet: false,
            size: false,
        }
    }
}

impl Verb for Ls {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.quiet, "quiet", 'q', "Only display container IDs");
        set.short(&mut self.size, "size", 's', "Display total file sizes");
        set.short(
            &mut self.all,
            "all",
            'a',
            "Show all containers (default shows just running)",
        );
        set.long(&mut self.no_trunc, "no-trunc", "Don't truncate output");
        set.short(
            &mut self.latest,
            "latest",
            'l',
            "Show the latest created container (includes all states)",
        );
        set.short(
            &mut self.last,
            "last",
            'n',
            "Show n last created containers (includes all states)",
        );
        set.long(&mut self.format, "format", FORMAT_HELP);
        set.short(
            &mut self.filters,
            "filter",
            'f',
            "Filter output based on conditions provided",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let asked = match session.config().text("psFormat") {
                configured if self.format.is_empty() && !self.quiet => configured,
                _ => &self.format,
            };
            if self.quiet && !self.format.is_empty() {
                session.complain(
                    "WARNING: Ignoring custom format, because both --format and --quiet are set.",
                );
            }
            let format = self.layout(asked);
            format.check()?;
            let limit = if self.latest && self.last == -1 {
                1
            } else {
                self.last
            };
            let mut query = Query::new()
                .add_switch("all", self.all)
                .add_switch("size", self.size || format.uses("Size"))
                .add_filters(&self.filters);
            if limit > 0 {
                query = query.add("limit", limit.to_string());
            }
            let call = Call::get("/containers/json").query(query);
            let containers: Vec<Container> = session.client()?.send(call).await?.json().await?;
            let rows: Vec<Row> = containers.iter().map(|c| c.row(!self.no_trunc)).collect();
            session.print(&format.list(COLUMNS, &rows)?)?;
            Ok(())
        })
    }
}

impl Ls {
    fn layout(&self, asked: &str) -> Format {
        if self.quiet && matches!(asked, "" | "table") {
            return Format::new("{{.ID}}");
        }
        let size = |base: &str, size: &str| {
            if self.size {
                format!("{base}{size}")
            } else {
                base.to_owned()
            }
        };
        match asked {
            "raw" if self.quiet => Format::new("container_id: {{.ID}}"),
            _ if self.quiet => Format::new("{{.ID}}"),
            _ => Format::choose(
                asked,
                &size(TABLE, "\\t{{.Size}}"),
                &size(RAW, "size: {{.Size}}\n"),
            ),
        }
    }
}

/// What the list of containers says of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    #[serde(deserialize_with = "nullable")]
    ports: Vec<PublishedPort>,
    pub(crate) size_rw: i64,
    size_root_fs: i64,
    #[serde(deserialize_with = "nullable")]
    labels: Json,
    pub(crate) state: String,
    status: String,
    #[serde(deserialize_with = "nullable")]
    network_settings: Json,
    #[serde(deserialize_with = "nullable")]
    mounts: Vec<MountPoint>,
    image_manifest_descriptor: Json,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PublishedPort {
    #[serde(rename = "IP")]
    ip: String,
    private_port: u16,
    public_port: u16,
    #[serde(rename = "Type")]
    protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct MountPoint {
    name: String,
    source: String,
    driver: String,
}

impl Container {
    /// Does not show the size of the image below.
    pub(crate) fn without_virtual_size(&mut self) {
        self.size_root_fs = 0;
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state.contains("running")
            || self.state.contains("paused")
            || self.state.contains("restarting")
    }

    pub(crate) fn row(&self, truncate: bool) -> Row {
        let labels: Vec<(String, String)> = match &self.labels {
            Json::Object(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), value.as_text().unwrap_or_default().to_owned()))
                .collect(),
            _ => Vec::new(),
        };
        let id = if truncate {
            short_id(&self.id)
        } else {
            &self.id
        };
        let command = if truncate {
            ellipsis(&self.command, 20)
        } else {
            self.command.clone()
        };
        let local = self
            .mounts
            .iter()
            .filter(|mount| mount.driver == "local")
            .count();
        let networks: Vec<&str> = self
            .network_settings
            .entries("Networks")
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let mut row = Row::new(vec![
            ("ID", id.into()),
            ("Names", self.display_names(truncate).into()),
            ("Image", self.display_image(truncate).into()),
            ("Command", go::quote(&command).into()),
            ("CreatedAt", time::go_string(self.created).into()),
            ("RunningFor", time::ago(self.created).into()),
            ("Ports", ports(&self.ports).into()),
            ("State", self.state.as_str().into()),
            ("Status", self.status.as_str().into()),
            ("Size", self.size().into()),
            ("Labels", joined_labels(&labels).into()),
            ("Mounts", self.display_mounts(truncate).into()),
            ("LocalVolumes", local.to_string().into()),
            ("Networks", networks.join(",").into()),
            (
                "Platform",
                self.image_manifest_descriptor
                    .get("platform")
                    .cloned()
                    .unwrap_or(Json::Null),
            ),
        ]);
        row.labels = labels;
        row
    }

    /// Cut short, the first name that is not another container's link; else all.
    fn display_names(&self, truncate: bool) -> String {
        let mut names = self
            .names
            .iter()
            .map(|name| name.strip_prefix('/').unwrap_or(name));
        if truncate {
            return names
                .find(|name| !name.contains('/'))
                .unwrap_or_default()
                .to_owned();
        }
        names.collect::<Vec<_>>().join(",")
    }

    fn display_image(&self, truncate: bool) -> String {
        if self.image.is_empty() {
            return "<no image>".to_owned();
        }
        if !truncate {
            return self.image.clone();
        }
        let short = short_id(&self.image_id);
        if !short.is_empty() && short == short_id(&self.image) {
            return short.to_owned();
        }
        let name = self.image.split('@').next().unwrap_or(&self.image);
        crate::image::familiar(name).to_owned()
    }

    fn display_mounts(&self, truncate: bool) -> String {
        let names: Vec<String> = self
            .mounts
            .iter()
            .map(|mount| {
                if mount.name.is_empty() {
                    &mount.source
                } else {
                    &mount.name
                }
            })
            .map(|name| {
                if truncate {
                    ellipsis(name, 15)
                } else {
                    name.clone()
                }
            })
            .collect();
        names.join(",")
    }

    fn size(&self) -> String {
        let own = units::human_size_with(self.size_rw as f64, 3);
        if self.size_root_fs <= 0 {
            return own;
        }
        let whole = units::human_size_with(self.size_root_fs as f64, 3);
        format!("{own} (virtual {whole})")
    }
}

/// `443/tcp, 0.0.0.0:80-82->80-82/tcp, 0.0.0.0:8080->90/tcp`: neighbours in one range, what is
/// published under another number last.
fn ports(ports: &[PublishedPort]) -> String {
    let mut ports: Vec<&PublishedPort> = ports.iter().collect();
    ports.sort_by_cached_key(|port| {
        (
            port.private_port,
            port.ip.parse::<IpAddr>().ok(),
            port.public_port,
            port.protocol.clone(),
        )
    });
    let mut done: Vec<String> = Vec::new();
    let mut moved: Vec<String> = Vec::new();
    let mut open: Vec<(String, u16, u16)> = Vec::new();
    for port in ports {
        let current = port.private_port;
        let key = if port.ip.is_empty() {
            port.protocol.clone()
        } else if port.public_port == current {
            format!("{}/{}", port.ip, port.protocol)
        } else {
            let host = host_port(&port.ip, &port.public_port.to_string());
            moved.push(format!("{host}->{current}/{}", port.protocol));
            continue;
        };
        match open.iter_mut().find(|(name, _, _)| *name == key) {
            None => open.push((key, current, current)),
            Some((_, _, last)) if current == last.wrapping_add(1) => *last = current,
            Some((name, first, last)) => {
                done.push(range(name, *first, *last));
                (*first, *last) = (current, current);
            }
        }
    }
    done.extend(
        open.iter()
            .map(|(name, first, last)| range(name, *first, *last)),
    );
    done.extend(moved);
    done.join(", ")
}

fn range(key: &str, first: u16, last: u16) -> String {
    let mut group = first.to_string();
    if first != last {
        let _ = write!(group, "-{last}");
    }
    match key.split_once('/') {
        Some((ip, protocol)) => format!("{}->{group}/{protocol}", host_port(ip, &group)),
        None => format!("{group}/{key}"),
    }
}

fn host_port(ip: &str, port: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, private: u16, public: u16) -> PublishedPort {
        PublishedPort {
            ip: ip.to_owned(),
            private_port: private,
            public_port: public,
            protocol: "tcp".to_owned(),
        }
    }

    #[test]
    fn ports_are_grouped_as_docker_groups_them() {
        let list = [
            port("0.0.0.0", 80, 8080),
            port("", 443, 0),
            port("", 444, 0),
            port("0.0.0.0", 90, 90),
            port("0.0.0.0", 91, 91),
            port("::", 91, 91),
        ];
        assert_eq!(
            ports(&list),
            "0.0.0.0:90-91->90-91/tcp, [::]:91->91/tcp, 443-444/tcp, 0.0.0.0:8080->80/tcp"
        );
        assert_eq!(ports(&[port("", 1, 0), port("", 3, 0)]), "1/tcp, 3/tcp");
    }

    #[test]
    fn a_container_is_one_line() {
        let json = r#"{"Id":"0123456789abcdef","Names":["/other/link","/web"],"Image":"docker.io/library/busybox:1@sha256:ff","ImageID":"sha256:abc","Command":"sh -c 'echo hello world and more'","Created":0,"Ports":null,"Labels":{"b":"2","a":"1"},"Status":"Up 3 seconds","Mounts":[{"Name":"0123456789012345678","Driver":"local"}],"SizeRw":1234,"SizeRootFs":4260000}"#;
        let container: Container = serde_json::from_str(json).unwrap();
        let format = Format::new(
            "{{.ID}}|{{.Names}}|{{.Image}}|{{.Command}}|{{.Labels}}|{{.Label \"b\"}}|{{.Mounts}}|{{.Size}}|{{.LocalVolumes}}",
        );
        assert_eq!(
            format.list(COLUMNS, &[container.row(true)]).unwrap(),
            "0123456789ab|web|busybox:1|\"sh -c 'echo hello w…\"|a=1,b=2|2|01234567890123…|1.23kB (virtual 4.26MB)|1\n"
        );
    }
}
