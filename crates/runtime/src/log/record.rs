//! One record of a log, as text and back.

use serde::Deserialize;

use super::lines::Piece;
use super::time;

/// Which stream a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static [u8] {
        match self {
            Stream::Stdout => b"stdout",
            Stream::Stderr => b"stderr",
        }
    }
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it.
    pub stream: Stream,
    /// When, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The text, its newline included; without one it is a part of a longer line.
    pub data: Vec<u8>,
}

/// Appends a record: the same bytes that Docker's encoder writes.
pub(super) fn write(out: &mut Vec<u8>, stream: Stream, piece: Piece<'_>) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, piece.text);
    if piece.newline {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.name());
    out.extend_from_slice(b"\",\"time\":\"");
    time::write(out, piece.time_ns);
    out.extend_from_slice(b"\"}\n");
}

/// Reads a line of the file, without its newline. Nothing if it is no record.
pub(super) fn parse(line: &[u8]) -> Option<Record> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        log: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        stream: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        time: std::borrow::Cow<'a, str>,
    }
    let raw: Raw<'_> = serde_json::from_slice(line).ok()?;
    Some(Record {
        stream: if raw.stream == "stderr" {
            Stream::Stderr
        } else {
            Stream::Stdout
        },
        time_ns: time::parse(&raw.time)?,
        data: raw.log.into_owned().into_bytes(),
    })
}

/// Escapes as Docker's encoder does (`jsonlogbytes.go`): newline and carriage return have their
/// short form, all other control characters, tabs too, and markup are `\u00..`, bytes that are no
/// UTF-8 the replacement character.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        escape_str(out, chunk.valid());
        // One for every byte, as Go has it, not one for every broken sequence.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_str(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut clean = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        // U+2028 and U+2029 are newlines to JavaScript.
        let separator = byte == 0xe2
            && bytes.get(at + 1) == Some(&0x80)
            && matches!(bytes.get(at + 2), Some(0xa8 | 0xa9));
        let plain =
            byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&') && !separator;
        if plain {
            at += 1;
            continue;
        }
        out.extend_from_slice(&bytes[clean..at]);
        match byte {
            _ if separator => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[at + 2] & 0xf)]);
                at += 2;
            }
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xf)]);
            }
        }
        at += 1;
        clean = at;
    }
    out.extend_from_slice(&bytes[clean..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: &[u8], newline: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let piece = Piece {
            text,
            newline,
            time_ns: 1_700_000_000_000_000_000,
        };
        write(&mut out, Stream::Stderr, piece);
        out
    }

    #[test]
    fn a_record_is_written_byte_for_byte_as_docker_writes_it() {
        assert_eq!(
            String::from_utf8(line(b"a <b> & \"c\" \\ \t\r\x1b[0m", true)).unwrap(),
            "{\"log\":\"a \\u003cb\\u003e \\u0026 \\\"c\\\" \\\\ \\u0009\\r\\u001b[0m\\n\",\
             \"stream\":\"stderr\",\"time\":\"2023-11-14T22:13:20Z\"}\n"
        );
        assert!(
            String::from_utf8(line(b"\xff\xfe", false))
                .unwrap()
                .contains("\"\\ufffd\\ufffd\"")
        );
        assert!(
            String::from_utf8(line("\u{2028}é".as_bytes(), false))
                .unwrap()
                .contains("\\u2028é")
        );
    }

    /// Go's `utf8.DecodeRune`, for the comparison below: the length of the character at the start,
    /// none where there is none.
    fn decode_rune(bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        let (length, second) = match first {
            0..=0x7f => return Some(1),
            0xc2..=0xdf => (2, 0x80..=0xbf),
            0xe0 => (3, 0xa0..=0xbf),
            0xed => (3, 0x80..=0x9f),
            0xe1..=0xef => (3, 0x80..=0xbf),
            0xf0 => (4, 0x90..=0xbf),
            0xf1..=0xf3 => (4, 0x80..=0xbf),
            0xf4 => (4, 0x80..=0x8f),
            _ => return None,
        };
        let rest = bytes.get(2..length)?;
        let whole = second.contains(&bytes[1]) && rest.iter().all(|b| (0x80..=0xbf).contains(b));
        whole.then_some(length)
    }

    /// Docker's `ffjsonWriteJSONBytesAsString`, byte by byte as it is described.
    fn as_docker_escapes(mut bytes: &[u8]) -> String {
        let mut out = String::new();
        while let Some(first) = bytes.first() {
            let length = decode_rune(bytes);
            match (length, first) {
                (None, _) => out.push_str("\\ufffd"),
                (_, b'\n') => out.push_str("\\n"),
                (_, b'\r') => out.push_str("\\r"),
                (_, b'"' | b'\\') => out.extend(['\\', char::from(*first)]),
                (_, 0..0x20 | b'<' | b'>' | b'&') => out.push_str(&format!("\\u{first:04x}")),
                (Some(length), _) => match std::str::from_utf8(&bytes[..length]).unwrap() {
                    "\u{2028}" => out.push_str("\\u2028"),
                    "\u{2029}" => out.push_str("\\u2029"),
                    character => out.push_str(character),
                },
            }
            bytes = &bytes[length.unwrap_or(1)..];
        }
        out
    }

    proptest! {
        #[test]
        fn any_bytes_are_escaped_as_docker_escapes_them(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"\xe2\x80\xa8\xa9\xed\xa0\xf4\x90\xf0\x9f<>&\"\\\n\r\t\x7f".to_vec())], 0..64)
        ) {
            let mut out = Vec::new();
            escape(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), as_docker_escapes(&text));
        }

        #[test]
        fn text_is_read_back(text in "\\PC*", newline: bool) {
            let line = line(text.as_bytes(), newline);
            prop_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
            let record = parse(&line[..line.len() - 1]).unwrap();
            let mut wanted = text.into_bytes();
            if newline {
                wanted.push(b'\n');
            }
            prop_assert_eq!(record.data, wanted);
        }

        #[test]
        fn any_bytes_make_a_record(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let line = line(&text, true);
            prop_assert!(parse(&line[..line.len() - 1]).is_some());
        }

        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
