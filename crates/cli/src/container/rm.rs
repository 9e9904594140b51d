//! `docker rm`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{STOPPED, each, path, perform};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "rm",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Remove one or more containers",
    Arity::AtLeast(1),
    || Box::new(Remove::default()),
)
.aliases(&["remove"])
.paths(&["container rm", "container remove", "rm"])
.names(Names::ContainersIn(STOPPED));

#[derive(Default)]
struct Remove {
    force: bool,
    link: bool,
    volumes: bool,
}

impl Verb for Remove {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.volumes,
            "volumes",
            'v',
            "Remove anonymous volumes associated with the container",
        );
        set.short(&mut self.link, "link", 'l', "Remove the specified link");
        set.short(
            &mut self.force,
            "force",
            'f',
            "Force the removal of a running container (uses SIGKILL)",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let query = Query::new()
                .add_switch("v", self.volumes)
                .add_switch("link", self.link)
                .add_switch("force", self.force);
            let (query, force) = (&query, self.force);
            each(session, &args, |name| async move {
                let name = name.trim_matches('/');
                let removed = async {
                    perform(client, Call::delete(path(name, "")?).query(query.clone())).await
                };
                match removed.await {
                    // -f asks for it to be gone; it is. It is said, and is no failure.
                    Err(failure) if force && failure.is_not_found() => {
                        session.complain(&failure.message(session.program).unwrap_or_default());
                        Err(Failure::Code(0))
                    }
                    other => other,
                }
            })
            .await
        })
    }
}
