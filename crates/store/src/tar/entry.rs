//! What an archive says about one object.

use rustix::fs::{FileType, Stat};

/// A moment, in seconds since 1970 and the nanoseconds after them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, less than 1,000,000,000.
    pub nanoseconds: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A further name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A piece of a sparse file that is in the archive; what no piece covers is zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it is in the file.
    pub offset: u64,
    /// How long it is; never zero.
    pub length: u64,
}

/// One entry of an archive. Paths and names are bytes as they stand there: relative, absolute,
/// climbing, not UTF-8, anything but containing a zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Owner's name, if it was recorded.
    pub user: Vec<u8>,
    /// Group's name, if it was recorded.
    pub group: Vec<u8>,
    /// Time of modification.
    pub mtime: Time,
    /// Of a symlink, its text; of a hard link, the path of the earlier entry.
    pub link: Vec<u8>,
    /// Extended attributes, by full name (`security.capability`), in order of name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a file, the length of its content, holes included.
    pub size: u64,
    /// Where in the archive the stored data begins.
    pub data_offset: u64,
    /// How many bytes are stored there. Differs from `size` for a sparse file only.
    pub data_size: u64,
    /// Of a sparse file, what the stored bytes are, in order. They follow one another there.
    pub sparse: Option<Vec<Segment>>,
}

impl Entry {
    /// An entry of root's, mode 0, at time 0, of no size.
    #[must_use]
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            user: Vec::new(),
            group: Vec::new(),
            mtime: Time::default(),
            link: Vec::new(),
            xattrs: Vec::new(),
            size: 0,
            data_offset: 0,
            data_size: 0,
            sparse: None,
        }
    }

    /// An entry for an object with this metadata; `None` for a socket, which no archive holds.
    /// The text of a symlink and extended attributes are left to the caller.
    #[must_use]
    pub fn of_stat(path: impl Into<Vec<u8>>, stat: &Stat) -> Option<Entry> {
        let major = rustix::fs::major(stat.st_rdev);
        let minor = rustix::fs::minor(stat.st_rdev);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharacterDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Socket | FileType::Unknown => return None,
        };
        let mut entry = Entry::new(path, kind);
        entry.mode = stat.st_mode & 0o7777;
        entry.uid = stat.st_uid;
        entry.gid = stat.st_gid;
        entry.mtime = Time {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        };
        if kind == Kind::File {
            entry.size = u64::try_from(stat.st_size).unwrap_or(0);
            entry.data_size = entry.size;
        }
        Some(entry)
    }
}
