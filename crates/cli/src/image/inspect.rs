//! `docker image inspect`

use crate::command::{Arity, Command, Names, Run, Verb};
use crate::flags::FlagSet;
use crate::image::ls::platform_json;
use crate::inspect::{self, FORMAT_HELP, Kind};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "inspect",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Display detailed information on one or more images",
    Arity::AtLeast(1),
    || Box::new(Inspect::default()),
)
.names(Names::Images);

#[derive(Default)]
struct Inspect {
    format: String,
    platform: String,
}

impl Verb for Inspect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
        set.long(&mut self.platform, "platform", "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let kind = Kind::Image {
                platform: platform_json(&self.platform)?,
            };
            inspect::print(session, &args, &self.format, |name| {
                kind.fetch(session, name)
            })
            .await
        })
    }
}
