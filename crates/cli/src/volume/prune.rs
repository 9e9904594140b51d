//! `docker volume prune`

use std::fmt::Write as _;

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::container::prune::Pruned;
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::prompt;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "prune",
    "[OPTIONS]",
    "Remove unused local volumes",
    Arity::None,
    || {
        Box::new(Prune {
            all: false,
            filters: List::filters(),
            force: false,
        })
    },
);

const WARNING_ALL: &str = "WARNING! This will remove all local volumes not used by at least one container.\nAre you sure you want to continue?";
const WARNING_ANONYMOUS: &str = "WARNING! This will remove anonymous local volumes not used by at least one container.\nAre you sure you want to continue?";

struct Prune {
    all: bool,
    filters: List,
    force: bool,
}

impl Verb for Prune {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.all,
            "all",
            'a',
            "Remove all unused volumes, not just anonymous ones",
        );
        set.short(
            &mut self.force,
            "force",
            'f',
            "Do not prompt for confirmation",
        );
        set.long(
            &mut self.filters,
            "filter",
            "Provide filter values (e.g. \"label=<label>\")",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.all && self.filters.iter().any(|filter| filter.starts_with("all=")) {
                return Err(
                    "conflicting options: cannot specify both --all and --filter all=1".into(),
                );
            }
            let warning = if self.all {
                WARNING_ALL
            } else {
                WARNING_ANONYMOUS
            };
            if !self.force && !prompt::confirm(session, warning).await? {
                return Ok(());
            }
            let mut filters = self.filters.to_vec();
            if self.all {
                filters.push("all=true".to_owned());
            }
            let pruned = prune(session, &filters).await?;
            session.print(&pruned.text)?;
            session.print(&pruned.total())?;
            Ok(())
        })
    }
}

pub(crate) async fn prune(session: &Session, filters: &[String]) -> Result<Pruned, Failure> {
    let call = Call::post("/volumes/prune").query(Query::new().add_filters(filters));
    let report: Json = session.client()?.send(call).await?.json().await?;
    let deleted = report.texts("VolumesDeleted");
    let mut text = String::new();
    if !deleted.is_empty() {
        text.push_str("Deleted Volumes:\n");
        for name in deleted {
            let _ = writeln!(text, "{name}");
        }
        text.push('\n');
    }
    Ok(Pruned {
        text,
        bytes: report.int("SpaceReclaimed"),
    })
}
