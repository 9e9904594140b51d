//! `docker top`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::{RUNNING, path};
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::Session;
use crate::tabwriter::{self, Layout};

pub(crate) const COMMAND: Command = Command::verb(
    "top",
    "CONTAINER [ps OPTIONS]",
    "Display the running processes of a container",
    Arity::AtLeast(1),
    || Box::new(Top),
)
.flags_first()
.paths(&["container top", "top"])
.names(Names::FirstContainer(RUNNING));

/// docker's own layout for this table.
const LAYOUT: Layout = Layout {
    min_width: 20,
    padding: 3,
};

struct Top;

impl Verb for Top {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let query = Query::new().add_text("ps_args", &args[1..].join(" "));
            let call = Call::get(path(&args[0], "/top")?).query(query);
            let listed: Json = session.client()?.send(call).await?.json().await?;
            let mut text = listed.texts("Titles").join("\t") + "\n";
            for process in listed.list("Processes") {
                let Json::List(cells) = process else { continue };
                let cells: Vec<&str> = cells.iter().filter_map(Json::as_text).collect();
                text.push_str(&cells.join("\t"));
                text.push('\n');
            }
            session.print(&tabwriter::align(&text, LAYOUT))?;
            Ok(())
        })
    }
}
