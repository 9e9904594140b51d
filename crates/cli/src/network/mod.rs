//! `docker network`
//!
//! Everything is sent; what the daemon cannot do yet it says itself (501).

pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod ls;

use std::fmt::Write as _;

use crate::client::{Call, Query, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::perform;
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::inspect::{self, FORMAT_HELP, Kind};
use crate::json::Json;
use crate::prompt;
use crate::session::Session;

pub(crate) const GROUP: Command = Command::group(
    "network",
    "Manage networks",
    &[
        connect::CONNECT,
        create::COMMAND,
        connect::DISCONNECT,
        INSPECT,
        ls::COMMAND,
        PRUNE,
        REMOVE,
    ],
);

const INSPECT: Command = Command::verb(
    "inspect",
    "[OPTIONS] NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
    Arity::AtLeast(1),
    || Box::new(Inspect::default()),
)
.names(Names::Networks);

const PRUNE: Command = Command::verb(
    "prune",
    "[OPTIONS]",
    "Remove all unused networks",
    Arity::None,
    || {
        Box::new(Prune {
            filters: List::filters(),
            force: false,
        })
    },
);

const REMOVE: Command = Command::verb(
    "rm",
    "NETWORK [NETWORK...]",
    "Remove one or more networks",
    Arity::AtLeast(1),
    || Box::new(Remove::default()),
)
.aliases(&["remove"])
.paths(&["network rm", "network remove"])
.names(Names::Networks);

const WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";

#[derive(Default)]
struct Inspect {
    format: String,
    verbose: bool,
}

impl Verb for Inspect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
        set.short(
            &mut self.verbose,
            "verbose",
            'v',
            "Verbose output for diagnostics",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let kind = Kind::Network {
                verbose: self.verbose,
                scope: String::new(),
            };
            inspect::print(session, &args, &self.format, |name| {
                kind.fetch(session, name)
            })
            .await
        })
    }
}

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
            session.print(&prune(session, &self.filters).await?)?;
            Ok(())
        })
    }
}

pub(crate) async fn prune(session: &Session, filters: &[String]) -> Result<String, Failure> {
    let call = Call::post("/networks/prune").query(Query::new().add_filters(filters));
    let report: Json = session.client()?.send(call).await?.json().await?;
    let deleted = report.texts("NetworksDeleted");
    let mut text = String::new();
    if !deleted.is_empty() {
        text.push_str("Deleted Networks:\n");
        for name in deleted {
            let _ = writeln!(text, "{name}");
        }
        text.push('\n');
    }
    Ok(text)
}

#[derive(Default)]
struct Remove {
    force: bool,
}

impl Verb for Remove {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.force,
            "force",
            'f',
            "Do not error if the network does not exist",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let mut failed = false;
            for name in &args {
                match perform(client, Call::delete(format!("/networks/{}", escape(name)))).await {
                    Ok(()) => session.print(&format!("{name}\n"))?,
                    Err(failure) if self.force && failure.is_not_found() => {}
                    Err(failure) => {
                        failed = true;
                        session.complain(&failure.message(session.program).unwrap_or_default());
                    }
                }
            }
            if failed {
                return Err(Failure::Code(1));
            }
            Ok(())
        })
    }
}
