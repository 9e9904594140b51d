//! `docker context ls`

use crate::command::{Arity, Command, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::context::store::Context;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::session::{DEFAULT_CONTEXT, Session};
use crate::table::{Columns, Format, Row};

pub(crate) const COMMAND: Command =
    Command::verb("ls", "[OPTIONS]", "List contexts", Arity::None, || {
        Box::new(Ls::default())
    })
    .aliases(&["list"])
    .paths(&["context ls", "context list"]);

const COLUMNS: Columns = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("DockerEndpoint", "DOCKER ENDPOINT"),
    ("Error", "ERROR"),
    ("Current", ""),
];
const TABLE: &str =
    "table {{.Name}}{{if .Current}} *{{end}}\\t{{.Description}}\\t{{.DockerEndpoint}}\\t{{.Error}}";

#[derive(Default)]
struct Ls {
    format: String,
    quiet: bool,
}

impl Verb for Ls {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(&mut self.format, "format", FORMAT_HELP);
        set.short(&mut self.quiet, "quiet", 'q', "Only show context names");
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let current = session.current_context();
            let mut contexts = session.contexts().list();
            contexts.push(default_context(session));
            contexts.sort_by(|a, b| a.name.cmp(&b.name));
            let mut rows: Vec<Row> = contexts
                .iter()
                .map(|context| row(context, context.name == current, ""))
                .collect();
            if !contexts.iter().any(|context| context.name == current) {
                let error = session.contexts().get(&current).err();
                let error = error
                    .and_then(|error| error.message(session.program))
                    .unwrap_or_default();
                rows.push(row(&Context::new(&current), true, &error));
            }
            let format = match (self.quiet, self.format.as_str()) {
                (true, "" | "table") => Format::new("{{.Name}}"),
                (_, asked) => Format::choose(asked, TABLE, TABLE),
            };
            session.print(&format.list(COLUMNS, &rows)?)?;
            if current == DEFAULT_CONTEXT
                && let Some(variable) = overriding_variable(session)
            {
                session.complain(&format!(
                    "Warning: {variable} environment variable overrides the active context. To use a context, either set the global --context flag, or unset {variable} environment variable."
                ));
            }
            Ok(())
        })
    }
}

/// The context that is not stored.
pub(crate) fn default_context(session: &Session) -> Context {
    let mut context = Context::new(DEFAULT_CONTEXT);
    context.metadata.description = "Current DOCKER_HOST based configuration".to_owned();
    context.endpoints.docker.host = session.default_host();
    context
}

/// The host variable that keeps stored contexts from being used.
pub(crate) fn overriding_variable(session: &Session) -> Option<&'static str> {
    let variables = session.program.host_variables();
    variables
        .iter()
        .copied()
        .find(|name| session.environment.set(name).is_some())
}

fn row(context: &Context, current: bool, error: &str) -> Row {
    Row::new(vec![
        ("Name", context.name.as_str().into()),
        ("Description", context.metadata.description.as_str().into()),
        (
            "DockerEndpoint",
            context.endpoints.docker.host.as_str().into(),
        ),
        ("Error", error.into()),
        ("Current", Json::Bool(current)),
    ])
}
