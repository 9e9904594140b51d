//! Docker's framing of output: which stream, how long, and the bytes.
//!
//! With a terminal there is one stream, and its bytes go out bare.

use wharf_engine::model::StdStream;

/// Whether output is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Bare bytes: there is a terminal, or the transport keeps the streams apart.
    Raw,
    /// `[stream, 0, 0, 0, length as 4 bytes, big-endian]` before each piece.
    Multiplexed,
}

impl Framing {
    /// What a container with or without a terminal gets.
    pub(crate) fn of(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Multiplexed }
    }

    /// The content type: before 1.42 it did not say which of the two it is.
    pub(crate) fn content_type(self, says_framing: bool) -> &'static str {
        match self {
            Self::Multiplexed if says_framing => "application/vnd.docker.multiplexed-stream",
            Self::Multiplexed | Self::Raw => "application/vnd.docker.raw-stream",
        }
    }

    /// The bytes for the wire.
    pub(crate) fn encode(self, stream: StdStream, data: Vec<u8>) -> Vec<u8> {
        if self == Self::Raw {
            return data;
        }
        let mut framed = Vec::with_capacity(8 + data.len());
        // A piece is at most 64 KiB, so its length always fits.
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        framed.extend_from_slice(&[stream as u8, 0, 0, 0]);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&data);
        framed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_stream_length_and_bytes() {
        let framed = Framing::Multiplexed.encode(StdStream::Stderr, b"oops\n".to_vec());
        assert_eq!(framed, b"\x02\0\0\0\0\0\0\x05oops\n");
        let long = Framing::Multiplexed.encode(StdStream::Stdout, vec![7; 0x1_0203]);
        assert_eq!(long[..8], [1, 0, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_terminals_bytes_go_bare() {
        assert_eq!(
            Framing::of(true).encode(StdStream::Stdout, b"x".to_vec()),
            b"x"
        );
    }

    #[test]
    fn the_content_type_says_the_framing_only_to_new_clients() {
        let framed = "application/vnd.docker.multiplexed-stream";
        let raw = "application/vnd.docker.raw-stream";
        assert_eq!(Framing::of(false).content_type(true), framed);
        assert_eq!(Framing::of(false).content_type(false), raw);
        assert_eq!(Framing::of(true).content_type(true), raw);
    }
}
