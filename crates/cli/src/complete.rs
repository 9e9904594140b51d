//! Shell completion: `docker completion SHELL` prints a script, which calls `docker __complete`.
//!
//! The scripts know nothing; every answer comes from the same command tree and flags that parse
//! and help use, and names of containers, images, volumes, networks and contexts from the
//! daemon at the moment of the tab. A daemon that does not answer offers nothing, quickly.

mod scripts;

use std::time::Duration;

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::json::Json;
use crate::program::Program;
use crate::session::{Environment, Globals, Session};
use crate::tree;

pub(crate) const COMMAND: Command = Command::verb(
    "completion",
    "SHELL",
    "Generate the autocompletion script for the specified shell (bash, zsh, fish)",
    Arity::Exactly(1),
    || Box::new(Completion),
)
.hidden();

/// The word the scripts call; the last word after it is the one being typed.
pub(crate) const CALL: &str = "__complete";

/// Longer than this a tab must not wait.
const PATIENCE: Duration = Duration::from_millis(800);

struct Completion;

impl Verb for Completion {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            match scripts::script(&args[0], session.program) {
                Some(script) => Ok(session.print(&script)?),
                None => Err(Failure::Text(format!(
                    "no completion for {:?}: must be one of bash, zsh, fish",
                    args[0]
                ))),
            }
        })
    }
}

/// What to offer, and whether the shell may offer files instead.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offer {
    /// Word and description.
    words: Vec<(String, String)>,
    files: bool,
}

/// Answers `__complete WORDS...`; other lines are not ours.
pub(crate) async fn intercept(
    program: Program,
    words: &[String],
    environment: &Environment,
) -> Option<u8> {
    let (first, words) = words.split_first()?;
    if first != CALL {
        return None;
    }
    let (typed, before) = match words.split_last() {
        Some((typed, before)) => (typed.as_str(), before),
        None => ("", words),
    };
    let mut globals = Globals::new(environment);
    let mut offer = offer(program, environment, &mut globals, before, typed);
    if let Wanted::Names(names, position) = offer.1 {
        let session = Session::new(program, environment.clone(), globals);
        let asked = names_of(&session, names, position);
        if let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, asked).await {
            offer
                .0
                .words
                .extend(found.into_iter().map(|name| (name, String::new())));
        }
    }
    let mut out = String::new();
    offer.0.words.retain(|(word, _)| word.starts_with(typed));
    for (word, description) in &offer.0.words {
        out.push_str(word);
        if !description.is_empty() {
            out.push('\t');
            // A description may go over several lines; the first says what it is.
            out.push_str(description.lines().next().unwrap_or_default());
        }
        out.push('\n');
    }
    // The last line tells the script whether files are an answer too.
    out.push_str(if offer.0.files { ":files\n" } else { ":\n" });
    let _ = crate::session::Sink::Stdout.write(out.as_bytes());
    Some(0)
}

/// What the daemon has to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Names(Names, usize),
}

fn offer(
    program: Program,
    environment: &Environment,
    globals: &mut Globals,
    before: &[String],
    typed: &str,
) -> (Offer, Wanted) {
    // Global flags, then the path, then the command's own flags and positionals.
    let rest = {
        let mut set = FlagSet::new();
        globals.flags(&mut set);
        match set.parse(before, false) {
            Ok(rest) => rest,
            // The flag before still wants its value: a file, most likely.
            Err(_) => {
                return (
                    Offer {
                        words: Vec::new(),
                        files: true,
                    },
                    Wanted::Nothing,
                );
            }
        }
    };
    let found = tree::find(program, &rest);
    let Some(command) = found.command else {
        if typed.starts_with('-') {
            let mut globals = Globals::new(environment);
            let mut set = FlagSet::new();
            globals.flags(&mut set);
            return (
                Offer {
                    words: flag_names(&set),
                    files: false,
                },
                Wanted::Nothing,
            );
        }
        let commands = tree::root(program).filter(|_| rest.is_empty());
        return (
            Offer {
                words: command_names(commands),
                files: false,
            },
            Wanted::Nothing,
        );
    };
    if !command.children().is_empty() {
        let children = command.children().iter().filter(|_| found.rest.is_empty());
        return (
            Offer {
                words: command_names(children),
                files: false,
            },
            Wanted::Nothing,
        );
    }
    command.with_flags(|set| {
        let parsed = set.parse(found.rest, !command.flags_first);
        let Ok(positionals) = parsed else {
            return (
                Offer {
                    words: Vec::new(),
                    files: true,
                },
                Wanted::Nothing,
            );
        };
        let flags_over = command.flags_first && !positionals.is_empty();
        if typed.starts_with('-') && !flags_over {
            return (
                Offer {
                    words: flag_names(set),
                    files: false,
                },
                Wanted::Nothing,
            );
        }
        let files = wants_files(command.names, positionals.len());
        (
            Offer {
                words: Vec::new(),
                files,
            },
            Wanted::Names(command.names, positionals.len()),
        )
    })
}

