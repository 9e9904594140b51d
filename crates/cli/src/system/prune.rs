//! `docker system prune`

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::container::prune::Pruned;
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::prompt;
use crate::session::Session;
use crate::{container, image, network, volume};

pub(crate) const COMMAND: Command = Command::verb(
    "prune",
    "[OPTIONS]",
    "Remove unused data",
    Arity::None,
    || {
        Box::new(Prune {
            all: false,
            filters: List::filters(),
            force: false,
            volumes: false,
        })
    },
);

struct Prune {
    all: bool,
    filters: List,
    force: bool,
    volumes: bool,
}

impl Verb for Prune {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.force,
            "force",
            'f',
            "Do not prompt for confirmation",
        );
        set.short(
            &mut self.all,
            "all",
            'a',
            "Remove all unused images not just dangling ones",
        );
        set.long(&mut self.volumes, "volumes", "Prune anonymous volumes");
        set.long(
            &mut self.filters,
            "filter",
            "Provide filter values (e.g. \"label=<key>=<value>\")",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.volumes
                && self
                    .filters
                    .iter()
                    .any(|filter| filter.starts_with("until="))
            {
                return Err(
                    "ERROR: The \"until\" filter is not supported with \"--volumes\"".into(),
                );
            }
            if !self.force && !prompt::confirm(session, &self.warning()).await? {
                return Ok(());
            }
            let mut bytes = 0;
            let mut report = |pruned: Pruned| -> Result<(), Failure> {
                bytes += pruned.bytes;
                session.print(&pruned.text)?;
                Ok(())
            };
            report(container::prune::prune(session, &self.filters).await?)?;
            match network::prune(session, &self.filters).await {
                Ok(text) => report(Pruned { text, bytes: 0 })?,
                // An engine without networks of its own has none to remove.
                Err(Failure::Client(error)) if error.status() == Some(501) => {}
                Err(other) => return Err(other),
            }
            if self.volumes {
                report(volume::prune::prune(session, &self.filters).await?)?;
            }
            report(image::prune::prune(session, &self.filters, self.all).await?)?;
            let cache = prune_build_cache(session, &self.filters, self.all).await?;
            report(cache)?;
            session.print(
                &Pruned {
                    text: String::new(),
                    bytes,
                }
                .total(),
            )?;
            Ok(())
        })
    }
}

impl Prune {
    fn warning(&self) -> String {
        let mut lines = vec![
            "all stopped containers".to_owned(),
            "all networks not used by at least one container".to_owned(),
        ];
        if self.volumes {
            lines.push("all anonymous volumes not used by at least one container".to_owned());
        }
        lines.push(if self.all {
            "all images without at least one container associated to them".to_owned()
        } else {
            "all dangling images".to_owned()
        });
        lines.push(
            if self.all {
                "all build cache"
            } else {
                "unused build cache"
            }
            .to_owned(),
        );
        let mut text = String::from("WARNING! This will remove:\n");
        for line in lines {
            text.push_str(&format!("  - {line}\n"));
        }
        if !self.filters.is_empty() {
            text.push_str("\n  Items to be pruned will be filtered with:\n");
            let mut filters = self.filters.to_vec();
            filters.sort();
            for filter in filters {
                text.push_str(&format!("  - {filter}\n"));
            }
        }
        text.push_str("\nAre you sure you want to continue?");
        text
    }
}

/// An engine that does not build has nothing to remove.
async fn prune_build_cache(
    session: &Session,
    filters: &[String],
    all: bool,
) -> Result<Pruned, Failure> {
    let query = Query::new().add_switch("all", all).add_filters(filters);
    let call = Call::post("/build/prune").query(query);
    let report: Json = match session.client()?.send(call).await {
        Ok(reply) => reply.json().await?,
        Err(error) if matches!(error.status(), Some(404 | 501)) => Json::Null,
        Err(error) => return Err(error.into()),
    };
    let deleted = report.texts("CachesDeleted");
    let mut text = String::new();
    if !deleted.is_empty() {
        text = format!("Deleted build cache objects:\n{}\n\n", deleted.join("\n"));
    }
    Ok(Pruned {
        text,
        bytes: report.int("SpaceReclaimed"),
    })
}
