//! `docker wait`, and waiting for a container that was just started.

use crate::client::{Call, Client, Query, Reply};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{ALIVE, path};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "wait",
    "CONTAINER [CONTAINER...]",
    "Block until one or more containers stop, then print their exit codes",
    Arity::AtLeast(1),
    || Box::new(Wait),
)
.paths(&["container wait", "wait"])
.names(Names::ContainersIn(ALIVE));

struct Wait;

impl Verb for Wait {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let mut reasons = Vec::new();
            for id in &args {
                let code = match begin(client, id, "").await {
                    Ok(exit) => exit.code().await,
                    Err(failure) => Err(failure),
                };
                match code {
                    Ok(code) => session.print(&format!("{code}\n"))?,
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

/// A wait the daemon has registered: nothing that happens from now on is missed.
pub(crate) struct Exit<'c> {
    reply: Reply<'c>,
}

/// Registers a wait; returns once the daemon has it.
pub(crate) async fn begin<'c>(
    client: &'c Client,
    id: &str,
    condition: &str,
) -> Result<Exit<'c>, Failure> {
    let query = Query::new().add_text("condition", condition);
    let reply = client
        .send(Call::post(path(id, "/wait")?).query(query))
        .await?;
    Ok(Exit { reply })
}

impl Exit<'_> {
    pub(crate) async fn code(self) -> Result<i64, Failure> {
        let result: Json = self.reply.json().await?;
        let error = result
            .get("Error")
            .map_or("", |error| error.text("Message"));
        if !error.is_empty() {
            return Err(Failure::Text(error.to_owned()));
        }
        Ok(result.int("StatusCode"))
    }

    /// Waits, and ends this command with the container's own code.
    pub(crate) async fn finished(self) -> Result<(), Failure> {
        match self.code().await {
            Ok(0) => Ok(()),
            Ok(code) => Err(Failure::Code(u8::try_from(code & 0xff).unwrap_or(1))),
            Err(Failure::Text(text)) => Err(Failure::Status(125, text)),
            Err(other) => Err(other),
        }
    }
}
