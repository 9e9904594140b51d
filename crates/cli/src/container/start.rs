//! `docker start`

use crate::attach::{self, Resized, Wanted};
use crate::client::Call;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{STOPPED, attach as attach_command, describe, path, perform, run, wait};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "start",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    Arity::AtLeast(1),
    || Box::new(Start::default()),
)
.paths(&["container start", "start"])
.names(Names::ContainersIn(STOPPED));

#[derive(Default)]
struct Start {
    attach: bool,
    checkpoint: String,
    checkpoint_dir: String,
    detach_keys: String,
    interactive: bool,
}

impl Verb for Start {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.attach,
            "attach",
            'a',
            "Attach STDOUT/STDERR and forward signals",
        );
        set.short(
            &mut self.interactive,
            "interactive",
            'i',
            "Attach container's STDIN",
        );
        set.long(
            &mut self.detach_keys,
            "detach-keys",
            "Override the key sequence for detaching a container",
        );
        set.long(
            &mut self.checkpoint,
            "checkpoint",
            "Restore from this checkpoint",
        );
        set.long(
            &mut self.checkpoint_dir,
            "checkpoint-dir",
            "Use a custom checkpoint storage directory",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if !self.checkpoint.is_empty() || !self.checkpoint_dir.is_empty() {
                return Err(crate::missing::checkpoints());
            }
            if self.attach || self.interactive {
                if args.len() > 1 {
                    return Err("you cannot start and attach multiple containers at once".into());
                }
                return self.attached(session, &args[0]).await;
            }
            detached(session, &args).await
        })
    }
}

async fn detached(session: &Session, args: &[String]) -> Result<(), Failure> {
    let client = session.client()?;
    let mut failed = Vec::new();
    for id in args {
        let started = async { perform(client, Call::post(path(id, "/start")?)).await };
        match started.await {
            Ok(()) => session.print(&format!("{id}\n"))?,
            Err(failure) => {
                session.complain(&failure.message(session.program).unwrap_or_default());
                failed.push(id.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Text(format!(
        "Error: failed to start containers: {}",
        failed.join(", ")
    )))
}

impl Start {
    async fn attached(&self, session: &Session, name: &str) -> Result<(), Failure> {
        let client = session.client()?;
        let container = describe(client, name).await?;
        let id = match container.text("Id") {
            "" => name,
            id => id,
        };
        let config = container.get("Config").unwrap_or(&Json::Null);
        let wanted = Wanted {
            stdin: self.interactive && config.bool("OpenStdin"),
            stdout: true,
            stderr: true,
            tty: config.bool("Tty"),
        };
        attach::check_terminal(session, wanted)?;
        let keys = session.detach_keys(&self.detach_keys);
        let connection = client
            .hijack(attach_command::call(id, wanted, &keys)?)
            .await?;
        let removes = container
            .get("HostConfig")
            .is_some_and(|host| host.bool("AutoRemove"));
        let exit = wait::begin(client, id, if removes { "removed" } else { "next-exit" }).await?;
        if let Err(failure) = perform(client, Call::post(path(id, "/start")?)).await {
            if removes {
                // It goes away after a failed start; leave only when it has.
                let _ = exit.code().await;
            }
            return Err(failure);
        }
        let target = Resized::Container(id.to_owned());
        let watch = async {
            if wanted.tty {
                attach::follow_size(session, client, &target).await;
            } else {
                attach::forward(client, id).await;
            }
        };
        tokio::select! {
            outcome = run::finish(session, connection, wanted, &keys, exit) => outcome,
            () = watch => Ok(()),
        }
    }
}
