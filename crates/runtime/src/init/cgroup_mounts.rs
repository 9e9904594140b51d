//! The cgroup hierarchies, as a container sees them.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use wharf_sys::clone::Namespaces as Kinds;
use wharf_sys::mount::{Attributes, Depth, FileSystem, MountError, attach, set_attributes};
use wharf_sys::rooted::Root;

use super::mountpoint::Missing;
use super::mounts::{failed, put};
use crate::cgroup::{Cgroup, Hierarchy, HierarchyKind, Layout};
use crate::launch::error::{Failure, Step};
use crate::launch::mount_failure;
use crate::launch::plan::{MountPlan, Plan};

/// Mount what the host has where the specification wants `cgroup`.
///
/// A host with the unified hierarchy alone shows that one. Any other shows a tmpfs with a
/// directory for each hierarchy, named as on the host. In a cgroup namespace each is mounted
/// afresh and begins at the container's own cgroup; without one it is the host's mount.
pub(super) fn mount(
    root: &Root,
    mount: &MountPlan,
    plan: &Plan,
    layout: Option<&Layout>,
    cgroup: Option<&Cgroup>,
) -> Result<(), Failure> {
    let hierarchies = layout.map(Layout::hierarchies).unwrap_or_default();
    let private = plan.new.contains(Kinds::CGROUP);
    if let [only] = hierarchies
        && *only.kind() == HierarchyKind::Unified
    {
        let tree = tree_of(only, mount, private, None).map_err(mount_failure(
            Step::Mount,
            mount.destination.display().to_string(),
        ))?;
        return put(root, mount, &tree, Missing::Directory);
    }
    let top = top(mount)?;
    put(root, mount, &top, Missing::Directory)?;
    for hierarchy in hierarchies {
        let Some(name) = hierarchy.mount().file_name() else {
            continue;
        };
        let place = mount.destination.join(name);
        let fail = || mount_failure(Step::Mount, place.display().to_string());
        let tree = match tree_of(hierarchy, mount, private, cgroup) {
            // One that limits nothing is no loss: it may not be for us to mount.
            Err(_) if !hierarchy.has_controllers() => continue,
            tree => tree.map_err(fail())?,
        };
        // Nobody else has ever had a hand in this tmpfs: a name in it is enough.
        let target = directory_in(&top, name).map_err(failed(mount))?;
        attach(tree.as_fd(), target.as_fd()).map_err(fail())?;
        link_controllers(&top, hierarchy, name)?;
    }
    let attributes = Attributes {
        set: mount.options.this.set,
        ..Attributes::default()
    };
    set_attributes(top.as_fd(), &attributes, Depth::One).map_err(mount_failure(
        Step::Attributes,
        mount.destination.display().to_string(),
    ))
}

/// The tmpfs the hierarchies' directories are in; writable until they are made.
fn top(mount: &MountPlan) -> Result<OwnedFd, Failure> {
    let make = || {
        let context = FileSystem::open("tmpfs")?;
        context.string("source", "cgroup")?;
        context.string("mode", "0755")?;
        context.create()?;
        context.mount(mount.options.this.set - MountAttrFlags::MOUNT_ATTR_RDONLY)
    };
    make().map_err(mount_failure(
        Step::Mount,
        mount.destination.display().to_string(),
    ))
}

fn directory_in(top: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    mkdirat(top, name, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(top, name, flags, Mode::empty())
}

fn tree_of(
    hierarchy: &Hierarchy,
    mount: &MountPlan,
    private: bool,
    cgroup: Option<&Cgroup>,
) -> Result<OwnedFd, MountError> {
    let attributes = mount.options.this.set;
    if private {
        return fresh(hierarchy, attributes);
    }
    let own = hierarchy
        .mount()
        .join(cgroup.map_or(Path::new(""), Cgroup::path));
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let Ok(tree) = open_tree(CWD, &own, flags) else {
        // Not ours to clone: the file system's own view will do.
        return fresh(hierarchy, attributes);
    };
    let wanted = Attributes {
        set: attributes,
        ..Attributes::default()
    };
    set_attributes(tree.as_fd(), &wanted, Depth::One)?;
    Ok(tree)
}

fn fresh(hierarchy: &Hierarchy, attributes: MountAttrFlags) -> Result<OwnedFd, MountError> {
    let context = match hierarchy.kind() {
        HierarchyKind::Unified => {
            let context = FileSystem::open("cgroup2")?;
            context.string("source", "cgroup2")?;
            context
        }
        HierarchyKind::V1(words) => {
            let context = FileSystem::open("cgroup")?;
            context.string("source", "cgroup")?;
            for word in words {
                match word.strip_prefix("name=") {
                    Some(name) => {
                        context.flag("none")?;
                        context.string("name", name)?;
                    }
                    None => context.flag(word)?,
                }
            }
            context
        }
    };
    context.create()?;
    context.mount(attributes)
}

/// `cpu,cpuacct` is also found as `cpu` and as `cpuacct`.
fn link_controllers(top: &OwnedFd, hierarchy: &Hierarchy, name: &OsStr) -> Result<(), Failure> {
    let HierarchyKind::V1(controllers) = hierarchy.kind() else {
        return Ok(());
    };
    for controller in controllers {
        if controllers.len() > 1 && name != controller.as_str() {
            symlinkat(name, top, controller.as_str())
                .map_err(Failure::at(Step::MountPoint, controller))?;
        }
    }
    Ok(())
}
