//! `docker inspect`, and what every other `inspect` shares with it.
//!
//! The daemon's bytes are laid out, never reread into types: order, nulls and fields nobody
//! here knows are kept.

use crate::client::{Call, ClientError, Query, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::{self, Json};
use crate::session::Session;
use crate::template::{BadTemplate, Functions, Missing, Parsed};

pub(crate) const COMMAND: Command = Command::verb(
    "inspect",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on Docker objects",
    Arity::AtLeast(1),
    || Box::new(Inspect::default()),
)
.names(Names::Objects);

pub(crate) const FORMAT_HELP: &str = "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates";

#[derive(Default)]
struct Inspect {
    format: String,
    size: bool,
    kind: String,
}

/// What to look for, and how.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Container { size: bool },
    Image { platform: String },
    Network { verbose: bool, scope: String },
    Volume,
}

impl Kind {
    /// The object's JSON.
    pub(crate) async fn fetch(&self, session: &Session, name: &str) -> Result<Vec<u8>, Failure> {
        if name.trim().is_empty() {
            return Err(Failure::Text("value is empty".to_owned()));
        }
        let name = escape(name);
        let call = match self {
            Kind::Container { size } => Call::get(format!("/containers/{name}/json"))
                .query(Query::new().add_switch("size", *size)),
            Kind::Image { platform } => Call::get(format!("/images/{name}/json"))
                .query(Query::new().add_text("platform", platform)),
            Kind::Network { verbose, scope } => {
                let query = Query::new().add_text("scope", scope);
                let query = if *verbose {
                    query.add("verbose", "true")
                } else {
                    query
                };
                Call::get(format!("/networks/{name}")).query(query)
            }
            Kind::Volume => Call::get(format!("/volumes/{name}")),
        };
        Ok(session.client()?.send(call).await?.bytes().await?)
    }

    /// Those `docker inspect` tries, in order.
    fn all(size: bool) -> [Kind; 4] {
        [
            Kind::Container { size },
            Kind::Image {
                platform: String::new(),
            },
            Kind::Network {
                verbose: false,
                scope: String::new(),
            },
            Kind::Volume,
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Kind::Container { .. } => "container",
            Kind::Image { .. } => "image",
            Kind::Network { .. } => "network",
            Kind::Volume => "volume",
        }
    }
}

impl Verb for Inspect {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.format, "format", 'f', FORMAT_HELP);
        set.long(
            &mut self.kind,
            "type",
            "Only inspect objects of the given type",
        );
        set.short(
            &mut self.size,
            "size",
            's',
            "Display total file sizes if the type is container",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let kinds = match self.kind.as_str() {
                "" => Kind::all(self.size),
                kind @ ("config" | "node" | "plugin" | "secret" | "service" | "task") => {
                    return Err(Failure::Missing(format!(
                        "Wharf has no objects of type \"{kind}\": it does not run swarms or engine plugins"
                    )));
                }
                kind => {
                    let all = Kind::all(self.size);
                    let Some(only) = all.iter().find(|one| one.name() == kind) else {
                        return Err(Failure::Text(format!(
                            "unknown type: {kind:?}: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
                        )));
                    };
                    return print(session, &args, &self.format, |name| {
                        only.fetch(session, name)
                    })
                    .await;
                }
            };
            let kinds = &kinds;
            print(session, &args, &self.format, |name| {
                first_found(session, kinds, name)
            })
            .await
        })
    }
}

async fn first_found(session: &Session, kinds: &[Kind], name: &str) -> Result<Vec<u8>, Failure> {
    for kind in kinds {
        match kind.fetch(session, name).await {
            Err(Failure::Client(error)) if is_other_kind(&error) => {}
            other => return other,
        }
    }
    Err(Failure::Text(format!("Error: No such object: {name}")))
}

/// Does the refusal only say that the name is none of this kind? A reference that cannot be an
/// image's may still be another's.
fn is_other_kind(error: &ClientError) -> bool {
    error.is_not_found()
        || matches!(error, ClientError::Daemon { message, .. } if message.contains("invalid reference format"))
        || matches!(error.status(), Some(501))
}

