//! Words of a command line to flag values and positionals.

use super::{Flag, FlagSet};

/// Asked for help instead of the command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// `--help`, or the deprecated `-h` (which says so).
    Help { deprecated_shorthand: bool },
    /// The line is wrong; docker's words for it.
    Wrong(String),
}

impl FlagSet<'_> {
    /// Sets flags from `words` and returns the positionals.
    ///
    /// With `interspersed` false the first positional ends the flags, as for `docker run`.
    pub(crate) fn parse(
        &mut self,
        words: &[String],
        interspersed: bool,
    ) -> Result<Vec<String>, Stop> {
        let mut positionals = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                positionals.extend(rest.cloned());
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                self.long_flag(long, &mut rest)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.short_flags(&word[1..], &mut rest)?;
            } else {
                positionals.push(word.clone());
                if !interspersed {
                    positionals.extend(rest.cloned());
                    break;
                }
            }
        }
        Ok(positionals)
    }

    fn long_flag(
        &mut self,
        word: &str,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), Stop> {
        if word.starts_with(['-', '=']) {
            return Err(Stop::Wrong(format!("bad flag syntax: --{word}")));
        }
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        // Shown by some commands, known to all.
        if name == "help" && attached.is_none_or(|value| value == "true") {
            return Err(Stop::Help {
                deprecated_shorthand: false,
            });
        }
        let Some(flag) = self.find(name) else {
            return Err(Stop::Wrong(format!("unknown flag: --{name}")));
        };
        if let Some(value) = attached {
            return flag.assign(value);
        }
        if let Some(bare) = flag.value.bare() {
            return flag.assign(bare);
        }
        match rest.next() {
            Some(value) => flag.assign(value),
            None => Err(Stop::Wrong(format!("flag needs an argument: --{name}"))),
        }
    }

    /// `-itd`, `-p80:80`, `-p=80:80`: every letter is a flag until one takes an argument.
    fn short_flags(
        &mut self,
        word: &str,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), Stop> {
        for (at, letter) in word.char_indices() {
            // pflag names what is left of the word.
            let left = &word[at..];
            let tail = &left[letter.len_utf8()..];
            let Some(flag) = self.find_short(letter) else {
                if letter == 'h' {
                    return Err(Stop::Help {
                        deprecated_shorthand: true,
                    });
                }
                return Err(Stop::Wrong(format!(
                    "unknown shorthand flag: '{letter}' in -{left}"
                )));
            };
            // "-a=" alone is a flag followed by the unknown flag "=", as in pflag.
            if tail.len() > 1 && tail.starts_with('=') {
                return flag.assign(&tail[1..]);
            }
            if let Some(bare) = flag.value.bare() {
                flag.assign(bare)?;
                continue;
            }
            if !tail.is_empty() {
                return flag.assign(tail);
            }
            return match rest.next() {
                Some(value) => flag.assign(value),
                None => Err(Stop::Wrong(format!(
                    "flag needs an argument: '{letter}' in -{left}"
                ))),
            };
        }
        Ok(())
    }
}

impl Flag<'_> {
    fn assign(&mut self, text: &str) -> Result<(), Stop> {
        self.changed = true;
        self.value.set(text).map_err(|why| {
            Stop::Wrong(format!(
                "invalid argument {} for \"{}\" flag: {why}",
                crate::go::quote(text),
                self.label()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Given, List};

    #[derive(Default)]
    struct Options {
        interactive: bool,
        tty: bool,
        remove: Given<bool>,
        publish: List,
        shares: i64,
        name: String,
    }

    impl Options {
        fn parse(&mut self, words: &[&str], interspersed: bool) -> Result<Vec<String>, Stop> {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let mut set = FlagSet::new();
            set.short(&mut self.interactive, "interactive", 'i', "");
            set.short(&mut self.tty, "tty", 't', "");
            set.long(&mut self.remove, "rm", "");
            set.short(&mut self.publish, "publish", 'p', "");
            set.short(&mut self.shares, "cpu-shares", 'c', "");
            set.long(&mut self.name, "name", "").alias(&["nom"]);
            set.parse(&words, interspersed)
        }
    }

    fn wrong(words: &[&str]) -> String {
        match Options::default().parse(words, false) {
            Err(Stop::Wrong(text)) => text,
            other => panic!("expected an error, got {other:?}"),
        }
    }

    #[test]
    fn combined_short_flags_and_attached_values_are_taken_apart() {
        let mut options = Options::default();
        let rest = options
            .parse(&["-itp80:80", "-p=90:90", "-p", "-1", "image"], false)
            .unwrap();
        assert!(options.interactive && options.tty);
        assert_eq!(*options.publish, ["80:80", "90:90", "-1"]);
        assert_eq!(rest, ["image"]);
    }

    #[test]
    fn a_switch_takes_a_value_only_after_an_equals_sign() {
        let mut options = Options::default();
        let rest = options
            .parse(&["--rm=false", "-i=0", "-t", "true"], false)
            .unwrap();
        assert_eq!(options.remove.given(), Some(&false));
        assert!(!options.interactive && options.tty);
        assert_eq!(rest, ["true"]);
    }

    #[test]
    fn flags_end_at_the_first_positional_when_not_interspersed() {
        let mut options = Options::default();
        let rest = options
            .parse(&["busybox", "ls", "-i", "--name", "x"], false)
            .unwrap();
        assert_eq!(rest, ["busybox", "ls", "-i", "--name", "x"]);
        assert!(!options.interactive);
        let rest = options
            .parse(&["busybox", "-i", "--nom", "x", "--", "-t"], true)
            .unwrap();
        assert_eq!(rest, ["busybox", "-t"]);
        assert!(options.interactive && !options.tty);
        assert_eq!(options.name, "x");
    }

    #[test]
    fn errors_are_pflags() {
        assert_eq!(wrong(&["--foo"]), "unknown flag: --foo");
        assert_eq!(wrong(&["-Z"]), "unknown shorthand flag: 'Z' in -Z");
        assert_eq!(wrong(&["-iZ"]), "unknown shorthand flag: 'Z' in -Z");
        assert_eq!(wrong(&["--name"]), "flag needs an argument: --name");
        assert_eq!(wrong(&["-p"]), "flag needs an argument: 'p' in -p");
        assert_eq!(wrong(&["---x"]), "bad flag syntax: ---x");
        assert_eq!(
            wrong(&["--rm=foo"]),
            "invalid argument \"foo\" for \"--rm\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax"
        );
        assert_eq!(
            wrong(&["-c", "x"]),
            "invalid argument \"x\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"
        );
    }

    #[test]
    fn help_stops_the_parse() {
        let mut options = Options::default();
        assert_eq!(
            options.parse(&["--help", "--foo"], true),
            Err(Stop::Help {
                deprecated_shorthand: false
            })
        );
        assert_eq!(
            options.parse(&["-h"], true),
            Err(Stop::Help {
                deprecated_shorthand: true
            })
        );
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_fall(words in proptest::collection::vec("[-=a-z]{0,6}|\\PC{0,4}", 0..6)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let _ = Options::default().parse(&words, true);
        }
    }
}
