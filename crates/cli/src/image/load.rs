//! `docker load`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::image::archive;
use crate::image::ls::platform_json;
use crate::progress;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "load",
    "[OPTIONS]",
    "Load an image from a tar archive or STDIN",
    Arity::None,
    || Box::new(Load::default()),
)
.paths(&["image load", "load"]);

#[derive(Default)]
struct Load {
    input: String,
    platform: String,
    quiet: bool,
}

impl Verb for Load {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.input,
            "input",
            'i',
            "Read from tar archive file, instead of STDIN",
        );
        set.short(&mut self.quiet, "quiet", 'q', "Suppress the load output");
        set.long(&mut self.platform, "platform", "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")");
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.input.is_empty() && session.stdin_is_terminal() {
                return Err(Failure::Text(
                    "requested load from stdin, but stdin is empty".to_owned(),
                ));
            }
            let body = archive::body_of(&self.input)?;
            // Bars are of use on a terminal only.
            let quiet = self.quiet || !session.out.is_terminal();
            let query = Query::new()
                .add("quiet", if quiet { "1" } else { "0" })
                .add_text("platform", &platform_json(&self.platform)?);
            let call = Call::post("/images/load").query(query).tar(body);
            let mut reply = session.client()?.send(call).await?;
            if reply
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("application/json"))
            {
                return progress::show(Some(&session.out), reply).await;
            }
            while let Some(chunk) = reply.chunk().await? {
                session.out.write(&chunk)?;
            }
            Ok(())
        })
    }
}