/// Prints what is found in the order asked for; what is not found is said at the end.
pub(crate) async fn print<'n, F>(
    session: &Session,
    names: &'n [String],
    format: &str,
    fetch: impl Fn(&'n str) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<Vec<u8>, Failure>>,
{
    let mut output = Output::new(format)?;
    let mut reasons = Vec::new();
    for name in names {
        match fetch(name).await {
            Ok(object) => {
                if let Err(error) = output.add(object) {
                    reasons.push(format!("template parsing error: {error}"));
                    break;
                }
            }
            Err(failure) => {
                let unreachable =
                    matches!(&failure, Failure::Client(error) if error.is_unreachable());
                reasons.extend(failure.message(session.program));
                if unreachable {
                    break;
                }
            }
        }
    }
    session.out.write(&output.finish())?;
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Failure::Text(reasons.join("\n")))
    }
}

/// The three forms of output.
enum Output {
    /// An indented list.
    Indented(Vec<Vec<u8>>),
    /// A list on one line.
    Json(Vec<Vec<u8>>),
    /// A template applied to each.
    Template(Parsed, String),
}

impl Output {
    fn new(format: &str) -> Result<Output, Failure> {
        Ok(match format {
            "" => Output::Indented(Vec::new()),
            "json" => Output::Json(Vec::new()),
            template => {
                let parsed = Parsed::new("", template, Functions::Data).map_err(|error| {
                    Failure::Status(64, format!("template parsing error: {error}"))
                })?;
                Output::Template(parsed, String::new())
            }
        })
    }

    fn add(&mut self, object: Vec<u8>) -> Result<(), BadTemplate> {
        match self {
            Output::Indented(objects) | Output::Json(objects) => objects.push(object),
            Output::Template(template, text) => {
                let data = with_go_names(Json::parse(&object).unwrap_or(Json::Null));
                text.push_str(&template.render(&data, Missing::Error)?);
                text.push('\n');
            }
        }
        Ok(())
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Output::Template(_, text) if text.is_empty() => b"\n".to_vec(),
            Output::Template(_, text) => text.into_bytes(),
            Output::Indented(objects) | Output::Json(objects) if objects.is_empty() => {
                b"[]\n".to_vec()
            }
            Output::Indented(objects) => {
                let mut out = json::indent(&listed(&objects), "", "    ");
                out.push(b'\n');
                out
            }
            Output::Json(objects) => {
                let mut out = listed(&objects);
                out.push(b'\n');
                out
            }
        }
    }
}

fn listed(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(object.trim_ascii());
    }
    out.push(b']');
    out
}

/// docker's templates see Go's field names, of which `ID` is the one that JSON spells otherwise
/// (`Id`), and that everybody writes.
fn with_go_names(data: Json) -> Json {
    match data {
        Json::Object(mut entries) if !entries.iter().any(|(key, _)| key == "ID") => {
            if let Some((_, id)) = entries.iter().find(|(key, _)| key == "Id").cloned() {
                entries.push(("ID".to_owned(), id));
            }
            Json::Object(entries)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: &str, objects: &[&str]) -> String {
        let mut output = Output::new(format).unwrap();
        for object in objects {
            output.add(object.as_bytes().to_vec()).unwrap();
        }
        String::from_utf8(output.finish()).unwrap()
    }

    #[test]
    fn the_daemons_bytes_are_kept() {
        let object = "{\"Zed\":null,\"Abe\":\"\\u003c\"}\n";
        assert_eq!(
            printed("json", &[object]),
            "[{\"Zed\":null,\"Abe\":\"\\u003c\"}]\n"
        );
        assert_eq!(
            printed("", &[object]),
            "[\n    {\n        \"Zed\": null,\n        \"Abe\": \"\\u003c\"\n    }\n]\n"
        );
    }

    #[test]
    fn nothing_found_is_an_empty_list_or_line() {
        assert_eq!(printed("", &[]), "[]\n");
        assert_eq!(printed("{{.Id}}", &[]), "\n");
    }

    #[test]
    fn templates_see_the_id_by_both_names() {
        assert_eq!(
            printed("{{.Id}} {{.ID}}", &["{\"Id\":\"a\"}", "{\"Id\":\"b\"}"]),
            "a a\nb b\n"
        );
    }
}
