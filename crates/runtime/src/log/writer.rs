//! Writing a log: both streams, line by line, into its files.

use std::io;
use std::path::Path;

use super::files::Files;
use super::{Lines, Position, Stream};

/// Writes the log of one container.
#[derive(Debug)]
pub struct Writer {
    stdout: Lines,
    stderr: Lines,
    files: Files,
}

impl Writer {
    /// Opens or goes on with the log at `path`, of at most `max_files` files (at least one) of
    /// `max_size` bytes.
    pub fn open(path: &Path, max_size: u64, max_files: u32) -> io::Result<Writer> {
        Ok(Writer {
            stdout: Lines::default(),
            stderr: Lines::default(),
            files: Files::open(path, max_size, max_files)?,
        })
    }

    /// Takes output as it was read. Never fails: what cannot be written is counted, and said in
    /// the log as soon as it can be written to again.
    pub fn output(&mut self, stream: Stream, time_ns: i64, bytes: &[u8]) {
        let (lines, files) = self.both(stream);
        lines.push(bytes, time_ns, |piece| files.record(stream, piece));
        files.flush(time_ns);
    }

    /// A stream has ended.
    pub fn finish(&mut self, stream: Stream, time_ns: i64) {
        let (lines, files) = self.both(stream);
        lines.finish(time_ns, |piece| files.record(stream, piece));
        files.flush(time_ns);
    }

    /// What could not be written so far, if anything.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.files.trouble()
    }

    /// The end of what is written. None between two files on a full disk.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.files.position()
    }

    /// What a stream wrote since the last record.
    #[must_use]
    pub fn open_line(&self, stream: Stream) -> &[u8] {
        match stream {
            Stream::Stdout => self.stdout.open(),
            Stream::Stderr => self.stderr.open(),
        }
    }

    fn both(&mut self, stream: Stream) -> (&mut Lines, &mut Files) {
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        (lines, &mut self.files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

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
        assert_eq!(texts(&path), ["one\n", "err\n", "half\n", "open"]);
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
    fn files_beyond_a_bound_that_was_lowered_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        for (files, left) in [(5, 5), (2, 2), (1, 1)] {
            let mut writer = Writer::open(&path, 200, files).unwrap();
            for n in 0..30 {
                writer.output(Stream::Stdout, n, format!("line {n}\n").as_bytes());
            }
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), left);
        }
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

    fn disk_full() -> File {
        File::options().write(true).open("/dev/full").unwrap()
    }

    #[test]
    fn records_lost_to_a_full_disk_are_counted_and_said_when_there_is_room_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1 << 20, 3).unwrap();
        writer.output(Stream::Stdout, 1, b"before\n");
        let kept = writer.files.replace_file(disk_full()).unwrap();
        writer.output(Stream::Stdout, 2, b"lost 1\nlost 2\n");
        writer.output(Stream::Stdout, 3, b"lost 3\n");
        assert!(
            writer
                .trouble()
                .unwrap()
                .starts_with("3 log records were lost: No space left")
        );
        writer.files.replace_file(kept);
        writer.output(Stream::Stdout, 4, b"after\n");
        assert_eq!(writer.trouble(), None);
        let texts = texts(&path);
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[1].contains("3 log records were lost"), "{texts:?}");
        assert_eq!(texts[2], "after\n");
    }

    /// As a disk does that fills up: a pipe takes so much and no more, until it is read from.
    #[test]
    fn a_record_that_was_cut_off_is_completed_and_only_what_follows_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1 << 30, 3).unwrap();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        writer.files.replace_file(File::from(write));
        // Longer than what a pipe takes whole or not at all.
        let line = |n: i64| format!("{n:0>5000}\n");
        let wanted = 40;
        for n in 0..wanted {
            writer.output(Stream::Stdout, n, line(n).as_bytes());
        }
        assert!(writer.trouble().is_some());
        let mut read = File::from(read);
        let mut bytes = Vec::new();
        let full = std::io::Read::read_to_end(&mut read, &mut bytes).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
        assert_ne!(bytes.last(), Some(&b'\n'), "it was not cut off");
        writer.output(Stream::Stdout, wanted, line(wanted).as_bytes());
        drop(writer);
        std::io::Read::read_to_end(&mut read, &mut bytes).unwrap();
        fs::write(&path, bytes).unwrap();

        let texts = texts(&path);
        let lost = |text: &String| text.contains("were lost");
        let note = texts.iter().position(lost).unwrap();
        for (n, text) in (0..).zip(&texts[..note]) {
            assert_eq!(*text, line(n));
        }
        let said: usize = texts[note].split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(note + said, 40, "{}", texts[note]);
        assert_eq!(texts[note + 1..], [line(wanted)]);
    }

    #[test]
    fn a_log_whose_writer_was_killed_in_the_middle_loses_that_record_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        Writer::open(&path, 1 << 20, 3)
            .unwrap()
            .output(Stream::Stdout, 1, b"one\ntwo\n");
        let length = fs::metadata(&path).unwrap().len();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 9)
            .unwrap();
        Writer::open(&path, 1 << 20, 3)
            .unwrap()
            .output(Stream::Stdout, 2, b"three\n");
        assert_eq!(texts(&path), ["one\n", "three\n"]);
    }

    #[test]
    fn a_rotation_that_fails_halfway_is_completed_later_and_loses_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 200, 3).unwrap();
        writer.output(Stream::Stdout, 1, b"one\n");
        writer.output(Stream::Stdout, 1, b"two\n");
        // Where the new file should go, there is a directory now: as good as a full disk.
        fs::rename(&path, dir.path().join("x-json.log.1")).unwrap();
        fs::create_dir(&path).unwrap();
        fs::create_dir(dir.path().join("x-json.log.2")).unwrap();
        fs::write(dir.path().join("x-json.log.2/full"), b"").unwrap();
        for _ in 0..5 {
            writer.output(Stream::Stdout, 2, b"lost\n");
        }
        assert!(writer.trouble().unwrap().starts_with("5 log records"));
        fs::remove_file(dir.path().join("x-json.log.2/full")).unwrap();
        fs::remove_dir(dir.path().join("x-json.log.2")).unwrap();
        fs::remove_dir(&path).unwrap();
        writer.output(Stream::Stdout, 3, b"after\n");
        let texts = texts(&path);
        assert_eq!(texts[..2], ["one\n", "two\n"]);
        assert_eq!(texts.last().map(String::as_str), Some("after\n"));
    }

    #[test]
    fn a_chunk_of_nothing_but_newlines_takes_no_large_buffer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1 << 30, 3).unwrap();
        writer.output(Stream::Stdout, 1, &vec![b'\n'; 100_000]);
        assert_eq!(texts(&path).len(), 100_000);
    }
}
