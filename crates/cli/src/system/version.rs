//! `docker version`

use crate::client::{API_VERSION, Call};
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::help;
use crate::inspect::FORMAT_HELP;
use crate::json::Json;
use crate::session::Session;
use crate::tabwriter;
use crate::template::{Functions, Missing, Parsed};
use crate::time;

pub(crate) const COMMAND: Command = Command::verb(
    "version",
    "[OPTIONS]",
    "Show the Docker version information",
    Arity::None,
    || Box::new(Version::default()),
);

/// docker's layout. A client that is no Go program has no Go version to show.
const LAYOUT: &str = "{{with .Client -}}
Client:{{if .Platform}}{{if .Platform.Name}} {{.Platform.Name}}{{end}}{{end}}
 Version:\t{{.Version}}
 API version:\t{{.ApiVersion}}{{if ne .ApiVersion .DefaultAPIVersion}} (downgraded from {{.DefaultAPIVersion}}){{end}}
 Git commit:\t{{.GitCommit}}
 OS/Arch:\t{{.Os}}/{{.Arch}}
 Context:\t{{.Context}}
{{- end}}

{{- if .Server}}{{with .Server}}

Server:{{if .Platform}}{{if .Platform.Name}} {{.Platform.Name}}{{end}}{{end}}
 {{- range $component := .Components}}
 {{$component.Name}}:
  {{- if eq $component.Name \"Engine\" }}
  Version:\t{{$component.Version}}
  API version:\t{{$component.Details.ApiVersion}} (minimum version {{$component.Details.MinAPIVersion}})
  Go version:\t{{$component.Details.GoVersion}}
  Git commit:\t{{$component.Details.GitCommit}}
  Built:\t{{$component.Details.BuildTime}}
  OS/Arch:\t{{$component.Details.Os}}/{{$component.Details.Arch}}
  Experimental:\t{{$component.Details.Experimental}}
  {{- else }}
  Version:\t{{$component.Version}}
  {{- range $key, $value := $component.Details}}
  {{$key}}:\t{{$value}}
   {{- end}}
  {{- end}}
 {{- end}}
 {{- end}}{{- end}}";

#[derive(Default)]
struct Version {
    format: String,
}

impl Verb for Version {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let template = match self.format.as_str() {
                "" => LAYOUT,
                "json" => "{{json .}}",
                template => template,
            };
            let parsed = Parsed::new("version", template, Functions::Data)
                .map_err(|error| Failure::Status(64, format!("template parsing error: {error}")))?;
            let (server, failure) = match server(session).await {
                Ok(server) => (server, None),
                Err(failure) => (Json::Null, Some(failure)),
            };
            let api = match session.client() {
                Ok(client) => client.negotiated().await.map(|n| n.version.clone()).ok(),
                Err(_) => None,
            };
            let data = Json::Object(vec![
                ("Client".to_owned(), client(session, api.as_deref())),
                ("Server".to_owned(), server),
            ]);
            let data = if template.contains(".APIVersion") {
                with_go_names(&data)
            } else {
                data
            };
            let rendered = parsed.render(&data, Missing::NoValue);
            let mut text = tabwriter::align(&rendered?, tabwriter::VERSION);
            if failure.is_some() {
                // What the daemon would have said is empty, not unknown.
                text = text.replace("<no value>", "");
            }
            session.print(&format!("{text}\n"))?;
            failure.map_or(Ok(()), Err)
        })
    }
}

/// What there is to say of this program.
pub(crate) fn client(session: &Session, api: Option<&str>) -> Json {
    let text = |key: &str, value: &str| (key.to_owned(), Json::from(value));
    Json::Object(vec![
        text("Version", env!("CARGO_PKG_VERSION")),
        text("ApiVersion", api.unwrap_or(API_VERSION)),
        text("DefaultAPIVersion", API_VERSION),
        text("GitCommit", help::build()),
        text("Os", std::env::consts::OS),
        text("Arch", go_arch()),
        text("Context", &session.current_context()),
    ])
}

/// Go's name of the processor.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn server(session: &Session) -> Result<Json, Failure> {
    let mut server: Json = session
        .client()?
        .send(Call::get("/version"))
        .await?
        .json()
        .await?;
    let Json::Object(entries) = &mut server else {
        return Ok(server);
    };
    let components = entries.iter_mut().find(|(key, _)| key == "Components");
    match components {
        Some((_, Json::List(components))) => components.iter_mut().for_each(readable_build_time),
        // Daemons before 18.09 say it all at the top.
        _ => {
            let engine = old_engine(&Json::Object(entries.clone()));
            entries.retain(|(key, _)| key != "Components");
            entries.push(("Components".to_owned(), Json::List(vec![engine])));
        }
    }
    Ok(server)
}

fn readable_build_time(component: &mut Json) {
    let Json::Object(entries) = component else {
        return;
    };
    let details = entries.iter_mut().find(|(key, _)| key == "Details");
    if let Some((_, Json::Object(details))) = details {
        for (key, value) in details {
            if let (true, Json::Text(text)) = (key == "BuildTime", &*value) {
                *value = time::ansic(text).into();
            }
        }
    }
}

fn old_engine(server: &Json) -> Json {
    let text = |key: &str, value: &str| (key.to_owned(), Json::from(value));
    let details = vec![
        text("ApiVersion", server.text("ApiVersion")),
        text("Arch", server.text("Arch")),
        text("BuildTime", &time::ansic(server.text("BuildTime"))),
        text("Experimental", &server.bool("Experimental").to_string()),
        text("GitCommit", server.text("GitCommit")),
        text("GoVersion", server.text("GoVersion")),
        text("MinAPIVersion", server.text("MinAPIVersion")),
        text("Os", server.text("Os")),
    ];
    Json::Object(vec![
        text("Name", "Engine"),
        text("Version", server.text("Version")),
        ("Details".to_owned(), Json::Object(details)),
    ])
}

/// Templates may spell Go's `APIVersion` where JSON has `ApiVersion`.
fn with_go_names(data: &Json) -> Json {
    let Json::Object(entries) = data else {
        return data.clone();
    };
    let alias = |value: &Json| match value {
        Json::Object(fields) => {
            let mut fields = fields.clone();
            if let Some((_, version)) = fields.iter().find(|(key, _)| key == "ApiVersion").cloned()
            {
                fields.push(("APIVersion".to_owned(), version));
            }
            Json::Object(fields)
        }
        other => other.clone(),
    };
    Json::Object(
        entries
            .iter()
            .map(|(key, value)| (key.clone(), alias(value)))
            .collect(),
    )
}
