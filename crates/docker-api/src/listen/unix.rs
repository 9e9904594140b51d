//! Sockets in the file system.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Gid, chown};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

use super::ListenError;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Who besides root may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// Named by the user: it must exist.
    Named(String),
    /// The usual name: where there is no such group, only root connects.
    Usual(String),
}

/// Opens a socket at a path: mode 0660, owned by root and the group.
///
/// Nobody can connect before it has its mode and owner: it listens only then. A socket that was
/// left there by a daemon that died is replaced, one that a daemon answers on is not.
pub(super) fn bind(path: &Path, group: &Group) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Io {
        at: format!("unix://{}", path.display()),
        source,
    };
    let gid = find(group)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    check_place(path)?;
    let _ = std::fs::remove_file(path);
    listen(path, gid).map_err(failed)
}

fn listen(path: &Path, gid: Gid) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    chown(path, None, Some(gid))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o660))?;
    rustix::net::listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}

fn check_place(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NoSocket { path: path.into() });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // It vanished, or belongs to nobody who listens.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(ListenError::InUse { path: path.into() }),
    }
}

fn find(group: &Group) -> Result<Gid, ListenError> {
    let database = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let (name, must_exist) = match group {
        Group::Named(name) => (name, true),
        Group::Usual(name) => (name, false),
    };
    match id_of(&database, name) {
        Some(id) => Ok(Gid::from_raw(id)),
        None if must_exist => Err(ListenError::NoGroup { name: name.clone() }),
        None => {
            tracing::debug!(group = %name, "no such group: only root may connect");
            Ok(Gid::ROOT)
        }
    }
}

/// The id of a group by its name or number. Parsed here: a static binary has no name services.
fn id_of(database: &str, name: &str) -> Option<u32> {
    let by_name = database.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    });
    by_name.or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: &str = "no-such-group";

    #[test]
    fn groups_are_found_by_name_or_number() {
        let database = "root:x:0:\nwharf:x:998:alice,bob\nbroken\n";
        assert_eq!(id_of(database, "wharf"), Some(998));
        assert_eq!(id_of(database, "1234"), Some(1234));
        assert_eq!(id_of(database, "broken"), None);
        assert_eq!(id_of(database, "docker"), None);
    }

    #[tokio::test]
    async fn a_socket_gets_its_mode_and_replaces_one_that_nobody_answers_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/api.sock");
        let group = Group::Usual(NOBODY.into());
        let first = bind(&path, &group).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(
            bind(&path, &group),
            Err(ListenError::InUse { .. })
        ));
        drop(first);
        bind(&path, &group).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        let refused = bind(&path, &Group::Usual(NOBODY.into()));
        assert!(matches!(refused, Err(ListenError::NoSocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn a_group_that_was_asked_for_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let refused = bind(&dir.path().join("s"), &Group::Named(NOBODY.into())).unwrap_err();
        assert_eq!(refused.to_string(), "group no-such-group not found");
    }
}
