//! `docker container prune`

use std::fmt::Write as _;

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::prompt;
use crate::session::Session;
use crate::units;

pub(crate) const COMMAND: Command = Command::verb(
    "prune",
    "[OPTIONS]",
    "Remove all stopped containers",
    Arity::None,
    || {
        Box::new(Prune {
            filters: List::filters(),
            force: false,
        })
    },
);

const WARNING: &str =
    "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?";

struct Prune {
    filters: List,
    force: bool,
}

impl Verb for Prune {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.force,
            "force",
            'f',
            "Do not prompt for confirmation",
        );
        set.long(
            &mut self.filters,
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if !self.force && !prompt::confirm(session, WARNING).await? {
                return Ok(());
            }
            let pruned = prune(session, &self.filters).await?;
            session.print(&pruned.text)?;
            session.print(&pruned.total())?;
            Ok(())
        })
    }
}

/// What was removed, and how much room that made.
pub(crate) struct Pruned {
    pub(crate) text: String,
    pub(crate) bytes: i64,
}

impl Pruned {
    pub(crate) fn total(&self) -> String {
        format!(
            "Total reclaimed space: {}\n",
            units::human_size(self.bytes as f64)
        )
    }
}

pub(crate) async fn prune(session: &Session, filters: &[String]) -> Result<Pruned, Failure> {
    let call = Call::post("/containers/prune").query(Query::new().add_filters(filters));
    let report: Json = session.client()?.send(call).await?.json().await?;
    let deleted = report.texts("ContainersDeleted");
    let mut text = String::new();
    if !deleted.is_empty() {
        text.push_str("Deleted Containers:\n");
        for id in deleted {
            let _ = writeln!(text, "{id}");
        }
        text.push('\n');
    }
    Ok(Pruned {
        text,
        bytes: report.int("SpaceReclaimed"),
    })
}
