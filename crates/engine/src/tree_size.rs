//! How many bytes the files of a tree take.

use std::collections::HashSet;
use std::path::Path;

use rustix::fs::FileType;
use wharf_sys::rooted::{Handle, Root};

/// Deeper than this nothing is counted: nobody's work is there, only somebody's trap.
const MAX_DEPTH: usize = 128;

/// The lengths of all regular files below a directory, a file with several names counted once.
/// What vanishes meanwhile is not counted; symbolic links are not followed. Blocks.
pub(crate) fn of(directory: &Path) -> u64 {
    let Ok(top) = Root::open(directory).and_then(|root| root.resolve(".")) else {
        return 0;
    };
    walk(&top, 0, &mut HashSet::new())
}

fn walk(directory: &Handle, depth: usize, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(entries) = directory.read_dir() else {
        return 0;
    };
    let mut total: u64 = 0;
    for entry in entries.flatten() {
        let Ok(child) = directory.child(&entry.name) else {
            continue;
        };
        let Ok(stat) = child.stat() else {
            continue;
        };
        let bytes = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if depth < MAX_DEPTH => walk(&child, depth + 1, seen),
            FileType::RegularFile
                if stat.st_nlink == 1 || seen.insert((stat.st_dev, stat.st_ino)) =>
            {
                stat.st_size.cast_unsigned()
            }
            _ => 0,
        };
        total = total.saturating_add(bytes);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_a_link_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("sub")).unwrap();
        std::fs::write(path("sub/a"), [0; 100]).unwrap();
        std::fs::write(path("b"), [0; 10]).unwrap();
        std::fs::hard_link(path("sub/a"), path("c")).unwrap();
        std::os::unix::fs::symlink("/etc", path("link")).unwrap();
        assert_eq!(of(dir.path()), 110);
        assert_eq!(of(&path("nothing")), 0);
    }
}
