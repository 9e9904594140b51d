//! `wharf netns identify PID`

use std::path::PathBuf;

use super::places::{self, Identity};
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "identify",
    "[PID]",
    "Show what the network namespace of a process is called",
    Arity::AtMost(1),
    || Box::new(Identify),
);

struct Identify;

impl Verb for Identify {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let process = match args.first() {
                None => "self".to_owned(),
                Some(text) => text
                    .parse::<u32>()
                    .map_err(|_| Failure::Text(format!("invalid pid: {text}")))?
                    .to_string(),
            };
            let path = PathBuf::from(format!("/proc/{process}/ns/net"));
            let wanted = Identity::of(&path)
                .map_err(|error| Failure::Text(format!("{}: {error}", path.display())))?;
            let mut found = places::pinned();
            found.extend(places::of_containers(session).await);
            // As `ip netns identify`: nothing and success for a namespace that nobody named.
            for place in found.iter().filter(|place| place.identity == wanted) {
                session.print(&format!("{}\n", place.name))?;
            }
            Ok(())
        })
    }
}
