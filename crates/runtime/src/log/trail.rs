//! The files of a log that were begun behind a follower's back.
//!
//! ```text
//!   read now ─▶ waiting: 1, 2, … newest ─▶ begun (counted by inotify)
//! ```
//! A file that is held open stays what it is though the log has rotated it away: a follower that is
//! slow loses nothing. It holds at most [`FILES`] and [`BYTES`], as what it holds is disk space that
//! nobody sees; beyond, the oldest go, and it is known how many.
//!
//! How many files were begun is counted by the kernel's events, so that even files that came and
//! went between two looks are known to be missing. The newest file at a quiet moment is the one
//! that was begun last; those behind it, by their order, are the ones before.

use std::collections::VecDeque;
use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::places;

/// Files held at most.
const FILES: usize = 64;

/// Bytes held at most, but for one file that is larger.
const BYTES: u64 = 64 * 1024 * 1024;

/// Looks for a quiet moment. Without one the count of missing files may be wrong, not the lines.
const LOOKS: u32 = 8;

/// What follows on a file.
#[derive(Debug)]
pub(super) enum Next {
    /// This one.
    File(File),
    /// So many that are gone.
    Missing(u64),
}

/// A file that was seen, and its place in the order of all that were begun.
#[derive(Debug, Clone, Copy)]
struct Seen {
    inode: u64,
    number: u64,
}

/// What a follower has before it.
#[derive(Debug)]
pub(super) struct Trail {
    path: PathBuf,
    name: OsString,
    inotify: OwnedFd,
    /// Files begun so far.
    begun: u64,
    /// More were begun than were looked at.
    stale: bool,
    /// Events were lost, and the count with them.
    uncounted: bool,
    /// The newest file that is held, here or by the reader.
    last: Option<Seen>,
    waiting: VecDeque<Next>,
}

impl Trail {
    /// The trail of a reader that reads this file now.
    pub(super) fn begin(path: &Path, current: Option<&File>) -> io::Result<Trail> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // The directory, not the file: a rotation is seen, and so is the first line.
        let events = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF;
        inotify::add_watch(&fd, path.parent().unwrap_or(Path::new("/")), events)?;
        let inode = current.map(|file| file.metadata().map(|of| of.ino()));
        let mut trail = Trail {
            path: path.to_owned(),
            name: path.file_name().unwrap_or_default().to_owned(),
            inotify: fd,
            begun: 0,
            stale: true,
            uncounted: true,
            last: inode.transpose()?.map(|inode| Seen { inode, number: 0 }),
            waiting: VecDeque::new(),
        };
        trail.look()?;
        Ok(trail)
    }

    /// Readable when there may be more to read.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<Next> {
        self.waiting.pop_front()
    }

    /// Takes the events there are, and holds on to what was begun.
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.count()?;
        for look in 1..=LOOKS {
            if !self.stale {
                return Ok(());
            }
            let last = self.last.map(|last| last.inode);
            let files = places::list_down_to(&self.path, last)?;
            let known = files.iter().position(|place| Some(place.inode) == last);
            let newer = &files[..known.unwrap_or(files.len())];
            let opened = newer
                .iter()
                .rev()
                .map(|place| Ok(place.open(&self.path)?.map(|file| (place.inode, file))))
                .collect::<io::Result<Option<Vec<_>>>>()?;
            let (begun, whole) = (self.begun, opened.is_some());
            self.count()?;
            if (self.begun == begun && whole) || look == LOOKS {
                self.take(opened.unwrap_or_default(), known.is_some());
                // Looked at again when the next event comes, if this was no quiet moment.
                self.stale = self.begun != begun || !whole;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Files that are newer than the last, the oldest first.
    fn take(&mut self, files: Vec<(u64, File)>, in_sight: bool) {
        let count = files.len() as u64;
        let last = self.last.map(|last| last.number);
        if std::mem::take(&mut self.uncounted) {
            self.begun = last.unwrap_or(0) + count + u64::from(last.is_some() && !in_sight);
        }
        let before = self.begun.saturating_sub(count);
        if let Some(last) = last
            && !in_sight
            && count > 0
        {
            self.miss(before.saturating_sub(last));
        }
        for (number, (inode, file)) in (before + 1..).zip(files) {
            self.last = Some(Seen { inode, number });
            self.waiting.push_back(Next::File(file));
        }
        while self.holds_too_much() {
            self.drop_oldest();
        }
    }

    fn miss(&mut self, files: u64) {
        match self.waiting.back_mut() {
            _ if files == 0 => {}
            Some(Next::Missing(before)) => *before += files,
            _ => self.waiting.push_back(Next::Missing(files)),
        }
    }

    fn holds_too_much(&self) -> bool {
        let files = self.waiting.iter().filter_map(|next| match next {
            Next::File(file) => Some(file.metadata().map_or(0, |of| of.len())),
            Next::Missing(_) => None,
        });
        let (count, bytes) = files.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
        count > FILES || (count > 1 && bytes > BYTES)
    }

    /// The oldest file goes; what is missing before and behind it is one with it.
    fn drop_oldest(&mut self) {
        let mut missing = 1;
        let mut dropped = false;
        while let Some(next) = self.waiting.pop_front() {
            match next {
                Next::Missing(files) => missing += files,
                Next::File(_) if !dropped => dropped = true,
                next @ Next::File(_) => {
                    self.waiting.push_front(next);
                    break;
                }
            }
        }
        self.waiting.push_front(Next::Missing(missing));
    }

    /// Counts what was begun since.
    fn count(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut space);
        loop {
            match events.next() {
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    (self.uncounted, self.stale) = (true, true);
                }
                Ok(event) => {
                    let began = ReadFlags::CREATE | ReadFlags::MOVED_TO;
                    let name = event.file_name().map(CStr::to_bytes);
                    if event.events().intersects(began) && name == Some(self.name.as_bytes()) {
                        self.begun += 1;
                        self.stale = true;
                    }
                }
            }
        }
    }
}
