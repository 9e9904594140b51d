//! Reading a stream that may be compressed, without being told.
//!
//! The first bytes decide, as they do in Docker: a media type or a file name can lie, and
//! `docker load` has neither. gzip (of one or several members) and zstd (of one or several
//! frames, skippable ones too) are undone in this process and in bounded memory; anything else is
//! passed on as it is, except what is plainly a format that Docker would hand to a program of the
//! host (bzip2, xz): that is refused by name, rather than taken for a broken archive.
//!
//! A compressed stream that ends early, or whose checksum is wrong, is an error.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// What is read from the source at once.
const BUFFER: usize = 64 * 1024;

/// Bytes that decide: the longest magic number.
const MAGIC: usize = 6;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
    /// bzip2, which is not read here.
    Bzip2,
    /// xz, which is not read here.
    Xz,
}

impl Compression {
    /// How a stream that begins with these bytes (six of them decide) is compressed.
    #[must_use]
    pub fn detect(start: &[u8]) -> Compression {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            [b'B', b'Z', b'h', ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            _ => Compression::None,
        }
    }

    /// Its name, as media types and error messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
        }
    }
}

/// The content of a stream, uncompressed.
pub struct Decoder<R: Read> {
    content: Content<R>,
}

type Source<R> = BufReader<Replayed<R>>;

enum Content<R: Read> {
    Plain(Source<R>),
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Source<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Look at the first bytes of `source` and read it accordingly.
    pub fn new(mut source: R) -> io::Result<Decoder<R>> {
        let mut start = Vec::with_capacity(MAGIC);
        (&mut source).take(MAGIC as u64).read_to_end(&mut start)?;
        let compression = Compression::detect(&start);
        let source = Replayed::buffered(start, source);
        let content = match compression {
            Compression::None => Content::Plain(source),
            Compression::Gzip => Content::Gzip(Box::new(MultiGzDecoder::new(source))),
            Compression::Zstd => {
                Content::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(source)?))
            }
            Compression::Bzip2 | Compression::Xz => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("{} compression is not supported", compression.name()),
                ));
            }
        };
        Ok(Decoder { content })
    }

    /// Read `source` as it is, whatever it begins with.
    pub fn plain(source: R) -> Decoder<R> {
        Decoder {
            content: Content::Plain(Replayed::buffered(Vec::new(), source)),
        }
    }

    /// How the stream is compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        match self.content {
            Content::Plain(_) => Compression::None,
            Content::Gzip(_) => Compression::Gzip,
            Content::Zstd(_) => Compression::Zstd,
        }
    }

    /// Bytes taken from the source so far.
    #[must_use]
    pub fn bytes_taken(&self) -> u64 {
        match &self.content {
            Content::Plain(source) => source.get_ref().taken,
            Content::Gzip(decoder) => decoder.get_ref().get_ref().taken,
            Content::Zstd(decoder) => decoder.get_ref().get_ref().taken,
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.content {
            Content::Plain(source) => source.read(buffer),
            Content::Gzip(decoder) => match decoder.read(buffer) {
                // flate2 blames the caller for damage, and for what follows the last member and
                // is none; Docker refuses that, too.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, error))
                }
                read => read,
            },
            Content::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

impl<R: Read> std::fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression())
            .field("bytes_taken", &self.bytes_taken())
            .finish()
    }
}

/// A source whose first bytes were looked at, from its beginning.
struct Replayed<R> {
    start: Vec<u8>,
    replayed: usize,
    rest: R,
    taken: u64,
}

impl<R: Read> Replayed<R> {
    fn buffered(start: Vec<u8>, rest: R) -> Source<R> {
        let source = Replayed {
            start,
            replayed: 0,
            rest,
            taken: 0,
        };
        BufReader::with_capacity(BUFFER, source)
    }
}

impl<R: Read> Read for Replayed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = if self.replayed < self.start.len() {
            let got = (&self.start[self.replayed..]).read(buffer)?;
            self.replayed += got;
            got
        } else {
            self.rest.read(buffer)?
        };
        self.taken += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn content(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>, u64)> {
        let mut decoder = Decoder::new(bytes)?;
        let mut content = Vec::new();
        decoder.read_to_end(&mut content)?;
        Ok((decoder.compression(), content, decoder.bytes_taken()))
    }

    /// Bytes that do not compress to nothing.
    fn sample() -> Vec<u8> {
        (0..200_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    #[test]
    fn every_format_gives_back_what_was_put_in() {
        for bytes in [sample(), Vec::new(), b"abc".to_vec()] {
            for (compression, stream) in [
                (Compression::None, bytes.clone()),
                (Compression::Gzip, gzip(&bytes)),
                (Compression::Zstd, zstd(&bytes)),
            ] {
                let taken = stream.len() as u64;
                assert_eq!(
                    content(&stream).unwrap(),
                    (compression, bytes.clone(), taken)
                );
            }
        }
    }

    #[test]
    fn members_and_frames_follow_one_another_as_one_content() {
        let twice = [sample(), sample()].concat();
        let members = [gzip(&sample()), gzip(&sample())].concat();
        assert_eq!(content(&members).unwrap().1, twice);
        let skippable = b"\x51\x2a\x4d\x18\x03\x00\x00\x00abc".to_vec();
        let frames = [
            skippable.clone(),
            zstd(&sample()),
            skippable,
            zstd(&sample()),
        ]
        .concat();
        assert_eq!(content(&frames).unwrap().1, twice);
    }

    #[test]
    fn a_stream_that_was_cut_or_damaged_is_an_error() {
        for stream in [gzip(&sample()), zstd(&sample())] {
            for cut in [7, stream.len() / 2, stream.len() - 1] {
                assert!(content(&stream[..cut]).is_err());
            }
            let mut flipped = stream.clone();
            flipped[stream.len() / 2] ^= 4;
            assert!(content(&flipped).is_err());
            let junk = [stream, b"junk".to_vec()].concat();
            assert!(content(&junk).is_err());
        }
    }

    #[test]
    fn formats_that_are_not_read_are_refused_by_name() {
        let error = Decoder::new(&b"\xfd7zXZ\0..."[..]).unwrap_err();
        assert_eq!(error.to_string(), "xz compression is not supported");
        assert!(Decoder::new(&b"BZh91AY"[..]).is_err());
    }
}
