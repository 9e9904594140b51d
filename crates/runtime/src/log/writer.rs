//! Writing a log: bounded files, whole records, a full disk survived.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::record;
use super::{Lines, Stream};

/// Writes the log of one container.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    max_size: u64,
    max_files: u32,
    file: File,
    size: u64,
    stdout: Lines,
    stderr: Lines,
    batch: Vec<u8>,
    lost: u64,
    why: String,
}

impl Writer {
    /// Opens or goes on with the log at `path`, of at most `max_files` files (at least one) of
    /// `max_size` bytes.
    pub fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<Writer> {
        let (file, size) = open(path)?;
        Ok(Writer {
            path: path.to_owned(),
            max_size: max_size.max(1),
            max_files: max_files.max(1),
            file,
            size,
            stdout: Lines::default(),
            stderr: Lines::default(),
            batch: Vec::new(),
            lost: 0,
            why: String::new(),
        })
    }

    /// Takes output as it was read. Never fails: what cannot be written is counted, and said in
    /// the log as soon as it can be written to again.
    pub fn output(&mut self, stream: Stream, time_ns: i64, bytes: &[u8]) {
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let batch = &mut self.batch;
        lines.push(bytes, |text, newline| {
            record::write(batch, stream, time_ns, text, newline);
        });
        self.flush(time_ns);
    }

    /// A stream has ended.
    pub fn finish(&mut self, stream: Stream, time_ns: i64) {
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let batch = &mut self.batch;
        lines.finish(|text, newline| record::write(batch, stream, time_ns, text, newline));
        self.flush(time_ns);
    }

    /// What could not be written so far, if anything.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        (self.lost > 0).then(|| format!("{} log records were lost: {}", self.lost, self.why))
    }

    fn flush(&mut self, time_ns: i64) {
        if self.batch.is_empty() {
            return;
        }
        if self.lost > 0 {
            let text = format!("wharf: {} log records were lost: {}", self.lost, self.why);
            let mut note = Vec::new();
            record::write(&mut note, Stream::Stderr, time_ns, text.as_bytes(), true);
            note.append(&mut self.batch);
            self.batch = note;
        }
        match self.write_batch() {
            Ok(()) => self.lost = 0,
            Err(error) => {
                let records = self.batch.iter().filter(|byte| **byte == b'\n').count() as u64;
                // The note about earlier losses was not written either.
                self.lost += records - u64::from(self.lost > 0);
                self.why = error.to_string();
            }
        }
        self.batch.clear();
        // A burst leaves no large buffer behind.
        self.batch.shrink_to(4096);
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let mut from = 0;
        while from < self.batch.len() {
            let room = self.max_size.saturating_sub(self.size);
            let upto = fit(&self.batch[from..], room).map(|length| from + length);
            let end = match upto {
                Some(end) => end,
                None if self.size > 0 => {
                    self.rotate()?;
                    continue;
                }
                // A record that is longer than a file may be gets a file of its own.
                None => from + first(&self.batch[from..]),
            };
            if let Err(error) = self.file.write_all(&self.batch[from..end]) {
                // Whole records only. If even this fails, readers skip the broken line.
                let _ = self.file.set_len(self.size);
                return Err(error);
            }
            self.size += (end - from) as u64;
            from = end;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.max_files == 1 {
            // A reader that follows finds another file under the name, as after any rotation.
            fs::remove_file(&self.path)?;
        }
        for number in (1..self.max_files).rev() {
            let from = numbered(&self.path, number - 1);
            match fs::rename(&from, numbered(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        (self.file, self.size) = open(&self.path)?;
        Ok(())
    }
}

/// The longest run of whole records at the start of `batch` that fits into `room`; none if not
/// even one does.
fn fit(batch: &[u8], room: u64) -> Option<usize> {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if batch.len() <= room {
        return Some(batch.len());
    }
    batch[..room]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|at| at + 1)
}

fn first(batch: &[u8]) -> usize {
    batch
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(batch.len(), |at| at + 1)
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
        .append(true)
        .mode(0o640)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Reader;

    fn texts(path: &Path) -> Vec<String> {
        let mut reader = Reader::open(path).unwrap();
        let mut texts = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            texts.push(String::from_utf8(record.data).unwrap());
        }
        texts
    }

    #[test]
    fn what_is_written_is_read_in_order_and_both_streams_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1 << 20, 3).unwrap();
        writer.output(Stream::Stdout, 1, b"one\nhal");
        writer.output(Stream::Stderr, 2, b"err\n");
        writer.output(Stream::Stdout, 3, b"f\n");
        writer.output(Stream::Stdout, 4, b"open");
        writer.finish(Stream::Stdout, 5);
        assert_eq!(texts(&path), ["one\n", "err\n", "half\n", "open\n"]);
    }

    #[test]
    fn the_files_never_exceed_their_bound_and_keep_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1000, 3).unwrap();
        for n in 0..200 {
            writer.output(Stream::Stdout, n, format!("line {n}\n").as_bytes());
            let sizes: Vec<u64> = fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect();
            assert!(
                sizes.len() <= 3 && sizes.iter().all(|size| *size <= 1000),
                "{sizes:?}"
            );
        }
        let texts = texts(&path);
        assert_eq!(texts.last().map(String::as_str), Some("line 199\n"));
        assert!(texts.len() > 20 && texts.len() < 50, "{}", texts.len());
    }

    #[test]
    fn one_file_alone_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 200, 1).unwrap();
        for n in 0..20 {
            writer.output(Stream::Stdout, n, format!("line {n}\n").as_bytes());
        }
        assert!(fs::metadata(&path).unwrap().len() <= 200);
        assert_eq!(texts(&path).last().map(String::as_str), Some("line 19\n"));
    }

    #[test]
    fn records_lost_to_a_full_disk_are_counted_and_said_when_there_is_room_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1 << 20, 3).unwrap();
        writer.output(Stream::Stdout, 1, b"before\n");
        let kept = std::mem::replace(
            &mut writer.file,
            File::options().write(true).open("/dev/full").unwrap(),
        );
        writer.output(Stream::Stdout, 2, b"lost 1\nlost 2\n");
        writer.output(Stream::Stdout, 3, b"lost 3\n");
        assert!(
            writer
                .trouble()
                .unwrap()
                .starts_with("3 log records were lost: No space left")
        );
        writer.file = kept;
        writer.output(Stream::Stdout, 4, b"after\n");
        assert_eq!(writer.trouble(), None);
        let texts = texts(&path);
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[1].contains("3 log records were lost"), "{texts:?}");
        assert_eq!(texts[2], "after\n");
    }
}
