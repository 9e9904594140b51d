//! `docker rmi`

use crate::client::{Call, Query, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::image::ls::platform_json;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "rm",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Remove one or more images",
    Arity::AtLeast(1),
    || {
        Box::new(Remove {
            force: false,
            no_prune: false,
            platforms: List::comma_separated(),
        })
    },
)
.aliases(&["remove"])
.paths(&["image rm", "image remove", "rmi"])
.names(Names::Images);

struct Remove {
    force: bool,
    no_prune: bool,
    platforms: List,
}

impl Verb for Remove {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.force, "force", 'f', "Force removal of the image");
        set.long(
            &mut self.no_prune,
            "no-prune",
            "Do not delete untagged parents",
        );
        set.long(&mut self.platforms, "platform", "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let client = session.client()?;
            let mut query = Query::new()
                .add_switch("force", self.force)
                .add_switch("noprune", self.no_prune);
            for platform in self.platforms.iter() {
                query = query.add("platforms", platform_json(platform)?);
            }
            let mut reasons = Vec::new();
            let mut fatal = false;
            for name in &args {
                let call = Call::delete(format!("/images/{}", escape(name))).query(query.clone());
                let removed = async { client.send(call).await?.json::<Vec<Json>>().await };
                match removed.await {
                    Ok(removed) => {
                        for one in removed {
                            match one.text("Deleted") {
                                "" => session
                                    .print(&format!("Untagged: {}\n", one.text("Untagged")))?,
                                id => session.print(&format!("Deleted: {id}\n"))?,
                            }
                        }
                    }
                    Err(error) => {
                        fatal |= !error.is_not_found();
                        reasons.extend(Failure::from(error).message(session.program));
                    }
                }
            }
            let reasons = reasons.join("\n");
            if reasons.is_empty() {
                return Ok(());
            }
            // -f asks for them to be gone; what never was is gone.
            if self.force && !fatal {
                session.complain(&reasons);
                return Ok(());
            }
            Err(Failure::Text(reasons))
        })
    }
}
