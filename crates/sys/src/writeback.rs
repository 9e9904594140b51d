//! `sync_file_range`: ask for what was written to go to the disk, without waiting for it.
//!
//! A large file that is written and then synced keeps the disk idle first and the writer waiting
//! afterwards. Asked now and then on the way, the disk works meanwhile. This makes nothing
//! durable: only `fdatasync` does.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Begin to write back `length` bytes from `offset` on. A file system that does not know how is
/// no error: the sync that follows does it.
pub fn begin(file: &File, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return;
    };
    // SAFETY: the call takes numbers and a descriptor, which is borrowed for the call.
    unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            offset,
            length,
            libc::SYNC_FILE_RANGE_WRITE,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn asking_changes_nothing_and_never_fails() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        begin(&file, 0, 10_000);
        begin(&file, u64::MAX, u64::MAX);
        begin(&File::open("/dev/null").unwrap(), 0, 1);
        assert_eq!(file.metadata().unwrap().len(), 10_000);
    }
}
