//! Shell patterns as Go's `path.Match` reads them, for the `reference` filter.
//!
//! `*` and `?` do not match `/`; `[a-z]` and `[^a-z]` are classes; `\` takes the next character
//! as it is. The pattern must match the whole text.

/// A pattern that ends in the middle of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Whether the whole of `text` matches `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> Result<bool, BadPattern> {
    let pattern = compile(pattern)?;
    let text: Vec<char> = text.chars().collect();
    // Greedy with one point to come back to: linear in the common case, never exponential.
    let (mut p, mut t, mut star) = (0, 0, None);
    loop {
        match pattern.get(p) {
            Some(Piece::Star) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(piece) if text.get(t).is_some_and(|c| piece.accepts(*c)) => {
                p += 1;
                t += 1;
                continue;
            }
            None if t == text.len() => return Ok(true),
            _ => {}
        }
        match star {
            Some((at, from)) if text.get(from).is_some_and(|c| *c != '/') => {
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
            _ => return Ok(false),
        }
    }
}

enum Piece {
    Star,
    Any,
    Exactly(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Piece {
    fn accepts(&self, c: char) -> bool {
        match self {
            Piece::Star => false,
            Piece::Any => c != '/',
            Piece::Exactly(expected) => *expected == c,
            Piece::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Vec<Piece>, BadPattern> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '*' => Piece::Star,
            '?' => Piece::Any,
            '\\' => Piece::Exactly(chars.next().ok_or(BadPattern)?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                    let low = class_char(&mut chars)?;
                    let high = match chars.next_if_eq(&'-') {
                        Some(_) => class_char(&mut chars)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Piece::Class { negated, ranges }
            }
            c => Piece::Exactly(c),
        });
    }
    Ok(pieces)
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a/b", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[^c]", "abc", false),
            ("ab[e-g]", "abf", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("[\\]a]", "]", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), Ok(expected), "{pattern} {text}");
        }
        for bad in ["[", "[^", "[]a]", "[a", "[a-]", "[-x]", "a\\"] {
            assert_eq!(matches(bad, "a"), Err(BadPattern), "{bad}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = "a*".repeat(40) + "b";
        assert_eq!(matches(&pattern, &"a".repeat(5000)), Ok(false));
    }
}
