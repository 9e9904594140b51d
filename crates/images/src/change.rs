//! `--change` of `commit` and `import`: the Dockerfile instructions that alter a configuration.
//!
//! Docker's parser decides what is an instruction, and Docker's texts say what is wrong. What an
//! instruction in shell form runs is not looked into here.

use std::collections::BTreeMap;

use crate::config::{Healthcheck, RunConfig};
use crate::error::ImageError;
use crate::words;

/// More text than any honest change has.
const MAX_CHANGES: usize = 4 * 1024 * 1024;

/// One instruction, read and not yet applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// `CMD`: a list, or one command for the shell.
    Cmd(Words),
    /// `ENTRYPOINT`.
    Entrypoint(Words),
    /// `ENV`: names and values, not yet expanded.
    Env(Vec<(String, String)>),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `HEALTHCHECK`.
    Healthcheck(Box<Healthcheck>),
    /// `LABEL`.
    Label(Vec<(String, String)>),
    /// `ONBUILD`: the instruction as it stands.
    OnBuild(String),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `USER`.
    User(String),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
}

/// A command as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// A JSON list: run as it is.
    List(Vec<String>),
    /// Anything else: for the shell to read.
    Shell(String),
}

/// A configuration with all `changes` made to it, in order.
pub fn apply(config: RunConfig, changes: &[String]) -> Result<RunConfig, ImageError> {
    let mut config = config;
    let mut own_command = false;
    for instruction in instructions(&changes.join("\n"))? {
        apply_one(&mut config, parse(&instruction)?, &mut own_command)?;
    }
    Ok(config)
}

/// Read one instruction.
pub fn parse(text: &str) -> Result<ConfigChange, ImageError> {
    let text = text.trim();
    let (keyword, arguments) = match text.split_once(char::is_whitespace) {
        Some((keyword, arguments)) => (keyword, arguments.trim()),
        None => (text, ""),
    };
    let name = keyword.to_ascii_uppercase();
    if !matches!(
        name.as_str(),
        "CMD"
            | "ENTRYPOINT"
            | "ENV"
            | "EXPOSE"
            | "HEALTHCHECK"
            | "LABEL"
            | "ONBUILD"
            | "SHELL"
            | "STOPSIGNAL"
            | "USER"
            | "VOLUME"
            | "WORKDIR"
    ) {
        return Err(wrong(format!("{keyword} is not a valid change command")));
    }
    if name != "CMD" && name != "ENTRYPOINT" && arguments.is_empty() {
        return Err(match name.as_str() {
            "USER" | "WORKDIR" | "STOPSIGNAL" => {
                wrong(format!("{name} requires exactly one argument"))
            }
            _ => wrong(format!("{name} requires at least one argument")),
        });
    }
    Ok(match name.as_str() {
        "CMD" => ConfigChange::Cmd(command(arguments)),
        "ENTRYPOINT" => ConfigChange::Entrypoint(command(arguments)),
        "ENV" => ConfigChange::Env(pairs(&name, arguments)?),
        "LABEL" => ConfigChange::Label(pairs(&name, arguments)?),
        "EXPOSE" => ConfigChange::Expose(words::split(arguments)),
        "HEALTHCHECK" => ConfigChange::Healthcheck(Box::new(healthcheck(arguments)?)),
        "ONBUILD" => on_build(arguments)?,
        "SHELL" => match json_list(arguments) {
            Some(shell) if !shell.is_empty() => ConfigChange::Shell(shell),
            _ => {
                return Err(wrong(
                    "SHELL requires the arguments to be in JSON form".to_owned(),
                ));
            }
        },
        "STOPSIGNAL" => ConfigChange::StopSignal(single(&name, arguments)?),
        "USER" => ConfigChange::User(single(&name, arguments)?),
        "VOLUME" => {
            let paths = json_list(arguments).unwrap_or_else(|| words::split(arguments));
            if paths.iter().any(|path| path.trim().is_empty()) {
                return Err(wrong(
                    "VOLUME specified can not be an empty string".to_owned(),
                ));
            }
            ConfigChange::Volume(paths)
        }
        _ => ConfigChange::Workdir(arguments.to_owned()),
    })
}

