//! `docker diff`

use std::fmt::Write as _;

use crate::client::Call;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::path;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "diff",
    "CONTAINER",
    "Inspect changes to files or directories on a container's filesystem",
    Arity::Exactly(1),
    || Box::new(Diff),
)
.paths(&["container diff", "diff"])
.names(Names::FirstContainer(&[]));

struct Diff;

impl Verb for Diff {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let call = Call::get(path(&args[0], "/changes")?);
            let changes: Option<Vec<Json>> = session.client()?.send(call).await?.json().await?;
            let mut out = String::new();
            for change in changes.unwrap_or_default() {
                let kind = match change.int("Kind") {
                    0 => "C",
                    1 => "A",
                    2 => "D",
                    _ => "",
                };
                let _ = writeln!(out, "{kind} {}", change.text("Path"));
            }
            session.print(&out)?;
            Ok(())
        })
    }
}
