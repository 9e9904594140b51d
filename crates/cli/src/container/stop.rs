//! `docker stop` and `docker restart`: the same flags, another verb.

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{ALIVE, each, path, perform};
use crate::failure::Failure;
use crate::flags::{FlagSet, Given};
use crate::session::Session;

pub(crate) const STOP: Command = Command::verb(
    "stop",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Stop one or more running containers",
    Arity::AtLeast(1),
    || Box::new(Stop::new("/stop")),
)
.paths(&["container stop", "stop"])
.names(Names::ContainersIn(ALIVE));

pub(crate) const RESTART: Command = Command::verb(
    "restart",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Restart one or more containers",
    Arity::AtLeast(1),
    || Box::new(Stop::new("/restart")),
)
.paths(&["container restart", "restart"])
.names(Names::Containers);

struct Stop {
    request: &'static str,
    signal: String,
    timeout: Given<i64>,
    /// The old name of `--timeout`.
    time: Given<i64>,
}

impl Stop {
    fn new(request: &'static str) -> Stop {
        Stop {
            request,
            signal: String::new(),
            timeout: Given::default(),
            time: Given::default(),
        }
    }
}

impl Verb for Stop {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.signal,
            "signal",
            's',
            "Signal to send to the container",
        );
        set.short(
            &mut self.timeout,
            "timeout",
            't',
            "Seconds to wait before killing the container",
        );
        set.long(
            &mut self.time,
            "time",
            "Seconds to wait before killing the container (deprecated: use --timeout)",
        )
        .hide();
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.time.given().is_some() && self.timeout.given().is_some() {
                return Err(Failure::Text(
                    "conflicting options: cannot specify both --timeout and --time".to_owned(),
                ));
            }
            if self.time.given().is_some() {
                session.complain("Flag --time has been deprecated, use --timeout instead");
            }
            let timeout = self
                .timeout
                .given()
                .or(self.time.given())
                .map(i64::to_string);
            let (signal, timeout) = (&self.signal, timeout.as_deref().unwrap_or_default());
            let (client, request) = (session.client()?, self.request);
            each(session, &args, |id| async move {
                let query = Query::new()
                    .add_text("signal", signal)
                    .add_text("t", timeout);
                perform(client, Call::post(path(id, request)?).query(query)).await
            })
            .await
        })
    }
}
