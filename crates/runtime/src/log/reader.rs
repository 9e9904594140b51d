//! Reading a log while it is written and rotated.
//!
//! The reader holds the file it reads open. At its end it looks which name that file has now: still
//! the newest, then there is nothing more for the moment; rotated to `.k`, then what follows is in
//! `.k-1`; gone, then its place was rotated away and the oldest that is left comes next.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;

use super::Record;
use super::record;
use super::writer::numbered;

/// Longest line of a file that is read: a part of 16 KiB of which every byte was escaped, with
/// room to spare. What is longer is no record of ours and is skipped.
const LINE_MAX: usize = 256 * 1024;

/// Files looked for behind the newest; the writer keeps far fewer.
const FILES_MAX: u32 = 1000;

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
    inotify: Option<OwnedFd>,
}

impl Reader {
    /// A reader at the oldest record that is kept of the log at `path`, which need not exist yet.
    pub fn open(path: &Path) -> io::Result<Reader> {
        let mut reader = Reader {
            path: path.to_owned(),
            file: None,
            buffer: Vec::new(),
            at: 0,
            skipping: false,
            inotify: None,
        };
        reader.file = reader.oldest()?;
        Ok(reader)
    }

    /// Moves to the last `count` records.
    pub fn seek_tail(&mut self, count: u64) -> io::Result<()> {
        self.buffer.clear();
        self.at = 0;
        self.skipping = false;
        let mut left = count;
        let mut number = 0;
        let mut oldest = None;
        while let Some(mut file) = open(&numbered(&self.path, number))? {
            let (position, found) = back(&mut file, left)?;
            file.seek(SeekFrom::Start(position))?;
            oldest = Some(file);
            left -= found.min(left);
            number += 1;
            if left == 0 || number == FILES_MAX {
                break;
            }
        }
        self.file = oldest;
        Ok(())
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
                    Some(record) => return Ok(Some(record)),
                    None => continue,
                }
            }
            if !self.fill()? && !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// A descriptor that is readable when the log may have changed. Look at [`Self::next`] again
    /// after it was asked for the first time, and [`Self::drain`] it whenever it is readable.
    pub fn watch(&mut self) -> io::Result<BorrowedFd<'_>> {
        if self.inotify.is_none() {
            let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            let directory = self.path.parent().unwrap_or(Path::new("/"));
            // The directory, not the file: a rotation is seen, and so is the first line.
            let events = inotify::WatchFlags::MODIFY
                | inotify::WatchFlags::CREATE
                | inotify::WatchFlags::MOVED_TO
                | inotify::WatchFlags::DELETE_SELF;
            inotify::add_watch(&fd, directory, events)?;
            self.inotify = Some(fd);
        }
        self.inotify
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or_else(|| io::Error::other("no watch"))
    }

    /// Takes what [`Self::watch`]'s descriptor has to say. What it says does not matter.
    pub fn drain(&mut self) -> io::Result<()> {
        let Some(fd) = &self.inotify else {
            return Ok(());
        };
        let mut events = [0; 4096];
        loop {
            match rustix::io::read(fd, &mut events) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads more of the file; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        self.buffer.drain(..self.at);
        self.at = 0;
        if self.buffer.len() > LINE_MAX {
            self.buffer.clear();
            self.skipping = true;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = file.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }

    /// Goes to the file that follows; false if this is the newest.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else {
            self.file = self.oldest()?;
            return Ok(self.file.is_some());
        };
        let me = file.metadata()?.ino();
        // Names move while one looks: whatever is found is opened and looked at again.
        loop {
            let mut number = 0;
            let next = loop {
                let Some(candidate) = open(&numbered(&self.path, number))? else {
                    // Not there any more: rotated away, or the log was removed.
                    break self.oldest()?;
                };
                if candidate.metadata()?.ino() == me {
                    if number == 0 {
                        return Ok(false);
                    }
                    break open(&numbered(&self.path, number - 1))?;
                }
                number += 1;
                if number == FILES_MAX {
                    return Ok(false);
                }
            };
            let Some(next) = next else {
                return Ok(false);
            };
            if next.metadata()?.ino() == me {
                continue;
            }
            // More may have been written to this one between its end and its rotation.
            if self.fill()? {
                return Ok(true);
            }
            self.file = Some(next);
            // A line that was cut off there does not go on here.
            self.buffer.clear();
            self.at = 0;
            return Ok(true);
        }
    }

    fn oldest(&self) -> io::Result<Option<File>> {
        let mut oldest = None;
        for number in 0..FILES_MAX {
            match open(&numbered(&self.path, number))? {
                Some(file) => oldest = Some(file),
                None => break,
            }
        }
        Ok(oldest)
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the last `count` lines of a file begin, and how many there are.
fn back(file: &mut File, count: u64) -> io::Result<(u64, u64)> {
    let mut end = file.metadata()?.len();
    let length = end;
    let mut chunk = vec![0; CHUNK];
    let mut found = 0;
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(CHUNK).min(CHUNK);
        let start = end - size as u64;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk[..size])?;
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
    if count == 0 {
        return Ok((length, 0));
    }
    Ok((0, found + u64::from(length > 0)))
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

    #[test]
    fn the_watch_is_readable_after_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut reader = Reader::open(&path).unwrap();
        reader.watch().unwrap();
        Writer::open(&path, 100, 2)
            .unwrap()
            .output(Stream::Stdout, 0, b"x\n");
        let fd = reader.watch().unwrap();
        let mut fds = [rustix::event::PollFd::new(
            &fd,
            rustix::event::PollFlags::IN,
        )];
        let second = rustix::event::Timespec {
            tv_sec: 5,
            tv_nsec: 0,
        };
        assert_eq!(rustix::event::poll(&mut fds, Some(&second)).unwrap(), 1);
        reader.drain().unwrap();
        assert_eq!(rest(&mut reader), ["x\n"]);
    }
}
