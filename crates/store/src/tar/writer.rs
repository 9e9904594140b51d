//! From entries to a stream: ustar, with PAX records for what does not fit.

use std::io::{self, Read, Write};

use super::entry::{Entry, Kind, Time};
use super::header::{self, Block};
use super::pax::{self, encode_name, record};
use super::{BLOCK, padding};

/// The largest number in a field of seven octal digits, and of eleven.
const MAX_SEVEN: u64 = 0o7_777_777;
const MAX_ELEVEN: u64 = 0o77_777_777_777;

/// Writes an archive. Each [`Writer::entry`] is followed by exactly the data its size announced;
/// less is an error at the next call, so that no archive is ever out of step.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    data_left: u64,
    padding: u64,
}

impl<W: Write> Writer<W> {
    /// Write an archive to `output`.
    pub fn new(output: W) -> Writer<W> {
        Writer {
            output,
            data_left: 0,
            padding: 0,
        }
    }

    /// Begin an entry. Of a file, `size` bytes of data follow; a sparse map is not looked at.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.end_data()?;
        let mut records = Vec::new();
        let block = build(entry, &mut records);
        if !records.is_empty() {
            let mut pax = Entry::new(pax_path(&entry.path), Kind::File);
            pax.mode = 0o644;
            pax.size = records.len() as u64;
            let mut block = build(&pax, &mut Vec::new());
            block[header::TYPE] = b'x';
            self.output.write_all(&sealed(block))?;
            self.begin_data(pax.size);
            self.write_data(&records)?;
            self.end_data()?;
        }
        self.output.write_all(&sealed(block))?;
        if entry.kind == Kind::File {
            self.begin_data(entry.size);
        }
        Ok(())
    }

    /// Write data of the current entry.
    pub fn write_data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.data_left {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more data than the entry announced",
            ));
        }
        self.output.write_all(bytes)?;
        self.data_left -= bytes.len() as u64;
        Ok(())
    }

    /// Begin an entry and write its content from `source`. A file that grew since it was looked
    /// at is cut, one that shrank is filled up with zeros, as GNU tar does: the archive of a
    /// running container is a picture taken while things move.
    pub fn append(&mut self, entry: &Entry, source: &mut dyn Read) -> io::Result<()> {
        self.entry(entry)?;
        let mut buffer = vec![0u8; 64 * 1024];
        while self.data_left > 0 {
            let wanted = buffer
                .len()
                .min(usize::try_from(self.data_left).unwrap_or(usize::MAX));
            match source.read(&mut buffer[..wanted]) {
                Ok(0) => break,
                Ok(got) => self.write_data(&buffer[..got])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.fill(0);
        while self.data_left > 0 {
            let length = buffer
                .len()
                .min(usize::try_from(self.data_left).unwrap_or(usize::MAX));
            self.write_data(&buffer[..length])?;
        }
        Ok(())
    }

    /// End the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_data()?;
        self.output.write_all(&[0u8; 2 * BLOCK])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn begin_data(&mut self, size: u64) {
        self.data_left = size;
        self.padding = padding(size);
    }

    fn end_data(&mut self) -> io::Result<()> {
        if self.data_left > 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} bytes of an entry's data were not written",
                    self.data_left
                ),
            ));
        }
        let length = usize::try_from(self.padding).unwrap_or(0);
        self.output.write_all(&[0u8; BLOCK][..length])?;
        self.padding = 0;
        Ok(())
    }
}

