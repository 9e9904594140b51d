//! `docker commit`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::RUNNING;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "commit",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
    Arity::Between(1, 2),
    || {
        Box::new(Commit {
            pause: true,
            ..Commit::default()
        })
    },
)
.paths(&["container commit", "commit"])
.names(Names::FirstContainer(RUNNING));

#[derive(Default)]
struct Commit {
    author: String,
    changes: List,
    message: String,
    pause: bool,
}

impl Verb for Commit {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.pause,
            "pause",
            'p',
            "Pause container during commit",
        );
        set.short(&mut self.message, "message", 'm', "Commit message");
        set.short(
            &mut self.author,
            "author",
            'a',
            "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        );
        set.short(
            &mut self.changes,
            "change",
            'c',
            "Apply Dockerfile instruction to the created image",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let reference = args.get(1).map_or("", String::as_str);
            if !reference.is_empty() {
                crate::image::reference::check_name(reference)?;
            }
            let (repository, tag) = crate::image::split_tag(reference);
            let mut query = Query::new()
                .add("container", args[0].clone())
                .add_text("repo", repository)
                .add_text(
                    "tag",
                    if reference.is_empty() {
                        ""
                    } else {
                        tag.unwrap_or("latest")
                    },
                )
                .add_text("comment", &self.message)
                .add_text("author", &self.author);
            if !self.pause {
                query = query.add("pause", "0");
            }
            for change in self.changes.iter() {
                query = query.add("changes", change.clone());
            }
            let call = Call::post("/commit").query(query).json(&Json::Null)?;
            let made: Json = session.client()?.send(call).await?.json().await?;
            session.print(&format!("{}\n", made.text("Id")))?;
            Ok(())
        })
    }
}
