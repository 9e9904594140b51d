//! `docker logs`

use bytes::BytesMut;

use crate::client::{Call, Demux, Query, Received};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{describe, path};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;
use crate::time;

pub(crate) const COMMAND: Command = Command::verb(
    "logs",
    "[OPTIONS] CONTAINER",
    "Fetch the logs of a container",
    Arity::Exactly(1),
    || {
        Box::new(Logs {
            tail: "all".to_owned(),
            ..Logs::default()
        })
    },
)
.paths(&["container logs", "logs"])
.names(Names::FirstContainer(&[]));

#[derive(Default)]
struct Logs {
    details: bool,
    follow: bool,
    since: String,
    tail: String,
    timestamps: bool,
    until: String,
}

impl Verb for Logs {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.follow, "follow", 'f', "Follow log output");
        set.long(&mut self.since, "since", "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)");
        set.long(&mut self.until, "until", "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)");
        set.short(&mut self.timestamps, "timestamps", 't', "Show timestamps");
        set.long(
            &mut self.details,
            "details",
            "Show extra details provided to logs",
        );
        set.short(
            &mut self.tail,
            "tail",
            'n',
            "Number of lines to show from the end of the logs",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let container = describe(client, &args[0]).await?;
            let tty = container
                .get("Config")
                .is_some_and(|config| config.bool("Tty"));
            let id = match container.get("Id").and_then(Json::as_text) {
                Some(id) => id.to_owned(),
                None => args[0].clone(),
            };
            let mut query = Query::new()
                .add("stdout", "1")
                .add("stderr", "1")
                .add_switch("timestamps", self.timestamps)
                .add_switch("details", self.details)
                .add_switch("follow", self.follow)
                .add("tail", self.tail.clone());
            for (name, text) in [("since", &self.since), ("until", &self.until)] {
                if !text.is_empty() {
                    let moment = time::api_timestamp(text).map_err(|why| {
                        Failure::Text(format!(
                            "invalid value for {}: {why}",
                            crate::go::quote(name)
                        ))
                    })?;
                    query = query.add(name, moment);
                }
            }
            let mut reply = client
                .send(Call::get(path(&id, "/logs")?).query(query))
                .await?;
            let mut demux = Demux::default();
            let mut buffer = BytesMut::new();
            while let Some(chunk) = reply.chunk().await? {
                if tty {
                    session.out.write(&chunk)?;
                    continue;
                }
                buffer.extend_from_slice(&chunk);
                while let Some(received) = demux.take(&mut buffer) {
                    match received {
                        Received::Stdout(bytes) => session.out.write(&bytes)?,
                        Received::Stderr(bytes) => session.err.write(&bytes)?,
                        Received::Failure(text) => return Err(Failure::Text(text)),
                    }
                }
            }
            Ok(())
        })
    }
}
