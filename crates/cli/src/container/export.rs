//! `docker export`

use crate::client::Call;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::path;
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::image::archive;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "export",
    "[OPTIONS] CONTAINER",
    "Export a container's filesystem as a tar archive",
    Arity::Exactly(1),
    || Box::new(Export::default()),
)
.paths(&["container export", "export"])
.names(Names::FirstContainer(&[]));

#[derive(Default)]
struct Export {
    output: String,
}

impl Verb for Export {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.output,
            "output",
            'o',
            "Write to a file, instead of STDOUT",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.output.is_empty() && session.out.is_terminal() {
                return Err(Failure::Text(
                    "cowardly refusing to save to a terminal. Use the -o flag or redirect"
                        .to_owned(),
                ));
            }
            archive::check_output(&self.output, "failed to export container")?;
            let reply = session
                .client()?
                .send(Call::get(path(&args[0], "/export")?))
                .await?;
            archive::save_to(session, reply, &self.output).await
        })
    }
}