fn apply_one(
    config: &mut RunConfig,
    change: ConfigChange,
    own_command: &mut bool,
) -> Result<(), ImageError> {
    let env: BTreeMap<String, String> = config
        .env
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let expand = |word: &str| words::expand(word, &|name| env.get(name).cloned());
    match change {
        ConfigChange::Cmd(command) => {
            config.cmd = Some(with_shell(config, command));
            *own_command = true;
        }
        ConfigChange::Entrypoint(command) => {
            config.entrypoint = Some(with_shell(config, command));
            // A command that was meant for another entry point makes no sense for this one.
            if !*own_command {
                config.cmd = None;
            }
        }
        ConfigChange::Env(pairs) => {
            for (name, value) in pairs {
                let (name, value) = (expand(&name)?, expand(&value)?);
                if name.is_empty() {
                    return Err(wrong("ENV names can not be blank".to_owned()));
                }
                let variable = format!("{name}={value}");
                let same = |known: &&mut String| known.split('=').next() == Some(&name);
                match config.env.iter_mut().find(same) {
                    Some(known) => *known = variable,
                    None => config.env.push(variable),
                }
            }
        }
        ConfigChange::Label(pairs) => {
            for (name, value) in pairs {
                let name = expand(&name)?;
                if name.is_empty() {
                    return Err(wrong("LABEL names can not be blank".to_owned()));
                }
                config.labels.insert(name, expand(&value)?);
            }
        }
        ConfigChange::Expose(ports) => {
            for port in ports {
                config.exposed_ports.extend(expose(&expand(&port)?)?);
            }
        }
        ConfigChange::Healthcheck(check) => config.healthcheck = Some(*check),
        ConfigChange::OnBuild(trigger) => config.on_build.push(trigger),
        ConfigChange::Shell(shell) => config.shell = shell,
        ConfigChange::StopSignal(signal) => {
            let signal = expand(&signal)?;
            if !is_signal(&signal) {
                return Err(wrong(format!("invalid signal: {signal}")));
            }
            config.stop_signal = signal;
        }
        ConfigChange::User(user) => config.user = expand(&user)?,
        ConfigChange::Volume(paths) => {
            for path in paths {
                config.volumes.insert(expand(&path)?.trim().to_owned());
            }
        }
        ConfigChange::Workdir(path) => {
            config.working_dir = join(&config.working_dir, &expand(&path)?);
        }
    }
    Ok(())
}

/// The instructions of a text: comments left out, continued lines joined.
fn instructions(text: &str) -> Result<Vec<String>, ImageError> {
    if text.len() > MAX_CHANGES {
        return Err(ImageError::TooLarge {
            what: "changes".to_owned(),
            limit: MAX_CHANGES as u64,
        });
    }
    let mut instructions = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        let line = if current.is_empty() {
            line.trim_start()
        } else {
            line
        };
        if line.trim_start().starts_with('#') || line.trim().is_empty() {
            continue;
        }
        match line.trim_end().strip_suffix('\\') {
            Some(continued) => current.push_str(continued),
            None => {
                current.push_str(line);
                instructions.push(std::mem::take(&mut current));
            }
        }
    }
    if !current.is_empty() {
        instructions.push(current);
    }
    Ok(instructions)
}

fn command(arguments: &str) -> Words {
    match json_list(arguments) {
        Some(list) => Words::List(list),
        None => Words::Shell(arguments.to_owned()),
    }
}

