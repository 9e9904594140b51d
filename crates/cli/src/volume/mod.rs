//! `docker volume`

pub(crate) mod create;
pub(crate) mod ls;
pub(crate) mod prune;

use crate::client::{Call, Query, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::perform;
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::inspect::{self, FORMAT_HELP, Kind};
use crate::session::Session;

pub(crate) const GROUP: Command = Command::group(
    "volume",
    "Manage volumes",
    &[
        create::COMMAND,
        INSPECT,
        ls::COMMAND,
        prune::COMMAND,
        REMOVE,
        UPDATE,
    ],
);

const INSPECT: Command = Command::verb(
    "inspect",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Display detailed information on one or more volumes",
    Arity::AtLeast(1),
    || Box::new(Inspect::default()),
)
.names(Names::Volumes);

const REMOVE: Command = Command::verb(
    "rm",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Remove one or more volumes",
    Arity::AtLeast(1),
    || Box::new(Remove::default()),
)
.aliases(&["remove"])
.long("Remove one or more volumes. You cannot remove a volume that is in use by a container.")
.paths(&["volume rm", "volume remove"])
.names(Names::Volumes);

const UPDATE: Command = Command::missing(
    "update",
    "Update a volume (cluster volumes only)",
    "Wharf has no cluster volumes: it manages the containers of one host",
);

#[derive(Default)]
struct Inspect {
    format: String,
}

impl Verb for Inspect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            inspect::print(session, &args, &self.format, |name| {
                Kind::Volume.fetch(session, name)
            })
            .await
        })
    }
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
            "Force the removal of one or more volumes",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let query = Query::new().add_switch("force", self.force);
            let mut reasons = Vec::new();
            for name in &args {
                let call = Call::delete(format!("/volumes/{}", escape(name))).query(query.clone());
                match perform(client, call).await {
                    Ok(()) => session.print(&format!("{name}\n"))?,
                    Err(failure) => reasons.extend(failure.message(session.program)),
                }
            }
            if reasons.is_empty() {
                Ok(())
            } else {
                Err(Failure::Text(reasons.join("\n")))
            }
        })
    }
}
