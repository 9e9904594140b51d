//! Help texts and usage errors, laid out as docker's.

use std::fmt::Write as _;

use crate::command::{Arity, Command, Heading};
use crate::failure::Failure;
use crate::flags::{FlagSet, Stop, wrapped_usages};
use crate::program::Program;
use crate::session::{Environment, Globals, Session, Sink};
use crate::terminal;
use crate::tree;

/// The exit code of a line that cannot be parsed.
const USAGE: u8 = 125;

fn columns() -> usize {
    // docker leaves the last column free.
    terminal::size(&std::io::stdout())
        .map_or(80, |size| usize::from(size.columns))
        .max(2)
        - 1
}

pub(crate) fn version_line(program: Program) -> String {
    format!(
        "{} version {}, build {}",
        program.title(),
        env!("CARGO_PKG_VERSION"),
        build()
    )
}

/// The commit the binary was made from, where the build says.
pub(crate) fn build() -> &'static str {
    option_env!("WHARF_COMMIT").unwrap_or("unknown")
}

/// `docker ps [OPTIONS]`
fn use_line(command: &Command, path: &str) -> String {
    if command.usage.is_empty() {
        path.to_owned()
    } else {
        format!("{path} {}", command.usage)
    }
}

/// A line that pflag refused.
pub(crate) fn usage_error(command: &Command, path: &str, what: &str) -> Failure {
    Failure::Status(
        USAGE,
        format!(
            "{what}\n\nUsage:  {}\n\nRun '{path} --help' for more information",
            use_line(command, path)
        ),
    )
}

pub(crate) fn stopped(
    session: &Session,
    command: &Command,
    path: &str,
    stop: Stop,
) -> Result<(), Failure> {
    match stop {
        Stop::Help {
            deprecated_shorthand,
        } => {
            if deprecated_shorthand {
                session.complain("Flag shorthand -h has been deprecated, use --help");
            }
            self::command(session, &session.out, command, path)
        }
        Stop::Wrong(what) => Err(usage_error(command, path, &what)),
    }
}

pub(crate) fn stopped_at_root(session: &Session, stop: Stop) -> Result<(), Failure> {
    match stop {
        Stop::Help { .. } => root(session, &session.out),
        Stop::Wrong(what) => {
            let name = session.program.name();
            Err(Failure::Status(
                USAGE,
                format!(
                    "{what}\n\nUsage:  {name} [OPTIONS] COMMAND [ARG...]\n\nRun '{name} --help' for more information"
                ),
            ))
        }
    }
}

/// Refuses a wrong number of positionals.
pub(crate) fn check_arity(
    program: Program,
    command: &Command,
    path: &str,
    count: usize,
) -> Result<(), Failure> {
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let (wrong, verb) = match command.arity {
        Arity::Any => return Ok(()),
        Arity::None if count > 0 => ("accepts no arguments".to_owned(), "Run"),
        Arity::Exactly(n) if count != n => (format!("requires {n} {}", plural(n)), "Run"),
        Arity::AtLeast(n) if count < n => (format!("requires at least {n} {}", plural(n)), "See"),
        Arity::AtMost(n) if count > n => (format!("requires at most {n} {}", plural(n)), "Run"),
        Arity::Between(least, most) if count < least || count > most => (
            format!(
                "requires at least {least} and at most {most} {}",
                plural(most)
            ),
            "Run",
        ),
        _ => return Ok(()),
    };
    Err(Failure::Text(format!(
        "{}: '{path}' {wrong}\n\nUsage:  {}\n\n{verb} '{path} --help' for more information",
        program.name(),
        program.says(&use_line(command, path)),
    )))
}

/// The help of one command or group.
pub(crate) fn command(
    session: &Session,
    to: &Sink,
    command: &Command,
    path: &str,
) -> Result<(), Failure> {
    let text = command_text(session.program, command, path, columns());
    to.write(text.as_bytes())?;
    Ok(())
}

