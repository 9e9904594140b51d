//! The files of a log, as the one who writes them sees them.
//!
//! Files only grow, are renamed and are removed; nothing is ever taken back from one, so that who
//! reads along never finds himself behind the end. What a full disk cuts off in the middle of a
//! record is kept and written first as soon as there is room; the records behind it are lost, are
//! counted, and the count is said in the log.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::lines::Piece;
use super::{Position, Stream, record};

/// Text of records that is collected before it is written.
const BATCH: usize = 32 * 1024;

/// The files of one log.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    max_size: u64,
    max_files: u32,
    /// None between a rotation and the moment a new file can be made.
    file: Option<File>,
    size: u64,
    /// Whole records that are not written yet.
    batch: Vec<u8>,
    /// The end of a record whose beginning is at the end of the file.
    rest: Vec<u8>,
    lost: u64,
    why: String,
}

/// A write that stopped in the middle.
struct Cut {
    written: usize,
    error: io::Error,
}

impl Files {
    pub(super) fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<Files> {
        let (file, mut size) = open(path)?;
        if size > 0 && !ends_line(&file, size)? {
            // Whoever wrote it was killed, or the machine was. Readers skip that line; without a
            // newline they would skip the next one with it.
            write(&file, b"\n").map_err(|cut| cut.error)?;
            size += 1;
        }
        let max_files = max_files.max(1);
        remove_beyond(path, max_files)?;
        Ok(Files {
            path: path.to_owned(),
            max_size: max_size.max(1),
            max_files,
            file: Some(file),
            size,
            batch: Vec::new(),
            rest: Vec::new(),
            lost: 0,
            why: String::new(),
        })
    }

    /// Takes a record; it is written at the latest by [`Self::flush`].
    pub(super) fn record(&mut self, stream: Stream, piece: Piece<'_>) {
        record::write(&mut self.batch, stream, piece);
        if self.batch.len() >= BATCH {
            self.flush(piece.time_ns);
        }
    }

    /// The end of what is written.
    pub(super) fn position(&self) -> Option<Position> {
        let metadata = self.file.as_ref()?.metadata().ok()?;
        Some(Position {
            inode: metadata.ino(),
            offset: self.size,
        })
    }

    /// What could not be written so far, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        let lost = self.lost + u64::from(!self.rest.is_empty());
        (lost > 0).then(|| self.complaint(lost))
    }

    fn complaint(&self, lost: u64) -> String {
        format!("{lost} log records were lost: {}", self.why)
    }

    /// Writes what was taken.
    pub(super) fn flush(&mut self, time_ns: i64) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        if let Err((written, error)) = self.put(&batch, time_ns) {
            self.lost += lines(&batch[written..]);
            self.why = error.to_string();
        }
        self.batch = batch;
        self.batch.clear();
        // A burst leaves no large buffer behind.
        self.batch.shrink_to(4096);
    }

    /// Writes whole records. If that fails, says how much of them is written or will be.
    fn put(&mut self, batch: &[u8], time_ns: i64) -> Result<(), (usize, io::Error)> {
        self.put_rest().map_err(|error| (0, error))?;
        if self.lost > 0 {
            let text = format!("wharf: {}", self.complaint(self.lost));
            let mut note = Vec::new();
            let piece = Piece {
                text: text.as_bytes(),
                newline: true,
                time_ns,
            };
            record::write(&mut note, Stream::Stderr, piece);
            let said = self.put_records(&note);
            // Said as well if it is to be completed later.
            if said.is_ok() || !self.rest.is_empty() {
                self.lost = 0;
            }
            said.map_err(|(_, error)| (0, error))?;
        }
        self.put_records(batch)
    }

    fn put_rest(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file
            && !self.rest.is_empty()
        {
            let done = write(file, &self.rest);
            let written = match &done {
                Ok(()) => self.rest.len(),
                Err(cut) => cut.written,
            };
            self.size += written as u64;
            self.rest.drain(..written);
            self.rest.shrink_to(0);
            done.map_err(|cut| cut.error)?;
        }
        Ok(())
    }

    fn put_records(&mut self, batch: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut from = 0;
        while from < batch.len() {
            let Some(file) = &self.file else {
                self.begin().map_err(|error| (from, error))?;
                continue;
            };
            let room = self.max_size.saturating_sub(self.size);
            let end = match fit(&batch[from..], room) {
                Some(length) => from + length,
                // A record that is longer than a file may be gets a file of its own.
                None if self.size == 0 => from + first(&batch[from..]),
                None => {
                    self.rotate().map_err(|error| (from, error))?;
                    continue;
                }
            };
            if let Err(cut) = write(file, &batch[from..end]) {
                self.size += cut.written as u64;
                let upto = from + cut.written;
                let torn = upto > from && batch[upto - 1] != b'\n';
                let next = if torn {
                    upto + first(&batch[upto..])
                } else {
                    upto
                };
                self.rest = batch[upto..next].to_vec();
                return Err((next, cut.error));
            }
            self.size += (end - from) as u64;
            from = end;
        }
        Ok(())
    }

    /// Every file gets the next higher number, the oldest is gone, and the newest is to be made.
    fn rotate(&mut self) -> io::Result<()> {
        if self.max_files == 1 {
            // A reader that follows finds another file under the name, as after any rotation.
            there(fs::remove_file(&self.path))?;
        }
        // Up to the first number that is free: an interrupted rotation left one.
        let mut end = 1;
        while end + 1 < self.max_files && exists(&numbered(&self.path, end))? {
            end += 1;
        }
        for number in (1..=end.min(self.max_files - 1)).rev() {
            there(fs::rename(
                numbered(&self.path, number - 1),
                numbered(&self.path, number),
            ))?;
        }
        self.file = None;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let (file, size) = open(&self.path)?;
        (self.file, self.size) = (Some(file), size);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) -> Option<File> {
        self.file.replace(file)
    }
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|_| true),
    }
}

/// Files of a time when more were allowed.
fn remove_beyond(path: &Path, max_files: u32) -> io::Result<()> {
    for number in max_files.. {
        let path = numbered(path, number);
        if !exists(&path)? {
            break;
        }
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// What is not there need not be moved.
fn there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn write(file: &File, mut bytes: &[u8]) -> Result<(), Cut> {
    let length = bytes.len();
    while !bytes.is_empty() {
        let error = match rustix::io::write(file, bytes) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(written) => {
                bytes = &bytes[written..];
                continue;
            }
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => error.into(),
        };
        return Err(Cut {
            written: length - bytes.len(),
            error,
        });
    }
    Ok(())
}

/// The longest run of whole records at the start of `batch` that fits into `room`; none if not
/// even one does.
fn fit(batch: &[u8], room: u64) -> Option<usize> {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if batch.len() <= room {
        return Some(batch.len());
    }
    let end = batch[..room].iter().rposition(|byte| *byte == b'\n');
    end.map(|at| at + 1)
}

fn first(batch: &[u8]) -> usize {
    let end = batch.iter().position(|byte| *byte == b'\n');
    end.map_or(batch.len(), |at| at + 1)
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The name of a file of the log: 0 is the newest.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o640)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn ends_line(file: &File, size: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1)?;
    Ok(last == *b"\n")
}
