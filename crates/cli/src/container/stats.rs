//! `docker stats`

mod sample;

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::client::{Call, Client, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::container::{RUNNING, path};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;
use crate::table::{Format, Row};

use sample::{COLUMNS, Sample};

pub(crate) const COMMAND: Command = Command::verb(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
    Arity::Any,
    || Box::new(Stats::default()),
)
.paths(&["container stats", "stats"])
.names(Names::ContainersIn(RUNNING));

const TABLE: &str = "table {{.ID}}\\t{{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}\\t{{.MemPerc}}\\t{{.NetIO}}\\t{{.BlockIO}}\\t{{.PIDs}}";
/// How often the table is drawn anew.
const REDRAW: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Stats {
    all: bool,
    format: String,
    no_stream: bool,
    no_trunc: bool,
}

/// One line of the table.
struct Watched {
    name: String,
    sample: Sample,
    /// Why there are no figures.
    failure: Option<String>,
}

impl Verb for Stats {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.all,
            "all",
            'a',
            "Show all containers (default shows just running)",
        );
        set.long(
            &mut self.no_stream,
            "no-stream",
            "Disable streaming stats and only pull the first result",
        );
        set.long(&mut self.no_trunc, "no-trunc", "Do not truncate output");
        set.long(&mut self.format, "format", FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let asked = match session.config().text("statsFormat") {
                configured if self.format.is_empty() => configured,
                _ => &self.format,
            };
            let format = Format::choose(asked, TABLE, TABLE);
            if self.no_stream {
                return self.once(session, client, &args, &format).await;
            }
            self.live(session, client, &args, &format).await
        })
    }
}

impl Stats {
    async fn once(
        &self,
        session: &Session,
        client: &Client,
        args: &[String],
        format: &Format,
    ) -> Result<(), Failure> {
        let names = if args.is_empty() {
            self.listed(client).await?
        } else {
            args.to_vec()
        };
        let watched: Vec<Watched> = join_all(
            names
                .iter()
                .map(|name| async move { one_shot(session, client, name).await }),
        )
        .await;
        if !args.is_empty() {
            named_failures(&watched)?;
        }
        self.draw(session, format, &watched, false)
    }

    async fn live(
        &self,
        session: &Session,
        client: &Client,
        args: &[String],
        format: &Format,
    ) -> Result<(), Failure> {
        let watched: RefCell<Vec<Watched>> = RefCell::new(Vec::new());
        let mut streams = FuturesUnordered::new();
        let begin = |name: &str| {
            let mut list = watched.borrow_mut();
            if list.iter().any(|one| one.name == name) {
                return None;
            }
            list.push(Watched {
                name: name.to_owned(),
                sample: Sample::default(),
                failure: None,
            });
            Some(follow(session, client, name.to_owned(), &watched))
        };
        // Subscribed before the list is read, so that no start is missed in between.
        let mut events = if args.is_empty() {
            Some(container_events(client).await?)
        } else {
            None
        };
        let names = if args.is_empty() {
            self.listed(client).await?
        } else {
            args.to_vec()
        };
        streams.extend(names.iter().filter_map(|name| begin(name)));
        let mut clock = tokio::time::interval(REDRAW);
        clock.tick().await;
        loop {
            tokio::select! {
                // A stream that ends leaves its last figures or its failure behind.
                Some(()) = streams.next(), if !streams.is_empty() => {
                    if !args.is_empty() {
                        named_failures(&watched.borrow())?;
                        if streams.is_empty() {
                            return Ok(());
                        }
                    }
                }
                event = next_event(&mut events) => match event? {
                    None => return Ok(()),
                    Some(event) => {
                        let id = event.get("Actor").map_or("", |actor| actor.text("ID"));
                        let id = crate::table::short_id(id).to_owned();
                        match event.text("Action") {
                            "start" => streams.extend(begin(&id)),
                            "create" if self.all => streams.extend(begin(&id)),
                            "die" if !self.all => watched.borrow_mut().retain(|one| one.name != id),
                            "destroy" => watched.borrow_mut().retain(|one| one.name != id),
                            _ => {}
                        }
                    }
                },
                _ = clock.tick() => self.draw(session, format, &watched.borrow(), true)?,
            }
        }
    }

