//! `docker rename`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{path, perform};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "rename",
    "CONTAINER NEW_NAME",
    "Rename a container",
    Arity::Exactly(2),
    || Box::new(Rename),
)
.paths(&["container rename", "rename"])
.names(Names::FirstContainer(&[]));

struct Rename;

impl Verb for Rename {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let (old, new) = (args[0].trim(), args[1].trim());
            if old.is_empty() || new.is_empty() {
                return Err(Failure::Text(
                    "Error: Neither old nor new names may be empty".to_owned(),
                ));
            }
            let query = Query::new().add("name", new);
            perform(
                session.client()?,
                Call::post(path(old, "/rename")?).query(query),
            )
            .await
            .map_err(|failure| {
                let why = failure.message(session.program).unwrap_or_default();
                Failure::Text(format!(
                    "{why}\nError: failed to rename container named {old}"
                ))
            })
        })
    }
}
