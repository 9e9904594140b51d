//! Files copied in and out of a container.

/// What `cp` learns about a path first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Last component.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `os.FileMode` bits (type bits at the top, as the API has them).
    pub mode: u32,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    /// Where a symbolic link leads inside the container, resolved; empty otherwise.
    pub link_target: String,
}

/// How to put an archive.
#[derive(Debug, Clone, Copy, Default)]
pub struct PutOptions {
    /// Refuse to replace a directory by a non-directory, or the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Keep the archive's owners. They are kept in any case, as dockerd does without this; its
    /// handing everything to the container's user is not imitated, since its documentation says
    /// otherwise.
    pub copy_uid_gid: bool,
}