fn with_shell(config: &RunConfig, command: Words) -> Vec<String> {
    match command {
        Words::List(list) => list,
        Words::Shell(text) if text.is_empty() => Vec::new(),
        Words::Shell(text) => {
            let mut words = config.shell.clone();
            if words.is_empty() {
                words = vec!["/bin/sh".to_owned(), "-c".to_owned()];
            }
            words.push(text);
            words
        }
    }
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// `name=value ...`, or the old form `name value`.
fn pairs(instruction: &str, arguments: &str) -> Result<Vec<(String, String)>, ImageError> {
    let words = words::split(arguments);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        let (name, value) = arguments
            .split_once(char::is_whitespace)
            .ok_or_else(|| wrong(format!("{instruction} must have two arguments")))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    words
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                wrong(format!(
                    "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
                ))
            })?;
            if name.is_empty() {
                return Err(wrong(format!("{instruction} names can not be blank")));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn single(instruction: &str, arguments: &str) -> Result<String, ImageError> {
    match words::split(arguments).as_slice() {
        [word] => Ok(word.clone()),
        _ => Err(wrong(format!(
            "{instruction} requires exactly one argument"
        ))),
    }
}

fn on_build(arguments: &str) -> Result<ConfigChange, ImageError> {
    let trigger = arguments
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    match trigger.as_str() {
        "ONBUILD" => Err(wrong(
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
        )),
        "MAINTAINER" | "FROM" => Err(wrong(format!(
            "{trigger} isn't allowed as an ONBUILD trigger"
        ))),
        _ => Ok(ConfigChange::OnBuild(arguments.to_owned())),
    }
}

/// `80`, `80/udp`, `80-90/tcp` become the ports they mean.
fn expose(text: &str) -> Result<Vec<String>, ImageError> {
    let (range, protocol) = match text.split_once('/') {
        None | Some((_, "")) => (text.trim_end_matches('/'), "tcp".to_owned()),
        Some((range, protocol)) => (range, protocol.to_ascii_lowercase()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong(format!("invalid proto: {protocol}")));
    }
    // An address and a port of the host may stand before it, as in `-p`; they mean nothing here.
    let container = range.rsplit(':').next().unwrap_or_default();
    let invalid = || wrong(format!("invalid containerPort: {container}"));
    let (first, last) = container.split_once('-').unwrap_or((container, container));
    let first: u16 = first.parse().map_err(|_| invalid())?;
    let last: u16 = last.parse().map_err(|_| invalid())?;
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

fn healthcheck(arguments: &str) -> Result<Healthcheck, ImageError> {
    let mut check = Healthcheck::default();
    let mut rest = arguments;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        rest = after.trim_start();
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| wrong(format!("missing a value on flag: {flag}")))?;
        match name {
            "interval" => check.interval = at_least_a_millisecond("interval", value)?,
            "timeout" => check.timeout = at_least_a_millisecond("timeout", value)?,
            "start-period" => check.start_period = at_least_a_millisecond("start-period", value)?,
            "start-interval" => {
                check.start_interval = at_least_a_millisecond("start-interval", value)?;
            }
            "retries" => {
                check.retries = value.parse().map_err(|_| {
                    wrong(format!(
                        "strconv.ParseInt: parsing {value:?}: invalid syntax"
                    ))
                })?;
                if check.retries < 0 {
                    return Err(wrong(format!("--retries cannot be negative ({value})")));
                }
            }
            name => return Err(wrong(format!("unknown flag: {name}"))),
        }
    }
    let (kind, command_text) = match rest.split_once(char::is_whitespace) {
        Some((kind, text)) => (kind, text.trim()),
        None => (rest, ""),
    };
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if !command_text.is_empty() => {
            Err(wrong("HEALTHCHECK NONE takes no arguments".to_owned()))
        }
        "NONE" => Ok(Healthcheck {
            test: vec!["NONE".to_owned()],
            ..Healthcheck::default()
        }),
        "CMD" => {
            check.test = match command(command_text) {
                Words::List(list) if !list.is_empty() => {
                    std::iter::once("CMD".to_owned()).chain(list).collect()
                }
                Words::Shell(text) if !text.is_empty() => vec!["CMD-SHELL".to_owned(), text],
                Words::List(_) | Words::Shell(_) => {
                    return Err(wrong("missing command after HEALTHCHECK CMD".to_owned()));
                }
            };
            Ok(check)
        }
        "" => Err(wrong(
            "HEALTHCHECK requires at least one argument".to_owned(),
        )),
        kind => Err(wrong(format!(
            "unknown type {kind:?} in HEALTHCHECK (try CMD)"
        ))),
    }
}

fn at_least_a_millisecond(flag: &str, value: &str) -> Result<i64, ImageError> {
    let nanoseconds =
        duration(value).ok_or_else(|| wrong(format!("time: invalid duration {value:?}")))?;
    if nanoseconds == 0 {
        return Ok(0);
    }
    if nanoseconds < 1_000_000 {
        return Err(wrong(format!("{flag} {value:?} cannot be less than 1ms")));
    }
    Ok(nanoseconds)
}

/// A duration as Go writes it (`1h30m`, `1.5s`, `300ms`), in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the bound is checked first"
    )]
    (!text.is_empty() && total < 9e18).then_some(total as i64)
}

fn is_signal(text: &str) -> bool {
    const NAMES: &str = " ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF \
        PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ \
        RTMIN RTMAX ";
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = |base: &str, sign: char| {
        name.strip_prefix(base)
            .and_then(|rest| rest.strip_prefix(sign))
            .is_some_and(|offset| {
                offset
                    .parse::<u8>()
                    .is_ok_and(|offset| (1..=15).contains(&offset))
            })
    };
    let known = !name.contains(' ') && !name.is_empty() && NAMES.contains(&format!(" {name} "));
    known || real_time("RTMIN", '+') || real_time("RTMAX", '-')
}

