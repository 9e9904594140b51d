//! PAX extended headers: `<length> <key>=<value>\n`, of the whole archive or of one entry.

use std::collections::BTreeMap;

use super::entry::Time;

/// The most records that global headers may leave in force.
const MAX_GLOBAL: usize = 4096;

/// Records by key. Where one is repeated the last counts, but for the pieces of a sparse file.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `GNU.sparse.offset` and `GNU.sparse.numbytes` in turn, as format 0.0 repeats them.
    pub(super) pieces: Vec<u64>,
}

/// Keys of the 0.0 sparse format.
const PIECE_OFFSET: &[u8] = b"GNU.sparse.offset";
const PIECE_LENGTH: &[u8] = b"GNU.sparse.numbytes";

/// The prefix of keys that hold an extended attribute.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

impl Records {
    /// The records of one header.
    pub(super) fn parse(mut text: &[u8]) -> Result<Records, String> {
        let mut records = Records::default();
        while !text.is_empty() {
            let (key, value, rest) = split_record(text).ok_or("malformed PAX record")?;
            check(key, value)?;
            if key == PIECE_OFFSET || key == PIECE_LENGTH {
                // In turn, beginning with an offset; Go's reader insists on the same.
                let want_offset = records.pieces.len().is_multiple_of(2);
                if want_offset != (key == PIECE_OFFSET) {
                    return Err("sparse offsets and lengths are not in turn".to_owned());
                }
                let value = decimal(value).ok_or("malformed sparse piece")?;
                records.pieces.push(value);
            } else {
                records.values.insert(key.to_vec(), value.to_vec());
            }
            text = rest;
        }
        Ok(records)
    }

    /// Put the records of a further global header over these. An empty value takes one away.
    ///
    /// What describes one file only is left out: no path, link, size or sparse map can hold for
    /// all the entries that follow, and readers that ignore global headers (Docker's) would
    /// otherwise see another archive altogether.
    pub(super) fn merge_global(&mut self, newer: Records) -> Result<(), String> {
        for (key, value) in newer.values {
            let of_one_file = matches!(key.as_slice(), b"path" | b"linkpath" | b"size")
                || key.starts_with(b"GNU.sparse.");
            if of_one_file {
                continue;
            }
            if value.is_empty() {
                self.values.remove(&key);
            } else {
                self.values.insert(key, value);
            }
        }
        if self.values.len() > MAX_GLOBAL {
            return Err(format!("more than {MAX_GLOBAL} global PAX records"));
        }
        Ok(())
    }

    /// These records over the global ones.
    pub(super) fn over(mut self, global: &Records) -> Records {
        for (key, value) in &global.values {
            if !self.values.contains_key(key) {
                self.values.insert(key.clone(), value.clone());
            }
        }
        self
    }

    /// A value, unless it is absent or empty (which means: as the header block says).
    pub(super) fn text(&self, key: &str) -> Option<&[u8]> {
        self.values
            .get(key.as_bytes())
            .map(Vec::as_slice)
            .filter(|value| !value.is_empty())
    }

    /// A decimal number; an error if it is there and is none.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.text(key)
            .map(|value| decimal(value).ok_or_else(|| format!("malformed PAX {key}")))
            .transpose()
    }

    /// A time; an error if it is there and is none.
    pub(super) fn time(&self, key: &str) -> Result<Option<Time>, String> {
        self.text(key)
            .map(|value| time(value).ok_or_else(|| format!("malformed PAX {key}")))
            .transpose()
    }

    /// The extended attributes, by name.
    pub(super) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut xattrs: Vec<_> = self
            .values
            .iter()
            .filter_map(|(key, value)| Some((decode_name(key.strip_prefix(XATTR)?), value.clone())))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        xattrs.sort();
        xattrs.dedup_by(|later, earlier| later.0 == earlier.0);
        xattrs
    }
}

/// The first record of `text`, and what follows it.
fn split_record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // 20 digits hold any length; more would only be a way to hide something.
    let space = text.iter().take(21).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&text[..space])?).ok()?;
    if length <= space + 1 || length > text.len() {
        return None;
    }
    let (record, rest) = text.split_at(length);
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

/// Names and numbers hold no zero byte; only values that are binary may.
fn check(key: &[u8], value: &[u8]) -> Result<(), String> {
    let text_only = !key.starts_with(XATTR);
    if key.is_empty() || key.contains(&0) || (text_only && value.contains(&0)) {
        return Err("a zero byte in a PAX record".to_owned());
    }
    Ok(())
}

