//! `docker container inspect`

use crate::command::{Arity, Command, Names, Run, Verb};
use crate::flags::FlagSet;
use crate::inspect::{self, FORMAT_HELP, Kind};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "inspect",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Display detailed information on one or more containers",
    Arity::AtLeast(1),
    || Box::new(Inspect::default()),
)
.names(Names::Containers);

#[derive(Default)]
struct Inspect {
    format: String,
    size: bool,
}

impl Verb for Inspect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
        set.short(&mut self.size, "size", 's', "Display total file sizes");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let kind = Kind::Container { size: self.size };
            inspect::print(session, &args, &self.format, |name| {
                kind.fetch(session, name)
            })
            .await
        })
    }
}