fn wants_files(names: Names, position: usize) -> bool {
    match names {
        Names::Files => true,
        Names::FirstContainer(_) | Names::FirstImage => position > 0,
        _ => false,
    }
}

fn command_names<'c>(commands: impl Iterator<Item = &'c Command>) -> Vec<(String, String)> {
    commands
        .filter(|command| !command.hidden)
        .map(|command| (command.name.to_owned(), command.short.to_owned()))
        .collect()
}

fn flag_names(set: &FlagSet<'_>) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = set
        .flags
        .iter()
        .filter(|flag| !flag.hidden)
        .map(|flag| (format!("--{}", flag.name), flag.usage.to_owned()))
        .collect();
    names.sort();
    names
}

async fn names_of(
    session: &Session,
    names: Names,
    position: usize,
) -> Result<Vec<String>, Failure> {
    match names {
        Names::Nothing | Names::Files => Ok(Vec::new()),
        Names::Containers => containers(session, &[]).await,
        Names::ContainersIn(states) => containers(session, states).await,
        Names::FirstContainer(states) if position == 0 => containers(session, states).await,
        Names::FirstImage if position == 0 => images(session).await,
        Names::FirstContainer(_) | Names::FirstImage => Ok(Vec::new()),
        Names::Images => images(session).await,
        Names::Volumes => {
            let listed: Json = session
                .client()?
                .send(Call::get("/volumes"))
                .await?
                .json()
                .await?;
            Ok(listed
                .list("Volumes")
                .iter()
                .map(|one| one.text("Name").to_owned())
                .collect())
        }
        Names::Networks => {
            let listed: Vec<Json> = session
                .client()?
                .send(Call::get("/networks"))
                .await?
                .json()
                .await?;
            Ok(listed
                .iter()
                .map(|one| one.text("Name").to_owned())
                .collect())
        }
        Names::Contexts => {
            let mut names: Vec<String> = session
                .contexts()
                .list()
                .into_iter()
                .map(|context| context.name)
                .collect();
            names.push(crate::session::DEFAULT_CONTEXT.to_owned());
            Ok(names)
        }
        Names::Objects => {
            let mut names = containers(session, &[]).await?;
            names.extend(images(session).await?);
            Ok(names)
        }
    }
}

async fn containers(session: &Session, states: &[&str]) -> Result<Vec<String>, Failure> {
    let filters: Vec<String> = states
        .iter()
        .map(|state| format!("status={state}"))
        .collect();
    let query = Query::new().add("all", "1").add_filters(&filters);
    let call = Call::get("/containers/json").query(query);
    let listed: Vec<Json> = session.client()?.send(call).await?.json().await?;
    Ok(listed
        .iter()
        .flat_map(|one| one.texts("Names"))
        .map(|name| name.trim_start_matches('/').to_owned())
        .collect())
}

async fn images(session: &Session) -> Result<Vec<String>, Failure> {
    let listed: Vec<Json> = session
        .client()?
        .send(Call::get("/images/json"))
        .await?
        .json()
        .await?;
    Ok(listed
        .iter()
        .flat_map(|one| one.texts("RepoTags"))
        .filter(|name| *name != "<none>:<none>")
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(before: &[&str], typed: &str) -> (Vec<String>, bool, Wanted) {
        let environment = Environment::of(&[("HOME", "/nope")]);
        let mut globals = Globals::new(&environment);
        let before: Vec<String> = before.iter().map(|&word| word.to_owned()).collect();
        let (offer, wanted) = offer(Program::Docker, &environment, &mut globals, &before, typed);
        let words = offer.words.into_iter().map(|(word, _)| word);
        (
            words.filter(|word| word.starts_with(typed)).collect(),
            offer.files,
            wanted,
        )
    }

    #[test]
    fn commands_flags_and_names_are_offered_where_they_belong() {
        assert_eq!(offered(&[], "ru").0, ["run"]);
        assert_eq!(offered(&["container"], "ren").0, ["rename"]);
        assert_eq!(
            offered(&["run"], "--netw").0,
            ["--network", "--network-alias"]
        );
        assert_eq!(offered(&["-H", "tcp://x"], "ps").0, ["ps"]);
        assert_eq!(
            offered(&["stop"], "").2,
            Wanted::Names(Names::ContainersIn(&["running", "paused"]), 0)
        );
        assert_eq!(
            offered(&["run", "-it", "--name", "x"], "").2,
            Wanted::Names(Names::FirstImage, 0)
        );
    }

    #[test]
    fn after_the_image_flags_are_the_commands_own() {
        let (words, files, _) = offered(&["run", "busybox"], "--ne");
        assert!(words.is_empty() && files);
    }

    #[test]
    fn a_flag_that_wants_a_value_gets_files() {
        assert!(offered(&["run", "--env-file"], "").1);
    }
}
