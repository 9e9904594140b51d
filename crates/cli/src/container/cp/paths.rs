//! Where a copy lands: cp's rules, decided from what the two ends are.
//!
//! | source | destination | result |
//! |---|---|---|
//! | file | missing | a file of that name |
//! | file | missing, ends in `/` | refused |
//! | file | file | replaced |
//! | file | directory | inside it, under its own name |
//! | dir | missing | a directory of that name, with the contents |
//! | dir | file | refused |
//! | dir | directory | inside it, under its own name |
//! | dir`/.` | directory | the contents, inside it |

use std::fs;
use std::path::Path;

use crate::failure::{Failure, file_error};

/// What is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) is_dir: bool,
    /// The name asked for, when following a link led to another.
    pub(super) rebase: Option<String>,
}

/// Where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) is_dir: bool,
}

/// A first component of every name in the archive, replaced by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rename {
    pub(super) old: String,
    pub(super) new: String,
}

/// The directory to unpack in, and what is renamed on the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) directory: String,
    pub(super) rename: Option<Rename>,
}

/// `CONTAINER:PATH`, or a path here: absolute, without a colon, or starting with a dot.
pub(super) fn split_argument(argument: &str) -> (Option<&str>, &str) {
    if argument.starts_with('/') {
        return (None, argument);
    }
    match argument.split_once(':') {
        Some((container, path)) if !container.starts_with('.') && !container.is_empty() => {
            (Some(container), path)
        }
        _ => (None, argument),
    }
}

