//! `wharf netns ls`

use super::places::{self, Identity, Place};
use crate::command::{Arity, Command, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::flags::FlagSet;
use crate::session::Session;
use crate::table::{Columns, Format, Row};

pub(crate) const COMMAND: Command = Command::verb(
    "ls",
    "[OPTIONS]",
    "List pinned network namespaces and those of running containers",
    Arity::None,
    || Box::new(Ls::default()),
)
.aliases(&["list"])
.paths(&["netns ls", "netns list"]);

const COLUMNS: Columns = &[
    ("Inode", "INODE"),
    ("Kind", "KIND"),
    ("Name", "NAME"),
    ("Path", "PATH"),
];

const TABLE: &str = "table {{.Inode}}\\t{{.Kind}}\\t{{.Name}}\\t{{.Path}}";
const RAW: &str = "inode: {{.Inode}}\nkind: {{.Kind}}\nname: {{.Name}}\npath: {{.Path}}\n";

#[derive(Default)]
struct Ls {
    format: String,
    quiet: bool,
}

impl Verb for Ls {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.quiet, "quiet", 'q', "Only display names");
        set.long(&mut self.format, "format", FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let format = if self.quiet {
                Format::new("{{.Name}}")
            } else {
                Format::choose(&self.format, TABLE, RAW)
            };
            format.check()?;
            let mut found = places::pinned();
            found.extend(places::of_containers(session).await);
            let merged = merge(found);
            let rows: Vec<Row> = merged.iter().map(row).collect();
            session.print(&format.list(COLUMNS, &rows)?)?;
            Ok(())
        })
    }
}

/// One line per namespace, with every name that leads to it.
fn merge(found: Vec<Place>) -> Vec<(Identity, Place)> {
    let mut merged: Vec<(Identity, Place)> = Vec::new();
    for place in found {
        match merged
            .iter_mut()
            .find(|(known, _)| *known == place.identity)
        {
            Some((_, first)) => {
                first.name.push(',');
                first.name.push_str(&place.name);
            }
            None => merged.push((place.identity, place)),
        }
    }
    merged
}

fn row((identity, place): &(Identity, Place)) -> Row {
    Row::new(vec![
        ("Inode", identity.inode.to_string().into()),
        ("Kind", place.kind.into()),
        ("Name", place.name.as_str().into()),
        ("Path", place.path.display().to_string().into()),
    ])
}
