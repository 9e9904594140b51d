//! `wharf netns exec NAME|PATH|CONTAINER -- COMMAND`

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::places;
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "exec",
    "NAME|PATH|CONTAINER COMMAND [ARG...]",
    "Run a command of the host in a network namespace",
    Arity::AtLeast(2),
    || Box::new(Exec),
)
.flags_first();

struct Exec;

impl Verb for Exec {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let place = places::find(session, &args[0]).await?;
            let words = match args.get(1).map(String::as_str) {
                Some("--") => args.get(2..),
                _ => args.get(1..),
            };
            let Some((program, words)) = words.and_then(<[String]>::split_first) else {
                return Err(Failure::Text("there is no command to run".to_owned()));
            };
            let namespace = File::open(&place.path)
                .map_err(|error| Failure::Text(format!("{}: {error}", place.path.display())))?;
            // The command line has one thread, and it is this one that becomes the program.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|error| Failure::Text(format!("{}: {error}", place.path.display())))?;
            Err(replace(program, words))
        })
    }
}

/// Becomes the program; comes back only if that fails, with a shell's exit codes.
#[allow(
    clippy::disallowed_methods,
    reason = "running the user's program is what the command is for"
)]
fn replace(program: &str, words: &[String]) -> Failure {
    let error = std::process::Command::new(program).args(words).exec();
    let code = if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    Failure::Status(code, format!("{program}: {error}"))
}
