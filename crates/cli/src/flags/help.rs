//! The `Options:` block of help, wrapped to a width exactly as pflag wraps it.

use super::FlagSet;

/// pflag lets a line run over by this much rather than leave a short orphan.
const SLOP: usize = 5;
/// Narrower than this, text moves to its own lines.
const NARROW: usize = 24;

/// One line (or wrapped paragraph) per visible flag, sorted by name.
pub(crate) fn wrapped_usages(set: &FlagSet<'_>, columns: usize) -> String {
    let mut flags: Vec<_> = set.flags.iter().filter(|flag| !flag.hidden).collect();
    flags.sort_by_key(|flag| flag.name);
    let lines: Vec<(String, String)> = flags
        .iter()
        .map(|flag| {
            let mut head = match flag.short {
                Some(short) => format!("  -{short}, --{}", flag.name),
                None => format!("      --{}", flag.name),
            };
            let (kind, mut usage) = unquote(flag.usage, flag.value.kind());
            if !kind.is_empty() {
                head.push(' ');
                head.push_str(&kind);
            }
            if !flag.default.is_empty() {
                usage.push_str(&format!(" (default {})", flag.default));
            }
            (head, usage)
        })
        .collect();
    // pflag counts the separator in: one more than the longest head.
    let widest = lines
        .iter()
        .map(|(head, _)| head.len() + 1)
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for (head, usage) in lines {
        let space = " ".repeat(widest - head.len() + 2);
        out.push_str(&head);
        out.push_str(&space);
        out.push_str(&wrap(widest + 2, columns, &usage));
        out.push('\n');
    }
    out
}

/// A back-quoted word in the usage names the argument in place of the type.
fn unquote(usage: &str, kind: &str) -> (String, String) {
    let mut parts = usage.splitn(3, '`');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(name), Some(after)) => {
            (name.to_owned(), format!("{before}{name}{after}"))
        }
        _ => (kind.to_owned(), usage.to_owned()),
    }
}

/// The first line of `text` that fits in `width`, and the rest.
fn split_line(width: usize, text: &str) -> (&str, &str) {
    if width + SLOP > text.len() {
        return (text, "");
    }
    let head = text.get(..width).unwrap_or(text);
    let Some(space) = head.rfind([' ', '\t', '\n']).filter(|&at| at > 0) else {
        return (text, "");
    };
    match head.rfind('\n') {
        Some(newline) if newline > 0 && newline < space => (&text[..newline], &text[newline + 1..]),
        _ => (&text[..space], &text[space + 1..]),
    }
}

fn wrap(indent: usize, columns: usize, text: &str) -> String {
    let mut indent = indent;
    let mut out = String::new();
    if columns < indent + NARROW {
        indent = 16;
        out.push('\n');
        out.push_str(&" ".repeat(indent));
    }
    if columns < indent + NARROW {
        return text.replace('\n', &out);
    }
    let width = columns - indent - SLOP;
    let margin = format!("\n{}", " ".repeat(indent));
    let (line, mut rest) = split_line(width, text);
    out.push_str(&line.replace('\n', &margin));
    while !rest.is_empty() {
        let (line, after) = split_line(width, rest);
        out.push_str(&margin);
        out.push_str(&line.replace('\n', &margin));
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::List;

    #[test]
    fn options_are_sorted_aligned_and_wrapped_as_docker_shows_them() {
        let (mut author, mut change, mut message, mut pause) =
            (String::new(), List::default(), String::new(), true);
        let mut set = FlagSet::new();
        set.short(&mut pause, "pause", 'p', "Pause container during commit");
        set.short(&mut message, "message", 'm', "Commit message");
        set.short(
            &mut author,
            "author",
            'a',
            "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        );
        set.short(
            &mut change,
            "change",
            'c',
            "Apply Dockerfile instruction to the created image",
        );
        let expected = "  -a, --author string    Author (e.g., \"John Hannibal Smith
                         <hannibal@a-team.com>\")
  -c, --change list      Apply Dockerfile instruction to the created image
  -m, --message string   Commit message
  -p, --pause            Pause container during commit (default true)
";
        assert_eq!(wrapped_usages(&set, 79), expected);
    }
}