/// A working directory relative to the one before, without `.` and `..`.
fn join(current: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{current}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn wrong(message: String) -> ImageError {
    ImageError::Change(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn applied(changes: &[&str]) -> Result<RunConfig, String> {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        apply(RunConfig::default(), &changes).map_err(|error| error.to_string())
    }

    #[test]
    fn every_instruction_changes_its_field() {
        let config = applied(&[
            "ENV A=1 B=\"two words\" C=$A",
            "ENV OLD the rest",
            "ENV PATH=/x:$PATH",
            "EXPOSE 80 53/udp 8000-8002",
            "LABEL a.b=\"c d\" e=f",
            "USER nobody:nogroup",
            "VOLUME /a /b",
            "VOLUME [\"/c d\"]",
            "WORKDIR /w",
            "WORKDIR sub/../${A}",
            "ENTRYPOINT [\"/entry\"]",
            "CMD echo \"$A\" && true",
            "ONBUILD RUN x",
            "STOPSIGNAL SIGQUIT",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD [\"check\", \"it\"]",
            "# a comment",
        ])
        .unwrap();
        assert_eq!(
            config.env,
            ["A=1", "B=two words", "C=", "OLD=the rest", "PATH=/x:"]
        );
        let ports: Vec<&str> = config.exposed_ports.iter().map(String::as_str).collect();
        assert_eq!(
            ports,
            ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]
        );
        assert_eq!(config.labels["a.b"], "c d");
        assert_eq!(config.user, "nobody:nogroup");
        assert_eq!(config.volumes.len(), 3);
        assert_eq!(config.working_dir, "/w/1");
        assert_eq!(config.entrypoint.unwrap(), ["/entry"]);
        assert_eq!(
            config.cmd.unwrap(),
            ["/bin/sh", "-c", "echo \"$A\" && true"]
        );
        assert_eq!(config.on_build, ["RUN x"]);
        assert_eq!(config.stop_signal, "SIGQUIT");
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test, ["CMD", "check", "it"]);
        assert_eq!((check.interval, check.retries), (90_000_000_000, 3));
    }

    #[test]
    fn an_entry_point_forgets_a_command_that_was_not_meant_for_it() {
        let known = RunConfig {
            cmd: Some(vec!["old".into()]),
            ..RunConfig::default()
        };
        let config = apply(known.clone(), &["ENTRYPOINT [\"x\"]".to_owned()]).unwrap();
        assert_eq!(config.cmd, None);
        let both = ["CMD [\"new\"]".to_owned(), "ENTRYPOINT [\"x\"]".to_owned()];
        assert_eq!(
            apply(known, &both).unwrap().cmd,
            Some(vec!["new".to_owned()])
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        for (change, message) in [
            ("RUN true", "RUN is not a valid change command"),
            ("copy a b", "copy is not a valid change command"),
            ("ENV A", "ENV must have two arguments"),
            ("ENV", "ENV requires at least one argument"),
            (
                "ENV A=1 B",
                "Syntax error - can't find = in \"B\". Must be of the form: name=value",
            ),
            ("ENV =1", "ENV names can not be blank"),
            ("USER", "USER requires exactly one argument"),
            ("USER a b", "USER requires exactly one argument"),
            ("EXPOSE 80x", "invalid containerPort: 80x"),
            ("EXPOSE 80/xdp", "invalid proto: xdp"),
            (
                "ONBUILD ONBUILD x",
                "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
            ),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("STOPSIGNAL SIGNOTHING", "invalid signal: SIGNOTHING"),
            (
                "VOLUME [\"\"]",
                "VOLUME specified can not be an empty string",
            ),
            ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
            (
                "HEALTHCHECK FOO",
                "unknown type \"FOO\" in HEALTHCHECK (try CMD)",
            ),
            (
                "HEALTHCHECK --interval=1us CMD x",
                "interval \"1us\" cannot be less than 1ms",
            ),
            (
                "SHELL sh -c",
                "SHELL requires the arguments to be in JSON form",
            ),
        ] {
            assert_eq!(applied(&[change]), Err(message.to_owned()), "{change}");
        }
    }

    #[test]
    fn a_line_that_ends_in_a_backslash_goes_on() {
        let config = applied(&["ENV A=1 \\\n# between\n  B=2"]).unwrap();
        assert_eq!(config.env, ["A=1", "B=2"]);
    }

    #[test]
    fn signals_are_numbers_or_names() {
        for right in ["9", "KILL", "sigterm", "SIGRTMIN+3", "RTMAX-1", "64"] {
            assert!(is_signal(right), "{right}");
        }
        for wrong in ["0", "65", "", "SIG", "RTMIN+99", "KILL TERM"] {
            assert!(!is_signal(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(ENV|LABEL|EXPOSE|HEALTHCHECK|CMD|VOLUME|USER|WORKDIR) \\PC{0,40}") {
            let _ = apply(RunConfig::default(), &[text]);
        }
    }
}
