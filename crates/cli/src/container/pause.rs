//! `docker pause` and `docker unpause`

use crate::client::Call;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{RUNNING, each, path, perform};
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const PAUSE: Command = Command::verb(
    "pause",
    "CONTAINER [CONTAINER...]",
    "Pause all processes within one or more containers",
    Arity::AtLeast(1),
    || Box::new(Pause("/pause")),
)
.paths(&["container pause", "pause"])
.names(Names::ContainersIn(RUNNING));

pub(crate) const UNPAUSE: Command = Command::verb(
    "unpause",
    "CONTAINER [CONTAINER...]",
    "Unpause all processes within one or more containers",
    Arity::AtLeast(1),
    || Box::new(Pause("/unpause")),
)
.paths(&["container unpause", "unpause"])
.names(Names::ContainersIn(&["paused"]));

struct Pause(&'static str);

impl Verb for Pause {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let (client, request) = (session.client()?, self.0);
            each(session, &args, |id| async move {
                perform(client, Call::post(path(id, request)?)).await
            })
            .await
        })
    }
}
