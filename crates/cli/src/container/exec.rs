//! `docker exec`

use serde::Serialize;

use crate::attach::{self, Ended, Resized, Wanted};
use crate::client::Call;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{RUNNING, describe, path, perform};
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::session::Session;
use crate::spec::{checks, files};

pub(crate) const COMMAND: Command = Command::verb(
    "exec",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    Arity::AtLeast(2),
    || {
        Box::new(Exec {
            env: List::checked(checks::environment),
            ..Exec::default()
        })
    },
)
.flags_first()
.paths(&["container exec", "exec"])
.names(Names::FirstContainer(RUNNING));

#[derive(Default)]
struct Exec {
    detach: bool,
    detach_keys: String,
    env: List,
    env_file: List,
    interactive: bool,
    privileged: bool,
    tty: bool,
    user: String,
    workdir: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest<'e> {
    user: &'e str,
    privileged: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<(u16, u16)>,
    attach_stdin: bool,
    attach_stderr: bool,
    attach_stdout: bool,
    detach_keys: &'e str,
    env: Vec<String>,
    working_dir: &'e str,
    cmd: &'e [String],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StartRequest {
    detach: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<(u16, u16)>,
}

impl Verb for Exec {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.detach_keys,
            "detach-keys",
            "Override the key sequence for detaching a container",
        );
        set.short(
            &mut self.interactive,
            "interactive",
            'i',
            "Keep STDIN open even if not attached",
        );
        set.short(&mut self.tty, "tty", 't', "Allocate a pseudo-TTY");
        set.short(
            &mut self.detach,
            "detach",
            'd',
            "Detached mode: run command in the background",
        );
        set.short(
            &mut self.user,
            "user",
            'u',
            "Username or UID (format: \"<name|uid>[:<group|gid>]\")",
        );
        set.long(
            &mut self.privileged,
            "privileged",
            "Give extended privileges to the command",
        );
        set.short(&mut self.env, "env", 'e', "Set environment variables");
        set.long(
            &mut self.env_file,
            "env-file",
            "Read in a file of environment variables",
        );
        set.short(
            &mut self.workdir,
            "workdir",
            'w',
            "Working directory inside the container",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let env = files::environment(&self.env_file, &self.env, &session.environment)?;
            // A container that is not there is better said than what is wrong with the terminal.
            describe(client, &args[0]).await?;
            let wanted = Wanted {
                stdin: self.interactive && !self.detach,
                stdout: !self.detach,
                stderr: !self.detach,
                tty: self.tty,
            };
            attach::check_terminal(session, wanted)?;
            let keys = session.detach_keys(&self.detach_keys);
            let console_size = if self.tty {
                attach::terminal_size(&session.out)
            } else {
                None
            };
            let request = CreateRequest {
                user: &self.user,
                privileged: self.privileged,
                tty: self.tty,
                console_size,
                attach_stdin: wanted.stdin,
                attach_stderr: wanted.stderr,
                attach_stdout: wanted.stdout,
                detach_keys: &keys,
                env,
                working_dir: &self.workdir,
                cmd: &args[1..],
            };
            let call = Call::post(path(&args[0], "/exec")?).json(&request)?;
            let made: Json = client.send(call).await?.json().await?;
            let id = made.text("Id");
            if id.is_empty() {
                return Err("exec ID empty".into());
            }
            let start = Call::post(format!("/exec/{id}/start"));
            let body = StartRequest {
                detach: self.detach,
                tty: self.tty,
                console_size,
            };
            if self.detach {
                return perform(client, start.json(&body)?).await;
            }
            let connection = client.hijack(start.json(&body)?).await?;
            let target = Resized::Exec(id.to_owned());
            let watch = async {
                if wanted.tty && wanted.stdin {
                    attach::follow_size(session, client, &target).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let ended = tokio::select! {
                ended = attach::stream(session, connection, wanted, &keys) => ended?,
                () = watch => Ended::Output,
            };
            if ended == Ended::Detached {
                return Ok(());
            }
            let state: Json = client
                .send(Call::get(format!("/exec/{id}/json")))
                .await?
                .json()
                .await?;
            match state.int("ExitCode") {
                0 => Ok(()),
                code => Err(Failure::Code(u8::try_from(code & 0xff).unwrap_or(1))),
            }
        })
    }
}
