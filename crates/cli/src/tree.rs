//! The whole command tree, and finding a command in it.

use crate::command::{Command, Heading};
use crate::program::Program;
use crate::{
    complete, container, context, dns, image, inspect, missing, netns, network, system, volume,
};

/// The commands at the top, in docker's order where help keeps it.
const ROOT: &[Command] = &[
    container::run::COMMAND.under(Heading::Common),
    container::exec::COMMAND.under(Heading::Common),
    container::ls::COMMAND.named("ps").under(Heading::Common),
    missing::BUILD.under(Heading::Common),
    missing::PULL.under(Heading::Common),
    missing::PUSH.under(Heading::Common),
    image::ls::COMMAND.named("images").under(Heading::Common),
    missing::LOGIN.under(Heading::Common),
    missing::LOGOUT.under(Heading::Common),
    missing::SEARCH.under(Heading::Common),
    system::version::COMMAND.under(Heading::Common),
    system::info::COMMAND.under(Heading::Common),
    missing::BUILDER,
    missing::CHECKPOINT,
    container::GROUP,
    context::GROUP,
    image::GROUP,
    missing::MANIFEST,
    network::GROUP,
    missing::PLUGIN,
    system::GROUP,
    missing::TRUST,
    volume::GROUP,
    missing::CONFIG,
    missing::NODE,
    missing::SECRET,
    missing::SERVICE,
    missing::STACK,
    missing::SWARM,
    missing::BUILDX,
    missing::COMPOSE,
    container::attach::COMMAND,
    container::commit::COMMAND,
    container::cp::COMMAND,
    container::create::COMMAND,
    container::diff::COMMAND,
    system::events::COMMAND,
    container::export::COMMAND,
    image::history::COMMAND,
    image::import::COMMAND,
    inspect::COMMAND,
    container::kill::COMMAND,
    image::load::COMMAND,
    container::logs::COMMAND,
    container::pause::PAUSE,
    container::port::COMMAND,
    container::rename::COMMAND,
    container::stop::RESTART,
    container::rm::COMMAND,
    image::rm::COMMAND.named("rmi"),
    image::save::COMMAND,
    container::start::COMMAND,
    container::stats::COMMAND,
    container::stop::STOP,
    image::tag::COMMAND,
    container::top::COMMAND,
    container::pause::UNPAUSE,
    container::update::COMMAND,
    container::wait::COMMAND,
    complete::COMMAND,
];

/// What only the wharf binary has.
const OWN: &[Command] = &[
    Command::elsewhere("daemon", "[OPTIONS]", "Run the engine"),
    dns::GROUP,
    Command::elsewhere("fsck", "[OPTIONS]", "Check the store, and repair it"),
    netns::GROUP,
    Command::elsewhere(
        "runtime",
        "COMMAND",
        "Run containers from OCI bundles, without the engine",
    ),
];

/// Every command at the top.
pub(crate) fn root(program: Program) -> impl Iterator<Item = &'static Command> {
    let own = if program == Program::Wharf { OWN } else { &[] };
    ROOT.iter().chain(own)
}

/// The command some words lead to, and the words after it.
pub(crate) struct Found<'w> {
    pub(crate) command: Option<&'static Command>,
    /// The names as typed, after the program's: `container`, `ls`.
    words: Vec<&'w str>,
    pub(crate) rest: &'w [String],
    program: Program,
}

impl Found<'_> {
    /// `docker container ls`
    pub(crate) fn path(&self) -> String {
        let names: Vec<&str> = std::iter::once(self.program.name())
            .chain(self.words.iter().copied())
            .collect();
        names.join(" ")
    }
}

/// Walks down the tree as far as the words lead.
pub(crate) fn find(program: Program, words: &[String]) -> Found<'_> {
    let mut found = Found {
        command: None,
        words: Vec::new(),
        rest: words,
        program,
    };
    loop {
        let Some(word) = found.rest.first() else {
            return found;
        };
        let next = match found.command {
            None => root(program).find(|command| command.is(word)),
            Some(group) => group.children().iter().find(|command| command.is(word)),
        };
        let Some(next) = next else {
            return found;
        };
        // An alias is shown by its own name, as cobra does.
        found.words.push(if next.name == word.as_str() {
            word
        } else {
            next.name
        });
        found.command = Some(next);
        found.rest = &found.rest[1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_to_commands_by_name_and_alias() {
        let words = ["container", "list", "-a"].map(str::to_owned);
        let found = find(Program::Docker, &words);
        assert_eq!(found.path(), "docker container ls");
        assert_eq!(found.rest, ["-a"]);
        assert!(
            find(Program::Docker, &["nope".to_owned()])
                .command
                .is_none()
        );
        assert!(
            find(Program::Docker, &["daemon".to_owned()])
                .command
                .is_none()
        );
        assert!(
            find(Program::Wharf, &["daemon".to_owned()])
                .command
                .is_some()
        );
    }

    #[test]
    fn no_command_defines_a_flag_twice() {
        fn check(command: &Command, path: &str) {
            let path = format!("{path} {}", command.name);
            command.with_flags(|set| {
                let mut names: Vec<&str> = set.flags.iter().map(|flag| flag.name).collect();
                names.sort_unstable();
                let before = names.len();
                names.dedup();
                assert_eq!(names.len(), before, "{path}");
                let mut letters: Vec<char> = set.flags.iter().filter_map(|f| f.short).collect();
                letters.sort_unstable();
                let before = letters.len();
                letters.dedup();
                assert_eq!(letters.len(), before, "{path}");
            });
            for child in command.children() {
                check(child, &path);
            }
        }
        for command in root(Program::Wharf) {
            check(command, "wharf");
        }
    }
}