fn ends_in_dot(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// `/a/b/` and `/a/b/.` say that it is a directory.
fn says_directory(path: &str) -> bool {
    path.ends_with('/') || ends_in_dot(path)
}

/// Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            name => parts.push(name),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Directory and entry; a final `.` is an entry of its own.
fn split(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if ends_in_dot(path) && cleaned != "." {
        cleaned = format!("{}/.", cleaned.trim_end_matches('/'));
    }
    match cleaned.rsplit_once('/') {
        Some(("", "")) => ("/".to_owned(), "/".to_owned()),
        Some(("", entry)) => ("/".to_owned(), entry.to_owned()),
        Some((directory, entry)) => (directory.to_owned(), entry.to_owned()),
        None => (".".to_owned(), cleaned),
    }
}

/// An absolute path that keeps its trailing `/` or `/.`.
pub(super) fn absolute(path: &str) -> Result<String, Failure> {
    let absolute =
        std::path::absolute(path).map_err(|error| file_error("resolve", path, &error))?;
    let mut cleaned = clean(&absolute.display().to_string());
    if ends_in_dot(path) {
        cleaned = format!("{}/.", cleaned.trim_end_matches('/'));
    } else if path.ends_with('/') && cleaned != "/" {
        cleaned.push('/');
    }
    Ok(cleaned)
}

/// A link's target, seen from where the link is.
pub(super) fn link_target(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let (parent, _) = split(link);
    clean(&format!("{parent}/{target}"))
}

impl Source {
    pub(super) fn new(path: &str) -> Source {
        Source {
            path: path.to_owned(),
            ..Source::default()
        }
    }

    /// The last component as the archive has it.
    pub(super) fn base(&self) -> String {
        split(&self.path).1
    }

    /// The directory and the entry in it that is packed.
    pub(super) fn split(&self) -> (String, String) {
        split(&self.path)
    }

    /// The same source through a link; it keeps the name that was asked for.
    pub(super) fn following(&self, target: &str) -> Source {
        let resolved = link_target(&self.path, target);
        rebased(&self.path, resolved)
    }

    /// A source on this machine. Links above the last component are followed, the last only
    /// when asked.
    pub(super) fn local(path: &str, follow: bool) -> Result<Source, Failure> {
        let fault = |error: std::io::Error| file_error("lstat", path, &error);
        let mut source = if follow {
            rebased(path, real_path(path).map_err(fault)?)
        } else if says_directory(path) {
            // `link/` and `link/.` go through the link, as everywhere.
            let real =
                real_path(path.trim_end_matches('.').trim_end_matches('/')).map_err(fault)?;
            rebased(
                path,
                if real.is_empty() {
                    "/".to_owned()
                } else {
                    real
                },
            )
        } else {
            let (directory, entry) = split(path);
            let directory = real_path(&directory).map_err(fault)?;
            Source::new(&format!("{}/{entry}", directory.trim_end_matches('/')))
        };
        let metadata = fs::symlink_metadata(&source.path).map_err(fault)?;
        source.is_dir = metadata.is_dir();
        if says_directory(path) && !source.is_dir {
            return Err("not a directory".into());
        }
        Ok(source)
    }
}

fn rebased(asked: &str, resolved: String) -> Source {
    let mut resolved = resolved;
    if ends_in_dot(asked) && !ends_in_dot(&resolved) {
        resolved.push_str("/.");
    } else if asked.ends_with('/') && !resolved.ends_with('/') {
        resolved.push('/');
    }
    let name = |path: &str| split(path).1;
    let rebase = (name(asked) != name(&resolved)).then(|| name(asked));
    Source {
        path: resolved,
        is_dir: false,
        rebase,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the user's own path, as the user sees it"
)]
fn real_path(path: &str) -> std::io::Result<String> {
    let path = if path.is_empty() { "/" } else { path };
    fs::canonicalize(path).map(|real| real.display().to_string())
}

impl Target {
    pub(super) fn named(path: &str) -> Target {
        Target {
            path: path.to_owned(),
            ..Target::default()
        }
    }

    /// A destination on this machine: links are followed, one that leads nowhere too.
    pub(super) fn local(path: &str) -> Result<Target, Failure> {
        let mut at = path.to_owned();
        // The kernel gives up after 40 links.
        for _ in 0..40 {
            match fs::symlink_metadata(at.trim_end_matches('/')) {
                Ok(metadata) if metadata.is_symlink() => {
                    let target = fs::read_link(at.trim_end_matches('/'))
                        .map_err(|error| file_error("readlink", &at, &error))?;
                    at = link_target(&at, &target.display().to_string());
                }
                Ok(metadata) => {
                    return Ok(Target {
                        path: at,
                        exists: true,
                        is_dir: metadata.is_dir(),
                    });
                }
                Err(_) if at == "/" || at.is_empty() => {
                    return Ok(Target {
                        path: "/".to_owned(),
                        exists: true,
                        is_dir: true,
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let (parent, _) = split(&at);
                    return match fs::metadata(&parent) {
                        Ok(metadata) if metadata.is_dir() => Ok(Target::named(&at)),
                        Ok(_) => Err("not a directory".into()),
                        Err(error) => Err(file_error("lstat", &parent, &error)),
                    };
                }
                Err(error) => return Err(file_error("lstat", &at, &error)),
            }
        }
        Err(format!("too many levels of symbolic links: {path}").into())
    }
}

/// The parent of an output must be there, and the output no device.
pub(super) fn check_output(path: &str) -> Result<(), Failure> {
    use std::os::unix::fs::FileTypeExt as _;
    let cleaned = clean(path);
    let parent = Path::new(&cleaned).parent().unwrap_or(Path::new("/"));
    if !parent.exists() {
        return Err(format!(
            "invalid output path: directory {:?} does not exist",
            parent.display().to_string()
        )
        .into());
    }
    match fs::metadata(&cleaned) {
        Ok(metadata)
            if metadata.file_type().is_char_device() || metadata.file_type().is_block_device() =>
        {
            Err(format!(
                "invalid output path: {path:?} must be a directory or a regular file: got a device"
            )
            .into())
        }
        _ => Ok(()),
    }
}

/// Applies the table above.
pub(super) fn plan(source: &Source, target: &Target) -> Result<Plan, Failure> {
    if target.exists && target.is_dir {
        return Ok(Plan {
            directory: target.path.clone(),
            rename: None,
        });
    }
    if target.exists && source.is_dir {
        return Err("cannot copy directory".into());
    }
    if !target.exists && !source.is_dir && says_directory(&target.path) {
        return Err("destination directory does not exist".into());
    }
    if target.exists && says_directory(&target.path) {
        return Err("not a directory".into());
    }
    let (directory, new) = split(&target.path);
    let old = source.rebase.clone().unwrap_or_else(|| source.base());
    let rename = (old != new).then_some(Rename { old, new });
    Ok(Plan { directory, rename })
}

impl Rename {
    /// The name with its first component replaced; one that does not have it stays.
    pub(super) fn apply(&self, name: &[u8]) -> Vec<u8> {
        let old = if self.old == "/" {
            b"".as_slice()
        } else {
            self.old.as_bytes()
        };
        let Some(rest) = name.strip_prefix(old) else {
            return name.to_vec();
        };
        if !rest.is_empty() && !rest.starts_with(b"/") && !old.is_empty() {
            return name.to_vec();
        }
        let mut renamed = self.new.as_bytes().to_vec();
        if !rest.is_empty() && !rest.starts_with(b"/") {
            renamed.push(b'/');
        }
        renamed.extend_from_slice(rest);
        renamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, is_dir: bool) -> Source {
        Source {
            path: path.to_owned(),
            is_dir,
            rebase: None,
        }
    }

    fn missing(path: &str) -> Target {
        Target::named(path)
    }

    fn there(path: &str, is_dir: bool) -> Target {
        Target {
            path: path.to_owned(),
            exists: true,
            is_dir,
        }
    }

    fn planned(source: &Source, target: &Target) -> (String, Option<(String, String)>) {
        let plan = plan(source, target).unwrap();
        (
            plan.directory,
            plan.rename.map(|rename| (rename.old, rename.new)),
        )
    }

    fn rename(old: &str, new: &str) -> Option<(String, String)> {
        Some((old.to_owned(), new.to_owned()))
    }

    #[test]
    fn arguments_are_told_apart_by_their_colon() {
        assert_eq!(split_argument("web:/etc"), (Some("web"), "/etc"));
        assert_eq!(split_argument("/a:b"), (None, "/a:b"));
        assert_eq!(split_argument("./a:b"), (None, "./a:b"));
        assert_eq!(split_argument("-"), (None, "-"));
        assert_eq!(split_argument("web:"), (Some("web"), ""));
    }

    #[test]
    fn a_file_becomes_a_file() {
        let file = source("/etc/hosts", false);
        assert_eq!(
            planned(&file, &missing("/tmp/x")),
            ("/tmp".into(), rename("hosts", "x"))
        );
        assert_eq!(
            planned(&file, &there("/tmp/x", false)),
            ("/tmp".into(), rename("hosts", "x"))
        );
        assert_eq!(planned(&file, &there("/tmp", true)), ("/tmp".into(), None));
        assert!(plan(&file, &missing("/tmp/x/")).is_err());
    }

    #[test]
    fn a_directory_takes_the_name_of_a_missing_target() {
        let dir = source("/etc", true);
        assert_eq!(
            planned(&dir, &missing("/tmp/x")),
            ("/tmp".into(), rename("etc", "x"))
        );
        assert_eq!(planned(&dir, &there("/tmp", true)), ("/tmp".into(), None));
        assert!(plan(&dir, &there("/tmp/x", false)).is_err());
        let contents = source("/etc/.", true);
        assert_eq!(
            planned(&contents, &missing("/tmp/x")),
            ("/tmp".into(), rename(".", "x"))
        );
    }

    #[test]
    fn renaming_touches_whole_components_only() {
        let rename = Rename {
            old: "etc".into(),
            new: "x".into(),
        };
        assert_eq!(rename.apply(b"etc/hosts"), b"x/hosts");
        assert_eq!(rename.apply(b"etc"), b"x");
        assert_eq!(rename.apply(b"etcetera"), b"etcetera");
        let contents = Rename {
            old: ".".into(),
            new: "x".into(),
        };
        assert_eq!(contents.apply(b"./a"), b"x/a");
        let root = Rename {
            old: "/".into(),
            new: "x".into(),
        };
        assert_eq!(root.apply(b"bin/sh"), b"x/bin/sh");
        assert_eq!(root.apply(b"/"), b"x/");
    }

    #[test]
    fn a_link_is_copied_as_a_link_unless_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = real_path(&directory.path().display().to_string()).unwrap();
        fs::write(format!("{root}/real"), "x").unwrap();
        std::os::unix::fs::symlink("real", format!("{root}/link")).unwrap();
        let kept = Source::local(&format!("{root}/link"), false).unwrap();
        assert_eq!(kept.path, format!("{root}/link"));
        let followed = Source::local(&format!("{root}/link"), true).unwrap();
        assert_eq!(followed.path, format!("{root}/real"));
        assert_eq!(followed.rebase.as_deref(), Some("link"));
    }

    #[test]
    fn a_dangling_link_is_a_target_by_its_own_target() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display().to_string();
        std::os::unix::fs::symlink("gone", format!("{root}/link")).unwrap();
        let target = Target::local(&format!("{root}/link")).unwrap();
        assert_eq!(
            (target.path, target.exists),
            (format!("{root}/gone"), false)
        );
        assert!(Target::local(&format!("{root}/no/where")).is_err());
    }

    #[test]
    fn trailing_marks_survive_cleaning() {
        assert_eq!(absolute("/a/../b/.").unwrap(), "/b/.");
        assert_eq!(absolute("/a//b/").unwrap(), "/a/b/");
        assert_eq!(split("/a/b/."), ("/a/b".into(), ".".into()));
        assert_eq!(split("/a"), ("/".into(), "a".into()));
        assert_eq!(split("/"), ("/".into(), "/".into()));
        assert_eq!(clean("../../x"), "../../x");
    }
}
