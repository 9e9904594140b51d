//! `docker container`: one file per command, and what several of them share.

pub(crate) mod attach;
pub(crate) mod commit;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod options;
pub(crate) mod pause;
pub(crate) mod port;
pub(crate) mod prune;
pub(crate) mod rename;
pub(crate) mod request;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod update;
pub(crate) mod wait;

use std::future::Future;

use futures_util::future::join_all;

use crate::client::{Call, Client, escape};
use crate::command::Command;
use crate::failure::Failure;
use crate::json::Json;
use crate::session::Session;

pub(crate) const GROUP: Command = Command::group(
    "container",
    "Manage containers",
    &[
        attach::COMMAND,
        commit::COMMAND,
        cp::COMMAND,
        create::COMMAND,
        diff::COMMAND,
        exec::COMMAND,
        export::COMMAND,
        inspect::COMMAND,
        kill::COMMAND,
        logs::COMMAND,
        ls::COMMAND,
        pause::PAUSE,
        pause::UNPAUSE,
        port::COMMAND,
        prune::COMMAND,
        rename::COMMAND,
        stop::RESTART,
        rm::COMMAND,
        run::COMMAND,
        start::COMMAND,
        stats::COMMAND,
        stop::STOP,
        top::COMMAND,
        update::COMMAND,
        wait::COMMAND,
    ],
);

/// States for completion.
pub(crate) const RUNNING: &[&str] = &["running"];
pub(crate) const ALIVE: &[&str] = &["running", "paused"];
pub(crate) const STOPPED: &[&str] = &["created", "exited"];

/// `/containers/<id>/<what>`
pub(crate) fn path(id: &str, what: &str) -> Result<String, Failure> {
    if id.trim().is_empty() {
        return Err(Failure::Text(
            "invalid container name or ID: value is empty".to_owned(),
        ));
    }
    Ok(format!("/containers/{}{what}", escape(id)))
}

/// The daemon's description of a container.
pub(crate) async fn describe(client: &Client, id: &str) -> Result<Json, Failure> {
    Ok(client
        .send(Call::get(path(id, "/json")?))
        .await?
        .json()
        .await?)
}

/// Sends a request whose answer has nothing to read.
pub(crate) async fn perform(client: &Client, call: Call) -> Result<(), Failure> {
    client.send(call).await?.finish().await;
    Ok(())
}

/// Does the same to every name at once, prints those that worked in the order given, and fails
/// with all the reasons of those that did not.
pub(crate) async fn each<'n, F>(
    session: &Session,
    names: &'n [String],
    action: impl Fn(&'n str) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut reasons = Vec::new();
    let outcomes = join_all(names.iter().map(|name| action(name))).await;
    for (name, outcome) in names.iter().zip(outcomes) {
        match outcome {
            Ok(()) => session.print(&format!("{name}\n"))?,
            Err(failure) => reasons.extend(failure.message(session.program)),
        }
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Failure::Text(reasons.join("\n")))
    }
}
