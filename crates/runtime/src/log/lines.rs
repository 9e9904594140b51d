//! Cutting a stream into the pieces that become records.

use super::PART_MAX;

/// A piece of a stream: a line, or a part of one that is too long for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The text, without the newline.
    pub text: &'a [u8],
    /// Whether a newline ends it. Not so a part with more to come, nor the last line of a stream
    /// that ended without one.
    pub newline: bool,
    /// When it was written, in nanoseconds since 1970. The parts of a line share the first one's.
    pub time_ns: i64,
}

/// What a stream wrote since its last newline. Less than [`PART_MAX`] bytes.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
    /// When the line began of which parts were given already.
    begun: Option<i64>,
}

impl Lines {
    /// Takes bytes that were read at this time, and gives each piece that is complete.
    pub fn push(&mut self, mut bytes: &[u8], time_ns: i64, mut piece: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let room = PART_MAX - self.open.len();
            let window = &bytes[..bytes.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                let time_ns = self.begun.take().unwrap_or(time_ns);
                let (line, newline) = (&window[..end], true);
                // Most lines arrive whole, and are not copied.
                let text = if self.open.is_empty() {
                    line
                } else {
                    self.open.extend_from_slice(line);
                    &self.open
                };
                piece(Piece {
                    text,
                    newline,
                    time_ns,
                });
                self.open.clear();
                self.open.shrink_to(1024);
                bytes = &bytes[end + 1..];
                continue;
            }
            self.open.extend_from_slice(window);
            bytes = &bytes[window.len()..];
            if self.open.len() == PART_MAX {
                self.part(time_ns, &mut piece);
            }
        }
    }

    /// A record is full and the line goes on.
    fn part(&mut self, time_ns: i64, piece: &mut impl FnMut(Piece<'_>)) {
        let time_ns = *self.begun.get_or_insert(time_ns);
        let end = self.open.len() - torn(&self.open);
        piece(Piece {
            text: &self.open[..end],
            newline: false,
            time_ns,
        });
        self.open.drain(..end);
    }

    /// What was not given as a piece yet.
    #[must_use]
    pub fn open(&self) -> &[u8] {
        &self.open
    }

    /// The stream has ended: what is left is the last piece, without a newline as there was none.
    pub fn finish(&mut self, time_ns: i64, mut piece: impl FnMut(Piece<'_>)) {
        let time_ns = self.begun.take().unwrap_or(time_ns);
        if !self.open.is_empty() {
            piece(Piece {
                text: &self.open,
                newline: false,
                time_ns,
            });
            self.open = Vec::new();
        }
    }
}

/// How many bytes at the end are the beginning of a character whose rest is still to come. Docker
/// cuts through it and so loses it, as half a character cannot be written.
fn torn(text: &[u8]) -> usize {
    for length in 1..=text.len().min(3) {
        let whole = match text[text.len() - length] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if whole > length { length } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool, i64)> {
        let mut lines = Lines::default();
        let mut pieces = Vec::new();
        let mut take = |piece: Piece<'_>| {
            pieces.push((piece.text.to_vec(), piece.newline, piece.time_ns));
        };
        for (time, chunk) in (1..).zip(chunks) {
            lines.push(chunk, time, &mut take);
        }
        lines.finish(99, &mut take);
        pieces
    }

    fn shape(chunks: &[&[u8]]) -> Vec<(usize, bool)> {
        let pieces = cut(chunks);
        pieces
            .iter()
            .map(|(text, nl, _)| (text.len(), *nl))
            .collect()
    }

    #[test]
    fn lines_are_whole_however_they_arrive_and_the_last_needs_no_newline() {
        let text = |chunks: &[&[u8]]| -> Vec<(Vec<u8>, bool)> {
            let pieces = cut(chunks).into_iter();
            pieces.map(|(text, newline, _)| (text, newline)).collect()
        };
        let whole = text(&[b"one\ntwo\n\nlast"]);
        assert_eq!(whole, text(&[b"on", b"e\nt", b"wo\n", b"\nla", b"st"]));
        assert_eq!(
            whole,
            [("one", true), ("two", true), ("", true), ("last", false)]
                .map(|(text, newline)| (text.as_bytes().to_vec(), newline))
        );
    }

    #[test]
    fn a_long_line_comes_in_parts_of_16_kib() {
        let mut text = vec![b'x'; PART_MAX * 2 + 5];
        text.push(b'\n');
        let parts = [(PART_MAX, false), (PART_MAX, false), (5, true)];
        assert_eq!(shape(&[&text]), parts);
        // One of exactly that length has its newline in a record of its own, as Docker has it.
        let mut text = vec![b'x'; PART_MAX];
        text.push(b'\n');
        assert_eq!(shape(&[&text]), [(PART_MAX, false), (0, true)]);
    }

    #[test]
    fn the_parts_of_a_line_have_the_time_of_the_first() {
        let text = vec![b'x'; PART_MAX];
        let pieces = cut(&[b"a\nb", &text, &text, b"\nc\n"]);
        let times: Vec<i64> = pieces.iter().map(|(.., time)| *time).collect();
        assert_eq!(times, [1, 2, 2, 2, 4]);
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        for (character, room) in [("é", 1), ("€", 1), ("€", 2), ("😀", 1), ("😀", 3)] {
            let mut text = vec![b'x'; PART_MAX - room];
            text.extend_from_slice(character.as_bytes());
            assert_eq!(
                shape(&[&text]),
                [(PART_MAX - room, false), (character.len(), false)],
                "{character} {room}"
            );
        }
        // What is no character is cut where it is.
        for bytes in [b"\x80\x80\x80\x80\x80", b"\xff\xff\xff\xff\xff"] {
            let mut text = vec![b'x'; PART_MAX - 2];
            text.extend_from_slice(bytes);
            assert_eq!(shape(&[&text]), [(PART_MAX, false), (3, false)]);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(chunks in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..50), 0..20)) {
            let refs: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let back: Vec<u8> = cut(&refs)
                .into_iter()
                .flat_map(|(mut text, newline, _)| {
                    text.extend(newline.then_some(b'\n'));
                    text
                })
                .collect();
            prop_assert_eq!(back, chunks.concat());
        }
    }
}