    async fn listed(&self, client: &Client) -> Result<Vec<String>, Failure> {
        let query = Query::new().add_switch("all", self.all);
        let call = Call::get("/containers/json").query(query);
        let containers: Vec<Json> = client.send(call).await?.json().await?;
        Ok(containers
            .iter()
            .map(|c| crate::table::short_id(c.text("Id")).to_owned())
            .collect())
    }

    fn draw(
        &self,
        session: &Session,
        format: &Format,
        watched: &[Watched],
        live: bool,
    ) -> Result<(), Failure> {
        let rows: Vec<Row> = watched
            .iter()
            .map(|one| {
                one.sample
                    .row(&one.name, one.failure.is_some(), !self.no_trunc)
            })
            .collect();
        let text = format.list(COLUMNS, &rows)?;
        if !live {
            session.print(&text)?;
            return Ok(());
        }
        // Home, each line cleared to its end, the rest of the screen cleared: no flicker.
        let mut screen = String::from("\x1b[H");
        for line in text.lines() {
            screen.push_str(line);
            screen.push_str("\x1b[K\n");
        }
        screen.push_str("\x1b[J");
        session.print(&screen)?;
        Ok(())
    }
}

fn named_failures(watched: &[Watched]) -> Result<(), Failure> {
    let reasons: Vec<&str> = watched
        .iter()
        .filter_map(|one| one.failure.as_deref())
        .collect();
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Failure::Text(reasons.join("\n")))
    }
}

async fn one_shot(session: &Session, client: &Client, name: &str) -> Watched {
    let asked = async {
        let call = Call::get(path(name, "/stats")?).query(Query::new().add("stream", "0"));
        Ok::<Json, Failure>(client.send(call).await?.json().await?)
    };
    let (sample, failure) = match asked.await {
        Ok(stats) => (Sample::read(&stats), None),
        Err(failure) => (Sample::default(), Some(reason(session, &failure))),
    };
    Watched {
        name: name.to_owned(),
        sample,
        failure,
    }
}

fn reason(session: &Session, failure: &Failure) -> String {
    failure.message(session.program).unwrap_or_default()
}

/// Takes every sample of one container until its stream ends.
async fn follow(session: &Session, client: &Client, name: String, watched: &RefCell<Vec<Watched>>) {
    let store = |sample: Result<Sample, String>| {
        if let Some(one) = watched.borrow_mut().iter_mut().find(|one| one.name == name) {
            match sample {
                Ok(sample) => {
                    one.sample = sample;
                    one.failure = None;
                }
                Err(failure) => one.failure = Some(failure),
            }
        }
    };
    let asked = async {
        let call = Call::get(path(&name, "/stats")?).query(Query::new().add("stream", "1"));
        Ok::<_, Failure>(client.send(call).await?)
    };
    let mut reply = match asked.await {
        Ok(reply) => reply,
        Err(failure) => return store(Err(reason(session, &failure))),
    };
    loop {
        match reply.document().await {
            Ok(Some(document)) => {
                if let Ok(stats) = Json::parse(&document) {
                    store(Ok(Sample::read(&stats)));
                }
            }
            Ok(None) => return,
            Err(error) => return store(Err(error.to_string())),
        }
    }
}

async fn container_events(client: &Client) -> Result<crate::client::Reply<'_>, Failure> {
    let query = Query::new().add_filters(&["type=container".to_owned()]);
    Ok(client.send(Call::get("/events").query(query)).await?)
}

/// The next event; waits for ever when none are watched.
async fn next_event(
    events: &mut Option<crate::client::Reply<'_>>,
) -> Result<Option<Json>, Failure> {
    let Some(reply) = events else {
        return std::future::pending().await;
    };
    match reply.document().await? {
        Some(document) => Ok(Some(
            Json::parse(&document).map_err(crate::client::ClientError::BadReply)?,
        )),
        None => Ok(None),
    }
}
