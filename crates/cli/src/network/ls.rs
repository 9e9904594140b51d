//! `docker network ls`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::session::Session;
use crate::table::{Columns, Format, Row, joined_labels, labels_of, short_id};

pub(crate) const COMMAND: Command =
    Command::verb("ls", "[OPTIONS]", "List networks", Arity::None, || {
        Box::new(Ls {
            filters: List::filters(),
            ..Ls::default()
        })
    })
    .aliases(&["list"])
    .paths(&["network ls", "network list"]);

const COLUMNS: Columns = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

const TABLE: &str = "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}";
const RAW: &str = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n";

#[derive(Default)]
struct Ls {
    filters: List,
    format: String,
    no_trunc: bool,
    quiet: bool,
}

impl Verb for Ls {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.quiet, "quiet", 'q', "Only display network IDs");
        set.long(&mut self.no_trunc, "no-trunc", "Do not truncate the output");
        set.long(&mut self.format, "format", FORMAT_HELP);
        set.short(
            &mut self.filters,
            "filter",
            'f',
            "Provide filter values (e.g. \"driver=bridge\")",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let asked = match session.config().text("networksFormat") {
                configured if self.format.is_empty() && !self.quiet => configured,
                _ => &self.format,
            };
            let format = match (self.quiet, asked) {
                (true, "" | "table") => Format::new("{{.ID}}"),
                (true, "raw") => Format::new("network_id: {{.ID}}"),
                (_, asked) => Format::choose(asked, TABLE, RAW),
            };
            format.check()?;
            let query = Query::new().add_filters(&self.filters);
            let mut networks: Vec<Json> = session
                .client()?
                .send(Call::get("/networks").query(query))
                .await?
                .json()
                .await?;
            networks.sort_by(|a, b| a.text("Name").cmp(b.text("Name")));
            let rows: Vec<Row> = networks.iter().map(|network| self.row(network)).collect();
            session.print(&format.list(COLUMNS, &rows)?)?;
            Ok(())
        })
    }
}

impl Ls {
    fn row(&self, network: &Json) -> Row {
        let labels = labels_of(network, "Labels");
        let id = network.text("Id");
        let id = if self.no_trunc { id } else { short_id(id) };
        // Written as Go writes a time: `2006-01-02 15:04:05.999 -0700 MST`.
        let created = network.text("Created");
        let created = match created.parse::<jiff::Timestamp>() {
            Ok(time) => {
                let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
                zoned.strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string()
            }
            Err(_) => created.to_owned(),
        };
        let mut row = Row::new(vec![
            ("ID", id.into()),
            ("Name", network.text("Name").into()),
            ("Driver", network.text("Driver").into()),
            ("Scope", network.text("Scope").into()),
            ("IPv4", network.bool("EnableIPv4").to_string().into()),
            ("IPv6", network.bool("EnableIPv6").to_string().into()),
            ("Internal", network.bool("Internal").to_string().into()),
            ("Labels", joined_labels(&labels).into()),
            ("CreatedAt", created.into()),
        ]);
        row.labels = labels;
        row
    }
}
