//! Reading a log while it is written and rotated.
//!
//! The reader holds the file it reads open. At its end it looks which of the files that one is now:
//! still the newest, then there is nothing more for the moment; rotated, then the next newer one
//! follows; gone, then its place was rotated away and the oldest that is left comes next.
//!
//! A reader that watches has a [`Trail`] instead: it holds all files that were begun since, up to a
//! bound, so that it may be slow without losing a line; where lines are missing still, it says so.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::trail::{Next, Trail};
use super::{Position, Record, Stream, places, record};

/// Longest line of a file that is read: a part of 16 KiB of which every byte was escaped, with
/// room to spare. What is longer is no record of ours and is skipped.
const LINE_MAX: usize = 256 * 1024;

/// Read at once.
const CHUNK: usize = 64 * 1024;

/// Reads one container's log.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    at: usize,
    skipping: bool,
    trail: Option<Trail>,
    end: Option<Position>,
    /// Files that are missing just here.
    missing: u64,
    /// Of the last record.
    time_ns: i64,
}

impl Reader {
    /// A reader at the oldest record that is kept of the log at `path`, which need not exist yet.
    pub fn open(path: &Path) -> io::Result<Reader> {
        Ok(Reader {
            path: path.to_owned(),
            file: places::open_oldest(path)?,
            buffer: Vec::new(),
            at: 0,
            skipping: false,
            trail: None,
            end: None,
            missing: 0,
            time_ns: 0,
        })
    }

