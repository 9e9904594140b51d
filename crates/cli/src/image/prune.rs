//! `docker image prune`

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
    "Remove unused images",
    Arity::None,
    || {
        Box::new(Prune {
            all: false,
            filters: List::filters(),
            force: false,
        })
    },
);

const WARNING_ALL: &str = "WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue?";
const WARNING_DANGLING: &str =
    "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";

struct Prune {
    all: bool,
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
        set.short(
            &mut self.all,
            "all",
            'a',
            "Remove all unused images, not just dangling ones",
        );
        set.long(
            &mut self.filters,
            "filter",
            "Provide filter values (e.g. \"until=<timestamp>\")",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let warning = if self.all {
                WARNING_ALL
            } else {
                WARNING_DANGLING
            };
            if !self.force && !prompt::confirm(session, warning).await? {
                return Ok(());
            }
            let pruned = prune(session, &self.filters, self.all).await?;
            session.print(&pruned.text)?;
            session.print(&pruned.total())?;
            Ok(())
        })
    }
}

pub(crate) async fn prune(
    session: &Session,
    filters: &[String],
    all: bool,
) -> Result<Pruned, Failure> {
    let mut filters = filters.to_vec();
    filters.push(format!("dangling={}", !all));
    let call = Call::post("/images/prune").query(Query::new().add_filters(&filters));
    let report: Json = session.client()?.send(call).await?.json().await?;
    let deleted = report.list("ImagesDeleted");
    let mut text = String::new();
    if !deleted.is_empty() {
        text.push_str("Deleted Images:\n");
        for image in deleted {
            match image.text("Untagged") {
                "" => {
                    let _ = writeln!(text, "deleted: {}", image.text("Deleted"));
                }
                untagged => {
                    let _ = writeln!(text, "untagged: {untagged}");
                }
            }
        }
        text.push('\n');
    }
    Ok(Pruned {
        text,
        bytes: report.int("SpaceReclaimed"),
    })
}
