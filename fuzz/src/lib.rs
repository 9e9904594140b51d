//! What several targets need: a place in memory for what must be files, and input cut into fields.

use std::path::Path;

use tempfile::TempDir;

/// A directory of this process, in memory where the host has `/dev/shm`: an fsync costs nothing
/// there. Left behind when a crash ends the process, as everything else then is.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("wharf-fuzz-")
        .tempdir_in(place)
        .expect("a scratch directory")
}

/// Fields of the input, separated by bytes of 0: so a corpus stays legible and a mutation of one
/// field leaves the others alone.
pub fn fields(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|&byte| byte == 0)
}
