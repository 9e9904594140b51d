//! `docker system df`

use serde::Deserialize;

use crate::client::Call;
use crate::command::{Arity, Command, Run, Verb};
use crate::container::ls::{self as containers, Container, FORMAT_HELP};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::image::ls::{self as images, Image};
use crate::json::{Json, nullable};
use crate::session::Session;
use crate::table::{Columns, Format, Row, escape_html};
use crate::volume::ls as volumes;
use crate::{template, units};

pub(crate) const COMMAND: Command = Command::verb(
    "df",
    "[OPTIONS]",
    "Show docker disk usage",
    Arity::None,
    || Box::new(Df::default()),
);

const COLUMNS: Columns = &[
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
const TABLE: &str =
    "table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}";
const RAW: &str = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";

const IMAGES: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t{{.Containers}}";
const CONTAINERS: &str = "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\\t{{.Links}}\\t{{.Size}}";
const CACHE: &str = "table {{.ID}}\\t{{.CacheType}}\\t{{.Size}}\\t{{.CreatedSince}}\\t{{.LastUsedSince}}\\t{{.UsageCount}}\\t{{.Shared}}";
const CACHE_COLUMNS: Columns = &[
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];

#[derive(Default)]
struct Df {
    format: String,
    verbose: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Usage {
    layers_size: i64,
    #[serde(deserialize_with = "nullable")]
    images: Vec<Image>,
    #[serde(deserialize_with = "nullable")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "nullable")]
    volumes: Vec<Json>,
    #[serde(deserialize_with = "nullable")]
    build_cache: Vec<Json>,
}

impl Verb for Df {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.verbose,
            "verbose",
            'v',
            "Show detailed information on space usage",
        );
        set.long(&mut self.format, "format", FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let mut usage: Usage = session
                .client()?
                .send(Call::get("/system/df"))
                .await?
                .json()
                .await?;
            for container in &mut usage.containers {
                container.without_virtual_size();
            }
            let text = match (self.verbose, self.format.as_str()) {
                (false, format) => {
                    Format::choose(format, TABLE, RAW).list(COLUMNS, &usage.rows())?
                }
                (true, "" | "table") => usage.verbose()?,
                (true, "json") => escape_html(&usage.data().compact()) + "\n",
                (true, format) => {
                    template::render("", format, &usage.data(), template::Missing::Error)?
                }
            };
            session.print(&text)?;
            Ok(())
        })
    }
}

fn line(kind: &str, total: usize, active: usize, size: i64, reclaimable: i64, share: bool) -> Row {
    let human = |bytes: i64| units::human_size(bytes as f64);
    let reclaimable = if share && size > 0 {
        format!(
            "{} ({}%)",
            human(reclaimable),
            reclaimable.saturating_mul(100) / size
        )
    } else {
        human(reclaimable)
    };
    Row::new(vec![
        ("Type", kind.into()),
        ("TotalCount", total.to_string().into()),
        ("Active", active.to_string().into()),
        ("Size", human(size).into()),
        ("Reclaimable", reclaimable.into()),
    ])
}

impl Usage {
    fn rows(&self) -> Vec<Row> {
        vec![
            self.image_line(),
            self.container_line(),
            self.volume_line(),
            self.cache_line(),
        ]
    }

    fn image_line(&self) -> Row {
        let active = self.images.iter().filter(|image| image.containers > 0);
        let used: i64 = active
            .clone()
            .filter(|image| image.size != -1 && image.shared_size != -1)
            .map(|image| image.size - image.shared_size)
            .sum();
        let reclaimable = self.layers_size - used;
        line(
            "Images",
            self.images.len(),
            active.count(),
            self.layers_size,
            reclaimable,
            true,
        )
    }

    fn container_line(&self) -> Row {
        let active = self
            .containers
            .iter()
            .filter(|container| container.is_active())
            .count();
        let size: i64 = self
            .containers
            .iter()
            .map(|container| container.size_rw)
            .sum();
        let idle = self
            .containers
            .iter()
            .filter(|container| !container.is_active());
        let reclaimable = idle.map(|container| container.size_rw).sum();
        line(
            "Containers",
            self.containers.len(),
            active,
            size,
            reclaimable,
            true,
        )
    }

    fn volume_line(&self) -> Row {
        let usage =
            |volume: &Json, key: &str| volume.get("UsageData").map_or(-1, |data| data.int(key));
        let active = self
            .volumes
            .iter()
            .filter(|volume| usage(volume, "RefCount") > 0)
            .count();
        let known = self
            .volumes
            .iter()
            .filter(|volume| usage(volume, "Size") != -1);
        let size = known.clone().map(|volume| usage(volume, "Size")).sum();
        let idle = known.filter(|volume| usage(volume, "RefCount") == 0);
        let reclaimable = idle.map(|volume| usage(volume, "Size")).sum();
        line(
            "Local Volumes",
            self.volumes.len(),
            active,
            size,
            reclaimable,
            true,
        )
    }