/// Add a record, whose length counts its own digits.
pub(super) fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// `=` ends a key, so GNU tar writes it (and the sign it needs for that) otherwise.
pub(super) fn encode_name(name: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'=' => encoded.extend_from_slice(b"%3D"),
            b'%' => encoded.extend_from_slice(b"%25"),
            _ => encoded.push(byte),
        }
    }
    encoded
}

/// GNU tar writes `=` and `%` in the name of an attribute as `%3D` and `%25`.
fn decode_name(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', b'3', b'D', after @ ..] => (b'=', after),
            [b'%', b'2', b'5', after @ ..] => (b'%', after),
            _ => (byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    decoded
}

/// A decimal number without sign or blanks.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds with any number of decimals, of which nine count.
fn time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanoseconds = fraction
        .iter()
        .map(|digit| u32::from(digit - b'0'))
        .chain(std::iter::repeat(0))
        .take(9)
        .fold(0, |value, digit| value * 10 + digit);
    Some(match (negative, nanoseconds) {
        (false, _) => Time {
            seconds,
            nanoseconds,
        },
        (true, 0) => Time {
            seconds: -seconds,
            nanoseconds: 0,
        },
        (true, _) => Time {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of these records.
    fn text(records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut text = Vec::new();
        for (key, value) in records {
            record(&mut text, key.as_bytes(), value);
        }
        text
    }

    #[test]
    fn records_are_read_and_the_last_of_a_key_counts() {
        let records = Records::parse(&text(&[
            ("path", b"a"),
            ("path", b"b\n=c"),
            ("size", b"12"),
        ]))
        .unwrap();
        assert_eq!(records.text("path"), Some(&b"b\n=c"[..]));
        assert_eq!(records.number("size"), Ok(Some(12)));
        assert_eq!(records.number("uid"), Ok(None));
    }

    #[test]
    fn a_record_that_lies_about_its_length_is_refused() {
        for text in [
            &b"8 path=a\n"[..],
            b"11 path=a\n",
            b"9 path=a",
            b"99 path=a\n",
            b"0 path=a\n",
            b"path=a\n",
            b"9 path a\n",
            b"18446744073709551616 path=a\n",
            b"-9 path=a\n",
            b" 9 path=a\n",
            b"11 pa\0th=a\n",
            b"11 path=\0a\n",
            b"5 =a\n",
        ] {
            assert!(
                Records::parse(text).is_err(),
                "{:?}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn times_have_fractions_and_signs() {
        let at = |seconds, nanoseconds| {
            Some(Time {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(time(b"5"), at(5, 0));
        assert_eq!(time(b"5.25"), at(5, 250_000_000));
        assert_eq!(time(b"5.123456789999"), at(5, 123_456_789));
        assert_eq!(time(b"-5"), at(-5, 0));
        assert_eq!(time(b"-5.25"), at(-6, 750_000_000));
        assert_eq!(time(b"-0.1"), at(-1, 900_000_000));
        for text in [
            &b""[..],
            b"-",
            b"1.x",
            b"+1",
            b"1e3",
            b"9223372036854775808",
        ] {
            assert_eq!(time(text), None);
        }
    }

    #[test]
    fn attributes_keep_binary_values_and_encoded_names() {
        let records = Records::parse(&text(&[
            ("SCHILY.xattr.user.a", b"\0\n\xff"),
            ("SCHILY.xattr.user.x%3Dy", b""),
        ]))
        .unwrap();
        assert_eq!(
            records.xattrs(),
            [
                (b"user.a".to_vec(), b"\0\n\xff".to_vec()),
                (b"user.x=y".to_vec(), Vec::new())
            ]
        );
    }

    #[test]
    fn an_empty_global_value_ends_an_earlier_one_and_paths_are_never_global() {
        let mut global = Records::parse(&text(&[("uname", b"me"), ("path", b"x")])).unwrap();
        let mut merged = Records::default();
        merged.merge_global(global.clone()).unwrap();
        assert_eq!(merged.text("uname"), Some(&b"me"[..]));
        assert_eq!(merged.text("path"), None);
        global = Records::parse(&text(&[("uname", b"")])).unwrap();
        merged.merge_global(global).unwrap();
        assert_eq!(merged.text("uname"), None);
    }
}
