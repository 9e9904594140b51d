//! `docker context create` and `update`

use std::collections::BTreeMap;
use std::fs;

use crate::client::Endpoint;
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::context::store::{Context, Store, TLS_FILES, check_name};
use crate::failure::{Failure, file_error};
use crate::flags::{FlagSet, Given, Value};
use crate::session::{DEFAULT_CONTEXT, Session};
use crate::spec::csv;

const CREATE_LONG: &str = "Create a context\n\nDocker endpoint config:\n\nNAME                DESCRIPTION\nfrom                Copy named context's Docker endpoint configuration\nhost                Docker endpoint on which to connect\nca                  Trust certs signed only by this CA\ncert                Path to TLS certificate file\nkey                 Path to TLS key file\nskip-tls-verify     Skip TLS certificate validation\n\nExample:\n\n$ docker context create my-context --description \"some description\" --docker \"host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file\"";
const UPDATE_LONG: &str = "Update a context\n\nDocker endpoint config:\n\nNAME                DESCRIPTION\nfrom                Copy named context's Docker endpoint configuration\nhost                Docker endpoint on which to connect\nca                  Trust certs signed only by this CA\ncert                Path to TLS certificate file\nkey                 Path to TLS key file\nskip-tls-verify     Skip TLS certificate validation\n\nExample:\n\n$ docker context update my-context --description \"some description\" --docker \"host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file\"";

pub(crate) const CREATE: Command = Command::verb(
    "create",
    "[OPTIONS] CONTEXT",
    "Create a context",
    Arity::Exactly(1),
    || Box::new(Create::default()),
)
.long(CREATE_LONG);

pub(crate) const UPDATE: Command = Command::verb(
    "update",
    "[OPTIONS] CONTEXT",
    "Update a context",
    Arity::Exactly(1),
    || Box::new(Update::default()),
)
.long(UPDATE_LONG)
.names(Names::Contexts);

/// pflag's `stringToString`.
#[derive(Debug, Default, Clone)]
struct Settings(BTreeMap<String, String>);

impl Value for Settings {
    fn set(&mut self, text: &str) -> Result<(), String> {
        for field in csv::fields(text)? {
            let Some((key, value)) = field.split_once('=') else {
                return Err(format!("{field} must be formatted as key=value"));
            };
            self.0.insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "stringToString"
    }

    fn default_text(&self) -> String {
        "[]".to_owned()
    }
}

#[derive(Default)]
struct Create {
    description: String,
    docker: Given<Settings>,
    from: String,
}

impl Verb for Create {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.description,
            "description",
            "Description of the context",
        );
        set.long(&mut self.docker, "docker", "set the docker endpoint");
        set.long(
            &mut self.from,
            "from",
            "create context from a named context",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let name = &args[0];
            check_name(name)?;
            let store = session.contexts();
            if store.exists(name) {
                return Err(Failure::Text(format!("context {name:?} already exists")));
            }
            let mut context = Context::new(name);
            match self.docker.given() {
                Some(settings) => apply(session, &store, &mut context, settings)?,
                // Without settings it is a copy: of `--from`, else of what is in use.
                None => {
                    let from = match self.from.as_str() {
                        "" => session.current_context(),
                        from => from.to_owned(),
                    };
                    copy_endpoint(session, &store, &mut context, &from)?;
                }
            }
            self.description
                .clone_into(&mut context.metadata.description);
            store.put(&context)?;
            session.print(&format!("{name}\n"))?;
            session.complain(&format!("Successfully created context {name:?}"));
            Ok(())
        })
    }
}

#[derive(Default)]
struct Update {
    description: String,
    docker: Given<Settings>,
}

impl Verb for Update {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.description,
            "description",
            "Description of the context",
        );
        set.long(&mut self.docker, "docker", "set the docker endpoint");
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let name = &args[0];
            check_name(name)?;
            let store = session.contexts();
            let mut context = store.get(name)?;
            if !self.description.is_empty() {
                self.description
                    .clone_into(&mut context.metadata.description);
            }
            if let Some(settings) = self.docker.given() {
                apply(session, &store, &mut context, settings)?;
            }
            store.put(&context)?;
            session.print(&format!("{name}\n"))?;
            session.complain(&format!("Successfully updated context {name:?}"));
            Ok(())
        })
    }
}

/// `host=...,ca=...,cert=...,key=...,skip-tls-verify=...` or `from=...`.
fn apply(
    session: &Session,
    store: &Store,
    context: &mut Context,
    settings: &Settings,
) -> Result<(), Failure> {
    const KNOWN: [&str; 6] = ["from", "host", "ca", "cert", "key", "skip-tls-verify"];
    for key in settings.0.keys() {
        if !KNOWN.contains(&key.as_str()) {
            return Err(Failure::Text(format!(
                "unable to create docker endpoint config: {key}: unrecognized config key"
            )));
        }
    }
    let value = |key: &str| {
        settings
            .0
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    if let Some(from) = value("from") {
        if settings.0.len() > 1 {
            return Err("unable to create docker endpoint config: conflicting options: cannot specify both \"from\" and other settings".into());
        }
        return copy_endpoint(session, store, context, from);
    }
    let Some(host) = value("host") else {
        return Err(
            "unable to create docker endpoint config: docker endpoint configuration is required"
                .into(),
        );
    };
    Endpoint::parse(host, None).map_err(|error| {
        Failure::Text(format!("unable to create docker endpoint config: {error}"))
    })?;
    let mut files = Vec::new();
    for (key, file) in ["ca", "cert", "key"].into_iter().zip(TLS_FILES) {
        if let Some(path) = value(key) {
            let bytes = fs::read(path).map_err(|error| {
                let failure = file_error("open", path, &error);
                let why = failure.message(session.program).unwrap_or_default();
                Failure::Text(format!("unable to create docker endpoint config: {why}"))
            })?;
            files.push((file, bytes));
        }
    }
    let skip = match value("skip-tls-verify") {
        Some(text) => crate::go::parse_bool(text).map_err(|why| {
            Failure::Text(format!(
                "unable to create docker endpoint config: skip-tls-verify: {why}"
            ))
        })?,
        None => false,
    };
    host.clone_into(&mut context.endpoints.docker.host);
    context.endpoints.docker.skip_tls_verify = skip;
    store.clear_tls(&context.name)?;
    for (file, bytes) in files {
        store.put_tls(&context.name, file, &bytes)?;
    }
    Ok(())
}

fn copy_endpoint(
    session: &Session,
    store: &Store,
    context: &mut Context,
    from: &str,
) -> Result<(), Failure> {
    if from == DEFAULT_CONTEXT {
        context.endpoints.docker.host = session.default_host();
        return Ok(());
    }
    context.endpoints = store.get(from)?.endpoints;
    for (file, path) in store.tls_files(from) {
        let bytes = fs::read(&path)
            .map_err(|error| file_error("open", &path.display().to_string(), &error))?;
        store.put_tls(&context.name, file, &bytes)?;
    }
    Ok(())
}