/// The header block of an entry, without its checksum; what does not fit goes into `records`.
fn build(entry: &Entry, records: &mut Vec<u8>) -> Block {
    let mut block: Block = [0; BLOCK];
    block[header::MAGIC].copy_from_slice(header::POSIX_MAGIC);
    put_path(&mut block, entry, records);
    put_text(
        &mut block,
        header::LINK,
        "linkpath",
        link_of(entry),
        records,
    );
    put_text(&mut block, header::USER, "uname", &entry.user, records);
    put_text(&mut block, header::GROUP, "gname", &entry.group, records);
    put_octal(&mut block, header::MODE, u64::from(entry.mode & 0o7777));
    let size = if entry.kind == Kind::File {
        entry.size
    } else {
        0
    };
    let numbers = [
        (header::UID, "uid", u64::from(entry.uid), MAX_SEVEN),
        (header::GID, "gid", u64::from(entry.gid), MAX_SEVEN),
        (header::SIZE, "size", size, MAX_ELEVEN),
    ];
    for (range, key, value, max) in numbers {
        let fits = value <= max;
        put_octal(&mut block, range, if fits { value } else { 0 });
        if !fits {
            record(records, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    put_time(&mut block, entry.mtime, records);
    let (type_flag, major, minor) = match entry.kind {
        Kind::File => (b'0', 0, 0),
        Kind::HardLink => (b'1', 0, 0),
        Kind::Symlink => (b'2', 0, 0),
        Kind::CharacterDevice { major, minor } => (b'3', major, minor),
        Kind::BlockDevice { major, minor } => (b'4', major, minor),
        Kind::Directory => (b'5', 0, 0),
        Kind::Fifo => (b'6', 0, 0),
    };
    block[header::TYPE] = type_flag;
    put_octal(&mut block, header::MAJOR, u64::from(major).min(MAX_SEVEN));
    put_octal(&mut block, header::MINOR, u64::from(minor).min(MAX_SEVEN));
    for (name, value) in &entry.xattrs {
        let key = [pax::XATTR, encode_name(name).as_slice()].concat();
        record(records, &key, value);
    }
    block
}

fn link_of(entry: &Entry) -> &[u8] {
    match entry.kind {
        Kind::HardLink | Kind::Symlink => &entry.link,
        _ => &[],
    }
}

fn put_path(block: &mut Block, entry: &Entry, records: &mut Vec<u8>) {
    let mut path = entry.path.clone();
    if entry.kind == Kind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }
    if path.is_ascii() {
        if path.len() <= header::NAME.len() {
            block[header::NAME][..path.len()].copy_from_slice(&path);
            return;
        }
        if let Some(slash) = split_at(&path) {
            block[header::PREFIX][..slash].copy_from_slice(&path[..slash]);
            let name = &path[slash + 1..];
            block[header::NAME][..name.len()].copy_from_slice(name);
            return;
        }
    }
    put_text(block, header::NAME, "path", &path, records);
    // Who knows no PAX sees a cut name; it must not look like a directory that it is not.
    if entry.kind != Kind::Directory && block[header::NAME.end - 1] == b'/' {
        block[header::NAME.end - 1] = b'_';
    }
}

/// Where to split a path that is too long for the name field, if it can be.
fn split_at(path: &[u8]) -> Option<usize> {
    let earliest = path.len().checked_sub(header::NAME.len() + 1)?;
    let slash = earliest + path[earliest..].iter().position(|&byte| byte == b'/')?;
    let fits = slash > 0 && slash <= header::PREFIX.len() && slash + 1 < path.len();
    fits.then_some(slash)
}

fn put_text(
    block: &mut Block,
    range: std::ops::Range<usize>,
    key: &str,
    text: &[u8],
    records: &mut Vec<u8>,
) {
    let field = &mut block[range];
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    if text.len() > length || !text.is_ascii() {
        if std::str::from_utf8(text).is_err() && !records.starts_with(b"21 hdrcharset") {
            record(records, b"hdrcharset", b"BINARY");
        }
        record(records, key.as_bytes(), text);
    }
}

fn put_time(block: &mut Block, time: Time, records: &mut Vec<u8>) {
    let seconds = u64::try_from(time.seconds)
        .ok()
        .filter(|&seconds| seconds <= MAX_ELEVEN);
    put_octal(block, header::MTIME, seconds.unwrap_or(0));
    if seconds.is_some() && time.nanoseconds == 0 {
        return;
    }
    let text = if time.seconds < 0 && time.nanoseconds > 0 {
        // Written as sign and magnitude: -1 s and +0.75 s is -0.25.
        let whole = -(time.seconds + 1);
        decimals(&format!("-{whole}"), 1_000_000_000 - time.nanoseconds)
    } else {
        decimals(&time.seconds.to_string(), time.nanoseconds)
    };
    record(records, b"mtime", text.as_bytes());
}

fn decimals(whole: &str, nanoseconds: u32) -> String {
    if nanoseconds == 0 {
        return whole.to_owned();
    }
    format!("{whole}.{nanoseconds:09}")
        .trim_end_matches('0')
        .to_owned()
}

/// Octal digits over the whole field but for the zero that ends it.
fn put_octal(block: &mut Block, range: std::ops::Range<usize>, value: u64) {
    let digits = format!("{value:0width$o}", width = range.len() - 1);
    block[range.start..range.start + digits.len()].copy_from_slice(digits.as_bytes());
}

fn sealed(mut block: Block) -> Block {
    block[header::CHECKSUM].fill(b' ');
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    let digits = format!("{sum:06o}\0 ");
    block[header::CHECKSUM].copy_from_slice(digits.as_bytes());
    block
}

/// What the header of the records is called: nothing depends on it.
fn pax_path(path: &[u8]) -> Vec<u8> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let readable = name.iter().filter(|byte| byte.is_ascii_graphic()).take(80);
    let mut header_path = b"PaxHeaders.0/".to_vec();
    header_path.extend(readable);
    header_path
}
