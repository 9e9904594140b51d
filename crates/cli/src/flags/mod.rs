//! Command-line flags with the behaviour of Go's pflag, which docker uses.
//!
//! A command binds its fields to flags once; from that one definition come the parser, the
//! help text and the completion. Scripts written for docker rely on details that argument
//! parsers in Rust decide otherwise, so this is our own: `-itd`, `-p80:80`, `--rm=false`,
//! `-e=A=b` (the `=` after a short flag is dropped), a value that starts with a dash, flags
//! that stop at the first positional (`run`, `exec`), and the exact wording of every error.
//!
//! What this module does not know: which commands exist, and what a value means. A value type
//! parses and reports itself through [`Value`].

mod help;
mod parse;
mod value;

pub(crate) use help::wrapped_usages;
pub(crate) use parse::Stop;
pub(crate) use value::{Given, List, Map, Value};

/// One flag of a command, bound to the field it sets.
pub(crate) struct Flag<'a> {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) usage: &'static str,
    pub(crate) value: &'a mut dyn Value,
    /// The default as help shows it, taken before parsing; empty when not shown.
    pub(crate) default: String,
    /// Other spellings, accepted but not shown.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) hidden: bool,
    /// Wharf's own: accepted always, and in help where docker's is not asked for.
    pub(crate) own: bool,
    /// Was it on the command line?
    pub(crate) changed: bool,
}

/// The flags of one command.
pub(crate) struct FlagSet<'a> {
    pub(crate) flags: Vec<Flag<'a>>,
}

impl<'a> FlagSet<'a> {
    pub(crate) fn new() -> Self {
        FlagSet { flags: Vec::new() }
    }

    /// A flag with a short form: `-a, --all`.
    pub(crate) fn short(
        &mut self,
        value: &'a mut dyn Value,
        name: &'static str,
        short: char,
        usage: &'static str,
    ) -> &mut Flag<'a> {
        self.add(value, name, Some(short), usage)
    }

    /// A flag with a long form only.
    pub(crate) fn long(
        &mut self,
        value: &'a mut dyn Value,
        name: &'static str,
        usage: &'static str,
    ) -> &mut Flag<'a> {
        self.add(value, name, None, usage)
    }

    fn add(
        &mut self,
        value: &'a mut dyn Value,
        name: &'static str,
        short: Option<char>,
        usage: &'static str,
    ) -> &mut Flag<'a> {
        let default = value.default_text();
        let index = self.flags.len();
        self.flags.push(Flag {
            name,
            short,
            usage,
            value,
            default,
            aliases: &[],
            hidden: false,
            own: false,
            changed: false,
        });
        &mut self.flags[index]
    }

    /// The flag of that long name or alias.
    pub(crate) fn find(&mut self, name: &str) -> Option<&mut Flag<'a>> {
        self.flags
            .iter_mut()
            .find(|flag| flag.name == name || flag.aliases.contains(&name))
    }

    /// The flag of that short name.
    pub(crate) fn find_short(&mut self, short: char) -> Option<&mut Flag<'a>> {
        self.flags.iter_mut().find(|flag| flag.short == Some(short))
    }
}

impl Flag<'_> {
    /// Accepted, but not in help or completion.
    pub(crate) fn hide(&mut self) -> &mut Self {
        self.hidden = true;
        self
    }

    /// Docker has no such flag.
    pub(crate) fn own(&mut self) -> &mut Self {
        self.own = true;
        self
    }

    /// Other spellings of the same flag.
    pub(crate) fn alias(&mut self, aliases: &'static [&'static str]) -> &mut Self {
        self.aliases = aliases;
        self
    }

    /// How errors name it: `-c, --cpu-shares`, or `--rm`.
    pub(crate) fn label(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }
}
