//! The arguments of `ps` that mean something for a container.
//!
//! Which processes are shown is given, so what selects processes selects them all; what is left
//! is the format. Options that would change what a line is (threads, trees, sorting) are refused.

use crate::{Error, Result};

use super::columns::Column;

/// What a style of listing shows.
const PLAIN: &str = "pid,tname,time,ucmd";
const FULL: &str = "user=UID,pid,ppid,c,stime,tname,time,cmd";
const BSD: &str = "pid,tname,stat,bsdtime,args";
const USER: &str = "user,pid,%cpu,%mem,vsz,rss,tname,stat,bsdstart,bsdtime,args";

/// The columns that are asked for.
pub(super) fn parse(text: &str) -> Result<Vec<Column>> {
    let mut style = PLAIN;
    let mut own: Vec<Column> = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if let Some(list) = word.strip_prefix("--format=") {
            own.extend(columns(list)?);
            continue;
        }
        if word == "--format" {
            own.extend(columns(words.next().ok_or_else(|| unknown(word))?)?);
            continue;
        }
        // `-aux` is read as `aux`, as procps does when no user is called x.
        let unix = word.starts_with('-') && !word.starts_with("-aux");
        if !unix && style == PLAIN {
            style = BSD;
        }
        let letters = word.strip_prefix('-').unwrap_or(word);
        for (at, letter) in letters.char_indices() {
            match (unix, letter) {
                (true, 'e' | 'A' | 'a' | 'd' | 'x' | 'w') | (false, 'a' | 'x' | 'w' | 'r') => {}
                (true, 'f') => style = FULL,
                (false, 'u') => style = USER,
                (_, 'o') => {
                    let rest = letters.get(at + 1..).unwrap_or_default();
                    let list = match rest {
                        "" => words.next().ok_or_else(|| {
                            Error::InvalidArgument(format!(
                                "ps: format specification must follow {word}"
                            ))
                        })?,
                        rest => rest,
                    };
                    own.extend(columns(list)?);
                    break;
                }
                _ => return Err(unknown(word)),
            }
        }
    }
    if own.is_empty() {
        return columns(style);
    }
    Ok(own)
}

fn unknown(word: &str) -> Error {
    Error::InvalidArgument(format!(
        "ps: unsupported option {word:?}: of ps, -e, -A, -a, -d, -x, -f, -w, -o and a, x, u, w, o are known"
    ))
}

/// `pid,user,args`; `args=CMD` gives a title, and the title is all that follows.
fn columns(list: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let end = rest.find([',', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (title, next) = match after.split_at_checked(1) {
            Some(("=", title)) => (Some(title), ""),
            Some((_, next)) => (None, next),
            None => (None, ""),
        };
        let column = Column::named(name, title).ok_or_else(|| {
            Error::InvalidArgument(format!("ps: unsupported format specifier {name:?}"))
        })?;
        columns.push(column);
        rest = next;
        // The titles of our own styles end at the comma.
        if let (Some(title), true) = (title, std::ptr::eq(list, FULL)) {
            let (title, next) = title.split_once(',').unwrap_or((title, ""));
            if let Some(column) = columns.last_mut() {
                title.clone_into(&mut column.title);
            }
            rest = next;
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &str) -> String {
        let columns = parse(arguments).unwrap();
        let titles: Vec<String> = columns.into_iter().map(|column| column.title).collect();
        titles.join(" ")
    }

    #[test]
    fn the_usual_styles_have_the_columns_of_ps() {
        for (arguments, expected) in [
            ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
            ("-e -f", "UID PID PPID C STIME TTY TIME CMD"),
            ("-e", "PID TTY TIME CMD"),
            ("ax", "PID TTY STAT TIME COMMAND"),
            (
                "aux",
                "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND",
            ),
            (
                "-auxww",
                "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND",
            ),
            ("-eo pid,comm", "PID COMMAND"),
            ("-o pid -o user,args", "PID USER COMMAND"),
            ("-opid,etime", "PID ELAPSED"),
            ("axo pid,stat", "PID STAT"),
            ("--format=pid,rss", "PID RSS"),
            ("-eo pid,args=WHAT", "PID WHAT"),
        ] {
            assert_eq!(titles(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (arguments, named) in [
            ("-eLf", "-eLf"),
            ("--forest", "--forest"),
            ("-u root", "-u"),
            ("-p 1", "-p"),
            ("axf", "axf"),
            ("-o pid,wchan", "wchan"),
            ("-o", "-o"),
            ("--sort=pid", "--sort=pid"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert_eq!(error.class(), crate::Class::InvalidArgument);
        }
    }
}
