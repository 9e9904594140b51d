//! `docker import`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::flags::{FlagSet, List};
use crate::image::archive;
use crate::progress;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    Arity::AtLeast(1),
    || Box::new(Import::default()),
)
.paths(&["image import", "import"])
.names(Names::Files);

#[derive(Default)]
struct Import {
    changes: List,
    message: String,
    platform: String,
}

impl Verb for Import {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.changes,
            "change",
            'c',
            "Apply Dockerfile instruction to the created image",
        );
        set.short(
            &mut self.message,
            "message",
            'm',
            "Set commit message for imported image",
        );
        set.long(
            &mut self.platform,
            "platform",
            "Set platform if server is multi-platform capable",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let source = args[0].as_str();
            let remote = ["http://", "https://", "ftp://"]
                .iter()
                .any(|scheme| source.starts_with(scheme));
            let mut query = Query::new()
                .add("fromSrc", if remote { source } else { "-" })
                .add_text("repo", args.get(1).map_or("", String::as_str))
                .add_text("message", &self.message)
                .add_text("platform", &self.platform);
            for change in self.changes.iter() {
                query = query.add("changes", change.clone());
            }
            let mut call = Call::post("/images/create").query(query);
            if !remote {
                call = call.tar(archive::body_of(source)?);
            }
            let reply = session.client()?.send(call).await?;
            progress::show(Some(&session.out), reply).await
        })
    }
}
