//! `docker kill`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{RUNNING, each, path, perform};
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "kill",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Kill one or more running containers",
    Arity::AtLeast(1),
    || Box::new(Kill::default()),
)
.paths(&["container kill", "kill"])
.names(Names::ContainersIn(RUNNING));

#[derive(Default)]
struct Kill {
    signal: String,
}

impl Verb for Kill {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.signal,
            "signal",
            's',
            "Signal to send to the container",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let signal = &self.signal;
            each(session, &args, |id| async move {
                let query = Query::new().add_text("signal", signal);
                perform(client, Call::post(path(id, "/kill")?).query(query)).await
            })
            .await
        })
    }
}