pub(crate) fn command_text(
    program: Program,
    command: &Command,
    path: &str,
    columns: usize,
) -> String {
    let children = command.children();
    let usage = if children.is_empty() {
        use_line(command, path)
    } else if command.usage.is_empty() {
        format!("{path} COMMAND")
    } else {
        use_line(command, path)
    };
    let mut out = format!("Usage:  {usage}\n\n");
    out.push_str(if command.long.is_empty() {
        command.short
    } else {
        command.long
    });
    out.push('\n');
    if command.paths.len() > 1 {
        let paths: Vec<String> = command
            .paths
            .iter()
            .map(|path| format!("{} {path}", program.name()))
            .collect();
        let _ = write!(out, "\nAliases:\n  {}\n", paths.join(", "));
    }
    if !command.example.is_empty() {
        let _ = write!(out, "\n{}\n", command.example);
    }
    let options = command.with_flags(|set| {
        set.flags
            .retain(|flag| !flag.own || program == Program::Wharf);
        wrapped_usages(set, columns)
    });
    if !options.is_empty() {
        let _ = write!(out, "\nOptions:\n{options}");
    }
    if !children.is_empty() {
        out.push_str("\nCommands:\n");
        list(&mut out, children.iter().filter(|child| !child.hidden));
        let _ = write!(
            out,
            "\nRun '{path} COMMAND --help' for more information on a command.\n"
        );
    }
    program.says(&out)
}

/// Name and description, in the order given or by name.
fn list<'a>(out: &mut String, commands: impl Iterator<Item = &'a Command>) {
    let mut commands: Vec<&Command> = commands.collect();
    if !commands
        .iter()
        .any(|command| command.heading == Heading::Common)
    {
        commands.sort_by_key(|command| command.name);
    }
    for command in commands {
        let _ = writeln!(out, "  {:<11} {}", command.name, command.short);
    }
}

/// The program's own help.
pub(crate) fn root(session: &Session, to: &Sink) -> Result<(), Failure> {
    let text = root_text(session.program, &session.environment, columns());
    to.write(text.as_bytes())?;
    Ok(())
}

pub(crate) fn root_text(program: Program, environment: &Environment, columns: usize) -> String {
    let name = program.name();
    let mut out =
        format!("Usage:  {name} [OPTIONS] COMMAND\n\nA self-sufficient runtime for containers\n");
    let headings = [
        (Heading::Common, "Common Commands"),
        (Heading::Wharf, "Wharf Commands"),
        (Heading::Management, "Management Commands"),
        (Heading::Swarm, "Swarm Commands"),
        (Heading::Plain, "Commands"),
    ];
    for (heading, title) in headings {
        let commands: Vec<&Command> = tree::root(program)
            .filter(|command| command.heading == heading && !command.hidden)
            .collect();
        if commands.is_empty() {
            continue;
        }
        let _ = write!(out, "\n{title}:\n");
        list(&mut out, commands.into_iter());
    }
    let mut globals = Globals::new(environment);
    let mut set = FlagSet::new();
    globals.flags(&mut set);
    let _ = write!(out, "\nGlobal Options:\n{}", wrapped_usages(&set, columns));
    let _ = write!(
        out,
        "\nRun '{name} COMMAND --help' for more information on a command.\n"
    );
    if program == Program::Docker {
        out.push_str(
            "\nFor more help on how to use Docker, head to https://docs.docker.com/go/guides/\n",
        );
    }
    // Names after "docker " in a description are ours to say; the link above is not.
    if program == Program::Wharf {
        program.says(&out)
    } else {
        out
    }
}

/// `docker help WORDS...`
pub(crate) fn topic(session: &Session, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return root(session, &session.out);
    }
    let found = tree::find(session.program, words);
    match found.command {
        Some(command) if found.rest.is_empty() => {
            self::command(session, &session.out, command, &found.path())
        }
        _ => Err(Failure::Text(format!(
            "unknown help topic: {}",
            words.join(" ")
        ))),
    }
}
