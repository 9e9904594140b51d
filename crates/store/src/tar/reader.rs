//! From a stream to entries.

use std::io::{self, BufRead, Read};

use super::entry::{Entry, Kind, Segment, Time};
use super::header::{self, Block, Dialect};
use super::pax::{self, Records};
use super::{BLOCK, MAX_EXTENDED_HEADER, TarError, padding, sparse};

/// Reads an archive from its beginning. After [`Reader::next_entry`] the data of that entry can
/// be read; what is left of it is skipped by the next call.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Bytes taken from `input`.
    offset: u64,
    /// Stored data of the current entry that has not been taken.
    data_left: u64,
    /// Padding after it.
    padding: u64,
    global: Records,
    ended: bool,
}

/// What headers before an entry say about it.
#[derive(Default)]
struct Announced {
    records: Option<Records>,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: BufRead> Reader<R> {
    /// Read the archive that begins at the stream's position.
    pub fn new(input: R) -> Reader<R> {
        Reader {
            input,
            offset: 0,
            data_left: 0,
            padding: 0,
            global: Records::default(),
            ended: false,
        }
    }

    /// The next entry, or `None` at the end of the archive: two zero blocks, or the end of the
    /// stream where a header could have been.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut announced = Announced::default();
        loop {
            self.skip_data()?;
            let start = self.offset;
            let Some(block) = self.header_block()? else {
                self.ended = true;
                if announced.is_empty() {
                    return Ok(None);
                }
                return Err(TarError::Truncated { offset: start });
            };
            if !header::checksum_is_right(&block) {
                return Err(bad(start, "wrong checksum"));
            }
            match block[header::TYPE] {
                b'x' | b'X' => {
                    let text = self.extended(&block, start)?;
                    let records = Records::parse(&text).map_err(|reason| bad(start, reason))?;
                    announced.records = Some(records);
                }
                b'g' => {
                    let text = self.extended(&block, start)?;
                    Records::parse(&text)
                        .and_then(|records| self.global.merge_global(records))
                        .map_err(|reason| bad(start, reason))?;
                }
                b'L' => announced.long_path = Some(self.long_name(&block, start)?),
                b'K' => announced.long_link = Some(self.long_name(&block, start)?),
                // The label of a volume, and access lists of Solaris: data that is no object.
                b'V' | b'A' => self.begin_data(number(&block, header::SIZE, start, "size")?),
                _ => return self.entry(&block, start, announced).map(Some),
            }
        }
    }

    /// Stored bytes of the current entry that have not been read.
    #[must_use]
    pub fn data_left(&self) -> u64 {
        self.data_left
    }