    /// Moves to the last `count` records. To be called before [`Self::watch`].
    pub fn seek_tail(&mut self, count: u64) -> io::Result<()> {
        self.forget_line();
        self.file = None;
        let mut left = count;
        for place in places::list(&self.path)? {
            // Rotated away meanwhile: those behind it, too.
            let Some(mut file) = place.open(&self.path)? else {
                break;
            };
            let (position, found) = back(&file, left)?;
            file.seek(SeekFrom::Start(position))?;
            self.file = Some(file);
            left -= found.min(left);
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Reads no further than to there.
    pub fn stop_at(&mut self, end: Position) {
        self.end = Some(end);
    }

    /// The next record; none at the end of what is written so far.
    #[allow(
        clippy::should_implement_trait,
        reason = "none is not the end for ever"
    )]
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            if let Some(end) = self.buffer[self.at..].iter().position(|b| *b == b'\n') {
                let line = self.at..self.at + end;
                self.at += end + 1;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                // A line cut short by a crash, or not of ours: what follows is still good.
                match record::parse(&self.buffer[line]) {
                    Some(record) => {
                        self.time_ns = record.time_ns;
                        return Ok(Some(record));
                    }
                    None => continue,
                }
            }
            if !self.fill()? && !self.advance()? {
                return Ok(None);
            }
            let missing = std::mem::take(&mut self.missing);
            if missing > 0 {
                return Ok(Some(self.complaint(missing)));
            }
        }
    }

    /// What stands where lines are missing, as of the last record before.
    fn complaint(&self, files: u64) -> Record {
        Record {
            stream: Stream::Stderr,
            time_ns: self.time_ns,
            data: format!(
                "wharf: log lines are missing here: {files} files were rotated away unread\n"
            )
            .into_bytes(),
        }
    }

    /// A descriptor that is readable when the log may have changed. Look at [`Self::next`] again
    /// after it was asked for the first time, and [`Self::drain`] it whenever it is readable.
    pub fn watch(&mut self) -> io::Result<BorrowedFd<'_>> {
        if self.trail.is_none() {
            self.trail = Some(Trail::begin(&self.path, self.file.as_ref())?);
        }
        self.trail
            .as_ref()
            .map(Trail::fd)
            .ok_or_else(|| io::Error::other("no watch"))
    }

    /// Takes what [`Self::watch`]'s descriptor has to say, and holds on to the files that were begun.
    /// A reader that is not read from should still be drained, so that it finds them later.
    pub fn drain(&mut self) -> io::Result<()> {
        self.trail.as_mut().map_or(Ok(()), Trail::look)
    }

    /// Reads more of the file; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let end = self.end;
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let room = match end {
            Some(end) if file.metadata()?.ino() == end.inode => {
                end.offset.saturating_sub(file.stream_position()?)
            }
            _ => u64::MAX,
        };
        let room = usize::try_from(room).unwrap_or(CHUNK).min(CHUNK);
        if room == 0 {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        if self.buffer.len() > LINE_MAX {
            self.buffer.clear();
            self.skipping = true;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + room, 0);
        let read = file.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        if read? > 0 {
            return Ok(true);
        }
        // Emptied by somebody: what is written from now on is read from its beginning.
        if file.stream_position()? > file.metadata()?.len() {
            file.rewind()?;
            self.forget_line();
        }
        Ok(false)
    }

    /// Goes to the file that follows; false if this is the newest, or the last to be read.
    fn advance(&mut self) -> io::Result<bool> {
        let me = match &self.file {
            None => None,
            Some(file) => Some(file.metadata()?.ino()),
        };
        if me.is_some() && self.end.map(|end| end.inode) == me {
            return Ok(false);
        }
        if self.trail.is_some() {
            return self.follow();
        }
        if me.is_some() && places::newest(&self.path)? == me {
            return Ok(false);
        }
        loop {
            let files = places::list(&self.path)?;
            let place = match files.iter().position(|place| Some(place.inode) == me) {
                Some(0) => return Ok(false),
                Some(at) => files[at - 1],
                None => match files.last() {
                    None => return Ok(false),
                    Some(oldest) => *oldest,
                },
            };
            let Some(next) = place.open(&self.path)? else {
                continue;
            };
            // More may have been written to this one between its end and its rotation.
            if self.fill()? {
                return Ok(true);
            }
            self.begin(next);
            return Ok(true);
        }
    }

    /// As [`Self::advance`], by the trail.
    fn follow(&mut self) -> io::Result<bool> {
        self.drain()?;
        if self.trail.as_ref().is_none_or(Trail::is_empty) {
            return Ok(false);
        }
        // As above.
        if self.fill()? {
            return Ok(true);
        }
        match self.trail.as_mut().and_then(Trail::next) {
            None => return Ok(false),
            Some(Next::File(file)) => self.begin(file),
            Some(Next::Missing(files)) => self.missing += files,
        }
        Ok(true)
    }

    fn begin(&mut self, file: File) {
        self.file = Some(file);
        // A line that was cut off in the one before does not go on here.
        self.forget_line();
    }

    fn forget_line(&mut self) {
        self.buffer.clear();
        self.at = 0;
        self.skipping = false;
    }
}

