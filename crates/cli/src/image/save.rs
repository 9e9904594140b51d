//! `docker save`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::image::archive;
use crate::image::ls::platform_json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    Arity::AtLeast(1),
    || Box::new(Save::default()),
)
.paths(&["image save", "save"])
.names(Names::Images);

#[derive(Default)]
struct Save {
    output: String,
    platform: String,
}

impl Verb for Save {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.output,
            "output",
            'o',
            "Write to a file, instead of STDOUT",
        );
        set.long(&mut self.platform, "platform", "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.output.is_empty() && session.out.is_terminal() {
                return Err(Failure::Text(
                    "cowardly refusing to save to a terminal. Use the -o flag or redirect"
                        .to_owned(),
                ));
            }
            archive::check_output(&self.output, "failed to save image")?;
            let mut query = Query::new().add_text("platform", &platform_json(&self.platform)?);
            for name in args {
                query = query.add("names", name);
            }
            let reply = session
                .client()?
                .send(Call::get("/images/get").query(query))
                .await?;
            archive::save_to(session, reply, &self.output).await
        })
    }
}