    /// Read stored bytes of the current entry; 0 at their end. Of a sparse file these are its
    /// segments, one after the other.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.data_left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let got = self.input.read(&mut buffer[..wanted])?;
        if got == 0 {
            return Err(TarError::Truncated {
                offset: self.offset,
            }
            .into());
        }
        self.offset += got as u64;
        self.data_left -= got as u64;
        Ok(got)
    }

    /// The content of the current entry, holes as zeros. Only right before any of its data has
    /// been read.
    pub fn content<'a>(&'a mut self, entry: &'a Entry) -> Content<'a, R> {
        Content {
            reader: self,
            size: entry.size,
            position: 0,
            segments: entry.sparse.as_deref(),
        }
    }

    /// The stream, at whatever follows what was read.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The stream, to read what follows the archive.
    pub fn inner_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// The next header block; `None` at the end of the archive.
    fn header_block(&mut self) -> Result<Option<Block>, TarError> {
        let start = self.offset;
        let mut block = [0u8; BLOCK];
        match self.read_block(&mut block)? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(TarError::Truncated { offset: start }),
        }
        if block.iter().any(|&byte| byte != 0) {
            return Ok(Some(block));
        }
        // One zero block and the end of the stream will do; one zero block and more will not:
        // some readers would go on and see entries that others do not.
        match self.read_block(&mut block)? {
            0 => Ok(None),
            BLOCK if block.iter().all(|&byte| byte == 0) => Ok(None),
            BLOCK => Err(bad(start, "a zero block inside the archive")),
            _ => Err(TarError::Truncated { offset: start }),
        }
    }

    /// Read a block; less than one only at the end of the stream.
    fn read_block(&mut self, block: &mut Block) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Go behind the data and padding of the current entry.
    fn skip_data(&mut self) -> Result<(), TarError> {
        while self.data_left > 0 {
            let skipped = self.skip_some(self.data_left)?;
            if skipped == 0 {
                return Err(TarError::Truncated {
                    offset: self.offset,
                });
            }
            self.data_left -= skipped;
        }
        // Padding that is missing at the very end loses nothing.
        while self.padding > 0 {
            let skipped = self.skip_some(self.padding)?;
            if skipped == 0 {
                break;
            }
            self.padding -= skipped;
        }
        self.padding = 0;
        Ok(())
    }

    fn skip_some(&mut self, most: u64) -> Result<u64, TarError> {
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => {
                    let length = buffer
                        .len()
                        .min(usize::try_from(most).unwrap_or(usize::MAX));
                    self.input.consume(length);
                    self.offset += length as u64;
                    return Ok(length as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn begin_data(&mut self, size: u64) {
        self.data_left = size;
        self.padding = padding(size);
    }

    /// The bytes of an extended header.
    fn extended(&mut self, block: &Block, start: u64) -> Result<Vec<u8>, TarError> {
        let size = number(block, header::SIZE, start, "size")?;
        if size > MAX_EXTENDED_HEADER {
            return Err(TarError::TooLarge {
                what: "an extended header",
                offset: start,
                limit: MAX_EXTENDED_HEADER,
            });
        }
        self.begin_data(size);
        let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let got = (&mut self.input).take(size).read_to_end(&mut text)? as u64;
        self.offset += got;
        self.data_left -= got;
        if got != size {
            return Err(TarError::Truncated {
                offset: self.offset,
            });
        }
        Ok(text)
    }

    /// A GNU long name: up to its first zero.
    fn long_name(&mut self, block: &Block, start: u64) -> Result<Vec<u8>, TarError> {
        let text = self.extended(block, start)?;
        Ok(header::text(&text).to_vec())
    }

    /// The entry of a header, with what was announced about it.
    fn entry(
        &mut self,
        block: &Block,
        start: u64,
        announced: Announced,
    ) -> Result<Entry, TarError> {
        let records = announced.records.unwrap_or_default().over(&self.global);
        let invalid = |reason| bad(start, reason);
        let dialect = header::dialect(block);
        let text_or = |key: &str, field: &[u8]| {
            records
                .text(key)
                .unwrap_or_else(|| header::text(field))
                .to_vec()
        };

        let mut path = announced
            .long_path
            .or_else(|| records.text("path").map(<[u8]>::to_vec))
            .unwrap_or_else(|| header::path(block, dialect));
        if let Some(name) = records.text("GNU.sparse.name") {
            path = name.to_vec();
        }
        let type_flag = block[header::TYPE];
        let kind = kind(block, type_flag, dialect, &path, start)?;
        let mut entry = Entry::new(path, kind);
        entry.link = announced
            .long_link
            .unwrap_or_else(|| text_or("linkpath", &block[header::LINK]));
        entry.mode = number(block, header::MODE, start, "mode")? as u32 & 0o7777;
        entry.uid = owner(&records, "uid", block, header::UID, start)?;
        entry.gid = owner(&records, "gid", block, header::GID, start)?;
        if dialect != Dialect::V7 {
            entry.user = text_or("uname", &block[header::USER]);
            entry.group = text_or("gname", &block[header::GROUP]);
        }
        entry.mtime = match records.time("mtime").map_err(invalid)? {
            Some(time) => time,
            None => Time {
                seconds: header::number(&block[header::MTIME])
                    .ok_or_else(|| bad(start, "malformed mtime"))?,
                nanoseconds: 0,
            },
        };
        entry.xattrs = records.xattrs();
        self.data_of(&mut entry, block, &records, start)?;
        Ok(entry)
    }

    /// Where the entry's data is, and what it is.
    fn data_of(
        &mut self,
        entry: &mut Entry,
        block: &Block,
        records: &Records,
        start: u64,
    ) -> Result<(), TarError> {
        let invalid = |reason| bad(start, reason);
        let stored = match records.number("size").map_err(invalid)? {
            Some(size) => size,
            None => number(block, header::SIZE, start, "size")?,
        };
        let type_flag = block[header::TYPE];
        if entry.kind != Kind::File {
            // Links, devices and directories have no data, whatever their size says; only a dump
            // directory and a "file" whose name ends in a slash have, and it is not theirs.
            if matches!(type_flag, b'D' | b'0' | b'7' | 0) {
                self.begin_data(stored);
            }
            entry.data_offset = self.offset;
            return Ok(());
        }
        // Beyond this no offset in the archive could be told.
        if stored > i64::MAX as u64 - self.offset {
            return Err(bad(start, "a size that is out of range"));
        }
        let (size, map) = if type_flag == b'S' {
            let map = self.gnu_map(block, start)?;
            self.begin_data(stored);
            let size =
                sparse::gnu_size(block).ok_or_else(|| bad(start, "malformed sparse size"))?;
            (size, Some(map))
        } else {
            self.begin_data(stored);
            let map = match records.text("GNU.sparse.major") {
                Some(b"1") => Some(self.pax_map(start)?),
                _ => sparse::in_records(records).map_err(invalid)?,
            };
            let real = match records.number("GNU.sparse.realsize").map_err(invalid)? {
                Some(real) => Some(real),
                None => records.number("GNU.sparse.size").map_err(invalid)?,
            };
            match (map, real) {
                (Some(map), real) => (real.unwrap_or(stored), Some(map)),
                (None, _) => (stored, None),
            }
        };
        if let Some(map) = &map {
            sparse::check(map, size, self.data_left).map_err(invalid)?;
        }
        entry.size = size;
        entry.data_offset = self.offset;
        entry.data_size = self.data_left;
        entry.sparse = map;
        Ok(())
    }

    /// The map of an old GNU sparse file: in the header, and in blocks after it.
    fn gnu_map(&mut self, block: &Block, start: u64) -> Result<Vec<Segment>, TarError> {
        let invalid = |reason| bad(start, reason);
        let mut map = Vec::new();
        sparse::add_gnu(&mut map, &block[header::SPARSE]).map_err(invalid)?;
        let mut more = block[header::SPARSE_MORE] != 0;
        while more {
            let mut extension = [0u8; BLOCK];
            if self.read_block(&mut extension)? != BLOCK {
                return Err(TarError::Truncated {
                    offset: self.offset,
                });
            }
            let before = map.len();
            sparse::add_gnu(&mut map, &extension[sparse::EXTENSION]).map_err(invalid)?;
            more = extension[sparse::EXTENSION_MORE] != 0;
            if more && map.len() == before {
                return Err(bad(start, "an empty sparse extension"));
            }
        }
        Ok(map)
    }

    /// The map of PAX format 1.0: decimal lines at the beginning of the data, padded.
    fn pax_map(&mut self, start: u64) -> Result<Vec<Segment>, TarError> {
        let mut map = Vec::new();
        let mut lines = MapLines {
            block: [0; BLOCK],
            at: BLOCK,
        };
        let pieces = self.map_number(&mut lines, start)?;
        for _ in 0..pieces {
            let offset = self.map_number(&mut lines, start)?;
            let length = self.map_number(&mut lines, start)?;
            sparse::add(&mut map, offset, length).map_err(|reason| bad(start, reason))?;
        }
        Ok(map)
    }

    /// The next number of a 1.0 map. Blocks are taken whole, so what is left starts aligned.
    fn map_number(&mut self, lines: &mut MapLines, start: u64) -> Result<u64, TarError> {
        // 20 digits and a newline.
        let mut digits = Vec::with_capacity(21);
        loop {
            if lines.at == BLOCK {
                if self.data_left < BLOCK as u64 {
                    return Err(bad(start, "a sparse map without an end"));
                }
                if self.read_block(&mut lines.block)? != BLOCK {
                    return Err(TarError::Truncated {
                        offset: self.offset,
                    });
                }
                self.data_left -= BLOCK as u64;
                lines.at = 0;
            }
            let byte = lines.block[lines.at];
            lines.at += 1;
            if byte == b'\n' {
                break;
            }
            digits.push(byte);
            if digits.len() > 20 {
                return Err(bad(start, "malformed sparse map"));
            }
        }
        pax::decimal(&digits).ok_or_else(|| bad(start, "malformed sparse map"))
    }
}

/// A 1.0 map being read.
struct MapLines {
    block: Block,
    at: usize,
}

impl Announced {
    fn is_empty(&self) -> bool {
        self.records.is_none() && self.long_path.is_none() && self.long_link.is_none()
    }
}

/// The kind of an entry.
fn kind(
    block: &Block,
    type_flag: u8,
    dialect: Dialect,
    path: &[u8],
    start: u64,
) -> Result<Kind, TarError> {
    let device = |range| -> Result<u32, TarError> {
        if dialect == Dialect::V7 {
            return Ok(0);
        }
        u32::try_from(number(block, range, start, "device number")?)
            .map_err(|_| bad(start, "a device number that is out of range"))
    };
    let major = || device(header::MAJOR);
    let minor = || device(header::MINOR);
    Ok(match type_flag {
        // Before ustar a directory was a file whose name ends in a slash; GNU tar still reads it.
        b'0' | b'7' | 0 if path.ends_with(b"/") => Kind::Directory,
        b'0' | b'7' | 0 | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharacterDevice {
            major: major()?,
            minor: minor()?,
        },
        b'4' => Kind::BlockDevice {
            major: major()?,
            minor: minor()?,
        },
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => {
            return Err(TarError::UnknownKind {
                path: path.to_vec(),
                kind: type_flag,
            });
        }
    })
}

fn owner(
    records: &Records,
    key: &str,
    block: &Block,
    range: std::ops::Range<usize>,
    start: u64,
) -> Result<u32, TarError> {
    let value = match records.number(key).map_err(|reason| bad(start, reason))? {
        Some(value) => value,
        None => number(block, range, start, "owner")?,
    };
    u32::try_from(value).map_err(|_| bad(start, format!("{key} {value} is out of range")))
}

/// A number of the header block that is not negative.
fn number(
    block: &Block,
    range: std::ops::Range<usize>,
    start: u64,
    what: &str,
) -> Result<u64, TarError> {
    header::number(&block[range])
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| bad(start, format!("malformed {what}")))
}

fn bad(offset: u64, reason: impl Into<String>) -> TarError {
    TarError::BadHeader {
        offset,
        reason: reason.into(),
    }
}

/// The content of one entry; see [`Reader::content`].
#[derive(Debug)]
pub struct Content<'a, R> {
    reader: &'a mut Reader<R>,
    size: u64,
    position: u64,
    /// Segments of a sparse file that are not passed yet.
    segments: Option<&'a [Segment]>,
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(segments) = self.segments else {
            return self.reader.read_data(buffer);
        };
        let segments = match segments {
            [first, rest @ ..] if self.position >= first.offset + first.length => rest,
            all => all,
        };
        self.segments = Some(segments);
        let limit = |end: u64| {
            let room = usize::try_from(end - self.position).unwrap_or(usize::MAX);
            buffer.len().min(room)
        };
        let got = match segments.first() {
            Some(first) if self.position >= first.offset => {
                let length = limit(first.offset + first.length);
                self.reader.read_data(&mut buffer[..length])?
            }
            next => {
                let length = limit(next.map_or(self.size, |first| first.offset));
                buffer[..length].fill(0);
                length
            }
        };
        self.position += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests;
