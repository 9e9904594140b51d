//! `docker context use`, `show`, `inspect` and `rm`

use crate::command::{Arity, Command, Names, Run, Verb};
use crate::config::Config;
use crate::context::ls::{default_context, overriding_variable};
use crate::context::store::{Context, check_name};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::inspect::{self, FORMAT_HELP};
use crate::session::{DEFAULT_CONTEXT, Session};
use crate::table::escape_html;

pub(crate) const USE: Command = Command::verb(
    "use",
    "CONTEXT",
    "Set the current docker context",
    Arity::Exactly(1),
    || Box::new(Use),
)
.names(Names::Contexts);

pub(crate) const SHOW: Command = Command::verb(
    "show",
    "",
    "Print the name of the current context",
    Arity::None,
    || Box::new(Show),
);

pub(crate) const INSPECT: Command = Command::verb(
    "inspect",
    "[OPTIONS] [CONTEXT] [CONTEXT...]",
    "Display detailed information on one or more contexts",
    Arity::Any,
    || Box::new(Inspect::default()),
)
.names(Names::Contexts);

pub(crate) const REMOVE: Command = Command::verb(
    "rm",
    "CONTEXT [CONTEXT...]",
    "Remove one or more contexts",
    Arity::AtLeast(1),
    || Box::new(Remove::default()),
)
.aliases(&["remove"])
.paths(&["context rm", "context remove"])
.names(Names::Contexts);

struct Use;

impl Verb for Use {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let name = args[0].as_str();
            if name != DEFAULT_CONTEXT {
                check_name(name)?;
                session.contexts().get(name)?;
            }
            set_current(session, if name == DEFAULT_CONTEXT { "" } else { name })?;
            session.print(&format!("{name}\n"))?;
            session.complain(&format!("Current context is now {name:?}"));
            if name != DEFAULT_CONTEXT
                && let Some(variable) = overriding_variable(session)
            {
                session.complain(&format!(
                    "Warning: {variable} environment variable overrides the active context. To use {name:?}, either set the global --context flag, or unset {variable} environment variable."
                ));
            }
            Ok(())
        })
    }
}

fn set_current(session: &Session, name: &str) -> Result<(), Failure> {
    let (mut config, _) = Config::load(session.config_directory());
    if config.text("currentContext") == name {
        return Ok(());
    }
    config.set_text("currentContext", name)
}

struct Show;

impl Verb for Show {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            session.print(&format!("{}\n", session.current_context()))?;
            Ok(())
        })
    }
}

#[derive(Default)]
struct Inspect {
    format: String,
}

impl Verb for Inspect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let names = if args.is_empty() {
                vec![session.current_context()]
            } else {
                args
            };
            inspect::print(session, &names, &self.format, |name| async move {
                let store = session.contexts();
                let context = if name == DEFAULT_CONTEXT {
                    let mut context: Context = default_context(session);
                    context.metadata.description.clear();
                    context
                } else {
                    store.get(name)?
                };
                Ok(escape_html(&store.describe(&context).compact()).into_bytes())
            })
            .await
        })
    }
}

#[derive(Default)]
struct Remove {
    force: bool,
}

impl Verb for Remove {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(
            &mut self.force,
            "force",
            'f',
            "Force the removal of a context in use",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let mut reasons = Vec::new();
            for name in &args {
                match self.remove(session, name) {
                    Ok(()) => session.print(&format!("{name}\n"))?,
                    Err(failure) => reasons.extend(failure.message(session.program)),
                }
            }
            if reasons.is_empty() {
                Ok(())
            } else {
                Err(Failure::Text(reasons.join("\n")))
            }
        })
    }
}

impl Remove {
    fn remove(&self, session: &Session, name: &str) -> Result<(), Failure> {
        if name == DEFAULT_CONTEXT {
            return Err("context \"default\" cannot be removed".into());
        }
        let store = session.contexts();
        if !store.exists(name) {
            if self.force {
                return Ok(());
            }
            return Err(Failure::Text(format!("context {name:?} does not exist")));
        }
        if session.current_context() == name {
            if !self.force {
                return Err(Failure::Text(format!(
                    "context {name:?} is in use, set -f flag to force remove"
                )));
            }
            set_current(session, "")?;
        }
        store.remove(name)
    }
}
