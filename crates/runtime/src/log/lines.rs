//! Cutting a stream into the pieces that become records.

use super::PART_MAX;

/// What a stream wrote since its last newline. At most [`PART_MAX`] bytes.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Takes bytes and gives each piece that is complete: a line (true: its newline was there, and
    /// is not in the piece), or a part of a line that is too long for one record (false).
    pub fn push(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8], bool)) {
        while !bytes.is_empty() {
            let room = PART_MAX - self.open.len();
            let window = &bytes[..bytes.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                let line = &window[..end];
                if self.open.is_empty() {
                    piece(line, true);
                } else {
                    self.open.extend_from_slice(line);
                    piece(&self.open, true);
                    self.open.clear();
                }
                bytes = &bytes[end + 1..];
                continue;
            }
            self.open.extend_from_slice(window);
            bytes = &bytes[window.len()..];
            if self.open.len() == PART_MAX {
                piece(&self.open, false);
                self.open.clear();
            }
        }
    }

    /// The stream has ended: what is left is a line, newline or not, as Docker has it.
    pub fn finish(&mut self, mut piece: impl FnMut(&[u8], bool)) {
        if !self.open.is_empty() {
            piece(&self.open, true);
            self.open = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |text, newline| pieces.push((text.to_vec(), newline)));
        }
        lines.finish(|text, newline| pieces.push((text.to_vec(), newline)));
        pieces
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let whole = cut(&[b"one\ntwo\n\nlast"]);
        assert_eq!(whole, cut(&[b"on", b"e\nt", b"wo\n", b"\nla", b"st"]));
        assert_eq!(
            whole,
            [("one", true), ("two", true), ("", true), ("last", true)]
                .map(|(text, newline)| (text.as_bytes().to_vec(), newline))
        );
    }

    #[test]
    fn a_long_line_comes_in_parts_of_16_kib() {
        let mut text = vec![b'x'; PART_MAX * 2 + 5];
        text.push(b'\n');
        let pieces = cut(&[&text]);
        let shape: Vec<_> = pieces
            .iter()
            .map(|(text, newline)| (text.len(), *newline))
            .collect();
        assert_eq!(shape, [(PART_MAX, false), (PART_MAX, false), (5, true)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(chunks in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..50), 0..20)) {
            let refs: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let mut text = chunks.concat();
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            let back: Vec<u8> = cut(&refs).into_iter().flat_map(|(mut piece, newline)| { if newline { piece.push(b'\n') }; piece }).collect();
            prop_assert_eq!(back, text);
        }
    }
}
