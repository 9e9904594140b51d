//! A command: its place in the tree, its help, its flags, and running it.

use std::future::Future;
use std::pin::Pin;

use crate::client::SshTarget;
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::help;
use crate::program::Program;
use crate::session::{Environment, Globals, Session, Sink};
use crate::tree;

/// A running command.
pub(crate) type Run<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// What a command takes and does.
pub(crate) trait Verb {
    /// Binds the flags to the fields they set.
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>);

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a>;
}

/// How many positionals a command takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    None,
    Any,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

/// What completion offers for positionals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Nothing,
    Files,
    /// Every container.
    Containers,
    /// Containers in one of these states.
    ContainersIn(&'static [&'static str]),
    /// A container first, then files of the command.
    FirstContainer(&'static [&'static str]),
    Images,
    FirstImage,
    Volumes,
    Networks,
    Contexts,
    /// Anything `inspect` can show.
    Objects,
}

/// What stands behind a name in the tree.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    Group(&'static [Command]),
    Verb(fn() -> Box<dyn Verb>),
    /// A command of docker's that Wharf does not have; what to say.
    Missing(&'static str),
    /// Run by the binary before the command line is reached; here for help and completion.
    Elsewhere,
}

/// Under which heading of the program's help a command stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    Common,
    Management,
    Swarm,
    Plain,
    /// Wharf's own; docker does not have them.
    Wharf,
}

/// A name in the tree.
#[derive(Clone, Copy)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    /// After the path: `[OPTIONS] CONTAINER`.
    pub(crate) usage: &'static str,
    pub(crate) short: &'static str,
    /// Shown in place of `short` by the command's own help, when not empty.
    pub(crate) long: &'static str,
    pub(crate) example: &'static str,
    /// Every path to it, for help: `container attach`, `attach`.
    pub(crate) paths: &'static [&'static str],
    pub(crate) arity: Arity,
    /// Do flags end at the first positional?
    pub(crate) flags_first: bool,
    pub(crate) hidden: bool,
    pub(crate) heading: Heading,
    pub(crate) names: Names,
    pub(crate) body: Body,
}

impl Command {
    const EMPTY: Command = Command {
        name: "",
        aliases: &[],
        usage: "",
        short: "",
        long: "",
        example: "",
        paths: &[],
        arity: Arity::None,
        flags_first: false,
        hidden: false,
        heading: Heading::Plain,
        names: Names::Nothing,
        body: Body::Elsewhere,
    };

    pub(crate) const fn verb(
        name: &'static str,
        usage: &'static str,
        short: &'static str,
        arity: Arity,
        make: fn() -> Box<dyn Verb>,
    ) -> Command {
        Command {
            name,
            usage,
            short,
            arity,
            body: Body::Verb(make),
            ..Command::EMPTY
        }
    }

    pub(crate) const fn group(
        name: &'static str,
        short: &'static str,
        children: &'static [Command],
    ) -> Command {
        Command {
            name,
            short,
            heading: Heading::Management,
            body: Body::Group(children),
            ..Command::EMPTY
        }
    }

    pub(crate) const fn missing(
        name: &'static str,
        short: &'static str,
        what: &'static str,
    ) -> Command {
        Command {
            name,
            short,
            body: Body::Missing(what),
            ..Command::EMPTY
        }
    }

    pub(crate) const fn elsewhere(
        name: &'static str,
        usage: &'static str,
        short: &'static str,
    ) -> Command {
        Command {
            name,
            usage,
            short,
            heading: Heading::Wharf,
            ..Command::EMPTY
        }
    }

