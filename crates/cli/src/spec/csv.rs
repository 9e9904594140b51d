//! One record of comma-separated values, read as Go's `encoding/csv` reads it.

/// The fields of the first line.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(quoted, text)?;
            fields.push(field);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => return Ok(fields),
            }
            continue;
        }
        let (field, next) = match rest.split_once(',') {
            Some((field, next)) => (field, Some(next)),
            None => (rest, None),
        };
        if let Some(at) = field.find('"') {
            let column = text.len() - rest.len() + at + 1;
            return Err(format!(
                "parse error on line 1, column {column}: bare \" in non-quoted-field"
            ));
        }
        fields.push(field.to_owned());
        match next {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// A field up to its closing quote (`""` is a quote), and what follows.
fn quoted_field<'t>(quoted: &'t str, whole: &str) -> Result<(String, &'t str), String> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let Some((head, tail)) = rest.split_once('"') else {
            return Err(format!(
                "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                whole.len() + 1
            ));
        };
        field.push_str(head);
        if let Some(tail) = tail.strip_prefix('"') {
            field.push('"');
            rest = tail;
        } else if tail.is_empty() || tail.starts_with(',') {
            return Ok((field, tail));
        } else {
            let column = whole.len() - tail.len();
            return Err(format!(
                "parse error on line 1, column {column}: extraneous or missing \" in quoted-field"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas() {
        assert_eq!(
            fields("a,\"b,c\",d=\"\"").unwrap_err().split(':').next(),
            Some("parse error on line 1, column 11")
        );
        assert_eq!(fields("a,\"b,c\",d").unwrap(), ["a", "b,c", "d"]);
        assert_eq!(fields("\"say \"\"hi\"\"\"").unwrap(), ["say \"hi\""]);
        assert_eq!(fields("a,,").unwrap(), ["a", "", ""]);
        assert!(fields("\"open").is_err());
    }
}
