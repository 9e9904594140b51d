//! `docker create`, and the making of a container that `run` shares with it.

use std::io::Write as _;

use crate::client::{Call, ClientError, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::options::Options;
use crate::container::request::{self, CreateRequest};
use crate::failure::{Failure, file_error};
use crate::flags::FlagSet;
use crate::image;
use crate::json::Json;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "create",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create a new container",
    Arity::AtLeast(1),
    || {
        Box::new(Create {
            how: How::new(),
            ..Create::default()
        })
    },
)
.flags_first()
.paths(&["container create", "create"])
.names(Names::FirstImage);

/// The flags about the making, not about the container.
#[derive(Default)]
pub(crate) struct How {
    pub(crate) help: bool,
    pub(crate) name: String,
    pub(crate) platform: String,
    pub(crate) pull: String,
    pub(crate) quiet: bool,
    pub(crate) untrusted: bool,
    pub(crate) use_api_socket: bool,
}

impl How {
    pub(crate) fn new() -> How {
        How {
            pull: "missing".to_owned(),
            untrusted: true,
            ..How::default()
        }
    }

    pub(crate) fn flags<'a>(
        &'a mut self,
        set: &mut FlagSet<'a>,
        pull_help: &'static str,
    ) -> &'a mut bool {
        set.long(&mut self.name, "name", "Assign a name to the container");
        set.long(&mut self.pull, "pull", pull_help);
        set.short(&mut self.quiet, "quiet", 'q', "Suppress the pull output");
        set.long(
            &mut self.use_api_socket,
            "use-api-socket",
            "Bind mount Docker API socket and required auth",
        );
        set.long(
            &mut self.platform,
            "platform",
            "Set platform if server is multi-platform capable",
        );
        set.long(
            &mut self.untrusted,
            "disable-content-trust",
            "Skip image verification",
        );
        &mut self.help
    }
}

#[derive(Default)]
struct Create {
    how: How,
    options: Options,
}

impl Verb for Create {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        let help = self.how.flags(
            set,
            "Pull image before creating (\"always\", \"|missing\", \"never\")",
        );
        self.options.flags(set, help);
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let built = check_pull(&self.how)
                .and_then(|()| request::build(session, &self.options, &args[0], &args[1..]));
            let request = built.map_err(|failure| with_help(session, failure, "create"))?;
            let id = create(session, &self.how, &self.options, &request).await?;
            session.print(&format!("{id}\n"))?;
            Ok(())
        })
    }
}

pub(crate) fn check_pull(how: &How) -> Result<(), Failure> {
    if !matches!(how.pull.as_str(), "always" | "missing" | "never") {
        return Err(Failure::Text(format!(
            "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
            how.pull
        )));
    }
    if how.use_api_socket {
        return Err(Failure::Text(
            "--use-api-socket is not supported: it hands the engine's socket and registry \
             credentials to the container; mount the socket with -v if that is wanted"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The error of making or starting a container: prefixed, with where help is, and code 125,
/// or 127 and 126 for a command that is not there or cannot be run.
pub(crate) fn with_help(session: &Session, failure: Failure, command: &str) -> Failure {
    let name = session.program.name();
    let Some(message) = failure.message(session.program) else {
        return failure;
    };
    let code = match &failure {
        Failure::Status(code, _) => *code,
        _ => 125,
    };
    Failure::Status(
        code,
        format!("{name}: {message}\n\nRun '{name} {command} --help' for more information"),
    )
}

/// Makes the container, getting its image first where the daemon does not have it.
pub(crate) async fn create(
    session: &Session,
    how: &How,
    options: &Options,
    request: &CreateRequest,
) -> Result<String, Failure> {
    let id_file = IdFile::open(&options.cidfile)?;
    crate::image::reference::check_any(&request.image)?;
    let client = session.client()?;
    if how.pull == "always" {
        pull(session, how, &request.image).await?;
    }
    let query = Query::new()
        .add_text("name", &how.name)
        .add_text("platform", &how.platform);
    let send = || async {
        let call = Call::post("/containers/create")
            .query(query.clone())
            .json(request)?;
        client.send(call).await?.json::<Json>().await
    };
    let answer = match send().await {
        Err(ClientError::Daemon { status, message })
            if status.as_u16() == 404
                && how.pull == "missing"
                && message.to_lowercase().contains("no such image") =>
        {
            let name = image::with_default_tag(&request.image);
            session.complain(&format!(
                "Unable to find image '{}' locally",
                image::familiar(&name)
            ));
            pull(session, how, &request.image).await?;
            send().await?
        }
        other => other?,
    };
    for warning in answer.texts("Warnings") {
        session.complain(&format!("WARNING: {warning}"));
    }
    let id = answer.text("Id").to_owned();
    if let Some(file) = id_file {
        file.keep(&id)?;
    }
    Ok(id)
}

async fn pull(session: &Session, how: &How, name: &str) -> Result<(), Failure> {
    let full = image::with_default_tag(name);
    let (repository, tag) = image::split_tag(&full);
    let query = Query::new()
        .add("fromImage", repository)
        .add_text("tag", tag.unwrap_or_default())
        .add_text("platform", &how.platform);
    let reply = session
        .client()?
        .send(Call::post("/images/create").query(query))
        .await?;
    // Progress goes to stderr: stdout is the container's.
    let sink = if how.quiet { None } else { Some(&session.err) };
    crate::progress::show(sink, reply).await
}

/// `--cidfile`: made before the container, so that two runs cannot share it.
struct IdFile {
    path: String,
    file: std::fs::File,
}

impl IdFile {
    fn open(path: &str) -> Result<Option<IdFile>, Failure> {
        if path.is_empty() {
            return Ok(None);
        }
        if std::fs::metadata(path).is_ok() {
            return Err(Failure::Text(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )));
        }
        match std::fs::File::create_new(path) {
            Ok(file) => Ok(Some(IdFile {
                path: path.to_owned(),
                file,
            })),
            Err(error) => {
                let failure = file_error("open", path, &error);
                let Failure::Text(text) = failure else {
                    return Err(failure);
                };
                Err(Failure::Text(format!(
                    "failed to create the container ID file: {text}"
                )))
            }
        }
    }

    fn keep(mut self, id: &str) -> Result<(), Failure> {
        self.file.write_all(id.as_bytes()).map_err(|error| {
            file_error(
                "failed to write the container ID to the file",
                &self.path,
                &error,
            )
        })?;
        self.path.clear();
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        // Nothing was made: the file must not stand in the way of the next run.
        if !self.path.is_empty() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
