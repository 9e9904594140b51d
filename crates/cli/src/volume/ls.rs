//! `docker volume ls`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::session::Session;
use crate::table::{Columns, Format, Row, joined_labels, labels_of};
use crate::units;

pub(crate) const COMMAND: Command =
    Command::verb("ls", "[OPTIONS]", "List volumes", Arity::None, || {
        Box::new(Ls {
            filters: List::filters(),
            ..Ls::default()
        })
    })
    .aliases(&["list"])
    .paths(&["volume ls", "volume list"]);

pub(crate) const COLUMNS: Columns = &[
    ("Name", "VOLUME NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
    ("Status", "STATUS"),
];

const TABLE: &str = "table {{.Driver}}\\t{{.Name}}";
const RAW: &str = "name: {{.Name}}\ndriver: {{.Driver}}\n";

#[derive(Default)]
struct Ls {
    cluster: bool,
    filters: List,
    format: String,
    quiet: bool,
}

impl Verb for Ls {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.quiet, "quiet", 'q', "Only display volume names");
        set.long(&mut self.format, "format", FORMAT_HELP);
        set.short(
            &mut self.filters,
            "filter",
            'f',
            "Provide filter values (e.g. \"dangling=true\")",
        );
        set.long(
            &mut self.cluster,
            "cluster",
            "Display only cluster volumes, and use cluster volume list formatting",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.cluster {
                return Err(Failure::Missing(
                    "Wharf has no cluster volumes: it manages the containers of one host"
                        .to_owned(),
                ));
            }
            let asked = match session.config().text("volumesFormat") {
                configured if self.format.is_empty() && !self.quiet => configured,
                _ => &self.format,
            };
            let format = match (self.quiet, asked) {
                (true, "" | "table") => Format::new("{{.Name}}"),
                (true, "raw") => Format::new("name: {{.Name}}"),
                (_, asked) => Format::choose(asked, TABLE, RAW),
            };
            format.check()?;
            let query = Query::new().add_filters(&self.filters);
            let listed: Json = session
                .client()?
                .send(Call::get("/volumes").query(query))
                .await?
                .json()
                .await?;
            let mut volumes: Vec<&Json> = listed.list("Volumes").iter().collect();
            volumes.sort_by(|a, b| a.text("Name").cmp(b.text("Name")));
            let rows: Vec<Row> = volumes.into_iter().map(row).collect();
            session.print(&format.list(COLUMNS, &rows)?)?;
            Ok(())
        })
    }
}

pub(crate) fn row(volume: &Json) -> Row {
    let labels = labels_of(volume, "Labels");
    let usage = volume
        .get("UsageData")
        .filter(|usage| **usage != Json::Null);
    let (links, size) = match usage {
        Some(usage) => {
            let size = match usage.int("Size") {
                -1 => "N/A".to_owned(),
                size => units::human_size(size as f64),
            };
            (usage.int("RefCount").to_string(), size)
        }
        None => ("N/A".to_owned(), "N/A".to_owned()),
    };
    let mut row = Row::new(vec![
        ("Name", volume.text("Name").into()),
        ("Driver", volume.text("Driver").into()),
        ("Scope", volume.text("Scope").into()),
        ("Mountpoint", volume.text("Mountpoint").into()),
        ("Labels", joined_labels(&labels).into()),
        ("Links", links.into()),
        ("Size", size.into()),
        ("Availability", "N/A".into()),
        ("Group", "N/A".into()),
        ("Status", "N/A".into()),
    ]);
    row.labels = labels;
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_one_line() {
        let volume = Json::parse(br#"{"Name":"data","Driver":"local","Labels":{"a":"1"},"UsageData":{"RefCount":2,"Size":1500}}"#).unwrap();
        let format = Format::new("{{.Driver}} {{.Name}} {{.Labels}} {{.Links}} {{.Size}}");
        assert_eq!(
            format.list(COLUMNS, &[row(&volume)]).unwrap(),
            "local data a=1 2 1.5kB\n"
        );
    }
}