/// Where the last `count` lines of a file begin, and how many there are.
fn back(file: &File, count: u64) -> io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    if count == 0 || length == 0 {
        return Ok((length, 0));
    }
    let mut end = length;
    let mut chunk = vec![0; CHUNK];
    let mut found = 0;
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(CHUNK).min(CHUNK);
        let start = end - size as u64;
        file.read_exact_at(&mut chunk[..size], start)?;
        for at in (0..size).rev() {
            let position = start + at as u64 + 1;
            // The newline at the very end closes the last line, it begins none.
            if chunk[at] == b'\n' && position < length {
                found += 1;
                if found == count {
                    return Ok((position, found));
                }
            }
        }
        end = start;
    }
    Ok((0, found + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Stream, Writer};

    fn rest(reader: &mut Reader) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            texts.push(String::from_utf8(record.data).unwrap());
        }
        texts
    }

    fn numbers(from: u32, to: u32) -> Vec<String> {
        (from..to).map(|n| format!("line {n}\n")).collect()
    }

    #[test]
    fn a_tail_reaches_back_over_files_and_is_never_more_than_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 500, 5).unwrap();
        for n in 0..30 {
            writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
        }
        let mut reader = Reader::open(&path).unwrap();
        for count in [0, 1, 2, 7, 15] {
            reader.seek_tail(count.into()).unwrap();
            assert_eq!(rest(&mut reader), numbers(30 - count, 30), "{count}");
        }
        reader.seek_tail(1_000_000).unwrap();
        let all = rest(&mut reader);
        assert_eq!(all.last().map(String::as_str), Some("line 29\n"));
        assert_eq!(all, rest(&mut Reader::open(&path).unwrap()));
    }

    #[test]
    fn following_gives_each_record_once_over_every_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut reader = Reader::open(&path).unwrap();
        assert!(reader.next().unwrap().is_none(), "not there yet");
        let mut writer = Writer::open(&path, 700, 4).unwrap();
        let mut seen = Vec::new();
        for n in 0..500 {
            writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
            // Now and then only, so that several rotations lie between.
            if n % 7 == 0 {
                seen.extend(rest(&mut reader));
            }
        }
        seen.extend(rest(&mut reader));
        assert_eq!(seen, numbers(0, 500));
    }

    #[test]
    fn a_line_cut_by_a_crash_or_endless_is_skipped_and_what_follows_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 10 << 20, 2).unwrap();
        writer.output(Stream::Stdout, 0, b"line 0\n");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"log\":\"cut\n");
        bytes.extend(std::iter::repeat_n(b'x', LINE_MAX * 3));
        bytes.push(b'\n');
        std::fs::write(&path, bytes).unwrap();
        let mut writer = Writer::open(&path, 10 << 20, 2).unwrap();
        writer.output(Stream::Stdout, 0, b"line 1\n");
        assert_eq!(rest(&mut Reader::open(&path).unwrap()), numbers(0, 2));
    }

    /// One writes small files round and round as fast as it can, the other follows by the watch
    /// alone: what the reader says is a run of lines without a gap or a repetition, as long as it
    /// keeps up, and the last line always comes.
    #[test]
    fn a_follower_in_another_thread_gives_each_record_once() {
        const LINES: u32 = 30_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut reader = Reader::open(&path).unwrap();
        reader.watch().unwrap();
        // So many files that none is rotated away under the reader.
        let mut writer = Writer::open(&path, 4000, 1000).unwrap();
        let writing = std::thread::spawn(move || {
            for n in 0..LINES {
                writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
            }
        });
        let mut next = 0;
        while next < LINES {
            while let Some(record) = reader.next().unwrap() {
                assert_eq!(
                    String::from_utf8(record.data).unwrap(),
                    format!("line {next}\n")
                );
                next += 1;
            }
            if next < LINES {
                assert!(is_readable(&mut reader), "waits for line {next}");
                reader.drain().unwrap();
            }
        }
        writing.join().unwrap();
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn a_tail_is_exact_while_the_files_rotate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 600, 2000).unwrap();
        for n in 0..200 {
            writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
        }
        let writing = std::thread::spawn(move || {
            for n in 200..1500 {
                writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
            }
        });
        while !writing.is_finished() {
            let mut reader = Reader::open(&path).unwrap();
            reader.seek_tail(100).unwrap();
            let seen = rest(&mut reader);
            // More may have come since, and no line is missing.
            assert!(seen.len() >= 100, "{}", seen.len());
            let first: u32 = seen[0]["line ".len()..].trim().parse().unwrap();
            let upto = first + u32::try_from(seen.len()).unwrap();
            assert!(seen == numbers(first, upto), "{} from {first}", seen.len());
        }
        writing.join().unwrap();
    }

    #[test]
    fn a_reader_that_fell_behind_goes_on_with_the_oldest_that_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 500, 3).unwrap();
        writer.output(Stream::Stdout, 0, b"line 0\n");
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(rest(&mut reader), numbers(0, 1));
        for n in 1..200 {
            writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
        }
        let seen = rest(&mut reader);
        let all = rest(&mut Reader::open(&path).unwrap());
        // Its own file to its end, then all there is.
        assert!(seen.ends_with(&all), "{seen:?}");
        let own = u32::try_from(seen.len() - all.len()).unwrap();
        assert_eq!(seen[..own as usize], numbers(1, own + 1));
    }

    #[test]
    fn a_log_that_somebody_emptied_is_read_from_its_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 1 << 20, 2).unwrap();
        writer.output(Stream::Stdout, 0, b"line 0\nline 1\n");
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(rest(&mut reader), numbers(0, 2));
        File::options()
            .write(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        assert_eq!(rest(&mut reader), numbers(0, 0));
        writer.output(Stream::Stdout, 0, b"line 2\n");
        assert_eq!(rest(&mut reader), numbers(2, 3));
    }

    #[test]
    fn a_follower_that_was_drained_meanwhile_has_every_line_though_all_was_rotated_away() {
        for max_files in [1, 2, 5] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x-json.log");
            let mut writer = Writer::open(&path, 500, max_files).unwrap();
            writer.output(Stream::Stdout, 0, b"line 0\n");
            let mut reader = Reader::open(&path).unwrap();
            reader.watch().unwrap();
            for n in 1..300 {
                writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
                reader.drain().unwrap();
            }
            assert_eq!(rest(&mut reader), numbers(0, 300), "{max_files} files");
        }
    }

    #[test]
    fn beyond_the_bound_lines_are_missing_and_it_is_said_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 100, 2).unwrap();
        writer.output(Stream::Stdout, 0, b"line 0\n");
        let mut reader = Reader::open(&path).unwrap();
        reader.watch().unwrap();
        // One line in each file.
        for n in 1..300 {
            writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
            reader.drain().unwrap();
        }
        let seen = rest(&mut reader);
        let missing = 300 - 1 - 64;
        let note = format!(
            "wharf: log lines are missing here: {missing} files were rotated away unread\n"
        );
        assert_eq!(seen[..2], ["line 0\n".to_owned(), note]);
        assert_eq!(seen[2..], numbers(1 + missing, 300));
    }

    #[test]
    fn files_that_came_and_went_between_two_looks_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut writer = Writer::open(&path, 100, 3).unwrap();
        let mut write = |range: std::ops::Range<u32>| {
            for n in range {
                writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
            }
        };
        write(0..1);
        let mut reader = Reader::open(&path).unwrap();
        reader.watch().unwrap();
        // Exactly as many as are kept: nothing is missing.
        write(1..4);
        assert_eq!(rest(&mut reader), numbers(0, 4));
        write(4..20);
        let seen = rest(&mut reader);
        assert!(seen[0].contains(": 13 files were"), "{seen:?}");
        assert_eq!(seen[1..], numbers(17, 20));
    }

    #[test]
    fn a_reader_that_is_to_stop_reads_up_to_there_and_not_a_line_more() {
        for rotations in [0, 1, 5] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x-json.log");
            let mut writer = Writer::open(&path, 500, 3).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            reader.watch().unwrap();
            for n in 0..10 {
                writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
                reader.drain().unwrap();
            }
            reader.stop_at(writer.position().unwrap());
            for n in 10..10 + 10 * rotations {
                writer.output(Stream::Stdout, 0, format!("line {n}\n").as_bytes());
                reader.drain().unwrap();
            }
            assert_eq!(rest(&mut reader), numbers(0, 10), "{rotations} rotations");
        }
    }

    fn is_readable(reader: &mut Reader) -> bool {
        let fd = reader.watch().unwrap();
        let mut fds = [rustix::event::PollFd::new(
            &fd,
            rustix::event::PollFlags::IN,
        )];
        let patience = rustix::event::Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut fds, Some(&patience)).unwrap() == 1
    }

    #[test]
    fn the_watch_is_readable_after_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut reader = Reader::open(&path).unwrap();
        reader.watch().unwrap();
        Writer::open(&path, 100, 2)
            .unwrap()
            .output(Stream::Stdout, 0, b"x\n");
        assert!(is_readable(&mut reader));
        reader.drain().unwrap();
        assert_eq!(rest(&mut reader), ["x\n"]);
    }
}
