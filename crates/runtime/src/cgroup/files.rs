//! The small text files of cgroups.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::error::{CgroupError, at};

/// Larger than any file of a cgroup that is not a list of all processes of a big machine.
const FILE_MAX: u64 = 1 << 20;

/// The content of a file.
pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX).read_to_string(&mut text))
        .map_err(at("read", path))?;
    Ok(text)
}

/// The content of a file that some kernels do not have.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, CgroupError> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(CgroupError::File { source, .. })
            if source.kind() == io::ErrorKind::NotFound
                || source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A file that holds one number, or `max` for none.
pub(super) fn read_number(path: &Path) -> Result<Option<u64>, CgroupError> {
    let text = read(path)?;
    match text.trim() {
        "max" => Ok(None),
        number => number.parse().map(Some).map_err(|_| {
            let error = io::Error::new(io::ErrorKind::InvalidData, format!("{number:?}"));
            at("read", path)(error)
        }),
    }
}

/// Write a value in one call, as the kernel wants it.
pub(super) fn write(directory: &Path, name: &str, value: &str) -> Result<(), CgroupError> {
    let path = directory.join(name);
    put(&path, value).map_err(at("write", &path))
}

/// Write a value, or note that the kernel has no such file.
pub(super) fn write_if_there(
    directory: &Path,
    name: &str,
    value: &str,
    left_out: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let path = directory.join(name);
    match put(&path, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            left_out.push(name.to_owned());
            Ok(())
        }
        written => written.map_err(at("write", &path)),
    }
}

/// The same, with the bare error.
pub(super) fn put(path: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}

/// The number beside `key` in a file of `key value` lines.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    fields(text)
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// All lines of a file of `key value` lines.
pub(super) fn fields(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_numbers_are_passed_over() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\nodd\nx y\n";
        assert_eq!(field(text, "oom_kill"), Some(7));
        assert_eq!(field(text, "x"), None);
        assert_eq!(fields(text).count(), 3);
    }

    #[test]
    fn a_limit_of_max_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pids.max");
        fs::write(&file, "max\n").unwrap();
        assert_eq!(read_number(&file).unwrap(), None);
        fs::write(&file, "12\n").unwrap();
        assert_eq!(read_number(&file).unwrap(), Some(12));
        fs::write(&file, "many\n").unwrap();
        assert!(
            read_number(&file)
                .unwrap_err()
                .to_string()
                .contains("pids.max")
        );
    }

    #[test]
    fn a_file_this_kernel_lacks_is_noted_and_others_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut left_out = Vec::new();
        write_if_there(dir.path(), "memory.x", "1", &mut left_out).unwrap();
        assert_eq!(left_out, ["memory.x"]);
        assert!(write(dir.path(), "memory.x", "1").is_err());
    }
}
