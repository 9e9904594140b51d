//! What the paths in a layer's archive mean.
//!
//! Docker extracts with the layer as its root directory, so a path is first cleaned as text
//! (`.`, empty components and trailing slashes vanish, `..` takes back what is before it and at
//! the top nothing) and then means something below the root, whatever it looked like: `/etc/x`,
//! `../etc/x` and `./etc/x` are one file. Names beginning with `.wh.` are no files: they say what
//! of the layers below is to be hidden.

use super::tree::Refusal;

/// The longest name of an entry in a directory, and the longest path: what the kernel takes.
pub(super) const MAX_NAME: usize = 255;
pub(super) const MAX_PATH: usize = 4095;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";
/// Where aufs kept files that have several names; it is no part of what the layer shows.
pub(super) const AUFS_LINKS: &[u8] = b".wh..wh.plnk";

/// The components of a path, cleaned. None of them is empty, `.` or `..`.
pub(super) fn clean(path: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    let mut components = Vec::new();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            name if name.len() > MAX_NAME => return Err(Refusal::NameTooLong),
            name => components.push(name),
        }
    }
    let length: usize = components.iter().map(|name| name.len() + 1).sum();
    if length > MAX_PATH {
        return Err(Refusal::NameTooLong);
    }
    Ok(components)
}

/// What the last component of a path says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// An object of this name.
    Object(&'a [u8]),
    /// The object of this name in the layers below is hidden.
    Whiteout(&'a [u8]),
    /// All of the directory's content in the layers below is hidden.
    Opaque,
    /// Notes of aufs to itself.
    Nothing,
}

/// The meaning of a name.
pub(super) fn meaning(name: &[u8]) -> Result<Meaning<'_>, Refusal> {
    if name == OPAQUE {
        return Ok(Meaning::Opaque);
    }
    if name.starts_with(AUFS) {
        return Ok(Meaning::Nothing);
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Object(name)),
        // It would hide the directory it stands in, or the one above.
        Some(b"" | b"." | b"..") => Err(Refusal::BadWhiteout),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_ends_below_the_root() {
        for path in [
            "a/b",
            "./a/b",
            "/a/b",
            "../../a/b",
            "a//b/",
            "x/../a/./b",
            "/../a/b/.",
        ] {
            assert_eq!(clean(path.as_bytes()).unwrap(), [b"a", b"b"], "{path}");
        }
        for path in ["", "/", ".", "..", "a/..", "../.."] {
            assert!(clean(path.as_bytes()).unwrap().is_empty(), "{path}");
        }
        assert!(clean(&[b'n'; 256]).is_err());
        assert!(clean(&b"n/".repeat(2100)).is_err());
    }

    #[test]
    fn marks_are_told_from_files() {
        assert_eq!(meaning(b"file").unwrap(), Meaning::Object(b"file"));
        assert_eq!(meaning(b".white").unwrap(), Meaning::Object(b".white"));
        assert_eq!(meaning(b".wh.file").unwrap(), Meaning::Whiteout(b"file"));
        assert_eq!(
            meaning(b".wh..hidden").unwrap(),
            Meaning::Whiteout(b".hidden")
        );
        assert_eq!(meaning(b".wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(meaning(b".wh..wh.aufs").unwrap(), Meaning::Nothing);
        for name in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(meaning(name).is_err());
        }
    }
}
