//! `docker run`: create, attach, start, stream, and end with the container's exit code.
//!
//! The order matters: the streams are attached and the wait is registered before the start, so
//! that neither the first byte nor a quick exit is missed.

use crate::attach::{self, Ended, Resized, Wanted};
use crate::client::{Call, Client};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::create::{How, check_pull, create, with_help};
use crate::container::options::Options;
use crate::container::request::{self, CreateRequest};
use crate::container::wait::{self, Exit};
use crate::container::{attach as attach_command, path, perform};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    Arity::AtLeast(1),
    || {
        Box::new(RunContainer {
            detach: false,
            sig_proxy: true,
            detach_keys: String::new(),
            how: How::new(),
            options: Options::default(),
        })
    },
)
.flags_first()
.paths(&["container run", "run"])
.names(Names::FirstImage);

struct RunContainer {
    detach: bool,
    sig_proxy: bool,
    detach_keys: String,
    how: How,
    options: Options,
}

impl Verb for RunContainer {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.detach,
            "detach",
            'd',
            "Run container in background and print container ID",
        );
        set.long(
            &mut self.sig_proxy,
            "sig-proxy",
            "Proxy received signals to the process",
        );
        set.long(
            &mut self.detach_keys,
            "detach-keys",
            "Override the key sequence for detaching a container",
        );
        let help = self.how.flags(
            set,
            "Pull image before running (\"always\", \"missing\", \"never\")",
        );
        self.options.flags(set, help);
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let help = |failure| with_help(session, failure, "run");
            check_pull(&self.how).map_err(help)?;
            let client = session.client().map_err(help)?;
            let mut request =
                request::build(session, &self.options, &args[0], &args[1..]).map_err(help)?;
            let wanted = self.wanted(session, &mut request)?;
            let id = create(session, &self.how, &self.options, &request)
                .await
                .map_err(help)?;
            if self.detach {
                self.start(session, client, &id).await?;
                session.print(&format!("{id}\n"))?;
                return Ok(());
            }
            self.in_foreground(session, client, &id, wanted).await
        })
    }
}

impl RunContainer {
    /// Settles which streams are ours; in the background none is.
    fn wanted(&self, session: &Session, request: &mut CreateRequest) -> Result<Wanted, Failure> {
        if let Some((rows, columns)) = attach::terminal_size(&session.out) {
            request.host_config.console_size = (rows, columns);
        }
        if self.detach {
            if !self.options.attach.is_empty() {
                let conflict = "conflicting options: cannot specify both --attach and --detach";
                return Err(conflict.into());
            }
            request.attach_stdin = false;
            request.attach_stdout = false;
            request.attach_stderr = false;
            request.stdin_once = false;
        }
        let wanted = Wanted {
            stdin: request.attach_stdin,
            stdout: request.attach_stdout,
            stderr: request.attach_stderr,
            tty: request.tty,
        };
        attach::check_terminal(session, wanted)?;
        Ok(wanted)
    }

    async fn start(&self, session: &Session, client: &Client, id: &str) -> Result<(), Failure> {
        perform(client, Call::post(path(id, "/start")?))
            .await
            .map_err(|failure| with_help(session, classify(session, failure), "run"))
    }

    async fn in_foreground(
        &self,
        session: &Session,
        client: &Client,
        id: &str,
        wanted: Wanted,
    ) -> Result<(), Failure> {
        let keys = session.detach_keys(&self.detach_keys);
        let attaches = wanted.stdin || wanted.stdout || wanted.stderr;
        let connection = if attaches {
            Some(
                client
                    .hijack(attach_command::call(id, wanted, &keys)?)
                    .await?,
            )
        } else {
            None
        };
        let condition = if self.options.rm {
            "removed"
        } else {
            "next-exit"
        };
        let exit = wait::begin(client, id, condition).await?;
        if let Err(failure) = self.start(session, client, id).await {
            // --rm takes it away; leave only when it has.
            if self.options.rm {
                let _ = exit.code().await;
            }
            return Err(failure);
        }
        let Some(connection) = connection else {
            // `-a` of nothing: the id, and no waiting.
            session.print(&format!("{id}\n"))?;
            return Ok(());
        };
        let target = Resized::Container(id.to_owned());
        let watch = async {
            if wanted.tty {
                attach::follow_size(session, client, &target).await;
            } else if self.sig_proxy {
                attach::forward(client, id).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            outcome = finish(session, connection, wanted, &keys, exit) => outcome,
            () = watch => Ok(()),
        }
    }
}

/// Streams to the end and takes the exit code; leaving early is no failure.
pub(crate) async fn finish(
    session: &Session,
    connection: crate::client::Hijacked,
    wanted: Wanted,
    detach_keys: &str,
    exit: Exit<'_>,
) -> Result<(), Failure> {
    match attach::stream(session, connection, wanted, detach_keys).await {
        Ok(Ended::Detached) => Ok(()),
        Ok(Ended::Output) => exit.finished().await,
        // Told to end; the container is not.
        Err(told @ Failure::Code(_)) => Err(told),
        Err(failure) => {
            if let Some(message) = failure.message(session.program) {
                session.complain(&message);
            }
            exit.finished().await
        }
    }
}

/// 127 when the command is not there, 126 when it cannot be run.
fn classify(session: &Session, failure: Failure) -> Failure {
    let message = failure.message(session.program).unwrap_or_default();
    let has = |text: &str| message.contains(text);
    let code = if has("executable file not found") || has("no such file or directory") {
        127
    } else if has("permission denied") || has("is a directory") || has("exec format error") {
        126
    } else {
        return failure;
    };
    Failure::Status(code, message)
}