    fn cache_line(&self) -> Row {
        let active = self
            .build_cache
            .iter()
            .filter(|cache| cache.bool("InUse"))
            .count();
        let own = self
            .build_cache
            .iter()
            .filter(|cache| !cache.bool("Shared"));
        let size = own.clone().map(|cache| cache.int("Size")).sum();
        let idle = own.filter(|cache| !cache.bool("InUse"));
        let reclaimable = idle.map(|cache| cache.int("Size")).sum();
        line(
            "Build Cache",
            self.build_cache.len(),
            active,
            size,
            reclaimable,
            false,
        )
    }

    fn image_rows(&self) -> Vec<Row> {
        self.images.iter().map(Image::first_row).collect()
    }

    fn container_rows(&self) -> Vec<Row> {
        self.containers
            .iter()
            .map(|container| container.row(true))
            .collect()
    }

    fn volume_rows(&self) -> Vec<Row> {
        self.volumes.iter().map(volumes::row).collect()
    }

    fn cache_rows(&self) -> Vec<Row> {
        self.build_cache.iter().map(cache_row).collect()
    }

    fn verbose(&self) -> Result<String, Failure> {
        let cache: i64 = self
            .build_cache
            .iter()
            .filter(|cache| !cache.bool("Shared"))
            .map(|cache| cache.int("Size"))
            .sum();
        Ok(format!(
            "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n\n{}",
            Format::new(IMAGES).list(images::COLUMNS, &self.image_rows())?,
            Format::new(CONTAINERS).list(containers::COLUMNS, &self.container_rows())?,
            Format::new(VOLUMES).list(volumes::COLUMNS, &self.volume_rows())?,
            units::human_size(cache as f64),
            Format::new(CACHE).list(CACHE_COLUMNS, &self.cache_rows())?,
        ))
    }

    /// Everything, for a template over the whole.
    fn data(&self) -> Json {
        let list = |rows: Vec<Row>| {
            let objects = rows.into_iter().map(|row| {
                let mut fields: Vec<(String, Json)> = row
                    .fields
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Json::Object(fields)
            });
            Json::List(objects.collect())
        };
        Json::Object(vec![
            ("Images".to_owned(), list(self.image_rows())),
            ("Containers".to_owned(), list(self.container_rows())),
            ("Volumes".to_owned(), list(self.volume_rows())),
            ("BuildCache".to_owned(), list(self.cache_rows())),
        ])
    }
}

fn cache_row(cache: &Json) -> Row {
    let since = |key: &str| crate::time::ago(crate::time::parse_rfc3339(cache.text(key)));
    Row::new(vec![
        (
            "ID",
            cache
                .text("ID")
                .get(..12)
                .unwrap_or(cache.text("ID"))
                .into(),
        ),
        ("CacheType", cache.text("Type").into()),
        (
            "Size",
            units::human_size_with(cache.int("Size") as f64, 3).into(),
        ),
        ("CreatedSince", since("CreatedAt").into()),
        ("LastUsedSince", since("LastUsedAt").into()),
        ("UsageCount", cache.int("UsageCount").to_string().into()),
        ("Shared", cache.bool("Shared").to_string().into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage() -> Usage {
        serde_json::from_str(r#"{"LayersSize":1000,"Images":[{"Id":"sha256:0123456789abcdef","RepoTags":["b:1"],"Size":600,"SharedSize":100,"Containers":1},{"Id":"sha256:1","Size":400,"SharedSize":0,"Containers":0}],"Containers":[{"Id":"01","SizeRw":30,"SizeRootFs":630,"State":"running"},{"Id":"02","SizeRw":70,"State":"exited"}],"Volumes":[{"Name":"v","UsageData":{"RefCount":0,"Size":50}}],"BuildCache":null}"#).unwrap()
    }

    #[test]
    fn the_summary_is_dockers_table() {
        let table = Format::new(TABLE).list(COLUMNS, &usage().rows()).unwrap();
        assert_eq!(
            table,
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images          2         1         1kB       500B (50%)\n\
             Containers      2         1         100B      70B (70%)\n\
             Local Volumes   1         0         50B       50B (100%)\n\
             Build Cache     0         0         0B        0B\n"
        );
    }

    #[test]
    fn the_long_form_has_four_tables() {
        let text = usage().verbose().unwrap();
        for heading in [
            "Images space usage:\n\nREPOSITORY",
            "\nContainers space usage:\n\nCONTAINER ID",
            "\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\nv             0         50B\n",
            "\nBuild cache usage: 0B\n\nCACHE ID",
        ] {
            assert!(text.contains(heading), "{heading:?} in {text}");
        }
    }
}
