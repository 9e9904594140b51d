//! The keys that leave a container without ending it.

/// docker's own: ctrl-p, ctrl-q.
const DEFAULT: &[u8] = &[16, 17];

/// Watches typed bytes for the detach keys.
pub(crate) struct Escape {
    keys: Vec<u8>,
    /// How many of the keys have been typed in a row; they are held back until it is clear
    /// whether the rest follows.
    matched: usize,
}

/// What to send on, and whether the user has left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) detach: bool,
}

impl Escape {
    /// `ctrl-p,ctrl-q`; keys that cannot be read are left to the daemon to complain about.
    pub(crate) fn new(keys: &str) -> Escape {
        let keys = match parse(keys) {
            Some(keys) if !keys.is_empty() => keys,
            _ => DEFAULT.to_vec(),
        };
        Escape { keys, matched: 0 }
    }

    pub(crate) fn filter(&mut self, typed: &[u8]) -> Typed {
        let mut bytes = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte != self.keys[self.matched] {
                bytes.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return Typed {
                        bytes,
                        detach: true,
                    };
                }
            } else {
                bytes.push(byte);
            }
        }
        Typed {
            bytes,
            detach: false,
        }
    }
}

/// `ctrl-p,x` to bytes; `None` for what docker calls an unknown character.
pub(crate) fn parse(keys: &str) -> Option<Vec<u8>> {
    keys.split(',')
        .filter(|key| !key.is_empty())
        .map(|key| match key.strip_prefix("ctrl-") {
            Some(letter) => match letter.as_bytes() {
                [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
                [b'@'] => Some(0),
                [b'['] => Some(27),
                [b'\\'] => Some(28),
                [b']'] => Some(29),
                [b'^'] => Some(30),
                [b'_'] => Some(31),
                _ => None,
            },
            None => match key.as_bytes() {
                [byte] => Some(*byte),
                _ => None,
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_detach_and_are_not_sent() {
        let mut escape = Escape::new("");
        assert_eq!(
            escape.filter(b"ab\x10\x11cd"),
            Typed {
                bytes: b"ab".to_vec(),
                detach: true
            }
        );
    }

    #[test]
    fn half_the_keys_are_sent_late_and_whole() {
        let mut escape = Escape::new("");
        assert_eq!(
            escape.filter(b"\x10"),
            Typed {
                bytes: Vec::new(),
                detach: false
            }
        );
        assert_eq!(
            escape.filter(b"x"),
            Typed {
                bytes: b"\x10x".to_vec(),
                detach: false
            }
        );
        assert_eq!(
            escape.filter(b"\x10\x10"),
            Typed {
                bytes: b"\x10".to_vec(),
                detach: false
            }
        );
        assert!(escape.filter(b"\x11").detach);
    }

    #[test]
    fn keys_are_named() {
        assert_eq!(parse("ctrl-a,b,ctrl-]"), Some(vec![1, b'b', 29]));
        assert_eq!(parse("ctrl-1"), None);
    }
}
