//! The keys that detach a client, found in what it types.
//!
//! Docker's behaviour, byte for byte: while a prefix of the sequence has been typed it is held
//! back; when the next byte does not go on with it, what was held is passed through.

use crate::{Error, Result};

/// A sequence of control bytes, and how much of it was seen.
#[derive(Debug, Clone)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

/// What came of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Pass this on; may be empty while a sequence may be going on.
    Input(Vec<u8>),
    /// Pass this on and detach.
    Detach(Vec<u8>),
}

/// ctrl-p ctrl-q
const DEFAULT: [u8; 2] = [16, 17];

impl DetachKeys {
    /// `ctrl-p,ctrl-q` and the like: single characters or `ctrl-` and one of `a-z@[\]^_`, between
    /// commas. Empty is the default.
    pub(crate) fn parse(text: &str) -> Result<DetachKeys> {
        if text.is_empty() {
            return Ok(DetachKeys {
                keys: DEFAULT.to_vec(),
                matched: 0,
            });
        }
        let keys = text
            .split(',')
            .map(|key| {
                byte(key).ok_or_else(|| {
                    Error::InvalidArgument(format!(
                        "Invalid detach keys ({text}) provided: Unknown character: '{key}'"
                    ))
                })
            })
            .collect::<Result<Vec<u8>>>()?;
        Ok(DetachKeys { keys, matched: 0 })
    }

    /// Takes what was typed.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(input.len());
        for &byte in input {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return Typed::Detach(passed);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            // The byte that broke the sequence may begin it anew.
            if byte == self.keys[0] && self.keys.len() > 1 {
                self.matched = 1;
            } else {
                passed.push(byte);
            }
        }
        Typed::Input(passed)
    }

    /// What was held back, when the input ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let rest = self.keys[..self.matched].to_vec();
        self.matched = 0;
        rest
    }
}

fn byte(key: &str) -> Option<u8> {
    let control = key
        .get(..5)
        .filter(|prefix| prefix.eq_ignore_ascii_case("ctrl-"))
        .and_then(|_| key.get(5..));
    match (control, key.as_bytes()) {
        (Some(name), _) => match name.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [letter @ b'A'..=b'Z'] => Some(letter - b'A' + 1),
            b"@" => Some(0),
            b"[" => Some(27),
            b"\\" => Some(28),
            b"]" => Some(29),
            b"^" => Some(30),
            b"_" => Some(31),
            _ => None,
        },
        (None, b"DEL") => Some(127),
        (None, [byte]) if byte.is_ascii() => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Typed {
        Typed::Input(bytes.to_vec())
    }

    #[test]
    fn the_default_sequence_detaches_and_is_not_passed_on() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(keys.feed(b"ls\x10\x11"), Typed::Detach(b"ls".to_vec()));
    }

    #[test]
    fn a_sequence_may_be_typed_in_pieces() {
        let mut keys = DetachKeys::parse("ctrl-a,x").unwrap();
        assert_eq!(keys.feed(b"\x01"), input(b""));
        assert_eq!(keys.feed(b"x"), Typed::Detach(Vec::new()));
    }

    #[test]
    fn a_sequence_that_breaks_off_is_passed_on_whole() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(keys.feed(b"\x10a"), input(b"\x10a"));
        assert_eq!(keys.feed(b"\x10\x10\x11"), Typed::Detach(b"\x10".to_vec()));
        assert_eq!(keys.feed(b"\x10"), input(b""));
        assert_eq!(keys.rest(), b"\x10");
    }

    #[test]
    fn a_single_key_detaches() {
        let mut keys = DetachKeys::parse("q").unwrap();
        assert_eq!(keys.feed(b"abq"), Typed::Detach(b"ab".to_vec()));
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = DetachKeys::parse("ctrl-p,wat").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid detach keys (ctrl-p,wat) provided: Unknown character: 'wat'"
        );
        assert!(DetachKeys::parse("ctrl-é").is_err());
    }
}
