//! These mount, so they need privileges; without them they only check that the refusal is clear.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::*;
use crate::rooted::Root;

fn privileged() -> bool {
    rustix::process::geteuid().is_root() && FileSystem::open("tmpfs").is_ok()
}

fn directory(path: &Path) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

fn read(root: &Root, path: &str) -> String {
    let mut text = String::new();
    root.open_regular(path)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// Two layers and an upper, as plain directories.
struct Layers {
    dir: tempfile::TempDir,
}

impl Layers {
    fn new() -> Layers {
        let dir = tempfile::tempdir().unwrap();
        for name in ["low", "high", "upper", "work"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("low/both"), "low").unwrap();
        fs::write(dir.path().join("low/only"), "low").unwrap();
        fs::write(dir.path().join("high/both"), "high").unwrap();
        Layers { dir }
    }

    fn fd(&self, name: &str) -> OwnedFd {
        directory(&self.dir.path().join(name))
    }
}

fn check_overlay(mount: impl Fn(&Overlay<'_>) -> Result<OwnedFd, MountError>) {
    let layers = Layers::new();
    let (high, low) = (layers.fd("high"), layers.fd("low"));
    let (upper, work) = (layers.fd("upper"), layers.fd("work"));
    let lower = [high.as_fd(), low.as_fd()];
    let mut wanted = Overlay {
        lower: &lower,
        upper: None,
        user_xattr: false,
        attributes: MountAttrFlags::MOUNT_ATTR_NODEV,
    };
    let root = Root::from_fd(mount(&wanted).unwrap());
    assert_eq!(read(&root, "both"), "high");
    assert_eq!(read(&root, "only"), "low");
    assert!(root.create_file("new", Mode::RUSR).is_err());

    wanted.upper = Some(Upper {
        upper: upper.as_fd(),
        work: work.as_fd(),
    });
    let root = Root::from_fd(mount(&wanted).unwrap());
    root.create_file("new", Mode::RUSR).unwrap();
    assert!(layers.dir.path().join("upper/new").exists());
}

#[test]
fn an_overlay_of_descriptors_shows_the_top_layer_first() {
    if privileged() {
        check_overlay(overlay);
    }
}

#[test]
fn an_old_kernel_gets_the_same_overlay_from_one_option_string() {
    if privileged() {
        let before = std::env::current_dir().unwrap();
        check_overlay(overlay::by_option_string);
        assert_eq!(std::env::current_dir().unwrap(), before);
    }
}

#[test]
fn a_detached_mount_is_in_no_mount_table_and_can_be_attached_by_descriptor() {
    if !privileged() {
        return;
    }
    std::thread::spawn(|| {
        enter_private_namespace().unwrap();
        let place = tempfile::tempdir().unwrap();
        let context = FileSystem::open("tmpfs").unwrap();
        context.string("mode", "0700").unwrap();
        context.create().unwrap();
        let tree = context.mount(MountAttrFlags::empty()).unwrap();
        Root::from_fd(tree.try_clone().unwrap())
            .create_file("inside", Mode::RUSR)
            .unwrap();
        let table = || fs::read_to_string("/proc/thread-self/mounts").unwrap();
        let name = place.path().to_str().unwrap();
        assert!(!table().contains(name));
        attach(tree.as_fd(), directory(place.path()).as_fd()).unwrap();
        assert!(table().contains(name));
        assert!(place.path().join("inside").exists());
        set_attributes(
            tree.as_fd(),
            &Attributes {
                set: MountAttrFlags::MOUNT_ATTR_RDONLY,
                ..Attributes::default()
            },
            Depth::One,
        )
        .unwrap();
        let error = File::create(place.path().join("more")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    })
    .join()
    .unwrap();
}

#[test]
fn a_clone_of_a_directory_is_a_mount_with_that_directory_on_top() {
    if !privileged() {
        return;
    }
    let layers = Layers::new();
    let tree = clone_tree(layers.fd("low").as_fd(), Depth::One).unwrap();
    assert_eq!(read(&Root::from_fd(tree), "only"), "low");
}

#[test]
fn a_refusal_says_which_option_and_what_the_kernel_wrote() {
    if !privileged() {
        return;
    }
    let context = FileSystem::open("overlay").unwrap();
    let error = context.string("no-such-option", "x").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no-such-option=x"), "{text}");
    assert!(text.contains("Unknown parameter"), "{text}");
    let error = FileSystem::open("no-such-fs").unwrap_err();
    assert!(error.to_string().starts_with("mount no-such-fs: fsopen: "));
}
