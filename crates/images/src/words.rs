//! Words of Dockerfile instructions: splitting them, and putting variables in their places.

use crate::error::ImageError;

/// Split at blanks that are neither quoted nor escaped, keeping quotes and escapes as they are.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
        // In single quotes a backslash is a character like any other.
        if c == '\\' && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Remove quotes and escapes and put in variables, which `variable` looks up.
pub(crate) fn expand(
    word: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ImageError> {
    Expansion {
        rest: word.chars().peekable(),
        variable,
    }
    .until(None)
}

struct Expansion<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Expansion<'_> {
    /// Expand until the character `end`, or to the end of the word.
    fn until(&mut self, end: Option<char>) -> Result<String, ImageError> {
        let mut text = String::new();
        loop {
            let Some(c) = self.rest.next() else {
                return match end {
                    None => Ok(text),
                    Some(end) => Err(unexpected_end(&format!(
                        "while looking for matching {end:?}"
                    ))),
                };
            };
            match c {
                c if Some(c) == end => return Ok(text),
                '\'' => self.single_quoted(&mut text)?,
                '"' => self.double_quoted(&mut text)?,
                '$' => text.push_str(&self.variable()?),
                '\\' => text.extend(self.rest.next()),
                c => text.push(c),
            }
        }
    }

    fn single_quoted(&mut self, text: &mut String) -> Result<(), ImageError> {
        loop {
            match self.rest.next() {
                Some('\'') => return Ok(()),
                Some(c) => text.push(c),
                None => {
                    return Err(unexpected_end("while looking for matching single-quote"));
                }
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String) -> Result<(), ImageError> {
        loop {
            match self.rest.next() {
                Some('"') => return Ok(()),
                Some('$') => text.push_str(&self.variable()?),
                // Only what means something in double quotes needs escaping there.
                Some('\\') => match self.rest.next() {
                    Some(c @ ('"' | '$' | '\\')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => text.push('\\'),
                },
                Some(c) => text.push(c),
                None => {
                    return Err(unexpected_end("while looking for matching double-quote"));
                }
            }
        }
    }

    /// What follows a `$`.
    fn variable(&mut self) -> Result<String, ImageError> {
        if self.rest.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok((self.variable)(&name).unwrap_or_default())
    }

    /// `${name}`, `${name:-default}`, `${name:+instead}`, `${name:?complaint}`, and the same
    /// without the colon, which then leaves an empty value as it is.
    fn braced(&mut self) -> Result<String, ImageError> {
        let name = self.name();
        if name.is_empty() {
            return Err(ImageError::Change(
                "syntax error: bad substitution".to_owned(),
            ));
        }
        let value = (self.variable)(&name);
        let colon = self.rest.next_if_eq(&':').is_some();
        let set = if colon {
            value.as_ref().is_some_and(|v| !v.is_empty())
        } else {
            value.is_some()
        };
        match self.rest.next() {
            Some('}') if !colon => Ok(value.unwrap_or_default()),
            Some('-') => {
                let default = self.until(Some('}'))?;
                Ok(if set {
                    value.unwrap_or_default()
                } else {
                    default
                })
            }
            Some('+') => {
                let instead = self.until(Some('}'))?;
                Ok(if set { instead } else { String::new() })
            }
            Some('?') => {
                let complaint = self.until(Some('}'))?;
                if set {
                    return Ok(value.unwrap_or_default());
                }
                let complaint = if complaint.is_empty() {
                    "is not allowed to be unset"
                } else {
                    &complaint
                };
                Err(ImageError::Change(format!("{name}: {complaint}")))
            }
            Some(c) => Err(ImageError::Change(format!(
                "unsupported modifier ({c}) in substitution"
            ))),
            None => Err(ImageError::Change("syntax error: missing '}'".to_owned())),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
        {
            if name.is_empty() && c.is_ascii_digit() {
                // `$1` is one digit long, as in a shell.
                return c.to_string();
            }
            name.push(c);
        }
        name
    }
}

fn unexpected_end(doing: &str) -> ImageError {
    ImageError::Change(format!("unexpected end of statement {doing}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_blanks_outside_quotes() {
        assert_eq!(
            split(r#"  a "b c"\ d 'e\' f  "#),
            [r"a", r#""b c"\ d"#, r"'e\'", "f"]
        );
        assert!(split(" \t ").is_empty());
    }

    #[test]
    fn variables_are_put_in_as_in_a_shell() {
        let variable = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let expanded = |word: &str| expand(word, &variable).map_err(|e| e.to_string());
        for (word, result) in [
            ("$A", "1"),
            ("${A}b$A", "1b1"),
            ("$Ab", ""),
            ("'$A'", "$A"),
            (r#""$A b""#, "1 b"),
            (r"\$A", "$A"),
            (r#""\$A\n""#, r"$A\n"),
            ("${B:-x$A}", "x1"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${A:+yes}${B:+no}", "yes"),
            ("a$", "a$"),
            ("$.", "$."),
        ] {
            assert_eq!(expanded(word), Ok(result.to_owned()), "{word}");
        }
        for wrong in ["${A", "${}", "${A:}", "'a", "\"a", "${B?}"] {
            assert!(expanded(wrong).is_err(), "{wrong}");
        }
    }
}