    pub(crate) const fn paths(mut self, paths: &'static [&'static str]) -> Command {
        self.paths = paths;
        self
    }

    pub(crate) const fn names(mut self, names: Names) -> Command {
        self.names = names;
        self
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Command {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn long(mut self, long: &'static str) -> Command {
        self.long = long;
        self
    }

    pub(crate) const fn flags_first(mut self) -> Command {
        self.flags_first = true;
        self
    }

    pub(crate) const fn hidden(mut self) -> Command {
        self.hidden = true;
        self
    }

    /// The same command under another name at the top: `container ls` as `ps`.
    pub(crate) const fn named(mut self, name: &'static str) -> Command {
        self.name = name;
        self.aliases = &[];
        self
    }

    pub(crate) const fn under(mut self, heading: Heading) -> Command {
        self.heading = heading;
        self
    }

    /// Its own name or another it answers to.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }

    pub(crate) fn children(&self) -> &'static [Command] {
        match self.body {
            Body::Group(children) => children,
            _ => &[],
        }
    }

    /// Calls `look` with the command's flags.
    pub(crate) fn with_flags<T>(&self, look: impl FnOnce(&mut FlagSet<'_>) -> T) -> T {
        let mut verb = match self.body {
            Body::Verb(make) => Some(make()),
            _ => None,
        };
        let mut set = FlagSet::new();
        if let Some(verb) = &mut verb {
            verb.flags(&mut set);
        }
        look(&mut set)
    }
}

/// Runs the command line and returns the exit code.
pub(crate) async fn run(program: Program, words: &[String], environment: Environment) -> u8 {
    if let Some(code) = crate::complete::intercept(program, words, &environment).await {
        return code;
    }
    run_with(program, words, environment, Sink::Stdout, Sink::Stderr).await
}

/// The same with its output elsewhere.
pub(crate) async fn run_with(
    program: Program,
    words: &[String],
    environment: Environment,
    out: Sink,
    err: Sink,
) -> u8 {
    let mut globals = Globals::new(&environment);
    let parsed = {
        let mut set = FlagSet::new();
        globals.flags(&mut set);
        set.parse(words, false)
    };
    let mut session = Session::new(program, environment, globals);
    session.out = out;
    session.err = err;
    let outcome = match parsed {
        Ok(rest) => dispatch(&session, &rest).await,
        Err(stop) => help::stopped_at_root(&session, stop),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            if let Some(message) = failure.message(program) {
                session.complain(&message);
            }
            failure.code()
        }
    }
}

async fn dispatch(session: &Session, words: &[String]) -> Result<(), Failure> {
    let program = session.program;
    session.globals.check()?;
    if session.globals.version {
        session.print(&format!("{}\n", help::version_line(program)))?;
        return Ok(());
    }
    if words.first().is_some_and(|word| word == "help") {
        return help::topic(session, &words[1..]);
    }
    let found = tree::find(program, words);
    let Some(command) = found.command else {
        return match words.first() {
            // Bare, it is a mistake: the help goes where errors go.
            None => help::root(session, &session.err),
            Some(word) => Err(Failure::Text(format!(
                "{0}: unknown command: {0} {word}\n\nRun '{0} --help' for more information",
                program.name()
            ))),
        };
    };
    let path = found.path();
    match command.body {
        Body::Group(_) => group(session, command, &path, found.rest),
        Body::Missing(what) => {
            if found.rest.iter().any(|word| word == "--help") {
                return help::command(session, &session.out, command, &path);
            }
            Err(crate::missing::failure(program, &path, what))
        }
        Body::Elsewhere => Err(Failure::Text(format!(
            "'{path}' runs in the wharf binary, which this program is not part of"
        ))),
        Body::Verb(make) => verb(session, command, &path, found.rest, make()).await,
    }
}

/// A group alone shows its help; a word it does not know is an error.
fn group(session: &Session, command: &Command, path: &str, rest: &[String]) -> Result<(), Failure> {
    match rest.first().map(String::as_str) {
        None => help::command(session, &session.err, command, path),
        Some("--help" | "-h" | "help") => help::command(session, &session.out, command, path),
        Some(flag) if flag.starts_with('-') => {
            let what = if flag.starts_with("--") {
                format!("unknown flag: {}", flag.split('=').next().unwrap_or(flag))
            } else {
                let letter = flag.chars().nth(1).unwrap_or('-');
                format!("unknown shorthand flag: '{letter}' in {flag}")
            };
            Err(help::usage_error(command, path, &what))
        }
        Some(word) => {
            // The one whose usage line docker spells out.
            let more = if command.name == "volume" {
                " COMMAND"
            } else {
                ""
            };
            Err(Failure::Text(format!(
                "{}: unknown command: {path} {word}\n\nUsage:  {path}{more}\n\nRun '{path} --help' for more information",
                session.program.name()
            )))
        }
    }
}

async fn verb(
    session: &Session,
    command: &Command,
    path: &str,
    words: &[String],
    verb: Box<dyn Verb>,
) -> Result<(), Failure> {
    let mut verb = verb;
    let parsed = {
        let mut set = FlagSet::new();
        verb.flags(&mut set);
        set.parse(words, !command.flags_first)
    };
    let args = match parsed {
        Ok(args) => args,
        Err(stop) => return help::stopped(session, command, path, stop),
    };
    help::check_arity(session.program, command, path, args.len())?;
    verb.run(session, args).await
}

/// Under our own name the far side of ssh may be Wharf too.
pub(crate) fn prefer_wharf(program: Program, target: &mut SshTarget) {
    target.prefer_wharf = program == Program::Wharf;
}
