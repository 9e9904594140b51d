//! `docker history`

use serde::Deserialize;

use crate::client::{Call, Query, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::flags::FlagSet;
use crate::image::ls::platform_json;
use crate::json::nullable;
use crate::session::Session;
use crate::table::{Columns, Format, Row, ellipsis, short_id};
use crate::{time, units};

pub(crate) const COMMAND: Command = Command::verb(
    "history",
    "[OPTIONS] IMAGE",
    "Show the history of an image",
    Arity::Exactly(1),
    || {
        Box::new(History {
            human: true,
            ..History::default()
        })
    },
)
.paths(&["image history", "history"])
.names(Names::FirstImage);

const COLUMNS: Columns = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

#[derive(Default)]
struct History {
    format: String,
    human: bool,
    no_trunc: bool,
    platform: String,
    quiet: bool,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[derive(Default)]
struct Step {
    id: String,
    created: i64,
    created_by: String,
    #[serde(deserialize_with = "nullable")]
    comment: String,
    size: i64,
}

impl Verb for History {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.human,
            "human",
            'H',
            "Print sizes and dates in human readable format",
        );
        set.short(&mut self.quiet, "quiet", 'q', "Only show image IDs");
        set.long(&mut self.no_trunc, "no-trunc", "Don't truncate output");
        set.long(&mut self.format, "format", FORMAT_HELP);
        set.long(&mut self.platform, "platform", "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let query = Query::new().add_text("platform", &platform_json(&self.platform)?);
            let call = Call::get(format!("/images/{}/history", escape(&args[0]))).query(query);
            let steps: Vec<Step> = session.client()?.send(call).await?.json().await?;
            let rows: Vec<Row> = steps.iter().map(|step| self.row(step)).collect();
            session.print(&self.layout().list(COLUMNS, &rows)?)?;
            Ok(())
        })
    }
}

impl History {
    fn layout(&self) -> Format {
        let table = match (self.quiet, self.human) {
            (true, _) => "{{.ID}}",
            (_, true) => {
                "table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}"
            }
            _ => "table {{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}",
        };
        Format::choose(&self.format, table, table)
    }

    fn row(&self, step: &Step) -> Row {
        let id = if self.no_trunc {
            &step.id
        } else {
            short_id(&step.id)
        };
        let by = step.created_by.replace('\t', " ");
        let by = if self.no_trunc { by } else { ellipsis(&by, 45) };
        let at = time::rfc3339_local(step.created);
        let since = if self.human {
            time::ago(step.created)
        } else {
            at.clone()
        };
        let size = if self.human {
            units::human_size_with(step.size as f64, 3)
        } else {
            step.size.to_string()
        };
        Row::new(vec![
            ("ID", id.into()),
            ("CreatedSince", since.into()),
            ("CreatedAt", at.into()),
            ("CreatedBy", by.into()),
            ("Size", size.into()),
            ("Comment", step.comment.as_str().into()),
        ])
    }
}
