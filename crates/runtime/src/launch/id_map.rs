//! Maps of user and group numbers: of a container's user namespace, and of single mounts.
//!
//! The kernel takes a mount's map in the form of a user namespace that has it. One is made with
//! a child that does nothing but be in it, until its namespace has been opened; nobody ever runs
//! there. What is mounted so keeps the container's own numbers on disk: one layer, and one
//! directory of changes, serves every map, and no owner is ever changed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{Linux, LinuxIdMapping, Mount};
use rustix::process::{Gid, Pid, Uid, WaitId, WaitIdOptions, waitid};
use wharf_sys::clone::{self, Clone, Namespaces as Kinds};
use wharf_sys::mount::{Attributes, Depth, MountError, set_attributes};

use super::channel;
use super::error::{Failure, LaunchError, Step};

/// What is mapped to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMaps {
    users: Vec<LinuxIdMapping>,
    groups: Vec<LinuxIdMapping>,
}

impl IdMaps {
    /// Those of the user namespace, if one is to be made.
    pub(super) fn of_container(linux: &Linux, new: Kinds) -> Result<Option<IdMaps>, LaunchError> {
        let maps = IdMaps::read(linux.uid_mappings(), linux.gid_mappings());
        if !new.contains(Kinds::USER) {
            if !maps.users.is_empty() || !maps.groups.is_empty() {
                return Err(LaunchError::spec(
                    "linux.uidMappings",
                    "mappings without a new user namespace",
                ));
            }
            return Ok(None);
        }
        for (field, map) in [
            ("linux.uidMappings", &maps.users),
            ("linux.gidMappings", &maps.groups),
        ] {
            if root_of(map).is_none() {
                return Err(LaunchError::spec(field, "0 is not mapped"));
            }
        }
        Ok(Some(maps))
    }

    /// Those of a mount, if it has its own.
    pub(super) fn of_mount(field: &str, mount: &Mount) -> Result<Option<IdMaps>, LaunchError> {
        let maps = IdMaps::read(mount.uid_mappings(), mount.gid_mappings());
        match (maps.users.is_empty(), maps.groups.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(maps)),
            _ => Err(LaunchError::spec(
                field,
                "uidMappings and gidMappings are only valid together",
            )),
        }
    }

    fn read(users: &Option<Vec<LinuxIdMapping>>, groups: &Option<Vec<LinuxIdMapping>>) -> IdMaps {
        IdMaps {
            users: users.clone().unwrap_or_default(),
            groups: groups.clone().unwrap_or_default(),
        }
    }

    /// Who the container's root is outside.
    pub(super) fn root(&self) -> (Uid, Gid) {
        let root = |map: &[LinuxIdMapping]| root_of(map).unwrap_or_default();
        (
            Uid::from_raw(root(&self.users)),
            Gid::from_raw(root(&self.groups)),
        )
    }

    /// Give a process's new user namespace these maps, which only somebody outside can.
    pub(super) fn write(&self, pid: Pid) -> Result<(), Failure> {
        for (name, map) in [("uid_map", &self.users), ("gid_map", &self.groups)] {
            let file = format!("/proc/{}/{name}", pid.as_raw_nonzero());
            fs::write(file, lines(map)).map_err(Failure::at(Step::UserNamespace, name))?;
        }
        Ok(())
    }
}

fn root_of(map: &[LinuxIdMapping]) -> Option<u32> {
    let root = map
        .iter()
        .find(|range| range.container_id() == 0 && range.size() > 0)?;
    Some(root.host_id())
}

fn lines(map: &[LinuxIdMapping]) -> String {
    map.iter()
        .map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size()))
        .collect()
}

/// User namespaces that exist for their maps' sake, each made once.
#[derive(Debug, Default)]
pub(super) struct MappedNamespaces(Vec<(IdMaps, OwnedFd)>);

impl MappedNamespaces {
    /// One that has these maps.
    pub(super) fn of(&mut self, maps: &IdMaps) -> Result<BorrowedFd<'_>, Failure> {
        let at = match self.0.iter().position(|(known, _)| known == maps) {
            Some(at) => at,
            None => {
                self.0.push((maps.clone(), make(maps)?));
                self.0.len() - 1
            }
        };
        match self.0.get(at) {
            Some((_, namespace)) => Ok(namespace.as_fd()),
            None => Err(Failure::at(Step::UserNamespace, "map")(io::Error::from(
                io::ErrorKind::NotFound,
            ))),
        }
    }
}

fn make(maps: &IdMaps) -> Result<OwnedFd, Failure> {
    let failed = || Failure::at(Step::UserNamespace, "map");
    let (ours, theirs) = channel::pair().map_err(failed())?;
    let new = Clone {
        namespaces: Kinds::USER,
        cgroup: None,
    };
    let child = clone::spawn(&new, |child| {
        let _ = child.close(ours.as_fd());
        // Until the other end is closed, by what follows or by the caller's death.
        let _ = channel::receive(theirs.as_fd());
        Err(0)
    })
    .map_err(failed())?;
    drop(theirs);
    let path = format!("/proc/{}/ns/user", child.pid.as_raw_nonzero());
    let opened = maps
        .write(child.pid)
        .and_then(|()| File::open(path).map_err(failed()));
    drop(ours);
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
        .map_err(Failure::at(Step::UserNamespace, "map"))?;
    Ok(opened?.into())
}

/// Make a mount that is attached nowhere show owners as `namespace` maps them.
pub(super) fn apply(
    tree: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    depth: Depth,
) -> Result<(), MountError> {
    let mapped = Attributes {
        user_namespace: Some(namespace),
        ..Attributes::default()
    };
    set_attributes(tree, &mapped, depth).map_err(|mut error| {
        if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) {
            error.log = "its file system cannot be ID-mapped on this kernel".to_owned();
        }
        error
    })
}
