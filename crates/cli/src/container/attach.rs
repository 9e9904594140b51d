//! `docker attach`

use crate::attach::{self, Ended, Resized, Wanted};
use crate::client::{Call, Client, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{RUNNING, describe, path};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "attach",
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    Arity::Exactly(1),
    || {
        Box::new(Attach {
            sig_proxy: true,
            ..Attach::default()
        })
    },
)
.paths(&["container attach", "attach"])
.names(Names::ContainersIn(RUNNING));

#[derive(Default)]
struct Attach {
    detach_keys: String,
    no_stdin: bool,
    sig_proxy: bool,
}

impl Verb for Attach {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(&mut self.no_stdin, "no-stdin", "Do not attach STDIN");
        set.long(
            &mut self.sig_proxy,
            "sig-proxy",
            "Proxy all received signals to the process",
        );
        set.long(
            &mut self.detach_keys,
            "detach-keys",
            "Override the key sequence for detaching a container",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let id = &args[0];
            let client = session.client()?;
            let container = describe(client, id).await?;
            check_running(&container)?;
            let config = container.get("Config").cloned().unwrap_or(Json::Null);
            let wanted = Wanted {
                stdin: !self.no_stdin && config.bool("OpenStdin"),
                stdout: true,
                stderr: true,
                tty: config.bool("Tty"),
            };
            attach::check_terminal(session, wanted)?;
            let keys = session.detach_keys(&self.detach_keys);
            let exit = crate::container::wait::begin(client, id, "").await?;
            let connection = client.hijack(call(id, wanted, &keys)?).await?;
            // It may have ended between the question and the connection.
            check_running(&describe(client, id).await?)?;
            let target = Resized::Container(id.clone());
            if wanted.tty {
                redraw(session, client, &target).await;
            }
            let watch = async {
                if wanted.tty {
                    attach::follow_size(session, client, &target).await;
                } else if self.sig_proxy {
                    attach::forward(client, id).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let ended = tokio::select! {
                ended = attach::stream(session, connection, wanted, &keys) => ended?,
                () = watch => Ended::Output,
            };
            if ended == Ended::Detached {
                return Err("read escape sequence".into());
            }
            exit.finished().await
        })
    }
}

/// A shell prints its prompt again only when the size changes, so it is changed and set back.
async fn redraw(session: &Session, client: &Client, target: &Resized) {
    if let Some((rows, columns)) = attach::terminal_size(&session.out) {
        target
            .to(client, rows.saturating_add(1), columns.saturating_add(1))
            .await;
    }
}

fn check_running(container: &Json) -> Result<(), Failure> {
    let state = container.get("State").unwrap_or(&Json::Null);
    let refused = if !state.bool("Running") {
        "cannot attach to a stopped container, start it first"
    } else if state.bool("Paused") {
        "cannot attach to a paused container, unpause it first"
    } else if state.bool("Restarting") {
        "cannot attach to a restarting container, wait until it is running"
    } else {
        return Ok(());
    };
    Err(Failure::Text(refused.to_owned()))
}

/// The request that turns into the container's streams.
pub(crate) fn call(id: &str, wanted: Wanted, detach_keys: &str) -> Result<Call, Failure> {
    let query = Query::new()
        .add("stream", "1")
        .add_switch("stdin", wanted.stdin)
        .add_switch("stdout", wanted.stdout)
        .add_switch("stderr", wanted.stderr)
        .add_text("detachKeys", detach_keys);
    Ok(Call::post(path(id, "/attach")?).query(query))
}
